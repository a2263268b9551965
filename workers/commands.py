"""``recsql run|embed|search|refresh|train|tune|score|evaluate|publish|worker|defer``: the commands that compute."""

import json
import logging
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsql.cli.json_option import read_object
from recsql.cli.output import Json, console, emit, progress_bars, rows, table, told
from recsql.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.embed import Embedded
    from workers.pipeline import Pipeline

Protocol = Annotated[str, typer.Option(help="Offline protocol that chooses and measures: loo or global.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of training.")]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Keep the models of this production run (its number, or 'released') in place of training: only users who "
        "did something since are read anew.",
    ),
]
Incremental = Annotated[
    bool,
    typer.Option(
        "--incremental",
        help="Go on from the version before, on new events; train whole where there is none.",
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(min=1, help="Train by so many processes, each on a GPU or a share of the cores (RECSQL_PROCESSES)."),
]
PartOption = Annotated[
    str, typer.Option("--part", help="Which events the run may see: production (all), validation or test.")
]


@contextmanager
def pipeline(
    protocol: str = "loo",
    seed: int = 0,
    *,
    since: str | None = None,
    incremental: bool = False,
    processes: int | None = None,
) -> "Iterator[Pipeline]":
    """A pipeline on the configured database, with progress bars."""
    from recsql import db
    from recsql.errors import InputError
    from workers.pipeline import Pipeline, PipelineConfig
    from workers.run import PROTOCOLS

    if protocol not in PROTOCOLS:
        raise InputError(f"There is no protocol '{protocol}': protocols are {' and '.join(PROTOCOLS)}.")
    if since is not None and incremental:
        raise InputError("--since keeps models as they are and --incremental trains them on: choose one of them.")
    with db.connect() as connection, progress_bars() as progress:
        config = PipelineConfig(protocol=protocol, seed=seed, incremental=incremental)
        yield Pipeline(connection, config, stage_bars(progress), notice, processes)


def embed(
    retry: Annotated[
        bool, typer.Option("--retry", help="Try once more what failed, without waiting any longer.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Embed every item whose content has changed, in all spaces; several processes share the work."""
    from recsql import db
    from recsql.queries import QUERIES

    with db.connect() as connection, progress_bars() as progress:
        if retry:
            connection.execute(QUERIES["retry_embedding"])
        done = embed_backlog(connection, stage_bars(progress))
    emit({"embedded": done.written, "failed": done.failed}, as_json)
    if done.failed and not as_json:
        console.print("What failed and why: 'recsql space failures'.", style="yellow")


def search(
    text: Annotated[str, typer.Argument(help="What is looked for: a few words, or a whole text.")],
    n: Annotated[int, typer.Option("-n", help="How many.")] = 10,
    domain: Annotated[str | None, typer.Option(help="Only items of this domain.")] = None,
    wanted: Annotated[
        str, typer.Option("--filter", metavar="JSON", help="Only items whose attributes contain this.")
    ] = "{}",
    space: Annotated[
        str | None, typer.Option(help="Space to search; the one in which contents are compared by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find items by what a text means, as recsql_api.similar_to_vector does with the vector of the text."""
    from recsql import db
    from workers.search import search as search_items

    read_object(f"--filter {wanted}", wanted, '{"genre": "Comedy"}')
    with db.connect() as connection:
        found = search_items(connection, text, n, space=space, domain=domain, wanted=wanted)
    emit(found, as_json, None if found else "Nothing was found.")


def run(
    protocol: Protocol = "loo",
    seed: Seed = 0,
    since: Since = None,
    incremental: Incremental = False,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Do all stages once: embed, choose on validation, measure on test, publish; what is unchanged is left alone.

    With --since only: embed, and publish with the models of an earlier run.
    """
    with pipeline(protocol, seed, since=since, incremental=incremental, processes=processes) as made:
        try:
            embed_backlog(made.connection, made.bar)
        except ModelError as error:
            # What a worker with that model embeds, or has embedded, is there without it.
            notice(f"{error} The run goes on with what is embedded.")
        if since is not None:
            _publish(made, since, as_json)
            return
        done = made.refresh()
    if as_json:
        emit(vars(done), True)
        return
    show_stages(done.seconds)
    show_quality(rows("quality", run_no=done.test_run_no), protocol)
    emit({}, False, f"Run {done.run_no} is served; recsql report {done.test_run_no} makes a page of what was measured.")


def show_stages(seconds: Mapping[str, float]) -> None:
    """Print how long each stage of a refresh took, of which none was needed if nothing has changed."""
    if seconds:
        emit({}, False, table([{"stage": name, "seconds": value} for name, value in seconds.items()], "Stages"))
    else:
        emit({}, False, "Everything was done before; nothing has changed.")


def show_quality(quality: list[dict[str, Any]], protocol: str) -> None:
    """Print what a test run's methods reach, of all that was measured the figure that they are compared by."""
    measured = [row for row in quality if row["metric"] == "ndcg@10" and row["segment"] == "all"]
    emit({}, False, table(measured, f"Quality on the test part ({protocol})"))


def refresh(
    part: PartOption = "production", protocol: Protocol = "loo", incremental: Incremental = False, as_json: Json = False
) -> None:
    """Begin a run, or go on with it: interactions, popularity and similarities."""
    _until("segments", part, protocol, 0, as_json, incremental=incremental)


def follow(as_json: Json = False) -> None:
    """Bring the served similarities up to the newest event, as the worker does every five minutes."""
    emit({"n_pairs": rows("follow_release")[0]["follow_release"]}, as_json)


def train(
    part: PartOption = "production",
    protocol: Protocol = "loo",
    seed: Seed = 0,
    incremental: Incremental = False,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Go on with a run until the models that are active sources are trained."""
    _until("train", part, protocol, seed, as_json, incremental=incremental, processes=processes)


def tune(
    model: Annotated[str, typer.Argument(help="Name of the model: ease, slit, transformer …")],
    trials: Annotated[int, typer.Option(min=1, help="How many more configurations this process tries.")] = 20,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Begin no further trial after so long.")
    ] = None,
    protocol: Protocol = "loo",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the search and of training.")] = 0,
    as_json: Json = False,
) -> None:
    """Search for better hyperparameters of a model on the validation run; repeated, it goes on with the study."""
    from recsql.errors import ConfigurationError

    try:
        from workers import tuning
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise ConfigurationError("The search needs Optuna: pip install 'recsql[tune]'.") from None
    with pipeline(protocol, seed) as made:
        tuned = tuning.tune(made, model, trials, timeout, made.bar(f"tune {model}"))
    if as_json:
        emit(vars(tuned), True)
        return
    tried = [
        row | {"options": "\n".join(f"{name} {told(value)}" for name, value in row["options"].items())}
        for row in tuned.trials
    ]
    emit({}, False, table(tried, f"Study {tuned.study}"))
    best = {name: told(value) for name, value in {**tuned.best, **tuned.options[model]}.items()}
    emit({}, False, table(best, "Best on validation"))
    emit(
        {},
        False,
        "To use it, in workers too:\n\n"
        f"  echo '{json.dumps(tuned.options)}' > models.json\n"
        '  export RECSQL_MODEL_OPTIONS="$PWD/models.json"\n  recsql run',
    )


def score(
    part: PartOption = "production",
    protocol: Protocol = "loo",
    seed: Seed = 0,
    since: Since = None,
    incremental: Incremental = False,
    as_json: Json = False,
) -> None:
    """Go on with a run until its candidates are scored and fused."""
    _until("fuse", part, protocol, seed, as_json, since=since, incremental=incremental)


def evaluate(
    protocol: Protocol = "loo", seed: Seed = 0, incremental: Incremental = False, as_json: Json = False
) -> None:
    """Choose epochs and weights on validation, measure every method on test, and show the figures."""
    with pipeline(protocol, seed, incremental=incremental) as made:
        _, test = made.measure()
    quality = rows("quality", run_no=test)
    emit({"run_no": test, "quality": quality} if as_json else quality, as_json)


def publish(
    protocol: Protocol = "loo",
    seed: Seed = 0,
    since: Since = None,
    incremental: Incremental = False,
    as_json: Json = False,
) -> None:
    """Finish the run on all events and serve it."""
    with pipeline(protocol, seed, since=since, incremental=incremental) as made:
        _publish(made, since, as_json)


def worker(
    queue: Annotated[
        list[str] | None, typer.Option(help="Only jobs of this queue (events, embed, pipeline); can be repeated.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Jobs at a time.")] = 2,
    once: Annotated[bool, typer.Option("--once", help="End when no job is left, and start no schedules.")] = False,
) -> None:
    """Do the jobs of the queues and start those of the schedules, until it is stopped; run it on many machines."""
    from recsql import db
    from workers.app import run_worker

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with db.connect():  # says what is wrong with the database before any job does
        pass
    run_worker(queue, concurrency, wait=not once)


def defer(
    task: Annotated[
        str,
        typer.Argument(
            help="embed, refresh_similarity, train, refresh_candidates, score, evaluate, publish, drain_inbox, "
            "refresh_activity, follow, audit, prune, learn, update_bandits or update_exposure."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Leave a job for the workers; one that waits already is not doubled."""
    from workers.app import defer_job

    emit({"job_id": defer_job(task)}, as_json)


def _publish(made: "Pipeline", since: str | None, as_json: bool) -> None:
    run_no, is_new = made.publish(_run_no(made, since))
    notes = {row["stage"]: row["note"] for row in rows("run_stages", run_no=run_no) if row["note"]}
    if as_json:
        emit({"run_no": run_no, "is_new": is_new, "seconds": made.seconds, "notes": notes}, True)
        return
    show_stages(made.seconds)
    for stage, note in notes.items():
        emit({}, False, f"{stage}: {note}")
    emit({}, False, f"Run {run_no} is served.")


def _run_no(made: "Pipeline", since: str | None) -> int | None:
    """Number of the run that ``--since`` names."""
    from recsql.errors import InputError, NotFoundError
    from recsql.queries import QUERIES

    if since is None:
        return None
    if since != "released":
        try:
            return int(since)
        except ValueError:
            raise InputError(f"--since {since} is no run: use its number, or 'released'.") from None
    row = made.connection.execute(QUERIES["since_run"], {"run_no": None}).fetchone()
    if row is None:
        raise NotFoundError("No run is released yet: 'recsql run' makes one.")
    return row[0]


def _until(
    stage: str,
    part: str,
    protocol: str,
    seed: int,
    as_json: bool,
    *,
    since: str | None = None,
    incremental: bool = False,
    processes: int | None = None,
) -> None:
    from recsql.errors import InputError

    if part not in ("production", "validation", "test"):
        raise InputError(f"There is no part '{part}': use production, validation or test.")
    if since is not None and part != "production":
        raise InputError(f"--since is for production runs, not for {part}, whose models are trained on its cut.")
    with pipeline(protocol, seed, since=since, incremental=incremental, processes=processes) as made:
        run_no = made.run(part, until=stage, since=_run_no(made, since))
    stages = rows("run_stages", run_no=run_no)
    emit({"run_no": run_no, "stages": stages} if as_json else stages, as_json, None if as_json else table(stages))


def notice(text: str) -> None:
    """Say on stderr what whoever waits should know."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def embed_backlog(connection: Any, bar: Any) -> "Embedded":
    """Embed what is waiting; ``bar`` is what :func:`stage_bars` gives."""
    from workers.embed import embed as embed_items

    return embed_items(connection, bar("embed"), everything=True)


def stage_bars(progress: Any) -> Any:
    """What the pipeline calls for a bar for each stage."""

    def start(stage: str) -> Any:
        task = progress.add_task(stage, total=None, note="")
        return lambda done, total, note: progress.update(task, completed=done, total=total, note=note)

    return start
