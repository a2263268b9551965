"""Greedy: what is expected to earn most.

With ``ranking_policy.explore`` above 0 it is ε-greedy: each position goes to one of those left with that probability.
"""

import numpy as np

from workers.bandits.base import Array, Bandit
from workers.bandits.posterior import ItemNos, Posterior


class Greedy(Bandit):
    """The expected reward; an order is certain, given the posterior."""

    name = "greedy"

    def scores(self, posterior: Posterior, features: Array, item_nos: ItemNos, rng: np.random.Generator) -> Array:
        """The expected reward."""
        return posterior.expected(features, item_nos)[0]
