r"""A model of the reward, q(x, a, k), fitted on other requests than it is asked about.

q = b_k (beta . f(x, a)), by ridge regression on the logged impressions: b_k is how much reward position k brings at all
(mean absolute reward, shrunken to that of all positions), f holds 1, the item's own effect, and features of the item in
its pool (its rank, its score, whatever the caller adds). The item's effect is its reward over what its positions would
bring an average item, shrunken to 1: (sum r + c) / (sum b + c) of the *other* folds. Examination by position times
attraction by item is the position-based model of clicks (Craswell, Zoeter, Taylor and Ramsey, WSDM 2008).

Cross-fitting, by request: what is predicted for a fold's requests comes from the other folds alone, and the item
effects that the coefficients are fitted on leave each impression's own fold out as well, so that no reward is ever
predicted by itself. DR stays unbiased: Chernozhukov et al., *Double/debiased machine learning*, Econometrics Journal
2018.
"""

import numpy as np
from numpy.typing import NDArray

from workers.ope.logs import Array, Pools

N_FOLDS = 5
_SHRUNKEN_BY = 10.0
"""Impressions of the average item, or position, that are added to those of each."""
_RIDGE = 1.0


def pool_features(items: NDArray[np.int64], *scores: Array) -> Array:
    """Features of pooled items: log of the rank, and scores standardised within each pool.

    Args:
        items: shape ``(n_requests, n_pool)``, -1 as padding.
        scores: each of the same shape, NaN where there is none, which counts as the mean.

    Returns:
        Shape ``(n_requests, n_pool, 1 + len(scores))``.
    """
    is_item = items >= 0
    n_pool = max(1, items.shape[1])
    features = [np.broadcast_to(np.log1p(np.arange(n_pool)) / np.log1p(n_pool) - 0.5, items.shape)]
    for score in scores:
        is_known = is_item & np.isfinite(score)
        n_known = np.maximum(1, is_known.sum(axis=1, keepdims=True))
        held = np.where(is_known, score, 0.0)
        centred = np.where(is_known, held - held.sum(axis=1, keepdims=True) / n_known, 0.0)
        deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / n_known)
        features.append(np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-12))
    return np.stack(features, axis=2)


