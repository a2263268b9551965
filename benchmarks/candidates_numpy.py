"""Candidates by numpy on dense arrays: what the database's candidates are compared with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from workers.run import Progress, Run

USERS_AT_ONCE = 500

NEIGHBOURS = """
    select n.item_no, n.neighbour_nos, n.similarities from recsql.item_similarity as n
    inner join recsql.source as s using (source_no) where n.run_no = %s and s.source = %s
"""
VECTORS = """
    select {key}_no, embedding from recsql.{key}_vector as t where t.version_no = recsql.source_version(%s, %s)
"""
POPULARITY = "select item_no, popularity, trend from recsql.item_popularity where run_no = %s"


class DenseSources:
    """The sources of kinds similarity, vector, popularity and trending as arrays over all items.

    Args:
        run: an offline run.
        numbers: candidates of each source a user, by its name.

    Attributes:
        is_complete: whether all sources are of those kinds.
    """

    def __init__(self, run: Run, numbers: Mapping[str, int]) -> None:
        self._numbers = numbers
        self._sequences = run.data.sequences
        self._item_nos = run.data.item_nos
        offsets = self._sequences.offsets
        self._steps = np.repeat(offsets[1:], np.diff(offsets)) - 1 - np.arange(offsets[-1])
        rows = run.connection.execute(
            "select source, kind, source_no, history_length, history_decay, history_rate from recsql.source"
        ).fetchall()
        self._sources = {row[0]: row[1:] for row in rows if row[0] in numbers}
        self._arrays = {name: self._read(run, name, row[0], row[1]) for name, row in self._sources.items()}
        self.is_complete = all(array is not None for array in self._arrays.values())

    def _read(self, run: Run, name: str, kind: str, source_no: int) -> Any:
        n_items = len(self._item_nos)
        if kind == "similarity":
            weights = np.zeros((n_items, n_items), dtype=np.float32)
            for item, neighbours, similarities in run.connection.execute(NEIGHBOURS, (run.run_no, name)).fetchall():
                weights[self._rows([item]), self._rows(neighbours)] = similarities
            return weights
        if kind in ("popularity", "trending"):
            values = np.full(n_items, -np.inf, dtype=np.float32)
            for item, popularity, trend in run.connection.execute(POPULARITY, (run.run_no,)).fetchall():
                values[self._rows([item])] = popularity if kind == "popularity" else trend
            return values
        if kind != "vector":
            return None
        vectors = [
            dict(run.connection.execute(VECTORS.format(key=key).encode(), (run.run_no, source_no)).fetchall())
            for key in ("item", "user")
        ]
        if vectors[0]:
            numbers = (self._item_nos.tolist(), run.data.user_nos.tolist())
            return tuple(
                np.stack([found[number].to_numpy() for number in wanted])
                for found, wanted in zip(vectors, numbers, strict=True)
            )
        content = run.data.content
        if content is None:
            return None
        return np.nan_to_num(content / np.linalg.norm(content, axis=1, keepdims=True)).astype(np.float32)

    def candidates(self, progress: Progress) -> dict[str, list[NDArray[np.int64]]]:
        """Rows of the best items of each user, the best first, in chunks of shape ``(n_users, n)``, by source."""
        found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in self._numbers}
        n_users = self._sequences.n_users
        for first in range(0, n_users, USERS_AT_ONCE):
            last = min(first + USERS_AT_ONCE, n_users)
            known = self._profile(first, last, None)
            for name, number in self._numbers.items():
                scores = self._score(name, first, last)
                scores[np.repeat(np.arange(last - first), np.diff(known.indptr)), known.indices] = -np.inf
                best = np.argpartition(-scores, number, axis=1)[:, :number]
                order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
                found[name].append(np.take_along_axis(best, order, axis=1))
            progress(last, n_users, "")
        return found

    def _score(self, name: str, first: int, last: int) -> NDArray[np.float32]:
        kind, array = self._sources[name][0], self._arrays[name]
        if kind == "similarity":
            return self._profile(first, last, name) @ array
        if kind in ("popularity", "trending"):
            return np.tile(array, (last - first, 1))
        if isinstance(array, tuple):
            items, users = array
            return users[first:last] @ items.T
        return (self._profile(first, last, name) @ array) @ array.T

    def _profile(self, first: int, last: int, name: str | None) -> csr_array:
        """Weights of the users' items as a source reads them; of all their items without a source."""
        offsets = self._sequences.offsets[first : last + 1]
        part = slice(offsets[0], offsets[-1])
        weights = np.ones(offsets[-1] - offsets[0], dtype=np.float32)
        if name is not None:
            _, _, length, decay, rate = self._sources[name]
            steps = self._steps[part]
            weights = np.where(steps < length, 1 / (1 + rate * steps) if decay == "harmonic" else rate**steps, 0)
        return csr_array(
            (weights.astype(np.float32), self._sequences.items[part], offsets - offsets[0]),
            shape=(last - first, len(self._item_nos)),
        )

    def _rows(self, item_nos: list[int]) -> NDArray[np.int64]:
        return np.searchsorted(self._item_nos, item_nos)
