"""The weights of the fusion, learnt from what users did next."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

MOST_USERS = 2000
"""That are fitted on; more were tried and gained nothing."""

_PENALTY = 1.0


def fit_weights(
    parts: NDArray[np.floating], users: NDArray[np.integer], is_target: NDArray[np.bool_], seed: int = 0
) -> NDArray[np.float64]:
    """Weights of the sources by conditional logit.

    With ``x_i`` the parts of candidate ``i`` of a user and ``T`` the candidates that the user went on to have::

        maximise  Σ_users mean_t∈T log( exp(w · x_t) / Σ_i exp(w · x_i) ) - penalty / 2 · Σ_s (w_s sd_s)²,   w ≥ 0

    which is concave, so that there is one answer and no random start. Every user counts once, as in the metrics.
    Choices drawn among all that users went on to, candidates or not, were tried: most say nothing, for no source
    proposed what was chosen. Climbing NDCG itself was tried: it gains on the users that it is fitted to and loses on
    others, for a ranking metric of a thousand users is mostly noise.

    Only ratios of the weights matter to a ranking; they are left on the scale at which the scores are log-odds.

    Args:
        parts: contribution of each source to each candidate before weighting, finite, 0 where a source is silent,
            shape ``(n_rows, n_sources)``.
        users: whose candidate each row is, in any order, shape ``(n_rows,)``.
        is_target: whether the row is what the user went on to have, shape ``(n_rows,)``. Users without a target among
            their candidates teach nothing.
        seed: of which ``MOST_USERS`` are fitted on, where there are more.

    Returns:
        Weights ≥ 0, shape ``(n_sources,)``, all equal if there is nothing to learn from.

    References:
        McFadden, Conditional logit analysis of qualitative choice behavior, 1974.
    """
    drawn = np.random.default_rng(seed).permutation(np.unique(users[is_target]))[:MOST_USERS]
    order = np.argsort(users, kind="stable")
    order = order[np.isin(users[order], drawn)]
    rows, owners, is_hit = np.asarray(parts[order], dtype=np.float64), users[order], is_target[order]
    n_sources = parts.shape[1]
    equal = np.full(n_sources, 1 / max(n_sources, 1))
    if not len(rows):
        return equal
    starts = np.flatnonzero(np.diff(owners, prepend=owners[0] - 1))
    lengths = np.diff(starts, append=len(owners))
    deviations = rows.std(axis=0)
    deviations[deviations == 0] = 1
    scaled = rows / deviations
    target = (is_hit / np.repeat(np.add.reduceat(is_hit.astype(np.float64), starts), lengths)) @ scaled

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = scaled @ weights
        highest = np.maximum.reduceat(scores, starts)
        odds = np.exp(scores - np.repeat(highest, lengths))
        totals = np.add.reduceat(odds, starts)
        value = (highest + np.log(totals)).sum() - target @ weights + _PENALTY / 2 * weights @ weights
        shares = odds / np.repeat(totals, lengths)
        return value / len(starts), (shares @ scaled - target + _PENALTY * weights) / len(starts)

    start = np.full(n_sources, 0.3)
    found = minimize(loss, start, jac=True, bounds=[(0, None)] * n_sources, method="L-BFGS-B")
    return found.x / deviations if found.x.any() else equal
