r"""The estimators: each is the mean, over requests, of a number that one request contributes.

Of request i at position k let r be the reward, w the importance weight, q the reward that a model predicts of the
logged item, and e that which it expects of the target policy. Sums over k run over the positions of the slate.

Two forms of the weights, by what the reward of an item is taken to depend on:

* **position**: w = pi(a at k) / pi_0(a at k), by the marginal propensities. Right if an item's reward depends on the
  item and its position alone, not on what stands above. Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen,
  *Offline evaluation of ranking policies with click models*, KDD 2018 (the item-position model).
* **cascade**: w = prod over j <= k of pi(a_j | above) / pi_0(a_j | above). Right if it depends on what stands above as
  well, not on what stands below. McInerney, Brost, Chandar, Mehrotra and Carterette, *Counterfactual evaluation of
  slate recommendations with sequential reward interactions*, KDD 2020. With a model of the reward: Kiyohara, Saito,
  Matsuhiro, Narita, Shimizu and Yamamoto, *Doubly robust off-policy evaluation for ranking policies under the cascade
  behavior model*, WSDM 2022. Theirs has w_{1:k} (r_k - Q_k) + w_{1:k-1} V_k with Q_k, V_k the value from k on; with
  the values of positions below k taken from the model's marginal expectation, the sum telescopes to
  sum_k e_k + w_{1:k} (r_k - q_k), which is what is computed: unbiased, since sum_k e_k is the exact expectation of
  sum_k w_{1:k} q_k.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from recsql.errors import InputError
from workers.ope.logs import Array, SlateLog, SlateTarget

Form = Literal["position", "cascade"]
FORMS: tuple[Form, ...] = ("position", "cascade")

SWITCH_THRESHOLD = 10.0
"""Weight above which Switch-DR trusts the model alone."""

SHRINKAGE = 100.0
"""DRos: its square root is the weight that is halved."""


class Estimator(Protocol):
    """What all estimators are: see :func:`ips`."""

    def __call__(self, rewards: Array, weights: Array, predicted: Array, expected: Array) -> Array:
        """Contributions of the requests."""
        ...


def position_weights(log: SlateLog, target: SlateTarget) -> Array:
    """Ratios of marginal propensities, shape ``(n_requests, n_positions)``, NaN behind a slate's end."""
    return np.divide(target.propensities, log.propensities, out=np.full(log.rewards.shape, np.nan), where=log.is_shown)


def cascade_weights(log: SlateLog, target: SlateTarget) -> Array:
    """Products of ratios of conditional propensities down to the position, of the same shape.

    Raises:
        InputError: the conditional propensities are not known.
    """
    if log.conditionals is None or target.conditionals is None:
        raise InputError("The cascade form needs the conditional propensities of both policies.")
    ratios = np.divide(target.conditionals, log.conditionals, out=np.ones(log.rewards.shape), where=log.is_shown)
    return np.where(log.is_shown, np.cumprod(ratios, axis=1), np.nan)


WEIGHTS: dict[Form, Callable[[SlateLog, SlateTarget], Array]] = {
    "position": position_weights,
    "cascade": cascade_weights,
}


def ips(rewards: Array, weights: Array, predicted: Array, expected: Array) -> Array:
    r"""Inverse propensity scoring: sum_k w r. Unbiased where the propensities are right; heavy tails.

    Horvitz and Thompson, *A generalization of sampling without replacement from a finite universe*, JASA 1952.

    Args:
        rewards: shape ``(n_requests, n_positions)``; this and all below NaN behind a slate's end.
        weights: importance weights, of the same shape.
        predicted: reward that a model predicts of the logged item, of the same shape; not read here.
        expected: reward that it expects of the target policy, of the same shape; not read here.

    Returns:
        What each request contributes, shape ``(n_requests,)``: the estimate is its mean, and its standard deviation
        over the root of n the standard error.
    """
    return np.nansum(weights * rewards, axis=1)