class CrossFitted:
    """The reward model, fitted once for each fold without it.

    Args:
        rewards: shape ``(n_requests, n_positions)``, NaN behind a slate's end.
        pools: of the same requests.
        features: of each item in its pool, shape ``(n_requests, n_pool, n_features)``; see :func:`pool_features`.
        seed: of the cut into folds.
        n_folds: how many; fewer where there are fewer requests.
    """

    def __init__(self, rewards: Array, pools: Pools, features: Array, seed: int = 0, n_folds: int = N_FOLDS) -> None:
        n_requests = len(rewards)
        self._pools, self._features = pools, features
        self.n_folds = max(1, min(n_folds, n_requests))
        self.fold = np.random.default_rng(seed).permutation(n_requests) % self.n_folds
        self._is_shown = ~np.isnan(rewards) & (pools.shown >= 0)
        rows, positions = np.nonzero(self._is_shown)
        places, given = pools.shown[rows, positions], rewards[rows, positions]
        items, folds = pools.items[rows, places], self.fold[rows]
        n_items = int(pools.items.max(initial=-1)) + 1
        logged = features[rows, places]
        self._position_worth = np.zeros((self.n_folds, rewards.shape[1]))
        self._effects = np.ones((self.n_folds, n_items))
        self._coefficients = np.zeros((self.n_folds, 2 + features.shape[2]))
        for held_out in range(self.n_folds):
            train = np.flatnonzero(folds != held_out)
            worth = _position_worth(given[train], positions[train], rewards.shape[1])
            self._position_worth[held_out] = worth
            by_fold = np.zeros((2, self.n_folds, n_items))
            np.add.at(by_fold[0], (folds[train], items[train]), given[train])
            np.add.at(by_fold[1], (folds[train], items[train]), worth[positions[train]])
            total = by_fold.sum(axis=1)
            prior = _SHRUNKEN_BY * float(worth.mean()) if len(worth) else 0.0
            mean = total[0].sum() / total[1].sum() if total[1].sum() > 0 else 0.0
            self._effects[held_out] = _shrunken(total[0], total[1], prior, mean)
            # Of each impression the effect without its own fold.
            own = by_fold[:, folds[train], items[train]]
            rest = total[:, items[train]] - own
            effects = _shrunken(rest[0], rest[1], prior, mean)
            design = worth[positions[train], None] * np.column_stack([np.ones(len(train)), effects, logged[train]])
            self._coefficients[held_out] = _ridge(design, given[train])

    def predicted(self) -> Array:
        """Reward expected of what was shown, shape ``(n_requests, n_positions)``, NaN behind a slate's end."""
        attraction = self.attraction()
        rows = np.arange(len(attraction))[:, None]
        found = attraction[rows, np.maximum(self._pools.shown, 0)] * self._position_worth[self.fold]
        return np.where(self._is_shown, found, np.nan)

    def expected(self, chances: Array, rows: NDArray[np.int64] | slice = slice(None)) -> Array:
        """Reward expected of a policy at each position.

        Args:
            chances: with which probability it shows each item of the pool at each position, in the pool's order, shape
                ``(n_rows, n_pool, n_positions)``, or ``(n_pool, n_positions)`` if they are the same for all.
            rows: of which requests.

        Returns:
            Shape ``(n_rows, n_positions)``, NaN behind a slate's end.
        """
        equation = "rp,pk->rk" if chances.ndim == 2 else "rp,rpk->rk"
        found = np.einsum(equation, self.attraction(rows), chances) * self._position_worth[self.fold[rows]]
        return np.where(self._is_shown[rows], found, np.nan)

    def attraction(self, rows: NDArray[np.int64] | slice = slice(None)) -> Array:
        """Reward of each pooled item over the worth of its position, shape ``(n_rows, n_pool)``, 0 for padding."""
        items, fold = self._pools.items[rows], self.fold[rows]
        if not self._effects.shape[1]:
            return np.zeros(items.shape)
        beta = self._coefficients[fold]
        effects = self._effects[fold[:, None], np.maximum(items, 0)]
        found = beta[:, :1] + beta[:, 1:2] * effects + np.einsum("rpf,rf->rp", self._features[rows], beta[:, 2:])
        return np.where(items >= 0, found, 0.0)


def _position_worth(rewards: Array, positions: NDArray[np.int64], n_positions: int) -> Array:
    """Mean absolute reward of each position, shrunken to that of all, shape ``(n_positions,)``."""
    counts = np.bincount(positions, minlength=n_positions)
    sums = np.bincount(positions, np.abs(rewards), minlength=n_positions)
    overall = float(np.abs(rewards).mean()) if len(rewards) else 0.0
    return (sums + _SHRUNKEN_BY * overall) / (counts + _SHRUNKEN_BY)


def _shrunken(rewards: Array, worth: Array, prior: float, mean: float) -> Array:
    """Rewards over the worth of the positions, shrunken to the mean of all items."""
    return np.divide(rewards + prior * mean, worth + prior, out=np.ones_like(rewards), where=worth + prior > 0)


def _ridge(design: Array, rewards: Array) -> Array:
    """Coefficients by ridge regression, of columns brought to the same scale; 0 where nothing can be learnt."""
    scale = np.sqrt((design**2).mean(axis=0)) if len(design) else np.zeros(design.shape[1])
    is_used = scale > 0
    found = np.zeros(design.shape[1])
    if is_used.any():
        scaled = design[:, is_used] / scale[is_used]
        gram = scaled.T @ scaled + _RIDGE * np.eye(scaled.shape[1])
        found[is_used] = np.linalg.solve(gram, scaled.T @ rewards) / scale[is_used]
    return found
