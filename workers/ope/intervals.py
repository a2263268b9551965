r"""Intervals of a mean over requests, by the skewness of what it is a mean of.

A request contributes one number to an estimate, its positions summed: intervals are clustered by request. Clicks are
rare and weights are heavy: contributions are skewed, the mean and its standard error go up together, and the usual
interval, mean +- 1.96 errors, and the bootstrap's percentiles lie too low. Two that mind it:

* :func:`hall_interval` in closed form, which decides: cheap, without chance, and the same in SQL.
* :func:`bootstrap_interval`, studentised, beside it.

``python -m benchmarks.ope_intervals`` measures how often each kind covers the truth, see docs/off-policy.md.
"""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from workers.ope.logs import Array

LEVEL = 0.95
_AT_ONCE = 4_000_000
"""Numbers of resampling weights that are drawn together."""


def hall_interval(contributions: Array, level: float = LEVEL) -> tuple[Array, Array]:
    r"""Interval of a mean by the transformation of the t statistic that takes its skewness away.

    With T = (mean - mu) / sd and skewness g, sqrt(n) (T + g T^2 / 3 + g^2 T^3 / 27 + g / (6 n)) is nearer to normal
    than sqrt(n) T is; it is monotone, and solved for mu: T(u) = 3/g ((1 + g (u / sqrt(n) - g / (6 n)))^(1/3) - 1).

    Hall, *On the removal of skewness by transformation*, Journal of the Royal Statistical Society B, 1992.

    Args:
        contributions: of the requests, shape ``(n_requests, n_estimates)``.
        level: of the interval, two-sided, the same on both sides.

    Returns:
        Lower and upper bounds, shape ``(n_estimates,)``; NaN of fewer than two requests.
    """
    n = len(contributions)
    if n < 2:
        nothing = np.full(contributions.shape[1], np.nan)
        return nothing, nothing
    mean = contributions.mean(axis=0)
    centred = contributions - mean
    deviation = np.sqrt((centred**2).sum(axis=0) / (n - 1))
    deviation = np.where(_is_constant(contributions, deviation), 0.0, deviation)
    with np.errstate(invalid="ignore", divide="ignore"):
        skewness = np.where(deviation > 0, (centred**3).mean(axis=0) / deviation**3, 0.0)
    quantile = NormalDist().inv_cdf((1 + level) / 2)

    def unskewed(u: float) -> Array:
        inner = 1 + skewness * (u / np.sqrt(n) - skewness / (6 * n))
        is_skewed = np.abs(skewness) > 1e-8
        divisor = np.where(is_skewed, skewness, 1.0)
        return np.where(is_skewed, 3 * (np.cbrt(inner) - 1) / divisor, u / np.sqrt(n))

    return mean - deviation * unskewed(quantile), mean - deviation * unskewed(-quantile)


def bootstrap_interval(
    contributions: Array, seed: int = 0, n_resamples: int = 1000, level: float = LEVEL
) -> tuple[Array, Array]:
    """Interval of a mean by the studentised bootstrap over requests.

    Efron and Tibshirani, *An introduction to the bootstrap*, 1993, chapter 12. Resamples are multinomial weights over
    the requests, so that all estimates are resampled together, by two matrix products.

    Args:
        contributions: of the requests, shape ``(n_requests, n_estimates)``.
        seed: of the resampling.
        n_resamples: how many.
        level: of the interval, two-sided, the same on both sides.

    Returns:
        Lower and upper bounds, shape ``(n_estimates,)``, infinite where too many resamples hold no two different
        contributions; NaN of fewer than two requests.
    """
    n, n_estimates = contributions.shape
    if n < 2:
        nothing = np.full(n_estimates, np.nan)
        return nothing, nothing
    random = np.random.default_rng(seed)
    mean = contributions.mean(axis=0)
    # Centred, which costs no digits where the variance is small beside the mean.
    centred = contributions - mean
    error = np.sqrt((centred**2).sum(axis=0) / (n - 1) / n)
    parts: list[Array] = []
    at_once = max(1, _AT_ONCE // n)
    for begin in range(0, n_resamples, at_once):
        counts = random.multinomial(n, np.full(n, 1 / n), min(at_once, n_resamples - begin)).astype(np.float64)
        shift = counts @ centred / n
        errors = np.sqrt(np.maximum(counts @ centred**2 / n - shift**2, 0.0) / (n - 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            parts.append(np.where(errors > 1e-12 * np.abs(shift), shift / errors, np.sign(shift) * np.inf))
    statistics = np.concatenate(parts)
    statistics[np.isnan(statistics)] = 0.0
    low, high = np.quantile(statistics, [(1 - level) / 2, (1 + level) / 2], axis=0, method="inverted_cdf")
    with np.errstate(invalid="ignore"):
        lower, upper = mean - high * error, mean - low * error
    is_constant = _is_constant(contributions, error)
    return np.where(is_constant, mean, lower), np.where(is_constant, mean, upper)


def _is_constant(contributions: Array, spread: Array) -> NDArray[np.bool_]:
    """Estimates whose contributions are all alike, up to rounding."""
    return spread <= 1e-13 * np.abs(contributions).max(axis=0)
