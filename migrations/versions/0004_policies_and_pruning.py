"""Policies of runs, and pruned runs."""

from alembic import context

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0004_policies_and_pruning.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0004_policies_and_pruning.down.sql")
