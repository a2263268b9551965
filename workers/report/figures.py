"""The figures of a report, as mappings of plain values: what ``--json`` prints and the page draws."""

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import dict_row

from recsql.errors import NotFoundError, PipelineError
from recsql.queries import QUERIES
from workers.fairness_report import compare
from workers.report.ablation import ablation
from workers.report.effects import effect_curves
from workers.report.exposure import coverage_curve, lorenz_curve

N_EXAMPLES = 3
CHART_CUTS = (1, 2, 5, 10, 20, 50)
"""Lengths of lists at which coverage is told."""

CONTROLS: dict[str, Any] = {"exposure": 0.05}
"""What fairness is shown before and after, where nothing else is asked for."""

Connection = psycopg.Connection[Any]
Progress = Callable[[int, int, str], None]


def collect(
    connection: Connection,
    run_no: int | None,
    progress: Progress,
    *,
    n_users: int = 1000,
    controls: dict[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """All figures of a run.

    Args:
        connection: in autocommit mode.
        run_no: an offline run that is complete; the newest one on the test part when None.
        progress: called after each part.
        n_users: users that ablation and overlap are computed on, drawn by a hash of their number.
        controls: what fairness is compared with, as ``recsql.controlled`` has them; ``CONTROLS`` when None.
        seed: of the resampling of users.

    Raises:
        NotFoundError: there is no such run, or none at all.
        PipelineError: the run is not complete, was pruned, or has no part that it could be measured on.
    """
    run = _run(connection, run_no)
    asked = {"run_no": run["run_no"], "n_users": n_users}
    quality = _rows(connection, "quality", asked)
    shown = [row["method"] for row in quality if row["metric"] == "ndcg@10" and row["segment"] == "all"]
    parts: dict[str, Callable[[], Any]] = {
        "recall": lambda: _rows(connection, "report_recall", asked),
        "overlap": lambda: _rows(connection, "report_overlap", asked),
        "ablation": lambda: ablation(connection, run, n_users, seed),
        "exposure": lambda: _exposure(
            connection, run["run_no"], ["fused", *(method for method in shown if method != "fused")][:4]
        ),
        "fairness": lambda: compare(
            connection, run["run_no"], CONTROLS if controls is None else controls, seed=seed
        ).document(),
        "effects": lambda: effect_curves(connection, run["run_no"]),
        "examples": lambda: _examples(connection, run["run_no"]),
    }
    found: dict[str, Any] = {"run": run, "quality": quality}
    for done, (name, part) in enumerate(parts.items(), start=1):
        found[name] = part()
        progress(done, len(parts), name)
    return found


def _run(connection: Connection, run_no: int | None) -> dict[str, Any]:
    found = _rows(connection, "report_run", {"run_no": run_no})
    if not found:
        if run_no is None:
            raise NotFoundError("No run on the test part is complete yet: 'recsql run' makes one.")
        raise NotFoundError(f"There is no run {run_no}: 'recsql status' shows the newest ones.")
    run = found[0]
    if run["state"] != "complete":
        raise PipelineError(f"Run {run['run_no']} is {run['state']}: only a complete run has all that a report shows.")
    if run["part"] is None:
        raise PipelineError(
            f"Run {run['run_no']} is on everything, so nothing is left to measure it on: "
            "name a run on the validation or test part, as 'recsql status' shows them."
        )
    return run


def _exposure(connection: Connection, run_no: int, methods: list[str]) -> dict[str, Any]:
    """Coverage by length of the list, and how evenly places are spread over items, of some methods."""
    n_items = connection.execute(QUERIES["report_catalogue"], {"run_no": run_no}).fetchall()[0][0]
    curves: dict[str, Any] = {"coverage": [], "lorenz": []}
    for method in methods:
        rows = _rows(connection, "report_exposure", {"run_no": run_no, "method": method})
        curves["coverage"] += [
            {"method": method, "k": k, "coverage": share} for k, share in coverage_curve(rows, n_items, CHART_CUTS)
        ]
        curves["lorenz"] += [
            {"method": method, "items": items, "places": places} for items, places in lorenz_curve(rows, n_items)
        ]
    return curves


def _examples(connection: Connection, run_no: int) -> list[dict[str, Any]]:
    """Some users with what they had last and what the run recommends to them, and why."""
    users = _rows(connection, "report_users", {"run_no": run_no, "n_examples": N_EXAMPLES})
    for user in users:
        asked = {"run_no": run_no, "user_no": user.pop("user_no")}
        user["history"] = _rows(connection, "report_history", asked)
        user["list"] = _rows(connection, "report_list", asked)
    return users


def _rows(connection: Connection, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(QUERIES[query], parameters).fetchall()