def snips(rewards: Array, weights: Array, predicted: Array, expected: Array) -> Array:
    r"""Self-normalised IPS: sum_k w r / mean(w at k). A little biased, bounded by the rewards, less variable.

    Swaminathan and Joachims, *The self-normalized estimator for counterfactual learning*, NIPS 2015. A contribution is
    that of the ratio's linearisation, z r - (z - 1) mean(z r) with z = w / mean(w), whose mean is the ratio. NaN where
    all weights of a position are 0.
    """
    n_shown = (~np.isnan(weights)).sum(axis=0)
    mean = np.divide(np.nansum(weights, axis=0), n_shown, out=np.full(weights.shape[1], np.nan), where=n_shown > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = weights / mean
    value = np.divide(np.nansum(z * rewards, axis=0), n_shown, out=np.zeros_like(mean), where=n_shown > 0)
    # Positions that nobody was shown say nothing, those without any weight make the estimate unknown.
    unknown = np.isnan(weights)
    return np.where(unknown, 0.0, z * rewards - (z - 1) * value).sum(axis=1)


def dm(rewards: Array, weights: Array, predicted: Array, expected: Array) -> Array:
    """Direct method: sum_k e. As good as the model, and blind to where that is wrong."""
    return np.nansum(expected, axis=1)


def dr(rewards: Array, weights: Array, predicted: Array, expected: Array) -> Array:
    """Doubly robust: sum_k e + w (r - q). Unbiased where propensities or model are right, less variable than IPS.

    Dudik, Langford and Li, *Doubly robust policy evaluation and learning*, ICML 2011.
    """
    return np.nansum(expected + weights * (rewards - predicted), axis=1)


def switch_dr(
    rewards: Array, weights: Array, predicted: Array, expected: Array, *, threshold: float = SWITCH_THRESHOLD
) -> Array:
    """Switch-DR: sum_k e + [w <= threshold] w (r - q). Biased towards the model where the weight is large.

    Wang, Agarwal and Dudik, *Optimal and adaptive off-policy evaluation in contextual bandits*, ICML 2017.
    """
    return dr(rewards, np.where(weights > threshold, 0.0, weights), predicted, expected)


def dr_os(rewards: Array, weights: Array, predicted: Array, expected: Array, *, shrinkage: float = SHRINKAGE) -> Array:
    """DR with optimistic shrinkage: sum_k e + s w / (w^2 + s) (r - q). From DM (s = 0) to DR (s infinite).

    Su, Dimakopoulou, Krishnamurthy and Dudik, *Doubly robust off-policy evaluation with shrinkage*, ICML 2020.
    """
    if np.isinf(shrinkage):
        return dr(rewards, weights, predicted, expected)
    # Divided by the weight where that is large, so that its square cannot overflow.
    shrunk = np.zeros_like(weights) if shrinkage == 0 else weights / (1 + weights * (weights / shrinkage))
    return dr(rewards, np.where(np.isnan(weights), np.nan, shrunk), predicted, expected)


ESTIMATORS: dict[str, Estimator] = {
    "ips": ips,
    "snips": snips,
    "dm": dm,
    "dr": dr,
    "switch_dr": switch_dr,
    "dr_os": dr_os,
}
"""All of them by name, the last two with their fixed parameters."""

NEED_MODEL = ("dm", "dr", "switch_dr", "dr_os")
"""Those that without a model of the reward are no others than IPS, or nothing."""


def standard_error(contributions: Array) -> float:
    """Standard error of the mean of contributions; NaN of fewer than two."""
    n = len(contributions)
    return float(contributions.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")


def effective_size(weights: Array) -> float:
    """How many requests of the target policy itself would tell as much: Kish's (sum w)^2 / sum w^2, in requests.

    Args:
        weights: shape ``(n_requests, n_positions)``, NaN behind a slate's end.

    Returns:
        (sum w)^2 / sum w^2 over all impressions, times requests over impressions; 0 where all weights are 0.
    """
    shown: NDArray[np.bool_] = ~np.isnan(weights)
    squares = float(np.nansum(weights**2))
    if not squares:
        return 0.0
    return float(np.nansum(weights)) ** 2 / squares * len(weights) / int(shown.sum())
