"""``recsql report``: a run on one page."""

from pathlib import Path
from typing import Annotated

import typer

from recsql.cli.output import Json, console, emit, progress_bars
from recsql.errors import ConfigurationError


def report(
    run_no: Annotated[
        int | None, typer.Argument(metavar="[RUN]", help="An offline run; the newest on the test part by default.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; recsql-report-RUN.html here by default.")
    ] = None,
    users: Annotated[int, typer.Option(min=1, help="Users that ablation and overlap are computed on.")] = 1000,
    controls: Annotated[
        str | None,
        typer.Option(help="Controls before and after which fairness is shown, as JSON: '{\"exposure\": 0.05}'."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the intervals.")] = 0,
    as_json: Json = False,
) -> None:
    """Write one HTML page about a run: quality, sources, coverage, fairness, what controls do, examples.

    The page needs nothing else: send it, print it, keep it. With --json its figures are printed in place of it.
    """
    from recsql import db
    from workers.commands import stage_bars
    from workers.fairness_commands import read_controls
    from workers.report.figures import collect
    from workers.report.page import render

    asked = read_controls(controls) if controls else None
    with db.connect() as connection, progress_bars() as progress:
        bar = stage_bars(progress)("report")
        found = collect(connection, run_no, bar, n_users=users, controls=asked, seed=seed)
    if as_json:
        emit(found, True)
        return
    path = output or Path(f"recsql-report-{found['run']['run_no']}.html")
    page = render(found)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}. Name another file by --output."
        ) from None
    console.print(f"Written: {path.resolve()}", markup=False)
