"""A posterior that learns impression by impression, for simulations: what ``Statistics`` gives of all at once.

With z as in :mod:`workers.bandits.posterior`, an impression adds z z^T / (1 + 1 / (n + κ)) to A, whose inverse follows
by Sherman and Morrison's formula.
"""

import numpy as np

from workers.bandits.posterior import PRIOR_VARIANCE, Array, Items, Posterior


class OnlinePosterior:
    """The posterior of items that are numbered from 0.

    Args:
        n_items: how many there are.
        n_features: of an impression.
        ridge: λ.
        shrinkage: κ.
    """

    def __init__(self, n_items: int, n_features: int, ridge: float, shrinkage: float) -> None:
        zeros = np.zeros(n_items)
        self._items = Items(np.arange(n_items), zeros, zeros.copy(), np.zeros((n_items, n_features)))
        self._inverse = np.eye(n_features) / ridge
        self._theta = np.zeros(n_features)
        self._shrinkage = shrinkage
        self._residual, self._weight = 0.0, 0

    def observe(self, item: int, features: Array, reward: float) -> None:
        """Count an impression.

        Args:
            item: what was shown.
            features: of it, shape ``(n_features,)``.
            reward: what came of it.
        """
        items = self._items
        variance = 1 / (items.weights[item] + self._shrinkage)
        z = features - items.features[item] * variance
        error = reward - z @ self._theta - items.totals[item] * variance
        gain = self._inverse @ z
        total = 1 + variance + z @ gain
        self._theta += gain * (error / total)
        self._inverse -= np.outer(gain, gain) / total
        self._residual += error**2 / total
        self._weight += 1
        items.weights[item] += 1
        items.totals[item] += reward
        items.features[item] += features

    def posterior(self) -> Posterior:
        """As it stands now."""
        spread = np.linalg.cholesky(self._inverse).T
        scale = np.sqrt((PRIOR_VARIANCE + self._residual) / (1 + self._weight))
        return Posterior(self._theta.copy(), spread, float(scale), self._items, self._shrinkage)
