"""The jobs: what workers do when asked to, and on which schedules, through Procrastinate's tables in the database.

A job that waits is not doubled (queueing lock); jobs that make runs never overlap (lock). Each job is idempotent: it
goes on where an earlier attempt stopped, so a job whose worker died is simply done again. A job that fails is kept as
failed and not retried: the schedule asks again, and a retry would meet the queueing lock of the job that waits by then.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.app import WorkerOptions
from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation
from procrastinate.jobs import Status
from psycopg.conninfo import make_conninfo

from recsql import activity, db, ingest
from recsql.errors import NotFoundError, RecsqlError
from recsql.queries import QUERIES
from recsql.settings import get_settings

logger = logging.getLogger(__name__)

QUEUES = ("events", "embed", "pipeline")
STALLED_AFTER = 60
"""Seconds without a heartbeat after which a worker is taken for dead and its jobs are done again."""

EMBEDDING_CHANNEL = "recsql_embedding"
"""Where the triggers on content notify (``recsql.queue_embedding``)."""

LISTEN_AGAIN_AFTER = 5
"""Seconds after which a worker listens again that could not go on."""

AUDITED_SEARCHES = 20
"""Searches of each set of vectors and domain that the nightly audit replays."""

app = App(connector=PsycopgConnector())  # on which database is decided by connected_app


def task(queue: str, *, together: bool = False) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Register a function without arguments as a job of a queue, of which one at a time is done unless ``together``."""

    def register(work: Callable[[], object]) -> Callable[[], object]:
        def job(timestamp: int = 0) -> Any:
            return work()

        job.__name__, job.__doc__ = work.__name__, work.__doc__
        lock = None if together else queue
        app.task(name=work.__name__, queue=queue, lock=lock, queueing_lock=work.__name__)(job)
        return work

    return register


@task("events")
def drain_inbox() -> object:
    """Clean what applications copied into ``event_inbox``."""
    with db.connect() as connection:
        result = ingest.drain_inbox(connection)
    return vars(result) if result else None


@task("events")
def refresh_activity() -> object:
    """Count what has happened since for trending."""
    with db.connect() as connection:
        return activity.refresh_activity(connection)


@task("events")
def follow() -> object:
    """Bring the served similarities up to the newest event."""
    with db.connect() as connection:
        return connection.execute(QUERIES["follow_release"]).fetchall()


@task("events")
def update_bandits() -> object:
    """Let bandits learn from the newest feedback."""
    from workers.bandits.update import update_bandits as update

    with db.connect() as connection:
        return sum(done.n_read + done.n_corrected for done in update(connection))


@task("events")
def update_exposure() -> object:
    """Bring the prices of exposure up to the newest impressions, of slots whose exposure is controlled."""
    with db.connect() as connection:
        slots = [slot for (slot,) in connection.execute(QUERIES["exposed_slots"]).fetchall()]
        return sum(connection.execute(QUERIES["update_exposure"], {"slot": slot}).fetchall()[0][0] for slot in slots)


@task("embed", together=True)
def embed() -> object:
    """Embed the items whose content has changed."""
    from workers.embed import embed as embed_items

    # Whoever of this process is at it already does this as well, and a job that waited would take the room of others.
    _asked_to_embed.set()
    written = 0
    while _asked_to_embed.is_set() and _embeds.acquire(blocking=False):
        try:
            _asked_to_embed.clear()
            with db.connect() as connection:
                if connection.execute(
                    QUERIES["has_embedding_task"]
                ).fetchone():  # loading a model costs more than looking
                    written += embed_items(connection, is_stopped=_stops.is_set).written
        finally:
            _embeds.release()
    return written


_embeds = threading.Lock()
_asked_to_embed = threading.Event()
_stops = threading.Event()


def _load_encoders() -> None:
    """Load the models of all spaces, so that the first item that comes need not wait for them."""
    from workers.spaces import encoder_of, read_spaces

    with db.connect() as connection:
        for space in read_spaces(connection):
            try:
                encoder_of(connection, space)
            except RecsqlError:
                # Embedding will meet it again, and say so, while the other spaces go on.
                logger.exception("model cannot be loaded", extra={"space": space.space})


async def _embed_when_told() -> None:
    """Embed now and whenever content changes, on every worker, since they share what waits."""
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(db.database_url(), autocommit=True) as connection:
                await connection.execute(f"listen {EMBEDDING_CHANNEL}")
                await asyncio.to_thread(embed)
                await asyncio.to_thread(_load_encoders)
                async for _ in connection.notifies():
                    await asyncio.to_thread(embed)
        except (RecsqlError, psycopg.Error):
            # The job that the schedule defers meets the same, and is kept as failed.
            logger.exception("embedding was broken off")
            await asyncio.sleep(LISTEN_AGAIN_AFTER)


def _run(until: str | None) -> object:
    from workers.pipeline import Pipeline

    with db.connect() as connection:
        return Pipeline(connection).run("production", until=until)


@task("pipeline")
def refresh_similarity() -> object:
    """Begin a run: interactions, popularity and similarities."""
    return _run("segments")


@task("pipeline")
def train() -> object:
    """Go on until the models that are active sources are trained."""
    return _run("train")


