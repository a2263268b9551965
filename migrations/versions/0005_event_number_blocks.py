"""Numbers of events in blocks."""

from alembic import context

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0005_event_number_blocks.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0005_event_number_blocks.down.sql")
