"""Ranking policies: what each would be worth, and which one orders what a slot serves."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import psycopg
from psycopg.types.json import Jsonb

from recsql.errors import InputError, ModelError, NotFoundError
from recsql.queries import QUERIES
from workers.ope.estimators import Form
from workers.ope.evaluation import Evaluation, against_served, evaluate
from workers.ope.logs import SlateTarget
from workers.ope.rankers import Policy, explored_by, find_policy, scores_of, trained_until
from workers.ope.store import Logged, Window, propose, read_log
from workers.ope.targets import target_of

N_RESAMPLES = 1000


def evaluate_policy(
    connection: psycopg.Connection[Any],
    policy: Policy,
    window: Window,
    form: Form = "position",
    seed: int = 0,
    progress: Callable[[str], None] = lambda stage: None,
    *,
    is_candidate: bool = False,
) -> tuple[int, Evaluation]:
    """Evaluate a policy by what others logged, and keep the evaluation; its number and what it says.

    Of a policy that learns only requests after it last did are read; where the window asks for older ones the verdict
    is *cannot tell*, since the policy may have learnt from what came of them.

    With ``is_candidate`` it is better only if it is also better than what the window's slot serves now.

    Raises:
        ModelError: what the policy ranks by is gone, damaged, or of another release, or it learnt meanwhile.
    """
    learnt = trained_until(connection, policy)
    if learnt is not None and window.from_at is None:
        window = replace(window, from_at=learnt + timedelta(microseconds=1))
    progress("log")
    logged = read_log(connection, window)
    target = propose(connection, policy, logged, seed, progress)
    progress("estimates")
    found = evaluate(logged.log, target, form=form, n_rejected=logged.n_rejected, n_resamples=N_RESAMPLES, seed=seed)
    if trained_until(connection, policy) != learnt:
        raise ModelError(
            f"Policy '{policy.policy}' learnt while it was evaluated: try again, if need be without workers."
        )
    if learnt is not None:
        found = _minding(found, policy, learnt, window.from_at)
    if is_candidate and found.verdict == "better":
        present = _present(connection, window.slot or "default", logged, seed)
        found = against_served(found, logged.log, target, present, form)
    decides = found.decides
    row = {
        "policy_no": policy.ranking_policy_no,
        "slot": window.slot or "every slot",
        "logging_policy": ", ".join(logged.policies) or "nothing",
        "from_at": window.from_at,
        "until_at": window.until_at,
        "estimator": f"{form} dr",
        "value": None if decides is None else decides.value,
        "lo": None if decides is None else decides.lo,
        "hi": None if decides is None else decides.hi,
        "logging_value": None if found.logged is None else found.logged.value,
        "effective_size": None if decides is None else decides.effective_size,
        "n_requests": found.n_requests,
        "verdict": found.verdict,
        "reason": found.reason,
        "estimates": Jsonb(described(found)),
    }
    number = connection.execute(QUERIES["add_policy_evaluation"], finite(row)).fetchone()
    assert number is not None
    return number[0], found


def _present(connection: psycopg.Connection[Any], slot: str, logged: Logged, seed: int) -> SlateTarget:
    """What a slot would do now in logged requests: its ranking policy, or the order of their pools."""
    served = connection.execute(QUERIES["served_policy"], {"slot": slot}).fetchone()
    scores, explore = None, 0.0
    if served is not None and served[0] is not None:
        policy = find_policy(connection, served[0])
        scores, explore = scores_of(connection, policy, logged.requests), explored_by(policy)
    return target_of(logged.log, logged.requests.pools, scores, explore, seed=seed)


def _minding(found: Evaluation, policy: Policy, learnt: datetime, from_at: datetime | None) -> Evaluation:
    """An evaluation that minds what the policy has learnt from."""
    told = f"policy '{policy.policy}' has learnt from what came until {learnt:%Y-%m-%d %H:%M:%S%z}"
    if from_at is not None and from_at < learnt:
        reason = f"{told}, so it may know what came of older requests: leave --from out, or train on an earlier split."
        return replace(found, verdict="cannot tell", reason=reason)
    if not found.n_requests:
        return replace(found, reason=f"{found.reason.removesuffix('.')} after that: {told}.")
    return found


def described(found: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON; numbers that are none are null."""
    logged = [] if found.logged is None else [found.logged]
    return finite(
        {
            "estimates": [asdict(estimate) for estimate in (*logged, *found.estimates)],
            "support": None if found.support is None else asdict(found.support),
            "clipping": [asdict(clipped) for clipped in found.clipping],
            "n_rejected": found.n_rejected,
        }
    )


