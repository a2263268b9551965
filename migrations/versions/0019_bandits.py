"""Bandits: posteriors over what items are worth to whom, and what they have read."""

from alembic import context

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0019_bandits.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0019_bandits.down.sql")
