"""Jobs and schedules: the schema of Procrastinate 3.10, in a schema of its own."""

from alembic import context

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    run_file = context.config.attributes["run_file"]
    run_file("0002_jobs.sql")
    run_file("0002_jobs.procrastinate.sql", search_path="procrastinate")


def downgrade() -> None:
    """Undo the revision."""
    context.config.attributes["run_file"]("0002_jobs.down.sql")
