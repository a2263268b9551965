"""What a ranking policy would do over the pools of logged requests."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from workers.ope.exploration import marginal
from workers.ope.logs import Array, Pools, SlateLog, SlateTarget
from workers.ope.regression import CrossFitted, pool_features

_AT_ONCE = 2_000_000
"""Propensities of pooled items at positions that are held together."""


def target_of(
    log: SlateLog, pools: Pools, scores: Array | None, explore: float, *, has_model: bool = True, seed: int = 0
) -> SlateTarget:
    """What a policy would do that orders each pool by scores and explores at each position.

    Args:
        log: what was shown, and what came of it; read by the reward model alone.
        pools: of the same requests.
        scores: of the policy, shape ``(n_requests, n_pool)``, NaN behind the rest in the pool's order; None for the
            pool's own order; of a policy that draws one of several orders for each request, each as likely as another,
            ``(n_draws, n_requests, n_pool)``.
        explore: with which probability a position goes to one of those left, drawn uniformly.
        has_model: whether to fit a reward model.
        seed: of its folds.

    Returns:
        Exact propensities, and what the reward model, cross-fitted by request, predicts.
    """
    draws: list[Array | None] = list(scores) if scores is not None and scores.ndim == 3 else [scores]
    is_shown = log.is_shown & (pools.shown >= 0)
    model = None
    if has_model:
        mean = () if scores is None else (np.mean([scores] if scores.ndim == 2 else scores, axis=0),)
        model = CrossFitted(log.rewards, pools, pool_features(pools.items, pools.scores, *mean), seed)
    propensities, expected = np.zeros(log.rewards.shape), np.zeros(log.rewards.shape)
    joint = np.zeros(log.rewards.shape)
    conditionals = np.empty(log.rewards.shape)
    for draw in draws:
        ranks = ranks_of(pools, draw)
        shown_ranks = np.where(is_shown, np.take_along_axis(ranks, np.maximum(pools.shown, 0), axis=1), 0)
        conditionals = conditionals_of(shown_ranks, pools.sizes, explore)
        joint += np.cumprod(np.where(is_shown, conditionals, 1.0), axis=1) / len(draws)
        chance, reward = _at_positions(pools, ranks, shown_ranks, explore, model)
        propensities += chance / len(draws)
        expected += reward / len(draws)
    if len(draws) > 1:
        # What stands above tells which of the orders was drawn; after what none of them shows, nothing is shown.
        above = np.column_stack([np.ones(len(joint)), joint[:, :-1]])
        conditionals = np.divide(joint, above, out=np.zeros_like(joint), where=above > 0)
    propensities, conditionals = (
        np.where(is_shown, np.minimum(part, 1), np.nan) for part in (propensities, conditionals)
    )
    if model is None:
        return SlateTarget(propensities, conditionals)
    return SlateTarget(propensities, conditionals, model.predicted(), expected)


def _at_positions(
    pools: Pools, ranks: NDArray[np.int64], shown: NDArray[np.int64], explore: float, model: CrossFitted | None
) -> tuple[Array, Array]:
    """Marginal propensities of what was shown, and the reward expected at each position, 0 without a model.

    Both of shape ``(n_requests, n_positions)``; ``shown`` are the ranks of what was shown, 0 where nothing was.
    """
    n_positions, n_pool = shown.shape[1], ranks.shape[1]
    propensities, expected = np.zeros(shown.shape), np.zeros(shown.shape)
    at_once = max(1, _AT_ONCE // max(1, n_pool * n_positions))
    for size in np.unique(pools.sizes[pools.sizes > 0]).tolist():
        n = min(size, n_positions)
        chances = np.zeros((n_pool + 1, n_positions))
        chances[1 : size + 1, :n] = _marginal(size, n, explore)
        alike = np.flatnonzero(pools.sizes == size)
        for begin in range(0, len(alike), at_once):
            block = alike[begin : begin + at_once]
            propensities[block] = chances[shown[block], np.arange(n_positions)]
            if model is not None:
                expected[block] = model.expected(chances[ranks[block]], block)
    return propensities, expected


def ranks_of(pools: Pools, scores: Array | None) -> NDArray[np.int64]:
    """Rank of each pooled item, from 1, 0 for padding, shape ``(n_requests, n_pool)``; equal ones as pooled."""
    is_item = pools.items >= 0
    if scores is None:
        return np.where(is_item, np.arange(1, pools.items.shape[1] + 1), 0)
    falling = np.where(is_item, np.where(np.isnan(scores), np.inf, -scores), np.inf)
    # Padding lies behind the items anyway, so that a stable sort leaves it there.
    order = np.argsort(falling, axis=1, kind="stable")
    ranks = np.empty(order.shape, dtype=np.int64)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(1, order.shape[1] + 1), order.shape), axis=1)
    return np.where(is_item, ranks, 0)


def conditionals_of(ranks: NDArray[np.int64], sizes: NDArray[np.int64], explore: float) -> Array:
    """:func:`workers.ope.exploration.conditional` of many slates.

    Args:
        ranks: of what is shown, from 1, shape ``(n_requests, n_positions)``, 0 where nothing is known to be.
        sizes: of the pools, shape ``(n_requests,)``.
        explore: 0 to 1.

    Returns:
        Shape ``(n_requests, n_positions)``, NaN where nothing is shown.
    """
    n_requests, n_positions = ranks.shape
    rows = np.arange(n_requests)
    is_taken = np.zeros((n_requests, int(ranks.max(initial=0)) + n_positions + 2), dtype=bool)
    is_taken[:, 0] = True
    best = np.ones(n_requests, dtype=np.int64)
    found = np.full(ranks.shape, np.nan)
    for k in range(n_positions):
        left = np.maximum(1, sizes - k)
        found[:, k] = np.where(ranks[:, k] > 0, (1 - explore) * (ranks[:, k] == best) + explore / left, np.nan)
        is_taken[rows, ranks[:, k]] = True
        # As far as the frontier moves: each position takes one rank at most.
        while (ahead := is_taken[rows, best]).any():
            best += ahead
    return found


@lru_cache(maxsize=16)
def _marginal(n_pool: int, n: int, explore: float) -> Array:
    return marginal(n_pool, n, explore)
