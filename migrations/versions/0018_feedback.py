"""Feedback: what was shown, rewards as rows, ranking policies, and what they would have done."""

from alembic import context

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    context.config.attributes["run_file"]("0018_feedback.sql")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0018_feedback.down.sql")
