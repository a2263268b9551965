"""A run's interactions as arrays, and the way back from rows to database keys."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from recsql.queries import QUERIES
from workers.models.base import FloatArray, IntArray, Sequences


@dataclass(frozen=True)
class RunData:
    """What a run knows, as a model reads it.

    Attributes:
        item_nos: database key of each item row, ascending, shape ``(n_items,)``.
        user_nos: database key of each user row, ascending, shape ``(n_users,)``.
        sequences: item rows of each user, oldest first.
        content: content vector of each item, shape ``(n_items, dim)``, NaN where there is none; None without a space.
        targets: next item row of each user in an offline run, -1 for none, shape ``(n_users,)``; None in production.
    """

    item_nos: NDArray[np.int64]
    user_nos: NDArray[np.int64]
    sequences: Sequences
    content: FloatArray | None
    targets: IntArray | None


def read_run(connection: psycopg.Connection[Any], run_no: int) -> RunData:
    """Read a run's catalogue, interactions, content vectors and, in an offline run, its targets."""
    parameters = {"run_no": run_no}
    item_nos = _column(connection.execute(QUERIES["run_items"], parameters).fetchall())
    pairs = np.array(connection.execute(QUERIES["run_sequences"], parameters).fetchall(), dtype=np.int64).reshape(-1, 2)
    user_nos, counts = np.unique(pairs[:, 0], return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    sequences = Sequences(np.searchsorted(item_nos, pairs[:, 1]).astype(np.int64), offsets)

    content = None
    with connection.cursor(binary=True) as cursor:
        vectors = cursor.execute(QUERIES["run_content"], parameters).fetchall()
    if vectors:
        content = np.full(
            (len(item_nos), len(vectors[0][1].to_numpy() if hasattr(vectors[0][1], "to_numpy") else vectors[0][1])),
            np.nan,
            dtype=np.float32,
        )
        rows = np.searchsorted(item_nos, _column(vectors))
        content[rows] = np.stack(
            [np.asarray(getattr(v, "to_numpy", lambda v=v: v)(), dtype=np.float32) for _, v in vectors]
        )

    relevant = connection.execute(QUERIES["run_targets"], parameters).fetchall()
    targets = None
    if relevant:
        targets = np.full(len(user_nos), -1, dtype=np.int64)
        wanted = np.array(relevant, dtype=np.int64)
        rows = np.searchsorted(user_nos, wanted[:, 0])
        known = (rows < len(user_nos)) & (user_nos[np.minimum(rows, len(user_nos) - 1)] == wanted[:, 0])
        targets[rows[known]] = np.searchsorted(item_nos, wanted[known, 1])
    return RunData(item_nos, user_nos, sequences, content, targets)


def _column(rows: list[Any]) -> NDArray[np.int64]:
    return np.array([row[0] for row in rows], dtype=np.int64)
