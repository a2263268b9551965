"""Quality and exposure by group, and the prices of exposure."""

from alembic import context

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0024_fairness.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0024_fairness.down.sql")
