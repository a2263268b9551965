"""How much of the large weights to believe: thresholds chosen from the log, and what clipping would do."""

from dataclasses import dataclass

import numpy as np

from workers.ope.estimators import dr, dr_os, effective_size, standard_error, switch_dr
from workers.ope.logs import Array

_QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)
CLIPS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0, float("inf"))


@dataclass(frozen=True)
class Clipped:
    """DR with the weights clipped.

    Attributes:
        clip: the most that a weight may be.
        share: of the impressions, whose weight is above it.
        value: the estimate.
        standard_error: of it.
        effective_size: of the clipped weights, in requests.
    """

    clip: float
    share: float
    value: float
    standard_error: float
    effective_size: float


def tuned_parameters(rewards: Array, weights: Array, predicted: Array, expected: Array) -> dict[str, float]:
    """Threshold of Switch-DR and shrinkage of DRos with the least estimated mean squared error.

    The error is that of Su et al. 2020, section 5: variance over n, plus the square of the bias against DR, which is
    the mean of (w - w') (r - q) summed over positions, w' being the weight that the estimator uses. Candidates are
    quantiles of the weights; for DRos their squares, so that a candidate is where a weight is halved; and infinity,
    which is DR.

    Returns:
        The parameter by the estimator's name.
    """
    shown = weights[weights > 0]
    candidates = [*np.unique(np.quantile(shown, _QUANTILES)).tolist(), float("inf")] if len(shown) else [float("inf")]
    whole = dr(rewards, weights, predicted, expected)

    def error(contributions: Array) -> float:
        return float(contributions.var() / len(contributions) + (whole - contributions).mean() ** 2)

    def least(choices: dict[float, Array]) -> float:
        return min(choices, key=lambda choice: error(choices[choice]))

    return {
        "switch_dr": least({t: switch_dr(rewards, weights, predicted, expected, threshold=t) for t in candidates}),
        "dr_os": least({t**2: dr_os(rewards, weights, predicted, expected, shrinkage=t**2) for t in candidates}),
    }


def clipping_sweep(
    rewards: Array, weights: Array, predicted: Array, expected: Array, clips: tuple[float, ...] = CLIPS
) -> tuple[Clipped, ...]:
    """DR at several clips: an estimate that moves with the clip hangs on a few impressions."""
    swept = []
    for clip in clips:
        clipped = np.minimum(weights, clip)
        contributions = dr(rewards, clipped, predicted, expected)
        swept.append(
            Clipped(
                clip,
                float((weights > clip).sum() / max(1, (~np.isnan(weights)).sum())),
                float(contributions.mean()),
                standard_error(contributions),
                effective_size(clipped),
            )
        )
    return tuple(swept)
