"""What vector searches find, beside the exact answers."""

from alembic import context

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0011_vector_search.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0011_vector_search.down.sql")
