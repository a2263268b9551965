"""Slates drawn from the stated distribution, many at once."""

from functools import lru_cache

import numpy as np

from workers.models.base import IntArray
from workers.ope.exploration import marginal
from workers.simulator.world import Array


@lru_cache(maxsize=256)
def marginals(n_pool: int, size: int, explore: float) -> Array:
    """As :func:`workers.ope.exploration.marginal`, computed once; not to be written to."""
    table = marginal(n_pool, size, explore)
    table.flags.writeable = False
    return table


def draw(n_pool: int, size: int, explore: float, uniforms: Array) -> tuple[IntArray, Array]:
    """Draw slates.

    Position k goes with probability ``1 - explore`` to the best candidate that is left, and with ``explore`` to one of
    the ``n_pool - k + 1`` that are left, all alike.

    Args:
        n_pool: candidates.
        size: positions.
        explore: from 0 to 1.
        uniforms: draws, shape ``(n, 2 size)``.

    Returns:
        Ranks from 0 and conditional propensities, both of shape ``(n, size)``.
    """
    n = len(uniforms)
    is_free = np.ones((n, n_pool), np.bool_)
    ranks, conditionals, rows = np.empty((n, size), np.int64), np.empty((n, size)), np.arange(n)
    for position in range(size):
        n_left = n_pool - position
        explores = uniforms[:, position] < explore
        place = np.where(explores, (uniforms[:, size + position] * n_left).astype(np.int64), 0)
        rank = np.argmax(np.cumsum(is_free, axis=1) == place[:, None] + 1, axis=1)
        ranks[:, position] = rank
        conditionals[:, position] = (1.0 - explore) * (place == 0) + explore / n_left
        is_free[rows, rank] = False
    return ranks, conditionals
