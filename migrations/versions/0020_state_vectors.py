"""Policies learnt from feedback as sources, and the states in which decisions were taken."""

from alembic import context

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0020_state_vectors.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0020_state_vectors.down.sql")
