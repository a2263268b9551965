"""Rules of the owner, and how lists are ordered after fusion."""

from alembic import context

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0022_rules.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0022_rules.down.sql")
