"""Embedding is queued: tasks that workers claim, providers that are given time, spaces that are switched."""

from alembic import context

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0017_embedding_worker.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0017_embedding_worker.down.sql")
