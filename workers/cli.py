"""``recsql``: the command line. It sits here, above both packages, since commands start workers."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from recsql import __version__
from recsql.cli import database
from recsql.cli.output import console, emit, progress_bars, table
from recsql.errors import RecsqlError

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="A recommender that lives inside PostgreSQL."
)
app.add_typer(database.app, name="db")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"recsql {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A recommender that lives inside PostgreSQL."""


@app.command()
def load(
    source: Annotated[
        str,
        typer.Argument(help="movielens-100k, movielens-1m, movielens-latest-small, csv, parquet, jsonl or simulated"),
    ],
    path: Annotated[Path | None, typer.Argument(help="File or folder; found or obtained when left out.")] = None,
    mapping: Annotated[Path | None, typer.Option(help="TOML file that says which column is what.")] = None,
    user_id: Annotated[str | None, typer.Option(help="Column of the user's id.")] = None,
    item_id: Annotated[str | None, typer.Option(help="Column of the item's id.")] = None,
    kind: Annotated[str | None, typer.Option(help="Column of the kind of event.")] = None,
    value: Annotated[str | None, typer.Option(help="Column of the value (a rating, a price …).")] = None,
    at: Annotated[str | None, typer.Option(help="Column of the time.")] = None,
    time_unit: Annotated[str, typer.Option(help="Unit of numeric times: s, ms, us or ns.")] = "s",
    domain: Annotated[str, typer.Option(help="Domain of items that only events name.")] = "default",
    max_per_minute: Annotated[
        int, typer.Option(help="Users with more events in one minute are bots; 0: no limit.")
    ] = 1000,
    max_rejected: Annotated[float, typer.Option(help="Give up when a greater share of rows is refused.")] = 0.5,
    force: Annotated[bool, typer.Option("--force", help="Load even what was loaded before.")] = False,
    as_json: Json = False,
) -> None:
    """Load items, users and events; loading the same again changes nothing."""
    from recsql import db, ingest
    from recsql.readers.factory import open_reader
    from recsql.readers.mapping import Mapping
    from recsql.settings import get_settings

    flags = {"user_id": user_id, "item_id": item_id, "kind": kind, "value": value, "at": at}
    columns = Mapping.from_toml(mapping) if mapping else None
    if columns is None and any(flags.values()):
        columns = Mapping.from_options(flags)
    reader = open_reader(source, path, columns, get_settings(), lambda text: console.print(text, style="dim"))
    options = ingest.LoadOptions(time_unit, max_per_minute, domain, max_rejected, force)
    with db.connect(_migrated()) as connection, progress_bars() as progress:
        task = progress.add_task(f"load {source}", total=reader.total_bytes, note="")
        result = ingest.load(
            connection,
            reader,
            options,
            lambda done, total, note: progress.update(task, completed=done, total=total, note=note),
        )
    emit(vars(result), as_json)


@app.command()
def rejected(as_json: Json = False) -> None:
    """Show which rows were refused, and why."""
    emit(_rows("rejected"), as_json)


@app.command()
def redrive(
    reason: Annotated[str | None, typer.Option(help="Only rows whose reason starts with this.")] = None,
    load_no: Annotated[int | None, typer.Option(help="Only rows of this load.")] = None,
    time_unit: Annotated[str, typer.Option(help="Unit of numeric times: s, ms, us or ns.")] = "s",
    as_json: Json = False,
) -> None:
    """Try refused rows again, after what was wrong has been mended."""
    from recsql import db, ingest

    with db.connect() as connection:
        emit(vars(ingest.redrive(connection, ingest.LoadOptions(time_unit=time_unit), reason, load_no)), as_json)


@app.command()
def embed(as_json: Json = False) -> None:
    """Embed the text of every item whose content has changed."""
    from recsql import db

    with db.connect() as connection, progress_bars() as progress:
        emit({"embedded": embed_backlog(connection, progress)}, as_json)


@app.command()
def run(
    protocol: Annotated[str, typer.Option(help="Offline protocol that chooses and measures: loo or global.")] = "loo",
    seed: Annotated[int, typer.Option(help="Seed of training.")] = 0,
    as_json: Json = False,
) -> None:
    """Do all stages once: choose on validation, measure on test, publish; what is unchanged is not done again."""
    from recsql import db
    from workers.pipeline import Pipeline, PipelineConfig

    with db.connect() as connection, progress_bars() as progress:
        embed_backlog(connection, progress)
        refresh = Pipeline(connection, PipelineConfig(protocol=protocol, seed=seed), stage_bars(progress)).refresh()
    emit(vars(refresh), as_json)


