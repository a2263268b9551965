"""``recsql demo``: the main job from end to end, and what came out of it."""

import time
from typing import Annotated, Any

import typer

from recsql.cli.output import Json, console, emit, progress_bars, rows, table
from recsql.errors import RecsqlError
from workers.commands import embed_backlog, show_quality, show_stages, stage_bars


def demo(
    source: Annotated[
        str | None,
        typer.Option(help="What to load: movielens-100k (the default) or simulated (needs no network and no files)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Do the main job from end to end on MovieLens 100K, and show what came out."""
    from recsql import db, ingest
    from recsql.migrate import migrated_url
    from workers.pipeline import Pipeline

    began = time.monotonic()
    url = migrated_url()
    reader = _reader(source)
    with db.connect(url) as connection, progress_bars() as progress:
        bar = stage_bars(progress)
        ingest.load(connection, reader, progress=bar("load"))
        embed_backlog(connection, bar)
        refresh = Pipeline(connection, bar=bar).refresh()
    seconds = time.monotonic() - began
    users = [row["user_id"] for row in rows("example_users")] + ["somebody-new"]
    asked: dict[str, Any] = {"n": 5, **dict.fromkeys(("domain", "explore", "diversity", "novelty")), "log": False}
    answers = {user: rows("api_recommend", user_id=user, **asked) for user in users}
    # Nothing was logged under these ids.
    shown = {user: [{k: v for k, v in row.items() if k != "request_id"} for row in answers[user]] for user in users}
    quality = rows("quality", run_no=refresh.test_run_no)
    if as_json:
        emit({**vars(refresh), "recommendations": shown, "quality": quality, "total_seconds": seconds}, True)
        return
    show_stages(refresh.seconds)
    for user, found in shown.items():
        emit({}, False, table(found, f"Recommendations for {user}"))
    show_quality(quality, "loo")
    emit({}, False, f"\n{seconds:.0f} s in all. Look on with:\n  recsql db psql\n  {url}")


def _reader(source: str | None) -> Any:
    """The source that was asked for; the simulated catalogue where nothing was and MovieLens is out of reach."""
    from recsql.readers.factory import open_reader
    from recsql.settings import get_settings

    def notice(text: str) -> None:
        console.print(text, style="dim")

    try:
        return open_reader(source or "movielens-100k", settings=get_settings(), notice=notice)
    except RecsqlError as error:
        if source is not None:
            raise
        notice(f"{error}\nGoing on with the simulated catalogue: its figures say nothing about real users.")
        return open_reader("simulated", settings=get_settings(), notice=notice)
