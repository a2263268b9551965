"""Lists may be made diverse by the sum of distances too."""

from alembic import context

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0026_max_sum.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0026_max_sum.down.sql")
