"""Interactions know the kind of their strongest event."""

from alembic import context

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0016_interaction_kind.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0016_interaction_kind.down.sql")
