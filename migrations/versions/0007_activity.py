"""Activity by bucket of time."""

from alembic import context

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0007_activity.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0007_activity.down.sql")
