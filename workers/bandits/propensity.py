"""With which probability an ensemble of orders shows an item at a position, exactly.

A request uses one of B orders, each as likely as another, and explores: a position goes, with probability ε, to any of
the items left. Of one order the propensities follow from the ranks alone (:func:`rank_propensities`); those of the
ensemble are their mean, and what was shown above tells which orders are likely to have been used.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def rank_propensities(n_pool: int, n_shown: int, explore: float) -> Array:
    """Probabilities that the item of a rank is shown at a position, where the order is known.

    With probability 1 - ε a position goes to the best of the m - k + 1 items left, else to any of them. Let the front
    g be so that ranks 1 to g are shown and g + 1 is not: the k - 1 - g others that are shown lie behind it, each as
    likely as another. Ranks are counted from 1 here, rows and columns of the result from 0.

    Args:
        n_pool: m, how many items there are to choose from.
        n_shown: how many positions there are, at most m.
        explore: ε.

    Returns:
        Shape ``(n_pool, n_shown)``; columns sum to 1.
    """
    found = np.zeros((n_pool, n_shown))
    front = np.array([1.0])
    for k in range(1, n_shown + 1):
        each = explore / (n_pool - k + 1)
        following = np.zeros(k + 1)
        for g, mass in enumerate(front):
            taken = (k - 1 - g) / (n_pool - g - 1) if n_pool > g + 1 else 0.0
            found[g, k - 1] += mass * (1 - explore + each)
            found[g + 1 :, k - 1] += mass * each * (1 - taken)
            # The front stays where an item behind it was drawn, else it moves on, past those that are shown already.
            following[g] += mass * (explore - each)
            passing = mass * (1 - explore + each)
            for ahead in range(g + 1, k + 1):
                shown = (k - ahead) / (n_pool - ahead) if n_pool > ahead else 0.0
                following[ahead] += passing * (1 - shown)
                passing *= shown
        front = following
    return found


def ensemble_propensities(scores: Array, shown: NDArray[np.int64], explore: float) -> tuple[Array, Array]:
    """Propensities of what was shown, where one of several orders was used.

    Args:
        scores: of each order, higher first, of equal ones the first, shape ``(n_orders, n_pool)``.
        shown: places in the pool of what was shown, from the first position on, shape ``(n_shown,)``.
        explore: ε.

    Returns:
        With which probability each item is shown at its position, and the same given what stands above it (0 where
        that cannot be); both of shape ``(n_shown,)``.
    """
    n_orders, n_pool = scores.shape
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(n_pool)[None, :], axis=1)
    of_ranks = rank_propensities(n_pool, len(shown), explore)
    propensities = of_ranks[ranks[:, shown], np.arange(len(shown))].mean(axis=0)
    conditionals, likely = np.zeros(len(shown)), np.full(n_orders, 1 / n_orders)
    is_left = np.ones(n_pool, dtype=bool)
    for k, place in enumerate(shown):
        best = np.where(is_left, ranks, n_pool).min(axis=1)
        given = (1 - explore) * (ranks[:, place] == best) + explore / (n_pool - k)
        conditionals[k] = likely @ given
        if conditionals[k] == 0:
            break
        likely = likely * given / conditionals[k]
        is_left[place] = False
    return propensities, conditionals
