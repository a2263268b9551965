"""Figures of item vectors: neighbours of posters, one modality by another, and items that nobody has had yet."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from workers.evaluate import interval
from workers.models.bags import recent_bags, sum_bags
from workers.models.base import FloatArray, IntArray, Sequences
from workers.models.item_weights import History

N_NEIGHBOURS = 10
K = 50
_USERS_AT_ONCE = 500

Values = NDArray[np.float64]


def with_interval(name: str, values: Values, seed: int) -> dict[str, float]:
    """A mean with its bootstrap interval over queries or users."""
    value, lo, hi, _ = interval(values, seed)
    return {f"{name}{end}": x for end, x in (("", value), (".lo", lo), (".hi", hi)) if x is not None}


def compared(name: str, value: Values, other: Values, seed: int) -> dict[str, float]:
    """The ratio of two means over the same queries or users, with its bootstrap interval."""
    draws = np.random.default_rng(seed).integers(0, len(value), (2000, len(value)))
    above, below = value[draws].mean(axis=1), other[draws].mean(axis=1)
    ratios = np.divide(above, below, out=np.full(len(below), np.inf), where=below > 0)
    lo, hi = np.percentile(ratios, [2.5, 97.5], method="nearest")
    return {name: float(value.mean() / other.mean()), f"{name}.lo": float(lo), f"{name}.hi": float(hi)}


def neighbours(vectors: FloatArray, queries: IntArray, gallery: IntArray) -> IntArray:
    """The nearest of the gallery to each query but itself, shape ``(n_queries, N_NEIGHBOURS)``; all item rows."""
    cosines = vectors[queries] @ vectors[gallery].T
    cosines[queries[:, None] == gallery] = -np.inf
    return gallery[np.argsort(-cosines, axis=1, kind="stable")[:, :N_NEIGHBOURS]]


def genre_shares(found: IntArray, queries: IntArray, genres: NDArray[np.bool_]) -> tuple[Values, Values]:
    """Of each query, the share of what was found that has a genre in common, and the mean Jaccard index of genres."""
    both = (genres[queries][:, None] & genres[found]).sum(axis=2)
    either = (genres[queries][:, None] | genres[found]).sum(axis=2)
    return (both > 0).mean(axis=1), (both / np.maximum(either, 1)).mean(axis=1)


def series_recall(found: IntArray, queries: IntArray, gallery: IntArray, series: IntArray) -> Values:
    """Of each query that has others of its film series in the gallery, the share of these that was found; NaN else."""
    others = (series[queries][:, None] == series[gallery]) & (queries[:, None] != gallery)
    n_others = np.where(series[queries] >= 0, others.sum(axis=1), 0)
    hits = (series[queries][:, None] == series[found]).sum(axis=1)
    return np.where(n_others > 0, hits / np.maximum(n_others, 1), np.nan)


def is_found(queries: FloatArray, gallery: FloatArray, own: IntArray, k: int = N_NEIGHBOURS) -> Values:
    """Whether each query's own entry of the gallery is among its ``k`` nearest; ties count against it."""
    cosines = queries @ gallery.T
    ranks = (cosines >= np.take_along_axis(cosines, own[:, None], axis=1)).sum(axis=1)
    return (ranks <= k).astype(np.float64)


class ColdItems:
    """Items that nobody is known to have had, to be found for users by what these had of others.

    Args:
        histories: what users had, without cold items.
        relevant: the cold items that each user turned to, of the same users.
        is_cold: which items are cold, shape ``(n_items,)``.
    """

    def __init__(self, histories: Sequences, relevant: Sequences, is_cold: NDArray[np.bool_]) -> None:
        asked = np.flatnonzero((np.diff(relevant.offsets) > 0) & (np.diff(histories.offsets) > 0))
        self.histories, self.relevant, self.is_cold = histories.take(asked), relevant.take(asked), is_cold

    def by_vectors(self, vectors: FloatArray, history: History) -> Iterator[FloatArray]:
        """Scores of all items for some users at a time: cosine with the weighted sum of what they had."""
        table = torch.from_numpy(np.nan_to_num(vectors).astype(np.float32))
        offsets = self.histories.offsets
        for begin in range(0, self.histories.n_users, _USERS_AT_ONCE):
            end = min(begin + _USERS_AT_ONCE, self.histories.n_users)
            bags = recent_bags(self.histories, offsets[begin:end], offsets[begin + 1 : end + 1], history, 1.0)
            yield (sum_bags(table, bags) @ table.T).numpy()

    def by_items(self, scores: FloatArray) -> Iterator[FloatArray]:
        """The same scores, shape ``(n_items,)``, for everybody."""
        for begin in range(0, self.histories.n_users, _USERS_AT_ONCE):
            n = min(_USERS_AT_ONCE, self.histories.n_users - begin)
            yield np.broadcast_to(scores, (n, len(scores))).astype(np.float32)

    def recall(self, scores: Iterator[FloatArray], k: int = K) -> tuple[Values, Values]:
        """Recall@k of each user among the cold items alone, and among all items that the user has not had.

        Ties count against it.
        """
        alone, among_all, user = [], [], 0
        for chunk in scores:
            for row in chunk:
                wanted = self.relevant.of(user)
                alone.append(_recall(row[self.is_cold], row[wanted], k))
                unseen = np.delete(row, self.histories.of(user))
                among_all.append(_recall(unseen, row[wanted], k))
                user += 1
        return np.array(alone), np.array(among_all)


def _recall(candidates: FloatArray, wanted: FloatArray, k: int) -> float:
    n_better = len(candidates) - np.searchsorted(np.sort(candidates), wanted, side="left")
    return float((n_better <= k).mean())
