r"""What impressions say of rewards: a linear model that items share, and what each item differs by.

The reward of an impression of item i with features φ is normal around θ·φ + u_i with variance σ², where a priori
θ ~ N(0, σ²/λ) and u_i ~ N(0, σ²/κ). With n, s and f the sums over an item's impressions of 1, r and φ, integrating the
effects u out leaves

.. math::
    A = λI + Σ φφ^T - Σ_i f_i f_i^T / (n_i + κ), \quad
    b = Σ rφ - Σ_i f_i s_i / (n_i + κ), \quad θ = A^{-1} b

and the expected reward of item i, with z = φ - f_i / (n_i + κ), is θ·z + s_i / (n_i + κ), its variance
σ² (z^T A⁻¹ z + 1 / (n_i + κ)). It is the hybrid model of Li, Chu, Langford and Schapire, "A contextual-bandit approach
to personalized news article recommendation" (WWW 2010), with a constant as the only feature of an item's own.
σ² is estimated by the residuals, beside one that is worth an observation of a variance of 1/4.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

Array = NDArray[np.floating]
ItemNos = NDArray[np.int64]

PRIOR_VARIANCE = 0.25
"""Of a reward that is 0 or 1, the most that it can be."""


@dataclass
class Items:
    """Sums over the impressions of single items.

    Attributes:
        item_nos: database keys, ascending, shape ``(n_items,)``.
        weights: of 1, each impression by its weight, shape ``(n_items,)``.
        totals: of the rewards.
        features: of the features, shape ``(n_items, n_features)``.
    """

    item_nos: ItemNos
    weights: Array
    totals: Array
    features: Array

    @classmethod
    def none(cls, n_features: int) -> "Items":
        """No item."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0), np.empty((0, n_features)))

    def rows(self, item_nos: ItemNos) -> ItemNos:
        """Rows of items, -1 for those that are not there."""
        if not len(self.item_nos):
            return np.full(len(item_nos), -1)
        rows = np.minimum(np.searchsorted(self.item_nos, item_nos), len(self.item_nos) - 1)
        return np.where(self.item_nos[rows] == item_nos, rows, -1)

    def with_items(self, item_nos: ItemNos) -> "Items":
        """The same with rows of zeros for items that are not there."""
        missing = np.setdiff1d(item_nos, self.item_nos)
        if not len(missing):
            return self
        order = np.argsort(keys := np.concatenate([self.item_nos, missing]))
        zeros = np.zeros(len(missing))
        return Items(
            keys[order],
            np.concatenate([self.weights, zeros])[order],
            np.concatenate([self.totals, zeros])[order],
            np.concatenate([self.features, np.zeros((len(missing), self.features.shape[1]))])[order],
        )


@dataclass(frozen=True)
class Posterior:
    """What scoring needs.

    Attributes:
        theta: mean of the weights, shape ``(n_features,)``.
        spread: ``spread @ z`` has the length sqrt(z^T A⁻¹ z), shape ``(n_features, n_features)``.
        scale: σ, the standard deviation of a reward.
        items: of single items, those of interest.
        shrinkage: κ.
    """

    theta: Array
    spread: Array
    scale: float
    items: Items
    shrinkage: float

    def expected(self, features: Array, item_nos: ItemNos) -> tuple[Array, Array, Array, Array]:
        """Expected rewards and what they are made of.

        Returns:
            The expected reward, z (see the module), s / (n + κ) and 1 / (n + κ); all of shape ``(n_items,)`` but z, of
            ``(n_items, n_features)``.
        """
        rows = self.items.rows(item_nos)
        is_known, variance = rows >= 0, np.full(len(rows), 1 / self.shrinkage)
        z, value, known = features.copy(), np.zeros(len(rows)), rows[rows >= 0]
        variance[is_known] = 1 / (self.items.weights[known] + self.shrinkage)
        z[is_known] -= self.items.features[known] * variance[is_known, None]
        value[is_known] = self.items.totals[known] * variance[is_known]
        return z @ self.theta + value, z, value, variance

    def deviation(self, z: Array, variance: Array) -> Array:
        """Standard deviation of the expected reward, shape ``(n_items,)``."""
        return self.scale * np.sqrt(((z @ self.spread.T) ** 2).sum(axis=1) + variance)


