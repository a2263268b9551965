"""Thompson sampling: an item is shown as often as it is likely to be the best.

score = the reward that a draw of θ and of the items' effects from the posterior expects. Thompson, "On the likelihood
that one unknown probability exceeds another" (Biometrika 1933); with a linear model: Agrawal and Goyal, "Thompson
sampling for contextual bandits with linear payoffs" (ICML 2013), whose v is α σ here.

To serve, and to know propensities exactly, an ensemble of draws is kept (Lu and Van Roy, "Ensemble sampling", NeurIPS
2017): a request uses one of them at random, so that the propensity of a ranking is the share of draws that give it.
"""

from dataclasses import dataclass

import numpy as np

from workers.bandits.base import Array, Bandit
from workers.bandits.posterior import ItemNos, Posterior

N_NOISE = 4096
_OF_ITEM, _OF_DRAW = 7919, 104729
"""As in ``recsql.bandit_draw_score``."""


@dataclass(frozen=True)
class Ensemble:
    """Draws of a posterior.

    Attributes:
        weights: of θ, shape ``(n_draws, n_features)``.
        noise: standard normal numbers, from which each item takes one for each draw, shape ``(N_NOISE,)``.
    """

    weights: Array
    noise: Array

    def of_items(self, item_nos: ItemNos) -> Array:
        """Standard normal numbers of items, the same whenever they are asked for, shape ``(n_draws, n_items)``."""
        draws = np.arange(1, len(self.weights) + 1)
        return self.noise[(item_nos * _OF_ITEM + draws[:, None] * _OF_DRAW) % len(self.noise)]


class Thompson(Bandit):
    """Draws of the posterior."""

    name = "thompson"

    def scores(self, posterior: Posterior, features: Array, item_nos: ItemNos, rng: np.random.Generator) -> Array:
        """The reward that a draw of its own expects."""
        drawn = self.draw(posterior, 1, rng)
        return self.draw_scores(posterior, drawn, features, item_nos)[0]

    def draw(self, posterior: Posterior, n_draws: int, rng: np.random.Generator) -> Ensemble:
        """Draw from the posterior, as often as asked for."""
        normal = rng.standard_normal((n_draws, len(posterior.theta)))
        weights = posterior.theta + self.config.alpha * posterior.scale * (normal @ posterior.spread)
        return Ensemble(weights, rng.standard_normal(N_NOISE))

    def draw_scores(self, posterior: Posterior, drawn: Ensemble, features: Array, item_nos: ItemNos) -> Array:
        """The reward that each draw expects, shape ``(n_draws, n_items)``."""
        _, z, value, variance = posterior.expected(features, item_nos)
        effects = self.config.alpha * posterior.scale * np.sqrt(variance) * drawn.of_items(item_nos)
        return drawn.weights @ z.T + value + effects