def finite(value: Any) -> Any:
    """A value with None in place of numbers that are NaN or infinite, which neither JSON nor a reader could use."""
    if isinstance(value, dict):
        return {key: finite(held) for key, held in value.items()}
    if isinstance(value, list):
        return [finite(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def serve_policy(
    connection: psycopg.Connection[Any],
    slot: str,
    policy: Policy | None,
    action: Literal["promote", "force", "withdraw"],
    reason: str,
    evaluation_no: int | None = None,
) -> str | None:
    """Have a policy, or none, order what a slot serves, and record the decision; the name of what it replaces.

    Raises:
        NotFoundError: nothing is released in the slot.
        InputError: there is nothing to withdraw.
    """
    with connection.transaction():
        served = connection.execute(QUERIES["served_policy"], {"slot": slot}).fetchone()
        if served is None:
            raise NotFoundError(f"Nothing is released in slot '{slot}': 'recsql run' makes a run and serves it.")
        if policy is None and served[0] is None:
            raise InputError(f"No policy orders what slot '{slot}' serves: there is nothing to withdraw.")
        number = None if policy is None else policy.ranking_policy_no
        connection.execute(QUERIES["serve_policy"], {"slot": slot, "policy_no": number})
        name = served[0] if policy is None else policy.policy
        record_decision(connection, slot, policy, name, action, reason, evaluation_no)
    return served[0]


def record_decision(
    connection: psycopg.Connection[Any],
    slot: str,
    policy: Policy | None,
    name: str,
    action: str,
    reason: str,
    evaluation_no: int | None,
) -> None:
    """Keep what was decided about a policy."""
    decision = {
        "slot": slot,
        "policy_no": None if policy is None else policy.ranking_policy_no,
        "policy": name,
        "evaluation_no": evaluation_no,
        "action": action,
        "reason": reason,
    }
    connection.execute(QUERIES["add_policy_decision"], decision)


def promote_policy(
    connection: psycopg.Connection[Any],
    policy: Policy,
    window: Window,
    is_forced: bool = False,
    form: Form = "position",
    seed: int = 0,
    progress: Callable[[str], None] = lambda stage: None,
) -> dict[str, Any]:
    """Evaluate a policy anew and have it order what the slot serves if it is better than what was logged and served.

    Args:
        connection: in autocommit mode, so that a refusal is recorded.
        policy: which.
        window: which part of the log is read; its slot is where the policy is to serve.
        is_forced: whether to serve it whatever the verdict.
        form: which form of DR decides.
        seed: of folds and resamples.
        progress: told what is being done.

    Returns:
        ``action``, ``verdict``, ``reason``, ``evaluation_no`` and ``replaced``, the name of the policy before.

    Raises:
        InputError: it is not shown to be better, and not forced; the refusal is recorded.
        NotFoundError: nothing is released in the slot.
    """
    slot = window.slot or "default"
    served = connection.execute(QUERIES["served_policy"], {"slot": slot}).fetchone()
    if not served:
        raise NotFoundError(f"Nothing is released in slot '{slot}': 'recsql run' makes a run and serves it.")
    if served[0] == policy.policy:
        raise InputError(f"Policy '{policy.policy}' orders what slot '{slot}' serves already.")
    try:
        number, found = evaluate_policy(connection, policy, window, form, seed, progress, is_candidate=True)
    except ModelError as error:
        # What cannot be ranked by cannot be served either, forced or not.
        record_decision(connection, slot, policy, policy.policy, "refuse", str(error), None)
        raise
    verdict, reason = found.verdict, found.reason
    if verdict != "better" and not is_forced:
        record_decision(connection, slot, policy, policy.policy, "refuse", f"{verdict}: {reason}", number)
        raise InputError(
            f"Policy '{policy.policy}' is not promoted: {verdict}, {reason} --force serves it all the same."
        )
    action: Literal["promote", "force"] = "promote" if verdict == "better" else "force"
    replaced = serve_policy(connection, slot, policy, action, f"{verdict}: {reason}", number)
    return {
        "policy": policy.policy,
        "slot": slot,
        "action": action,
        "verdict": verdict,
        "reason": reason,
        "evaluation_no": number,
        "replaced": replaced,
    }
