"""Peers on a run's own data and protocol, so that figures can be compared: iALS of ``implicit``.

A peer's hyperparameters are chosen on the validation run, as ours are, and its test figure is read once.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsql.errors import ConfigurationError
from workers.evaluate import interval
from workers.interactions import RunData, read_run

K = 10
GRID = [{"factors": factors, "alpha": alpha} for factors in (32, 64, 128) for alpha in (1.0, 5.0, 20.0)]
RELEVANT = "select user_no, item_no from recsql.relevant_event(%s::integer) order by user_no"


def measure_ials(
    connection: psycopg.Connection[Any], validation_run_no: int, test_run_no: int, seed: int
) -> dict[str, float]:
    """NDCG@10 and recall@10 of iALS on the test run, with intervals, under the best of ``GRID`` on validation.

    Users of whom the run knows nothing count 0: iALS has nothing for them.
    """
    data, relevant = _read(connection, validation_run_no)
    scored = [(_metrics(data, relevant, settings, seed)[:, 0].mean(), settings) for settings in GRID]
    best = max(scored, key=lambda entry: entry[0])[1]
    data, relevant = _read(connection, test_run_no)
    values = _metrics(data, relevant, best, seed)
    results: dict[str, float] = {f"implicit-als.{name}": float(value) for name, value in best.items()}
    for column, metric in enumerate((f"ndcg@{K}", f"recall@{K}")):
        value, lo, hi, _ = interval(values[:, column], seed)
        results |= {
            f"implicit-als.{metric}{end}": x for end, x in (("", value), (".lo", lo), (".hi", hi)) if x is not None
        }
    return results


def _read(connection: psycopg.Connection[Any], run_no: int) -> tuple[RunData, dict[int, list[int]]]:
    """A run's data, and the item rows that are relevant to each user, by number of user."""
    data, relevant = read_run(connection, run_no), {}
    for user_no, item_no in connection.execute(RELEVANT, (run_no,)).fetchall():
        relevant.setdefault(user_no, []).append(int(np.searchsorted(data.item_nos, item_no)))
    return data, relevant


def _metrics(data: RunData, relevant: dict[int, list[int]], settings: dict[str, Any], seed: int) -> NDArray[np.float64]:
    """NDCG and recall of each user who has relevant items, shape ``(n_users, 2)``."""
    try:
        als = import_module("implicit.als")
    except ImportError as error:
        raise ConfigurationError("implicit is not installed: pip install 'recsql[bench]'.") from error
    sequences = data.sequences
    seen = csr_matrix(
        (np.ones(len(sequences.items), dtype=np.float32), sequences.items, sequences.offsets),
        shape=(sequences.n_users, len(data.item_nos)),
    )
    model = als.AlternatingLeastSquares(**settings, regularization=0.01, iterations=20, random_state=seed)
    model.fit(seen, show_progress=False)
    discounts = 1 / np.log2(np.arange(2, K + 2))
    found = dict.fromkeys(relevant, (0.0, 0.0))
    for users, scores in _scores(model, sequences.n_users):
        for user, row in zip(users, scores, strict=True):
            user_no = int(data.user_nos[user])
            if user_no not in relevant:
                continue
            row[sequences.of(user)] = -np.inf
            wanted = np.isin(np.argsort(-row, kind="stable")[:K], relevant[user_no])
            n_relevant = len(relevant[user_no])
            ideal = discounts[: min(n_relevant, K)].sum()
            found[user_no] = (float(discounts[wanted].sum() / ideal), float(wanted.sum() / n_relevant))
    return np.array(list(found.values()), dtype=np.float64)


def _scores(model: Any, n_users: int) -> Iterator[tuple[range, NDArray[np.float32]]]:
    for start in range(0, n_users, 500):
        users = range(start, min(start + 500, n_users))
        yield users, model.user_factors[start : users.stop] @ model.item_factors.T
