"""Evaluation: metrics in SQL a user, their mean and its bootstrap interval here."""

from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg

from recsql.queries import QUERIES

METRICS = ("ndcg", "recall", "mrr", "map")
N_RESAMPLES = 2000


def evaluate(
    connection: psycopg.Connection[Any],
    run_no: int,
    k: int = 10,
    seed: int = 0,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> int:
    """Measure every source of an offline run, what was fused, and reciprocal rank fusion; the number of figures.

    Args:
        connection: in autocommit mode.
        run_no: the run.
        k: cut-off of the ranking.
        seed: of the resampling of users, 2,000 times, for the 95 % percentile interval.
        progress: called after each method.
    """
    methods = [source for _, source in connection.execute(QUERIES["sources"]).fetchall()] + ["rrf", "fused"]
    written = 0
    for number, method in enumerate(methods):
        rows = connection.execute(QUERIES["user_metric"], {"run_no": run_no, "method": method, "k": k}).fetchall()
        progress(number + 1, len(methods), method)
        values = np.array(rows, dtype=np.float64).reshape(-1, len(METRICS))
        if not len(values) or not values.any():
            continue
        drawn = np.random.default_rng(seed).integers(0, len(values), (N_RESAMPLES, len(values)))
        for column, metric in enumerate(METRICS):
            lo, hi = np.percentile(values[:, column][drawn].mean(axis=1), [2.5, 97.5])
            figure = {"value": values[:, column].mean(), "lo": lo, "hi": hi}
            connection.execute(
                QUERIES["write_evaluation"],
                {"run_no": run_no, "method": method, "metric": metric, "k": k, "n_users": len(values)}
                | {name: float(value) for name, value in figure.items()},
            )
            written += 1
    return written
