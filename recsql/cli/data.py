"""``recsql load|rejected|redrive|inbox|activity``: what comes in."""

from pathlib import Path
from typing import Annotated

import typer

from recsql.cli.output import Json, console, emit, progress_bars, rows

TimeUnit = Annotated[str, typer.Option(help="Unit of numeric times: s, ms, us or ns.")]
MaxPerMinute = Annotated[int, typer.Option(help="Users with more events in one minute are bots; 0: no limit.")]


def load(
    source: Annotated[
        str,
        typer.Argument(help="movielens-100k, movielens-1m, movielens-latest-small, csv, parquet, jsonl or simulated"),
    ],
    path: Annotated[
        Path | None,
        typer.Argument(
            help="The file, also gzipped or zipped; of MovieLens also the folder, found or obtained when left out."
        ),
    ] = None,
    mapping: Annotated[Path | None, typer.Option(help="TOML file that says which column is what.")] = None,
    user_id: Annotated[str | None, typer.Option(help="Column of the user's id.")] = None,
    item_id: Annotated[str | None, typer.Option(help="Column of the item's id.")] = None,
    kind: Annotated[str | None, typer.Option(help="Column of the kind of event.")] = None,
    value: Annotated[str | None, typer.Option(help="Column of the value (a rating, a price …).")] = None,
    at: Annotated[str | None, typer.Option(help="Column of the time.")] = None,
    time_unit: TimeUnit = "s",
    domain: Annotated[str, typer.Option(help="Domain of items that only events name.")] = "default",
    max_per_minute: MaxPerMinute = 1000,
    max_rejected: Annotated[float, typer.Option(help="Give up when a greater share of rows is refused.")] = 0.5,
    force: Annotated[bool, typer.Option("--force", help="Load even what was loaded before.")] = False,
    as_json: Json = False,
) -> None:
    """Load items, users and events; loading the same again changes nothing."""
    from recsql import db, ingest
    from recsql.activity import refresh_activity
    from recsql.migrate import migrated_url
    from recsql.readers.factory import open_reader
    from recsql.readers.mapping import Mapping
    from recsql.settings import get_settings

    flags = {"user_id": user_id, "item_id": item_id, "kind": kind, "value": value, "at": at}
    columns = Mapping.from_toml(mapping) if mapping else None
    if any(flags.values()):
        given = Mapping.from_options(flags)
        # What is said here goes before what the file says.
        columns = given if columns is None else columns.model_copy(update=given.model_dump(exclude_unset=True))
    reader = open_reader(source, path, columns, get_settings(), lambda text: console.print(text, style="dim"))
    options = ingest.LoadOptions(time_unit, max_per_minute, domain, max_rejected, force)
    with db.connect(migrated_url()) as connection, progress_bars() as progress:
        task = progress.add_task(f"load {source}", total=reader.total_bytes, note="")
        result = ingest.load(
            connection,
            reader,
            options,
            lambda done, total, note: progress.update(task, completed=done, total=total, note=note),
        )
        refresh_activity(connection)
    emit(vars(result), as_json)


def inbox(time_unit: TimeUnit = "s", max_per_minute: MaxPerMinute = 1000, as_json: Json = False) -> None:
    """Clean what applications copied into event_inbox, as the worker does every minute."""
    from recsql import db, ingest

    with db.connect() as connection:
        result = ingest.drain_inbox(connection, ingest.LoadOptions(time_unit, max_per_minute))
    emit(vars(result) if result else {"n_rows": 0}, as_json)


def activity(
    anew: Annotated[bool, typer.Option("--anew", help="Count all events again, not only what has changed.")] = False,
    as_json: Json = False,
) -> None:
    """Count what has happened since for trending, as the worker does every minute."""
    from recsql import db
    from recsql.activity import refresh_activity

    with db.connect() as connection:
        emit({"n_events": refresh_activity(connection, anew)}, as_json)


def rejected(as_json: Json = False) -> None:
    """Show which rows were refused, and why."""
    emit(rows("rejected"), as_json)


def redrive(
    reason: Annotated[str | None, typer.Option(help="Only rows whose reason starts with this.")] = None,
    load_no: Annotated[int | None, typer.Option(help="Only rows of this load.")] = None,
    time_unit: TimeUnit = "s",
    as_json: Json = False,
) -> None:
    """Try refused rows again, after what was wrong has been mended."""
    from recsql import db, ingest

    with db.connect() as connection:
        emit(vars(ingest.redrive(connection, ingest.LoadOptions(time_unit=time_unit), reason, load_no)), as_json)
