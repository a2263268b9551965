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
    seed: Annotated[int, typer.Option(min=0, help="Seed of the intervals.")] = 0,
    as_json: Json = False,
) -> None:
    """Write one HTML page about a run: quality, sources, coverage, fairness, what controls do, examples.

    The page needs nothing else: send it, print it, keep it. With --json its figures are printed in place of it.
    """
    from recsql import db
    from workers.commands import stage_bars
    from workers.fairness_commands import read_controls
    from workers.report.charts import load_altair
    from workers.report.figures import collect
    from workers.report.page import render

    asked = None if controls is None else read_controls(controls)
    if not as_json:
        # Told before all is computed.
        load_altair()
        _check_place(output or Path())
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
        raise _unwritable(path, error.strerror or str(error)) from None
    console.print(f"Written: {path.resolve()}", markup=False)


def _check_place(path: Path) -> None:
    """See that a file can be written, or files in the current folder."""
    if path != Path() and path.is_dir():
        raise _unwritable(path, "it is a folder")
    if not path.parent.is_dir():
        raise _unwritable(path, f"there is no folder {path.parent}")


def _unwritable(path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{path} cannot be written: {reason}. Name another file by --output.")
