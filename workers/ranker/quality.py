"""What users of an offline run went on to, and how well scores rank it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.ranker.candidates import Candidates, Floats, Sources, read_candidates
from workers.run import Run

USERS_AT_ONCE = 250

Metrics = tuple[NDArray[np.float64], NDArray[np.float64]]
"""NDCG@10 and recall@10 of each user, shape ``(n_users,)`` both."""


@dataclass(frozen=True)
class Asked:
    """Users who are asked for, and what is relevant to them.

    Attributes:
        user_nos: ascending, shape ``(n_users,)``.
        n_relevant: how many items are relevant to each, shape ``(n_users,)``.
        pairs: user and relevant item as one number, ascending.
    """

    user_nos: NDArray[np.int64]
    n_relevant: NDArray[np.int64]
    pairs: NDArray[np.int64]

    @classmethod
    def of(cls, run: Run, n_most: int | None = None, seed: int = 0) -> "Asked":
        """The users of an offline run who have something relevant, or ``n_most`` of them, drawn by the seed."""
        users, items = run.columns("run_targets", {"user_no": np.int64, "item_no": np.int64})
        drawn = np.sort(np.random.default_rng(seed).permutation(np.unique(users))[:n_most])
        is_drawn = np.isin(users, drawn)
        return cls(*np.unique(users[is_drawn], return_counts=True), np.unique((users << 32 | items)[is_drawn]))

    def hits(self, found: Candidates) -> NDArray[np.bool_]:
        """Whether a candidate is relevant, shape ``(n_pairs,)``."""
        return np.isin(found.user_nos[found.owner] << 32 | found.item_nos, self.pairs)

    def quality(self, found: Candidates, scores: Floats, k: int = 10) -> Metrics:
        """NDCG@k and recall@k of each user, shape ``(n_users,)`` both, as ``recsql.user_metric`` has them.

        Of equal scores the irrelevant ones come first. A user without candidates has 0.
        """
        is_hit, owner = self.hits(found), found.owner
        order = np.lexsort((is_hit, -scores, owner))
        places = np.arange(len(order)) - np.repeat(found.starts, found.lengths)
        is_counted = is_hit[order] & (places < k)
        owners, gains = owner[order][is_counted], 1 / np.log2(np.arange(k) + 2)
        dcg = np.bincount(owners, gains[places[is_counted]], minlength=len(found.user_nos))
        n_hits = np.bincount(owners, minlength=len(found.user_nos))
        ideal = np.cumsum(gains)[np.minimum(self.n_relevant, k) - 1]
        rows = np.searchsorted(self.user_nos, found.user_nos)
        ndcg, recall = np.zeros((2, len(self.user_nos)))
        ndcg[rows], recall[rows] = dcg, n_hits
        return ndcg / ideal, recall / self.n_relevant


def read_asked(run: Run, sources: Sources, asked: Asked, *, only_hit: bool = False) -> Candidates:
    """Candidates of the users who are asked for; ``only_hit``: of those alone who have a relevant one among them."""
    found = []
    for first, last in run.user_chunks(USERS_AT_ONCE):
        if not ((asked.user_nos >= first) & (asked.user_nos <= last)).any():
            continue
        chunk = read_candidates(run, sources, first, last)
        wanted = np.isin(chunk.user_nos, asked.user_nos)
        if only_hit:
            wanted &= np.bincount(chunk.owner[asked.hits(chunk)], minlength=len(wanted)) > 0
        found.append(chunk.take(wanted[chunk.owner]))
    return Candidates.together(found, len(sources))
