"""The stated distribution of a slate: at each position the best that is left, or one of those left at random.

Of a pool of m items in the policy's order, rank 1 to m, position k takes with probability 1 - eps the best-ranked item
that is not yet shown, and with probability eps one of the m - k + 1 that are not, drawn uniformly, the best among them.
``recsql.explored`` is the same in SQL.
"""

import numpy as np
from numpy.typing import NDArray

from recsql.errors import InputError
from workers.ope.logs import Array


def marginal(n_pool: int, n: int, explore: float) -> Array:
    """Probability of each rank at each position, over all that may stand above.

    After k positions the ranks 1 to g are taken and t = k - g of those behind g + 1, which are uniform among them, by
    symmetry: so the chance of g alone need be followed, exactly.

    Args:
        n_pool: items in the pool, m.
        n: positions, at most m.
        explore: eps, 0 to 1.

    Returns:
        Shape ``(n_pool, n)``, row r - 1 for rank r; each column sums to 1.

    Raises:
        InputError: the arguments do not fit.
    """
    _check(n_pool, n, explore)
    chances = np.zeros((n_pool, n))
    # settled[g]: chance that the ranks 1 to g are taken, and rank g + 1 is free.
    settled = np.zeros(n_pool + 1)
    settled[0] = 1.0
    for k in range(n):
        at_random = explore / (n_pool - k)
        best = 1 - explore + at_random
        # Chances that the ranks 1 to g are taken, with nothing known of rank g + 1.
        tentative = np.zeros(n_pool + 1)
        behind = np.zeros(n_pool + 1)
        for g in range(k + 1):
            taken, n_behind = k - g, n_pool - g - 1
            chances[g, k] += settled[g] * best
            tentative[g + 1] += settled[g] * best
            if n_behind:
                # Each rank behind g + 1 is free with the same probability.
                behind[g + 1] += settled[g] * (1 - taken / n_behind) * at_random
            # One of them was drawn, and rank g + 1 is still free.
            settled[g] *= (n_behind - taken) * at_random
        chances[:, k] += np.cumsum(behind)[:n_pool]
        for g in range(1, k + 2):
            taken, n_behind = k + 1 - g, n_pool - g
            is_free = 1 - taken / n_behind if n_behind else 0.0
            settled[g] += tentative[g] * is_free
            if n_behind:
                tentative[g + 1] += tentative[g] * (1 - is_free)
    return chances


def conditional(ranks: NDArray[np.integer], n_pool: int, explore: float) -> Array:
    """Probability of each item of a slate at its position, given what stands above.

    Args:
        ranks: rank of what is shown at each position, from 1 in the policy's order, shape ``(n,)``.
        n_pool: items in the pool.
        explore: eps, 0 to 1.

    Returns:
        Shape ``(n,)``.

    Raises:
        InputError: a rank is not in the pool or is shown twice, or the arguments do not fit.
    """
    n = len(ranks)
    _check(n_pool, n, explore)
    if n and (ranks.min() < 1 or ranks.max() > n_pool or len(np.unique(ranks)) < n):
        raise InputError("A slate shows items of its pool, each once.")
    is_best = np.zeros(n, dtype=bool)
    best, above = 1, set[int]()
    for k, rank in enumerate(ranks.tolist()):
        while best in above:
            best += 1
        is_best[k] = rank == best
        above.add(rank)
    return (1 - explore) * is_best + explore / (n_pool - np.arange(n))


def _check(n_pool: int, n: int, explore: float) -> None:
    if not 0 <= explore <= 1:
        raise InputError(f"A policy explores with a probability from 0 to 1, not {explore}.")
    if n > n_pool:
        raise InputError(f"A pool of {n_pool} items has no slate of {n}.")
