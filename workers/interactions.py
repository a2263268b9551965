"""A run's interactions as arrays, and the way back from rows to database keys."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from recsql.queries import QUERIES
from workers.binary import read_arrays, read_keyed_vectors
from workers.models.base import Decisions, Dislikes, FloatArray, IntArray, Sequences

_LOOKED_UP = 2
"""Up to so many numbers from the first key to the last for each that is wanted, keys are looked up in an array of all
those numbers; beyond that they are searched for."""

_USERS_AT_ONCE = 20_000
"""Numbers of users whose histories are read together: no value of the database may have more than 1 GB."""

_SENT = {
    "user_no": np.int32,
    "step": np.int32,
    "items": np.int32,
    "weights": np.float32,
    "kinds": np.int32,
    "values": np.float32,
    "times": np.int64,
}


@dataclass(frozen=True)
class RunData:
    """What a run knows, as a model reads it.

    Attributes:
        item_nos: database key of each item row, ascending, shape ``(n_items,)``.
        user_nos: database key of each user row, ascending, shape ``(n_users,)``.
        sequences: item rows of each user, oldest first.
        content: content vector of each item, shape ``(n_items, dim)``, NaN where there is none; None without a space.
        targets: item rows that are relevant to each user in an offline run, by the split's protocol; None in production
            and where nobody has any.
    """

    item_nos: NDArray[np.int64]
    user_nos: NDArray[np.int64]
    sequences: Sequences
    content: FloatArray | None = None
    targets: Sequences | None = None

    def user_rows(self, user_nos: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of each user, -1 for those who have none: they have no positive item."""
        return rows_of(self.user_nos, user_nos)


def rows_of(keys: NDArray[np.integer], wanted: NDArray[np.integer]) -> NDArray[np.int64]:
    """Place of each wanted key among ``keys``, which ascend, -1 where it is not there."""
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    n_between = int(keys[-1]) - int(keys[0]) + 1
    if n_between <= _LOOKED_UP * len(wanted):
        rows = np.full(n_between + 1, -1, dtype=np.int64)
        rows[keys - keys[0]] = np.arange(len(keys))
        places = np.where((wanted >= keys[0]) & (wanted <= keys[-1]), wanted - keys[0], n_between)
        return rows[places]
    rows = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[rows] == wanted, rows, -1)


def read_run(connection: psycopg.Connection[Any], run_no: int) -> RunData:
    """Read a run's catalogue, interactions, content vectors and, in an offline run, its targets."""
    parameters = {"run_no": run_no}
    item_nos = _column(connection.execute(QUERIES["run_items"], parameters).fetchall())
    user_nos, lengths, columns = _histories(connection, run_no)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    turned_down = connection.execute(QUERIES["run_dislikes"], parameters).fetchall()
    columns["items"] = rows_of(item_nos, columns["items"])
    dislikes = _dislikes(turned_down, item_nos, user_nos, offsets)
    decided = connection.execute(QUERIES["run_decisions"], parameters).fetchall()
    decisions = _decisions(decided, item_nos, user_nos, offsets)
    data = RunData(item_nos, user_nos, Sequences(**columns, offsets=offsets, dislikes=dislikes, decisions=decisions))

    described, vectors = read_keyed_vectors(connection, QUERIES["content_vectors"], parameters)
    rows = rows_of(item_nos, described)
    if (rows >= 0).any():
        content = np.full((len(item_nos), vectors.shape[1]), np.nan, dtype=np.float32)
        content[rows[rows >= 0]] = vectors[rows >= 0]
        data = replace(data, content=content)
    wanted = connection.execute(QUERIES["run_targets"], parameters).fetchall()
    if wanted:
        users, items = np.array(wanted, dtype=np.int64).T
        rows = data.user_rows(users)
        is_known = rows >= 0
        counts = np.bincount(rows[is_known], minlength=len(user_nos))
        targets = Sequences(np.searchsorted(item_nos, items[is_known]), np.concatenate([[0], np.cumsum(counts)]))
        data = replace(data, targets=targets)
    return data


def _histories(
    connection: psycopg.Connection[Any], run_no: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, NDArray[Any]]]:
    """Users, ascending, how many interactions each has, and columns of those by their names in :class:`Sequences`."""
    first, last = connection.execute(QUERIES["user_range"], {"run_no": run_no}).fetchone() or (0, -1)
    # An empty range as well, so that there is something to join.
    ranges = [(0, -1), *((begin, begin + _USERS_AT_ONCE - 1) for begin in range(first, last + 1, _USERS_AT_ONCE))]
    parts = [
        read_arrays(connection, QUERIES["run_sequences"], {"run_no": run_no, "first": begin, "last": end}, _SENT)
        for begin, end in ranges
    ]
    columns = {name: np.concatenate(column) for name, column in zip(_SENT, zip(*parts, strict=True), strict=True)}
    user_nos, steps = columns.pop("user_no").astype(np.int64), columns.pop("step")
    # The oldest first, from which most steps lead to now.
    order = np.argsort(user_nos << 32 | (2**31 - 1 - steps))
    columns = {name: values[order] for name, values in columns.items()}
    columns |= {name: columns[name].astype(np.int64) for name in ("items", "kinds")}
    return *np.unique(user_nos, return_counts=True), columns


def _dislikes(rows: list[Any], item_nos: IntArray, user_nos: IntArray, offsets: IntArray) -> Dislikes | None:
    """What users turned down; None if nobody did."""
    if not rows:
        return None
    users, items, n_before = (np.array([row[column] for row in rows], dtype=np.int64) for column in (0, 1, 3))
    places = offsets[np.searchsorted(user_nos, users)] + n_before - 1
    weights = np.array([row[2] for row in rows], dtype=np.float32)
    return Dislikes(places, np.searchsorted(item_nos, items), weights)


def _decisions(rows: list[Any], item_nos: IntArray, user_nos: IntArray, offsets: IntArray) -> Decisions | None:
    """What was offered to users and came of it, without items that the catalogue does not have; None without any."""
    if not rows:
        return None
    users, offered, rewards, n_before, next_n_before, next_offered, propensities = np.array(rows, dtype=np.float64).T
    items, next_items = rows_of(item_nos, _integers(offered)), rows_of(item_nos, _integers(next_offered))
    is_last = np.isnan(next_n_before)
    is_known = (items >= 0) & (is_last | (next_items >= 0))
    starts = offsets[np.searchsorted(user_nos, _integers(users))]
    next_places = np.where(is_last, -1, starts + _integers(next_n_before) - 1)
    return Decisions(
        places=(starts + _integers(n_before) - 1)[is_known],
        items=items[is_known],
        rewards=rewards[is_known].astype(np.float32),
        next_places=next_places[is_known],
        next_items=next_items[is_known],
        propensities=propensities[is_known].astype(np.float32),
    )


def _integers(values: NDArray[np.float64]) -> IntArray:
    """Whole numbers, -1 in place of NaN."""
    return np.nan_to_num(values, nan=-1).astype(np.int64)


def _column(rows: list[Any]) -> NDArray[np.int64]:
    return np.array([row[0] for row in rows], dtype=np.int64)