@task("pipeline")
def refresh_candidates() -> object:
    """Go on until the candidates are gathered."""
    return _run("candidates")


@task("pipeline")
def score() -> object:
    """Go on until the candidates are scored and fused."""
    return _run("fuse")


@task("pipeline")
def publish() -> object:
    """Finish the run on all events and serve it."""
    from workers.pipeline import Pipeline

    with db.connect() as connection:
        return Pipeline(connection).publish()


@task("pipeline")
def learn() -> object:
    """Train the active models on from their versions of before, on new events and outcomes, and serve the run."""
    from workers.pipeline import Pipeline, PipelineConfig

    with db.connect() as connection:
        return Pipeline(connection, PipelineConfig(incremental=True)).publish()


@task("pipeline")
def audit() -> object:
    """Replay vector searches beside the exact answer, of all items and of each domain."""
    found = []
    with db.connect() as connection:
        for (domain,) in connection.execute(QUERIES["audit_scopes"]).fetchall():
            parameters = {"n_queries": AUDITED_SEARCHES, "k": 10, "filter": "{}", "domain": domain}
            found += connection.execute(QUERIES["audit_vector_search"], parameters).fetchall()
    return len(found)


@task("pipeline")
def evaluate() -> object:
    """Choose epochs and weights on validation, and measure every method on test."""
    from workers.pipeline import Pipeline

    with db.connect() as connection:
        return Pipeline(connection).measure()


@task("pipeline")
def prune() -> object:
    """Forget old runs but for their figures."""
    with db.connect() as connection:
        return connection.execute(QUERIES["prune_runs"], {"keep": 2}).fetchall()


@app.task(name="retry_stalled", queue="events", queueing_lock="retry_stalled", pass_context=True)
async def retry_stalled(context: JobContext, timestamp: int = 0) -> None:
    """Do the jobs again whose worker died."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER):
        logger.warning("job of a dead worker is done again", extra={"job_id": job.id, "task": job.task_name})
        try:
            await manager.retry_job(job)
        except UniqueViolation:  # one like it waits already, and will do what this one did not
            await manager.finish_job(job, Status.FAILED, delete_job=True)


@contextmanager
def connected_app() -> Iterator[App]:
    """The app, not opened yet, on the configured database."""
    # Procrastinate's functions name their tables without a schema.
    conninfo = make_conninfo(db.database_url(), options="-c search_path=procrastinate,public")
    with app.replace_connector(PsycopgConnector(conninfo=conninfo)) as connected:
        yield connected


def schedules() -> dict[str, str]:
    """When workers defer which task by themselves, as cron lines in UTC."""
    settings = get_settings()
    return {
        "drain_inbox": "* * * * *",
        "refresh_activity": "* * * * *",
        "embed": "* * * * *",
        "retry_stalled": "*/2 * * * *",
        "prune": "47 4 * * *",
        "follow": settings.cron_follow,
        "update_bandits": "* * * * *",
        "update_exposure": "* * * * *",
        "audit": "17 5 * * *",
        "publish": settings.cron_publish,
        "learn": settings.cron_learn,
        "evaluate": settings.cron_evaluate,
    }


def run_worker(queues: list[str] | None = None, concurrency: int = 2, wait: bool = True) -> None:
    """Do jobs until stopped (SIGINT or SIGTERM lets those that run finish).

    Args:
        queues: only jobs of these; all when None.
        concurrency: jobs at a time.
        wait: False to start no schedules and end when no job is left.

    Raises:
        NotFoundError: there is no such queue.
    """
    for queue in queues or ():
        if queue not in QUEUES:
            raise NotFoundError(f"There is no queue '{queue}': queues are {', '.join(QUEUES)}.")

    async def work(connected: App) -> None:
        options: WorkerOptions = {
            "queues": queues or list(QUEUES),
            "concurrency": concurrency,
            "wait": wait,
            "delete_jobs": "successful",
        }
        async with connected.open_async():
            if wait:
                listener = asyncio.create_task(_embed_when_told()) if "embed" in options["queues"] else None
                try:
                    await connected.run_worker_async(**options)
                finally:
                    _stops.set()
                    if listener:
                        listener.cancel()
                return
            before: set[int | None] = set()
            # Jobs that another one of their queue held back wait for the next round.
            while (waiting := {job.id for job in await connected.job_manager.list_jobs_async(status="todo")}) != before:
                before = waiting
                await connected.run_worker_async(**options)

    if wait and not app.periodic_registry.periodic_tasks:
        for name, cron in schedules().items():
            if cron:
                app.periodic(cron=cron)(app.tasks[name])
    with connected_app() as connected:
        asyncio.run(work(connected))


def defer_job(name: str) -> int | None:
    """Leave a job for the workers; its number, None when one like it waits already.

    Raises:
        NotFoundError: there is no such task.
    """
    known = sorted(key for key, found in app.tasks.items() if found.queue in QUEUES and key != retry_stalled.name)
    if name not in known:
        raise NotFoundError(f"There is no task '{name}': tasks are {', '.join(known)}.")
    with connected_app() as connected, connected.open():
        try:
            return connected.tasks[name].defer()
        except AlreadyEnqueued:
            return None