@dataclass
class Statistics:
    """The sums that a posterior is made of, the effects of items integrated out.

    Attributes:
        gram: Σ φφ^T - Σ f f^T / (n + κ), shape ``(n_features, n_features)``.
        moment: Σ rφ - Σ f s / (n + κ), shape ``(n_features,)``.
        square: Σ r² - Σ s² / (n + κ).
        weight: Σ 1.
        shrinkage: κ.
        items: of single items; it is enough that those are there of which impressions are added.
    """

    gram: Array
    moment: Array
    square: float
    weight: float
    shrinkage: float
    items: Items = field(repr=False)

    @classmethod
    def none(cls, n_features: int, shrinkage: float) -> "Statistics":
        """Of no impression."""
        zeros = np.zeros((n_features, n_features))
        return cls(zeros, np.zeros(n_features), 0.0, 0.0, shrinkage, Items.none(n_features))

    def add(self, item_nos: ItemNos, features: Array, rewards: Array, weights: Array | float = 1.0) -> None:
        """Count impressions.

        Args:
            item_nos: what was shown, shape ``(n_impressions,)``.
            features: as of then, shape ``(n_impressions, n_features)``.
            rewards: what came of it so far, of the shape of ``item_nos``.
            weights: how much each counts.
        """
        weights = np.broadcast_to(weights, rewards.shape)
        self._count(item_nos, features, rewards, weights, weights)
        self.gram += (features * weights[:, None]).T @ features
        self.square += float((weights * rewards**2).sum())
        self.weight += float(weights.sum())

    def correct(
        self, item_nos: ItemNos, features: Array, before: Array, rewards: Array, weights: Array | float = 1.0
    ) -> None:
        """Count impressions that have been counted with the rewards ``before`` with others; the rest as in ``add``."""
        weights = np.broadcast_to(weights, rewards.shape)
        self._count(item_nos, features, rewards - before, weights, np.zeros_like(rewards))
        self.square += float((weights * (rewards**2 - before**2)).sum())

    def _count(self, item_nos: ItemNos, features: Array, rewards: Array, weights: Array, counted: Array) -> None:
        self.items = self.items.with_items(item_nos)
        rows, places = np.unique(self.items.rows(item_nos), return_inverse=True)
        self._integrate(rows, -1)
        self.items.weights[rows] += np.bincount(places, counted, len(rows))
        self.items.totals[rows] += np.bincount(places, weights * rewards, len(rows))
        np.add.at(self.items.features, rows[places], features * counted[:, None])
        self.moment += features.T @ (weights * rewards)
        self._integrate(rows, 1)

    def _integrate(self, rows: ItemNos | slice, sign: int) -> None:
        """Take the effects of items out of the sums, or put them in again (-1)."""
        features, totals = self.items.features[rows], self.items.totals[rows]
        share = sign / (self.items.weights[rows] + self.shrinkage)
        self.gram -= (features * share[:, None]).T @ features
        self.moment -= features.T @ (share * totals)
        self.square -= float((share * totals**2).sum())

    def fade(self, factor: float) -> None:
        """Let all that was counted count less; all items must be there."""
        self._integrate(slice(None), -1)
        self.gram, self.moment = self.gram * factor, self.moment * factor
        self.square, self.weight = self.square * factor, self.weight * factor
        items = self.items
        self.items = Items(items.item_nos, items.weights * factor, items.totals * factor, items.features * factor)
        self._integrate(slice(None), 1)

    def solve(self, ridge: float) -> Posterior:
        """The posterior.

        Args:
            ridge: λ.
        """
        n = len(self.moment)
        # Sums of what was added and taken away again are symmetric and positive but for rounding.
        lower = np.linalg.cholesky((self.gram + self.gram.T) / 2 + ridge * np.eye(n))
        spread = solve_triangular(lower, np.eye(n), lower=True)
        theta = spread.T @ (spread @ self.moment)
        residual = max(self.square - float(theta @ self.moment), 0.0)
        scale = np.sqrt((PRIOR_VARIANCE + residual) / (1 + max(self.weight, 0.0)))
        return Posterior(theta, spread, float(scale), self.items, self.shrinkage)
