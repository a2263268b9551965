"""Item vectors that rows of NaN may stand among, and scores that are inner products with them."""

from dataclasses import replace

import numpy as np

from workers.models.base import FloatArray, IntArray, Sequences
from workers.models.batching import known_histories

_NUMBERS_AT_ONCE = 2**24


def inner_products(users: FloatArray, vectors: FloatArray, items: IntArray) -> FloatArray:
    """Scores of candidates, as :meth:`Model.score` gives them.

    Args:
        users: user vectors, shape ``(n_users, dim)``, rows of NaN where a user is unknown.
        vectors: item vectors, shape ``(n_items, dim)``, rows of NaN where an item is unknown.
        items: candidate item rows, shape ``(n_users, n_candidates)``, -1 as padding.

    Returns:
        Shape ``(n_users, n_candidates)``; NaN where the item or the user is unknown.
    """
    scores = np.full(items.shape, np.nan, dtype=np.float32)
    users_at_once = max(1, _NUMBERS_AT_ONCE // max(1, items.shape[1] * users.shape[1]))
    for begin in range(0, len(users), users_at_once):
        chunk = slice(begin, begin + users_at_once)
        known = (items[chunk] >= 0) & (items[chunk] < len(vectors))
        if known.any():
            chosen = vectors[np.where(known, items[chunk], 0)]
            # Not a matrix product: that would round differently with the place of a candidate.
            scores[chunk] = np.where(known, np.einsum("ud,ucd->uc", users[chunk], chosen), np.nan)
    return scores


def histories_with_vectors(histories: Sequences, vectors: FloatArray) -> Sequences:
    """Histories without the items that have no vector: unknown ones, and those whose row is NaN."""
    known = known_histories(histories, len(vectors))
    has_vector = np.isfinite(vectors[:, 0])[known.items]
    return known_histories(replace(known, items=np.where(has_vector, known.items, -1)), len(vectors))
