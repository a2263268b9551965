"""``recsql fairness``: quality by groups of users, exposure of items, and the prices that control it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsql.cli.json_option import read_object
from recsql.cli.output import Json, emit, rows, table
from recsql.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from workers.fairness_report import Report

app = typer.Typer(
    no_args_is_help=True, help="Measure fairness before and after controls, and keep the prices of exposure."
)

Slot = Annotated[str, typer.Option(help="Slot whose lists are shown.")]


@app.command()
def report(
    run: Annotated[
        int | None, typer.Option(help="Number of a complete offline run; by default the newest of the test part.")
    ] = None,
    controls: Annotated[
        str | None,
        typer.Option(help="Controls to compare with, as JSON: '{\"exposure\": 0.05}'."),
    ] = None,
    k: Annotated[int, typer.Option(min=1, max=100, help="Length of the lists.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: Json = False,
) -> None:
    """Measure what is fused, by groups and as a whole, and what controls change, with the price in NDCG."""
    from recsql import db
    from workers.fairness_report import compare

    asked = read_controls(controls) if controls is not None else {}
    with db.connect() as connection:
        run_no = _run(connection, run)
        found = compare(connection, run_no, asked, k, seed)
    if as_json:
        emit(found.document(), True)
        return
    _show(found)


@app.command()
def update(
    slot: Annotated[str | None, typer.Option(help="Only this slot; all that serve something by default.")] = None,
    as_json: Json = False,
) -> None:
    """Bring the prices of exposure up to the newest impressions, as workers do for slots with exposure control."""
    slots = [slot] if slot is not None else [row["slot"] for row in rows("served_slots")]
    if not slots:
        raise NotFoundError("Nothing is served, so nothing has a price: 'recsql publish' serves a run.")
    found = {name: rows("update_exposure", slot=name)[0]["update_exposure"] for name in slots}
    lines = [f"Slot {name}: {n:,} impressions counted." for name, n in found.items()]
    emit(found, as_json, "\n".join(lines))


@app.command()
def prices(
    slot: Slot = "default",
    n: Annotated[int, typer.Option(min=1, max=100_000, help="How many items, the dearest first.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the items that have been shown most of late: their exposure, what each should have, and their price."""
    found = rows("exposure_prices", slot=slot, n=n)
    told = f"Slot {slot} has no prices: 'recsql fairness update' makes them from what was shown."
    emit(found, as_json, None if found else told)


def read_controls(text: str) -> dict[str, Any]:
    """What ``--controls`` says.

    Raises:
        InputError: it is no JSON object with a control.
    """
    found = read_object(f"--controls {text}", text, '{"exposure": 0.1}')
    if not found:
        raise InputError("--controls names no control: write it like '{\"exposure\": 0.1}'.")
    return found


def _run(connection: Any, run_no: int | None) -> int:
    from recsql.queries import QUERIES

    row = connection.execute(QUERIES["measured_run"], {"run_no": run_no}).fetchone()
    if row is None:
        named = "There is no complete offline run" + ("" if run_no is None else f" {run_no}")
        raise NotFoundError(f"{named}: 'recsql status' shows the runs, 'recsql evaluate' makes one of the test part.")
    return row[0]


def _show(found: "Report") -> None:
    emit({}, False, table(found.whole, f"Lists as a whole, run {found.run_no}"))
    if found.controls and found.price is None:
        emit({}, False, "Nothing relevant is on any list as it is, so there is no NDCG to lose.\n")
    if found.price is not None:
        value, lo, hi = (found.price[name] for name in ("relative", "lo", "hi"))
        emit({}, False, f"The controls change NDCG by {value:+.1%} (95 % interval {lo:+.1%} to {hi:+.1%}).\n")
    if found.users:
        emit({}, False, table([_condensed(row) for row in found.users], "By groups of users"))
    emit({}, False, table(found.items, "By groups of items"))


def _condensed(row: dict[str, Any]) -> dict[str, Any]:
    """A row with each interval in the cell of its figure."""
    kept = {name: value for name, value in row.items() if not name.endswith((" lo", " hi"))}
    for name in ("before", "after"):
        if name in kept:
            kept[name] = f"{row[name]:.3f} ({row[f'{name} lo']:.3f} to {row[f'{name} hi']:.3f})"
    return kept
