"""Promotions of model versions, and what a version was trained from."""

from alembic import context

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0015_model_lineage.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0015_model_lineage.down.sql")
