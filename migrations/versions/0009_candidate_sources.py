"""More kinds of sources of candidates."""

from alembic import context

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0009_candidate_sources.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0009_candidate_sources.down.sql")
