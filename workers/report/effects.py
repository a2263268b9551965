"""What controls do to the lists of a run: a curve each."""

from typing import Any

import numpy as np
import psycopg

from recsql.queries import QUERIES
from workers.evaluate import LIST_METRICS
from workers.fairness_report import controlled_method

K = 10
STRENGTHS = (0.2, 0.4, 0.6, 0.8)
CONTROLS = ("diversity", "novelty")
"""Each has the name of the metric of lists that it is to raise."""


def effect_curves(connection: psycopg.Connection[Any], run_no: int) -> list[dict[str, Any]]:
    """Rows ``control``, ``strength``, ``figure`` and ``change``, of NDCG@10 and of what the control is to raise.

    ``change`` is relative to the list as it was fused, so each curve begins at 0. Figures that do not apply, as
    distances without content vectors, are left out.

    Args:
        connection: in autocommit mode.
        run_no: an offline run.
    """
    plain = _figures(connection, run_no, "fused")
    found: list[dict[str, Any]] = []
    asked = [(control, strength) for control in CONTROLS for strength in (0.0, *STRENGTHS)]
    for control, strength in asked:
        measured = plain
        if strength:
            measured = _figures(connection, run_no, controlled_method({control: strength}, K))
        for figure in ("ndcg", control):
            if plain[figure] > 0 and np.isfinite(measured[figure]):
                change = measured[figure] / plain[figure] - 1
                found.append({"control": control, "strength": strength, "figure": figure, "change": change})
    return found


def _figures(connection: psycopg.Connection[Any], run_no: int, method: str) -> dict[str, float]:
    asked = {"run_no": run_no, "method": method, "k": K}
    quality = connection.execute(QUERIES["user_metric"], asked).fetchall()
    lists = np.array(connection.execute(QUERIES["list_metric"], asked).fetchall(), dtype=np.float64)
    found = {"ndcg": float(np.mean([row[1] for row in quality])) if quality else 0.0}
    for column, name in enumerate(LIST_METRICS):
        known = lists[~np.isnan(lists[:, column]), column] if len(lists) else np.empty(0)
        found[name] = float(known.mean()) if len(known) else float("nan")
    return found
