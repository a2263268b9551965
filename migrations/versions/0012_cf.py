"""Two histories for SLIT."""

from alembic import context

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0012_cf.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0012_cf.down.sql")
