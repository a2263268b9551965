"""All estimates of a policy's value from one log, and the verdict."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from recsql.errors import InputError
from workers.ope.estimators import (
    ESTIMATORS,
    FORMS,
    NEED_MODEL,
    SHRINKAGE,
    SWITCH_THRESHOLD,
    WEIGHTS,
    Estimator,
    Form,
    dr,
    dr_os,
    effective_size,
    standard_error,
    switch_dr,
)
from workers.ope.intervals import bootstrap_interval, hall_interval
from workers.ope.logs import Array, SlateLog, SlateTarget
from workers.ope.support import SURE, Support, support_of
from workers.ope.tuning import Clipped, clipping_sweep, tuned_parameters
from workers.ope.verdict import Limits, Verdict, compared, missing_data, missing_support

_FIXED = {"switch_dr": SWITCH_THRESHOLD, "dr_os": SHRINKAGE}


@dataclass(frozen=True)
class Estimate:
    """A policy's value by one estimator: the reward of a request, summed over its positions.

    Attributes:
        estimator: ``ips``, ``snips``, ``dm``, ``dr``, ``switch_dr``, ``dr_os``, the last two also with ``_tuned``; of
            what was logged itself ``logged``.
        form: ``position`` or ``cascade``.
        value: the estimate; NaN where it cannot be computed (SNIPS without any weight at a position).
        standard_error: of the value.
        lo: lower end of its 95 % interval (:func:`workers.ope.intervals.hall_interval`).
        hi: upper end.
        difference: to the mean reward of the logged requests, which it is paired with.
        difference_lo: lower end of its 95 % interval.
        difference_hi: upper end.
        bootstrap_lo: lower end of the value's interval by the studentised bootstrap; NaN if it was not asked for.
        bootstrap_hi: upper end.
        effective_size: of the form's weights, in requests.
        n_requests: on which it rests.
        parameter: threshold of Switch-DR, shrinkage of DRos; None of others.
    """

    estimator: str
    form: str
    value: float
    standard_error: float
    lo: float
    hi: float
    difference: float
    difference_lo: float
    difference_hi: float
    bootstrap_lo: float
    bootstrap_hi: float
    effective_size: float
    n_requests: int
    parameter: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """What a log says of a policy.

    Attributes:
        estimates: of all estimators, in both forms where conditional propensities are known; empty without requests.
        logged: mean reward of the logged requests; None without requests.
        decides: the estimate that the verdict is formed by; None without requests.
        verdict: whether the policy is better than the one that logged.
        reason: why.
        support: of the form that decides; None without requests.
        clipping: DR of that form at several clips.
        n_requests: requests that could be used.
        n_rejected: those that could not.
    """

    estimates: tuple[Estimate, ...]
    logged: Estimate | None
    decides: Estimate | None
    verdict: Verdict
    reason: str
    support: Support | None
    clipping: tuple[Clipped, ...]
    n_requests: int
    n_rejected: int

    def of(self, estimator: str, form: str = "position") -> Estimate:
        """One of the estimates."""
        return next(found for found in self.estimates if (found.estimator, found.form) == (estimator, form))


def evaluate(
    log: SlateLog,
    target: SlateTarget,
    *,
    estimator: str = "dr",
    form: Form = "position",
    limits: Limits | None = None,
    n_rejected: int = 0,
    n_resamples: int = 0,
    seed: int = 0,
) -> Evaluation:
    """Estimate what a policy would have been worth, and say whether it is better than what was logged.

    Args:
        log: what was shown, and what came of it; requests with a propensity that is missing or zero are left out and
            counted.
        target: what the policy would do in the same requests.
        estimator: which one decides.
        form: in which form.
        limits: what the log must have.
        n_rejected: requests that the caller has left out already.
        n_resamples: of the bootstrap, 0 for none.
        seed: of the bootstrap.

    Raises:
        InputError: log and target are of different shapes, or what is to decide cannot be computed.
    """
    limits = limits or Limits()
    if log.rewards.shape != target.propensities.shape:
        raise InputError(f"The log has the shape {log.rewards.shape}, the target {target.propensities.shape}.")
    usable = log.is_usable() & target.is_known(log.is_shown)
    n_rejected += int((~usable).sum())
    log, target = log.take(usable), target.take(usable)
    reason = missing_data(log.n_requests, n_rejected, int((log.values != 0).sum()), limits)
    if log.n_requests == 0:
        return Evaluation((), None, None, "cannot tell", f"{reason}.", None, (), 0, n_rejected)
    contributions, estimates = _estimates(log, target, n_resamples, seed)
    decides = next((found for found in estimates if (found.estimator, found.form) == (estimator, form)), None)
    if decides is None:
        raise InputError(f"There is no estimate {estimator} in {form} form: the log lacks what it needs.")
    weights = WEIGHTS[form](log, target)
    support = support_of(log, target, weights)
    verdict: Verdict = "cannot tell"
    reason = reason or missing_support(support, limits) or _disagreement(contributions, estimates, form, limits)
    if reason is None:
        verdict, reason = compared(decides.difference_lo, decides.difference_hi)
    return Evaluation(
        tuple(estimates[1:]),
        estimates[0],
        decides,
        verdict,
        f"{reason}.",
        support,
        clipping_sweep(log.rewards, weights, *_modelled(target)),
        log.n_requests,
        n_rejected,
    )


def against_served(
    found: Evaluation, log: SlateLog, target: SlateTarget, served: SlateTarget, form: Form = "position"
) -> Evaluation:
    """An evaluation that calls a policy better only if it is also better than what is served.

    A log that explores is worth less than the order that it explores around, so that to be better than the log is not
    enough to take that order's place.

    Args:
        found: of the target.
        log: what was shown, and what came of it.
        target: what the policy would do in its requests.
        served: what is served would do, likewise with predicted and expected rewards.
        form: which form of DR decides.
    """
    if found.verdict != "better":
        return found
    usable = log.is_usable() & target.is_known(log.is_shown) & served.is_known(log.is_shown)
    log, target, served = log.take(usable), target.take(usable), served.take(usable)
    parts = [dr(log.rewards, WEIGHTS[form](log, policy), *_modelled(policy)) for policy in (target, served)]
    lo, hi = hall_interval((parts[0] - parts[1])[:, None])
    verdict, _ = compared(float(lo[0]), float(hi[0]))
    reason = f"the difference to what is served lies between {lo[0]:+.4g} and {hi[0]:+.4g}"
    if verdict == "better":
        return replace(found, reason=f"{found.reason.removesuffix('.')}; {reason}.")
    return replace(found, verdict=verdict, reason=f"better than what was logged, which explored, but {reason}.")


def _estimates(log: SlateLog, target: SlateTarget, n_resamples: int, seed: int) -> tuple[Array, list[Estimate]]:
    """Contributions, shape ``(n_requests, n_estimates)``, and estimates, that of what was logged first."""
    names: list[tuple[str, str, float | None]] = [("logged", "position", None)]
    columns, sizes = [log.values], [float(log.n_requests)]
    has_model, modelled = target.predicted is not None, _modelled(target)
    has_conditionals = log.conditionals is not None and target.conditionals is not None
    for form in FORMS[: 1 + has_conditionals]:
        weights = WEIGHTS[form](log, target)
        # Without a model DR is named all the same, so that whoever asks for it is answered.
        methods: list[tuple[str, Estimator, float | None]] = [
            (name, function, _FIXED.get(name))
            for name, function in ESTIMATORS.items()
            if has_model or name not in NEED_MODEL or name == "dr"
        ]
        if has_model:
            tuned = tuned_parameters(log.rewards, weights, *modelled)
            threshold, shrinkage = tuned["switch_dr"], tuned["dr_os"]
            methods.append(("switch_dr_tuned", partial(switch_dr, threshold=threshold), threshold))
            methods.append(("dr_os_tuned", partial(dr_os, shrinkage=shrinkage), shrinkage))
        size = effective_size(weights)
        for name, function, parameter in methods:
            names.append((name, form, parameter))
            columns.append(function(log.rewards, weights, *modelled))
            sizes.append(size)
    contributions = np.stack(columns, axis=1)
    differences = contributions - contributions[:, :1]
    lo, hi = hall_interval(contributions)
    difference_lo, difference_hi = hall_interval(differences)
    resampled = (np.full(len(names), np.nan),) * 2
    if n_resamples:
        resampled = bootstrap_interval(contributions, seed, n_resamples)
    estimates = [
        Estimate(
            name,
            form,
            float(contributions[:, nth].mean()),
            standard_error(contributions[:, nth]),
            float(lo[nth]),
            float(hi[nth]),
            float(differences[:, nth].mean()),
            float(difference_lo[nth]),
            float(difference_hi[nth]),
            float(resampled[0][nth]),
            float(resampled[1][nth]),
            sizes[nth],
            log.n_requests,
            parameter,
        )
        for nth, (name, form, parameter) in enumerate(names)
    ]
    return contributions, estimates


def _modelled(target: SlateTarget) -> tuple[Array, Array]:
    """Predicted and expected rewards, 0 without a model."""
    if target.predicted is None or target.expected is None:
        nothing = np.zeros(target.propensities.shape)
        return nothing, nothing
    return target.predicted, target.expected


def _disagreement(contributions: Array, estimates: list[Estimate], form: Form, limits: Limits) -> str | None:
    """Whether the cascade form contradicts the position form, whose assumption is then wrong; None if it does not.

    Both estimate the same value where an item's reward does not depend on what stands above.
    """
    places = {(found.estimator, found.form): nth for nth, found in enumerate(estimates)}
    nth = places.get((dr.__name__, "cascade"))
    if form == "cascade" or nth is None or estimates[nth].effective_size < limits.min_effective_size:
        return None
    between = contributions[:, nth] - contributions[:, places[dr.__name__, "position"]]
    lo, hi = hall_interval(between[:, None], SURE)
    if lo[0] <= 0 <= hi[0]:
        return None
    return (
        f"the cascade form differs from the position form by {between.mean():+.4g}: what stands above an item changes "
        "its reward, decide by the cascade form"
    )
