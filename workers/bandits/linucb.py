"""LinUCB: optimism in the face of uncertainty.

score = E[r] + α sd[E[r]]: what an item is expected to earn, and α standard deviations of how little is known of that.
Li, Chu, Langford and Schapire, "A contextual-bandit approach to personalized news article recommendation" (WWW 2010),
its hybrid model; the deviation is in units of the reward, so that α is free of them.
"""

import numpy as np

from workers.bandits.base import Array, Bandit
from workers.bandits.posterior import ItemNos, Posterior


class LinUCB(Bandit):
    """Upper confidence bounds; an order is certain, given the posterior."""

    name = "linucb"

    def scores(self, posterior: Posterior, features: Array, item_nos: ItemNos, rng: np.random.Generator) -> Array:
        """The expected reward and ``alpha`` deviations of it."""
        expected, z, _, variance = posterior.expected(features, item_nos)
        return expected + self.config.alpha * posterior.deviation(z, variance)