@app.command()
def recommend(
    user_id: Annotated[str, typer.Argument(help="The application's id of the user; an unknown one is welcome.")],
    n: Annotated[int, typer.Option("-n", help="How many.")] = 10,
    domain: Annotated[str | None, typer.Option(help="Only items of this domain.")] = None,
    as_json: Json = False,
) -> None:
    """Recommend items to a user, as recsql_api.recommend does."""
    emit(_rows("api_recommend", user_id=user_id, n=n, domain=domain), as_json)


@app.command()
def status(as_json: Json = False) -> None:
    """Show the newest runs, and which is served."""
    emit(_rows("run_status"), as_json)


@app.command()
def rollback(as_json: Json = False) -> None:
    """Serve the run that was served before."""
    emit({"run_no": _rows("rollback")[0]["rollback"]}, as_json)


@app.command()
def demo(
    source: Annotated[str, typer.Option(help="What to load: movielens-100k or simulated.")] = "movielens-100k",
    as_json: Json = False,
) -> None:
    """Do the main job from end to end on MovieLens 100K, and show what came out."""
    from recsql import db, ingest
    from recsql.readers.factory import open_reader
    from recsql.settings import get_settings
    from workers.pipeline import Pipeline

    began = time.monotonic()
    url = _migrated()
    reader = open_reader(source, settings=get_settings(), notice=lambda text: console.print(text, style="dim"))
    with db.connect(url) as connection:
        with progress_bars() as progress:
            ingest.load(connection, reader)
            embed_backlog(connection, progress)
            refresh = Pipeline(connection, bar=stage_bars(progress)).refresh()
        users = [row["user_id"] for row in _rows("example_users")] + ["somebody-new"]
        shown = {user: _rows("api_recommend", user_id=user, n=5, domain=None) for user in users}
        quality = _rows("quality", run_no=refresh.test_run_no)
    seconds = time.monotonic() - began
    if as_json:
        emit({**vars(refresh), "recommendations": shown, "quality": quality, "total_seconds": seconds}, True)
        return
    if refresh.seconds:
        emit({}, False, table([{"stage": name, "seconds": value} for name, value in refresh.seconds.items()], "Stages"))
    for user, rows in shown.items():
        emit({}, False, table(rows, f"Recommendations for {user}"))
    emit({}, False, table([row for row in quality if row["metric"] == "ndcg@10"], "Quality on the test part (loo)"))
    emit({}, False, f"\n{seconds:.0f} s in all. Look on with:\n  recsql db psql\n  {url}")


def _migrated() -> str:
    """URL of the database, brought to this release's revision."""
    from recsql import db, migrate

    with db.explained():
        url = db.database_url()
        migrate.upgrade(url)
    return url


def embed_backlog(connection: Any, progress: Any) -> int:
    """Embed what is waiting, with a progress bar."""
    from workers.embed import embed as embed_items
    from workers.encoders.text import TextEncoder

    return embed_items(connection, TextEncoder(), stage_bars(progress)("embed"))


def stage_bars(progress: Any) -> Any:
    """What the pipeline calls for a bar for each stage."""

    def start(stage: str) -> Any:
        task = progress.add_task(stage, total=None, note="")
        return lambda done, total, note: progress.update(task, completed=done, total=total, note=note)

    return start


def _rows(query: str, **parameters: Any) -> list[dict[str, Any]]:
    from psycopg.rows import dict_row

    from recsql import db
    from recsql.queries import QUERIES

    with db.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(QUERIES[query], parameters or None).fetchall()


def main() -> None:
    """Run a command; what recsql can explain is one line on stderr and exit code 1."""
    import psycopg

    from recsql.db import explain

    try:
        app(standalone_mode=True)
    except (RecsqlError, psycopg.Error) as error:
        told = explain(error) if isinstance(error, psycopg.Error) else error
        console.print(f"Error: {told}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("Stopped; nothing half done is published, and the next run completes it.", style="red")
        sys.exit(130)


if __name__ == "__main__":
    main()
