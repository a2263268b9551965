"""Histories as arrays, and counts of pairs."""

from alembic import context

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0008_user_sequence.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0008_user_sequence.down.sql")
