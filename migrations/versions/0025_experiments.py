"""Experiments: variants, who was exposed to them, and what came of it."""

from alembic import context

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0025_experiments.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0025_experiments.down.sql")
