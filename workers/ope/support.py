"""Whether the log can say anything about the target policy at all."""

from dataclasses import dataclass

import numpy as np

from workers.ope.estimators import effective_size
from workers.ope.intervals import hall_interval
from workers.ope.logs import Array, SlateLog, SlateTarget

SURE = 0.99
"""Of intervals that must not cry wolf."""


@dataclass(frozen=True)
class Support:
    """How the target policy's propensities lie over the log.

    Attributes:
        unsupported: share of the target's probability that lies on what the log can never show: where the logging
            policy was certain (a propensity of 1), all of it that is not on the logged item. 0 to 1.
        largest_weight: the largest importance weight.
        mean_weight: mean of the weights over positions and requests, 1 in expectation where everything is supported.
        mean_weight_lo: lower end of its 99 % interval.
        mean_weight_hi: upper end.
        effective_size: in requests, see :func:`workers.ope.estimators.effective_size`.
        effective_rewarded: the same times the share of requests with a reward other than 0: how many rewarded requests
            the estimate rests on, as it were.
    """

    unsupported: float
    largest_weight: float
    mean_weight: float
    mean_weight_lo: float
    mean_weight_hi: float
    effective_size: float
    effective_rewarded: float


def support_of(log: SlateLog, target: SlateTarget, weights: Array) -> Support:
    """Look at the support of a target policy in a log.

    Args:
        log: at least one request.
        target: of the same requests.
        weights: of either form, shape ``(n_requests, n_positions)``.
    """
    is_shown = log.is_shown
    is_certain = is_shown & (log.propensities >= 1 - 1e-6)
    unsupported = np.where(is_certain, 1 - target.propensities, 0.0).sum() / is_shown.sum()
    per_request = np.nansum(weights, axis=1) / is_shown.sum(axis=1)
    lo, hi = hall_interval(per_request[:, None], SURE)
    size = effective_size(weights)
    rewarded = (np.nan_to_num(log.rewards) != 0).any(axis=1).mean()
    return Support(
        float(unsupported),
        float(np.nanmax(weights)),
        float(per_request.mean()),
        float(lo[0]),
        float(hi[0]),
        size,
        float(size * rewarded),
    )
