"""Activity by bucket of time."""

from alembic import context

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0009_activity.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0009_activity.down.sql")
