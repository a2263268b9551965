"""Catalogue and events."""

from alembic import context

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0001_catalogue_and_events.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0001_catalogue_and_events.down.sql")
