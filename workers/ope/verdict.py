"""From estimates to *better*, *worse* or *cannot tell*: the last whenever the log does not carry more."""

from dataclasses import dataclass
from typing import Literal

from workers.ope.support import Support

Verdict = Literal["better", "worse", "cannot tell"]


@dataclass(frozen=True)
class Limits:
    """What a log must have for a verdict.

    Attributes:
        min_requests: requests that can be used.
        min_effective_size: requests that the weights leave.
        min_effective_rewarded: of these, with a reward: with fewer, 95 % intervals cover the truth too seldom
            (``benchmarks.ope_intervals``).
        max_rejected: share of the requests that cannot be used, above which the rest is no fair sample.
        max_unsupported: share of the target's probability that the log cannot show.
    """

    min_requests: int = 100
    min_effective_size: float = 50.0
    min_effective_rewarded: float = 20.0
    max_rejected: float = 0.05
    max_unsupported: float = 0.01


def missing_data(n_requests: int, n_rejected: int, n_rewarded: int, limits: Limits) -> str | None:
    """Why requests and rewards do not suffice for a verdict; None if they do."""
    if n_requests + n_rejected == 0:
        return "there are no logged requests"
    if n_rejected > limits.max_rejected * (n_requests + n_rejected):
        return (
            f"{n_rejected:,} of {n_requests + n_rejected:,} requests cannot be used (a propensity is missing or zero, "
            f"or an outcome was rejected), more than {limits.max_rejected:.0%}"
        )
    if n_requests < limits.min_requests:
        return f"a log of {n_requests:,} requests is too short, it takes {limits.min_requests:,}"
    if n_rewarded == 0:
        return "all rewards are zero"
    return None


def missing_support(support: Support, limits: Limits) -> str | None:
    """Why the log says too little of the target policy for a verdict; None if it says enough."""
    if support.largest_weight == 0:
        return "no overlap: the policy would have shown none of the logged items at its position"
    if support.unsupported > limits.max_unsupported:
        return (
            f"no overlap for {support.unsupported:.1%} of what the policy would show: the log never explored it "
            "(serve with p_explore above 0)"
        )
    if not support.mean_weight_lo <= 1 <= support.mean_weight_hi:
        return (
            f"the weights average {support.mean_weight:.3g} where 1 is expected: the propensities do not fit the log, "
            "or it does not show what the policy would"
        )
    if support.effective_size < limits.min_effective_size:
        return (
            f"the log is worth {support.effective_size:,.1f} requests of the policy itself, it takes "
            f"{limits.min_effective_size:,.0f}"
        )
    if support.effective_rewarded < limits.min_effective_rewarded:
        return (
            f"the log is worth {support.effective_rewarded:,.1f} rewarded requests of the policy itself, it takes "
            f"{limits.min_effective_rewarded:,.0f}"
        )
    return None


def compared(lo: float, hi: float) -> tuple[Verdict, str]:
    """The verdict by the interval of the paired difference to what was logged."""
    told = f"the difference to what was logged lies between {lo:+.4g} and {hi:+.4g}"
    if lo > 0:
        return "better", told
    if hi < 0:
        return "worse", told
    return "cannot tell", f"{told}, which holds 0"
