"""What single events add to what a deep model says, and the words of reasons by language."""

from alembic import context

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0023_attributions.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0023_attributions.down.sql")
