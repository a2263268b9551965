"""Evaluation: metrics in SQL for each user, their mean and its bootstrap interval here."""

from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from recsql.queries import QUERIES

METRICS = ("ndcg", "recall", "mrr", "map")
LIST_METRICS = ("novelty", "popularity_share", "diversity")
N_RESAMPLES = 2000
_NUMBERS_AT_ONCE = 2**22


def evaluate(
    connection: psycopg.Connection[Any],
    run_no: int,
    k: int = 10,
    seed: int = 0,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> int:
    """Measure every source of an offline run, what was fused, and reciprocal rank fusion; the number of figures.

    Where a protocol has users of whom the run knew nothing, segments ``known`` and ``new`` stand beside ``all``.

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
        parameters = {"run_no": run_no, "method": method, "k": k}
        quality = _rows(connection, "user_metric", parameters, 1 + len(METRICS))
        if quality[:, 1:].any() or _one(connection, "has_ranking", parameters):
            is_known = quality[:, 0] == 1
            segments = {"all": np.ones(len(quality), dtype=bool)}
            if not is_known.all():
                segments |= {"known": is_known, "new": ~is_known}
            figures = [
                (segment, metric, *interval(quality[rows, 1 + column], seed))
                for segment, rows in segments.items()
                for column, metric in enumerate(METRICS)
            ]
            lists = _rows(connection, "list_metric", parameters, len(LIST_METRICS))
            figures += [
                ("all", metric, *interval(lists[:, column], seed)) for column, metric in enumerate(LIST_METRICS)
            ]
            figures.append(("all", "coverage", _one(connection, "coverage", parameters), None, None, len(lists)))
            for segment, metric, value, lo, hi, n_users in figures:
                if value is not None:
                    figure = {"segment": segment, "metric": metric, "value": value, "lo": lo, "hi": hi}
                    connection.execute(QUERIES["write_evaluation"], parameters | figure | {"n_users": n_users})
                    written += 1
        progress(number + 1, len(methods), method)
    return written


def interval(values: NDArray[np.float64], seed: int) -> tuple[float | None, float | None, float | None, int]:
    """Mean, its 95 % interval, and the number of users; those with NaN, to whom it does not apply, are left out."""
    values = values[~np.isnan(values)]
    if not len(values):
        return None, None, None, 0
    lo, hi = np.percentile(resampled_means(values, np.random.default_rng(seed)), [2.5, 97.5])
    return float(values.mean()), float(lo), float(hi), len(values)


def resampled_means(values: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Means over users who are drawn anew, with replacement, ``N_RESAMPLES`` times.

    Args:
        values: of at least one user, shape ``(n_users,)``, or ``(n_users, n_figures)``: figures of the same users.
        random: what draws; as many numbers are taken from it whatever fits into memory.

    Returns:
        Shape ``(N_RESAMPLES,)``, or ``(N_RESAMPLES, n_figures)``.
    """
    n_users = len(values)
    at_once = max(1, _NUMBERS_AT_ONCE // n_users)
    blocks = [min(at_once, N_RESAMPLES - first) for first in range(0, N_RESAMPLES, at_once)]
    return np.concatenate([values[random.integers(0, n_users, (n, n_users))].mean(axis=1) for n in blocks])


def _rows(
    connection: psycopg.Connection[Any], query: str, parameters: dict[str, Any], n_columns: int
) -> NDArray[np.float64]:
    rows = connection.execute(QUERIES[query], parameters).fetchall()
    return np.array(rows, dtype=np.float64).reshape(-1, n_columns)


def _one(connection: psycopg.Connection[Any], query: str, parameters: dict[str, Any]) -> Any:
    row = connection.execute(QUERIES[query], parameters).fetchone()
    return row[0] if row else None
