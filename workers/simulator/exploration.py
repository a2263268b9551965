"""Marginal propensities of the stated distribution."""

from functools import lru_cache

import numpy as np

from workers.simulator.world import Array


@lru_cache(maxsize=256)
def marginals(n_pool: int, size: int, explore: float) -> Array:
    """Probability of each rank at each position, shape ``(n_pool, size)``; columns sum to 1."""
    table = np.zeros((n_pool, size))
    settled = np.zeros(n_pool + 1)
    settled[0] = 1.0
    for k in range(1, size + 1):
        each = explore / (n_pool - k + 1)
        for g in range(min(k, n_pool)):
            mass = settled[g]
            if mass:
                table[g, k - 1] += mass * (1 - explore + each)
                if n_pool > g + 1:
                    table[g + 1 :, k - 1] += mass * each * (1 - (k - 1 - g) / (n_pool - g - 1))
        tentative = np.zeros(n_pool + 2)
        for g in range(min(k, n_pool)):
            tentative[g + 1] += settled[g] * (1 - explore + each)
            tentative[g] += settled[g] * (1 - explore - each) * 0 + settled[g] * (1 - (1 - explore + each))
        settled = np.zeros(n_pool + 1)
        for g in range(min(k, n_pool - 1) + 1):
            free = 1 - (k - g) / (n_pool - g)
            settled[g] = tentative[g] * free
            tentative[g + 1] += tentative[g] * (1 - free)
    return table
