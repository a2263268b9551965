"""The weights of the fusion, learnt from what users did next."""

import json

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from workers.run import Run

CHOICES_TO_FIT_ON = 2000

_PENALTY = 1.0


def fit_policy(run: Run, sources: list[tuple[int, str]], policy: str, run_no: int | None) -> int:
    """Fit weights of some sources and keep them as a policy.

    Args:
        run: a validation run that has their candidates.
        sources: numbers and names, ascending.
        policy: its name; a policy that has it is replaced.
        run_no: the run that the policy is to be taken over from, None for one to try.

    Returns:
        The policy's number.
    """
    choices, items, source_nos, part, is_target = run.columns(
        "fusion_parts",
        {"choice_no": np.int64, "item_no": np.int64, "source_no": np.int64, "part": np.float64, "is_target": np.bool_},
        n_choices=CHOICES_TO_FIT_ON,
    )
    numbers = np.array([number for number, _ in sources])
    is_asked = np.isin(source_nos, numbers)
    choices, items, source_nos = choices[is_asked], items[is_asked], source_nos[is_asked]
    pairs, row_of = np.unique(np.stack([choices, items], axis=1), axis=0, return_inverse=True)
    parts = np.zeros((len(pairs), len(sources)))
    parts[row_of, np.searchsorted(numbers, source_nos)] = part[is_asked]
    is_hit = np.zeros(len(pairs), dtype=bool)
    is_hit[row_of] = is_target[is_asked]
    owners, owner = np.unique(pairs[:, 0], return_inverse=True)
    fitted, ndcg = fit_weights(parts, owner, is_hit, len(owners))
    named = {source: round(float(weight), 6) for (_, source), weight in zip(sources, fitted, strict=True)}
    return run.one(
        "write_policy",
        policy=policy,
        kind="weighted",
        weights=json.dumps(named),
        config="{}",
        metrics=json.dumps({"ndcg@10": ndcg}),
        run_no=run_no,
    )


def fit_weights(
    parts: NDArray[np.floating], users: NDArray[np.integer], is_target: NDArray[np.bool_], n_users_total: int
) -> tuple[NDArray[np.float64], float]:
    """Weights of the sources by conditional logit, and the NDCG@10 that they reach on the same users.

    With ``x_i`` the parts of candidate ``i`` of a user and ``t`` the candidate that the user went on to have::

        maximise  Σ_users log( exp(w · x_t) / Σ_i exp(w · x_i) ) - penalty / 2 · Σ_s (w_s sd_s)²,   w ≥ 0

    which is concave, so that there is one answer and no random start. Climbing NDCG itself was tried: it gains on the
    users that it is fitted to and loses on others, for a ranking metric of a thousand users is mostly noise.

    Only ratios of the weights matter to a ranking; they are left on the scale at which the scores are log-odds.

    Args:
        parts: contribution of each source to each candidate before weighting, finite, 0 where a source is silent,
            shape ``(n_rows, n_sources)``.
        users: whose candidate each row is, in any order, shape ``(n_rows,)``.
        is_target: whether the row is the user's next item, shape ``(n_rows,)``; at most one a user. Users without a
            target among their candidates teach nothing, and count 0 in NDCG.
        n_users_total: users that the NDCG is the mean of, those without candidates included.

    Returns:
        Weights ≥ 0, shape ``(n_sources,)``, all equal if there is nothing to learn from; NDCG@10 with ties counted
        against us.

    References:
        McFadden, Conditional logit analysis of qualitative choice behavior, 1974.
    """
    order = np.argsort(users, kind="stable")
    rows, owners, is_hit = np.asarray(parts, dtype=np.float64)[order], users[order], is_target[order]
    has_target = np.isin(owners, owners[is_hit])
    rows, owners, is_hit = rows[has_target], owners[has_target], is_hit[has_target]
    n_sources = parts.shape[1]
    equal = np.full(n_sources, 1 / max(n_sources, 1))
    if not len(rows):
        return equal, 0.0
    starts = np.flatnonzero(np.diff(owners, prepend=owners[0] - 1))
    lengths = np.diff(starts, append=len(owners))
    deviations = rows.std(axis=0)
    deviations[deviations == 0] = 1
    scaled = rows / deviations
    targets = scaled[is_hit]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = scaled @ weights
        highest = np.maximum.reduceat(scores, starts)
        odds = np.exp(scores - np.repeat(highest, lengths))
        totals = np.add.reduceat(odds, starts)
        value = (highest + np.log(totals)).sum() - (targets @ weights).sum() + _PENALTY / 2 * weights @ weights
        shares = odds / np.repeat(totals, lengths)
        return value / len(targets), (shares @ scaled - targets.sum(axis=0) + _PENALTY * weights) / len(targets)

    start = np.full(n_sources, 0.3)
    found = minimize(loss, start, jac=True, bounds=[(0, None)] * n_sources, method="L-BFGS-B")
    weights = found.x / deviations if found.x.any() else equal

    scores = rows @ weights
    target_scores = np.repeat(scores[is_hit], lengths)
    ranks = np.add.reduceat((scores >= target_scores).astype(np.int64), starts)
    ndcg = float((1 / np.log2(ranks[ranks <= 10] + 1)).sum()) / n_users_total
    return weights, ndcg
