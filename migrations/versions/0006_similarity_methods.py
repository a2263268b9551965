"""More similarity methods."""

from alembic import context

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0006_similarity_methods.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0006_similarity_methods.down.sql")
