"""Activity by bucket of time."""

from alembic import context

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0010_activity.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0010_activity.down.sql")
