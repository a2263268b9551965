"""Counts of pairs are appended."""

from alembic import context

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0013_pair_changes.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0013_pair_changes.down.sql")
