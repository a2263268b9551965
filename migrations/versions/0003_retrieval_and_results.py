"""Retrieval and results."""

from alembic import context

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0003_retrieval_and_results.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0003_retrieval_and_results.down.sql")
