"""A run knows what it was begun on, so that one that was stopped is found again when more has happened."""

from alembic import context

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0027_interrupted_run.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0027_interrupted_run.down.sql")
