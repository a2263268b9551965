"""NDCG@10 of a model's whole ranking, for model selection while training."""

from collections.abc import Callable

import numpy as np

from workers.models.base import FloatArray, IntArray, Sequences

_K = 10
_USERS_AT_ONCE = 256


def ndcg_at_10(score_all: Callable[[IntArray], FloatArray], sequences: Sequences, targets: Sequences) -> float:
    """Mean NDCG@10 of the users who have targets, ranking the whole catalogue less what each has had.

    Ties count against the model, and so does a target without a score.

    Args:
        score_all: gives the scores of all items for users by row, shape ``(n_rows, n_items)``; NaN is unknown.
        sequences: what users had before.
        targets: the relevant items of each user, none of which the user had before.

    Returns:
        The mean, 0 if nobody has a target.
    """
    users = np.flatnonzero(np.diff(targets.offsets))
    discounts = 1 / np.log2(np.arange(2, _K + 2))
    total = 0.0
    for begin in range(0, len(users), _USERS_AT_ONCE):
        chunk = users[begin : begin + _USERS_AT_ONCE]
        # In double precision there is room below each score for a target that ties with it.
        scores = np.nan_to_num(score_all(chunk).astype(np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        scores[_places(sequences, chunk)] = -np.inf
        wanted = _places(targets, chunk)
        scores[wanted] = np.nextafter(scores[wanted], -np.inf)
        is_wanted = np.zeros(scores.shape, dtype=bool)
        is_wanted[wanted] = np.isfinite(scores[wanted])
        k = min(_K, scores.shape[1])
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        best = np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1), axis=1)
        gains = (np.take_along_axis(is_wanted, best, axis=1) * discounts[:k]).sum(axis=1)
        n_wanted = np.diff(targets.offsets)[chunk]
        total += float((gains / np.cumsum(discounts)[np.minimum(n_wanted, _K) - 1]).sum())
    return total / len(users) if len(users) else 0.0


def _places(lists: Sequences, users: IntArray) -> tuple[IntArray, IntArray]:
    """Rows, counted among ``users``, and items of all that the lists of these users hold."""
    taken = lists.take(users)
    return np.repeat(np.arange(len(users)), np.diff(taken.offsets)), taken.items
