"""What the sources of a run say of its candidates, as arrays: scores on the scale that sources share, and ranks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsql.queries import QUERIES
from workers.binary import read_lists, within
from workers.run import Run

Floats = NDArray[np.floating[Any]]

Sources = list[tuple[int, str]]
"""Numbers and names, in the order of columns."""

_SHIFTED = ("vector", "score", "cross_domain")
"""Kinds of sources whose lowest score of a user is 0 on the common scale; see ``recsql.source_part``."""


@dataclass(frozen=True)
class Candidates:
    """Candidates of some users.

    Attributes:
        user_nos: ascending, shape ``(n_users,)``.
        lengths: how many each user has, at least 1, shape ``(n_users,)``.
        item_nos: user by user, ascending, shape ``(n_pairs,)``.
        parts: what ``recsql.source_part`` says, 0 where a source is silent, shape ``(n_pairs, n_sources)``.
        ranks: place in the source's own order, from 1, 0 where it is silent, of the same shape.
        spreads: from a user's lowest (of kinds that are not shifted: from 0) to the highest score, as the source gives
            them, 0 where it is silent, shape ``(n_users, n_sources)``.
    """

    user_nos: NDArray[np.int64]
    lengths: NDArray[np.int64]
    item_nos: NDArray[np.int64]
    parts: NDArray[np.float64]
    ranks: Floats
    spreads: Floats

    @property
    def owner(self) -> NDArray[np.int64]:
        """Place of each pair's user in ``user_nos``, shape ``(n_pairs,)``."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Place of each user's first pair, shape ``(n_users,)``."""
        return np.cumsum(self.lengths) - self.lengths

    def take(self, rows: NDArray[np.bool_]) -> "Candidates":
        """Those of some pairs, ``rows`` of shape ``(n_pairs,)``; a user of whom none is left is left out."""
        counts = np.bincount(self.owner[rows], minlength=len(self.user_nos))
        kept = counts > 0
        return Candidates(
            self.user_nos[kept],
            counts[kept],
            self.item_nos[rows],
            self.parts[rows],
            self.ranks[rows],
            self.spreads[kept],
        )

    @classmethod
    def together(cls, several: Sequence["Candidates"], n_sources: int) -> "Candidates":
        """Those of several groups of users, whose numbers ascend from one group to the next."""
        if not several:
            nobody, nothing = np.empty(0, dtype=np.int64), np.empty((0, n_sources), dtype=np.float32)
            return cls(nobody, nobody, nobody, nothing.astype(np.float64), nothing, nothing)
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(one, name) for one in several]) for name in names))


def read_candidates(run: Run, sources: Sources, first: int, last: int) -> Candidates:
    """What sources say of the users in a range of numbers; a score that is NaN is nothing said.

    Args:
        run: that has their candidates, and the scores of its models.
        sources: of the columns; one that has nothing in this run is silent.
        first: number of the first user.
        last: number of the last.
    """
    kinds = dict(run.connection.execute(QUERIES["source_kinds"]).fetchall())
    found = []
    for number, _ in sources:
        parameters = run.parameters(source_no=number, first=first, last=last)
        types = {"item_nos": np.int32, "scores": np.float32}
        keys, lengths, (items, scores) = read_lists(run.connection, QUERIES["source_lists"], parameters, types)
        pairs = np.repeat(keys, lengths) << 32 | items
        said = ~np.isnan(scores)
        found.append((keys, lengths, pairs, scores.astype(np.float64), said))
    every = np.unique(np.concatenate([pairs[said] for _, _, pairs, _, said in found] or [np.empty(0, dtype=np.int64)]))
    parts = np.zeros((len(every), len(sources)))
    ranks = np.zeros((len(every), len(sources)), dtype=np.float32)
    users, lengths = np.unique(every >> 32, return_counts=True)
    spreads = np.zeros((len(users), len(sources)), dtype=np.float32)
    for column, ((number, _), (keys, counts, pairs, scores, said)) in enumerate(zip(sources, found, strict=True)):
        if not len(scores):
            continue
        begins = np.cumsum(counts) - counts
        highest, lowest = (bound.reduceat(scores, begins) for bound in (np.fmax, np.fmin))
        lowest = lowest * (kinds[number] in _SHIFTED)
        spread = np.nan_to_num(highest - lowest)  # NaN of a list with nothing but NaN
        place = np.searchsorted(every, pairs[said])
        scaled = (scores - np.repeat(lowest, counts)) / np.repeat(np.where(spread == 0, 1, spread), counts)
        if kinds[number] in _SHIFTED:
            scaled[np.repeat(spread == 0, counts)] = 1  # all are its best
        parts[place, column] = scaled[said]
        ranks[place, column] = (within(counts) + 1)[said]
        known = np.isin(keys, users)
        spreads[np.searchsorted(users, keys[known]), column] = spread[known]
    return Candidates(users, lengths, every & 0xFFFFFFFF, parts, ranks, spreads)


def among_best(found: Candidates, scores: Floats, n: int) -> NDArray[np.bool_]:
    """Whether a candidate is among its user's ``n`` best, shape ``(n_pairs,)``; of equal ones the lower number is."""
    order = np.lexsort((found.item_nos, -scores, found.owner))
    is_best = np.empty(len(order), dtype=bool)
    is_best[order] = within(found.lengths) < n
    return is_best
