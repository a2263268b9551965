"""NDCG@10 of a model's whole ranking, for model selection while training."""

from collections.abc import Callable

import numpy as np

from workers.models.base import FloatArray, IntArray, Sequences

_USERS_AT_ONCE = 256


def ndcg_at_10(score_all: Callable[[IntArray], FloatArray], sequences: Sequences, targets: IntArray) -> float:
    """Mean NDCG@10 of the users who have a target, ranking the whole catalogue less what each has had.

    Ties count against the model, and so does a target without a score.

    Args:
        score_all: gives the scores of all items for users by row, shape ``(n_rows, n_items)``; NaN is unknown.
        sequences: what users had before their target.
        targets: the one relevant item of each user, shape ``(n_users,)``, -1 where there is none.

    Returns:
        The mean, 0 if nobody has a target.
    """
    users = np.flatnonzero(targets >= 0)
    total = 0.0
    for begin in range(0, len(users), _USERS_AT_ONCE):
        chunk = users[begin : begin + _USERS_AT_ONCE]
        scores = np.nan_to_num(score_all(chunk), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        rows, wanted = np.arange(len(chunk)), targets[chunk]
        wanted_scores = scores[rows, wanted]
        for row, user in enumerate(chunk):
            scores[row, sequences.of(user)] = -np.inf
        scores[rows, wanted] = wanted_scores
        ranks = (scores >= wanted_scores[:, None]).sum(axis=1)
        is_hit = (ranks <= 10) & np.isfinite(wanted_scores)
        total += float((is_hit / np.log2(ranks + 1)).sum())
    return total / len(users) if len(users) else 0.0
