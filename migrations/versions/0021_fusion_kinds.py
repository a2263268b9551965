"""Fusion policies of further kinds: switching, mixed, cascade, ranker, meta-level."""

from alembic import context

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0021_fusion_kinds.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0021_fusion_kinds.down.sql")
