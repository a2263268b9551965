"""Every trained model a source, and scores as lists."""

from alembic import context

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0014_model_sources.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0014_model_sources.down.sql")
