"""Parts of ``benchmarks.simulator`` that hold off-policy evaluation against the truth."""

from collections.abc import Callable

import numpy as np

from benchmarks.simulator_contexts import Contexts, InformedPolicy, Ranker
from workers.ope.evaluation import evaluate
from workers.simulator.config import SimulatorConfig
from workers.simulator.policies import RandomPolicy, RankingPolicy, RowPolicy
from workers.simulator.world import Array, World, simulated_world

SIZES = (500, 2000, 8000, 32000)
ESTIMATORS = ("ips", "snips", "dm", "dr", "switch_dr", "dr_os")
N_POLICIES = 200

Told = Callable[[str], None]


def _loggers(world: World, seed: int) -> list[RankingPolicy]:
    """Five logging policies, from no knowledge and chance alone to much knowledge and little chance."""
    rng = np.random.default_rng([seed, 1])
    return [
        RandomPolicy(),
        RowPolicy("popular_0.5", world.appeal, 0.5),
        RowPolicy("popular_0.2", world.appeal, 0.2),
        InformedPolicy("informed_0.5", world, 1.0, 0.5, rng),
        InformedPolicy("informed_0.2", world, 1.0, 0.2, rng),
    ]


def measure_ope(seed: int, n_replications: int, told: Told) -> dict[str, float]:
    """Errors and coverage of every estimator: five logging policies, four sizes of log.

    The target policy knows twice as much as the informed ones and explores with 0.1; the population of contexts is,
    for each logging policy, that of its own states.
    """
    config = SimulatorConfig()
    world = simulated_world(config, 1000, seed=seed)
    wanted = InformedPolicy("target", world, 2.0, 0.1, np.random.default_rng([seed, 2]))
    results: dict[str, float] = {}
    better, covered = [], {name: [] for name in ESTIMATORS}
    for policy in _loggers(world, seed):
        contexts = Contexts(config, world, policy, seed, 3)
        target, name = contexts.informed(wanted), policy.name
        results[f"{name}.value"], results[f"{name}.target_value"] = contexts.logging.value, target.value
        for size in SIZES:
            found = _replicated(contexts, target, size, n_replications, seed)
            errors = {}
            for estimator, values in found.items():
                errors[estimator] = float(np.sqrt(((values[:, 0] - target.value) ** 2).mean()))
                inside = (values[:, 1] <= target.value) & (target.value <= values[:, 2])
                results[f"{name}.{size}.{estimator}.rmse"] = errors[estimator]
                results[f"{name}.{size}.{estimator}.coverage"] = float(inside.mean())
                covered[estimator].append(float(inside.mean()))
            better.append(errors["dr"] <= errors["ips"])
            told(f"{name} {size}: " + ", ".join(f"{key} {value:.4f}" for key, value in errors.items()))
    summary = {"cells": float(len(better)), "dr_not_worse_than_ips": float(np.mean(better))}
    for estimator, shares in covered.items():
        summary[f"{estimator}.coverage"] = float(np.mean(shares))
        summary[f"{estimator}.coverage.lowest"] = min(shares)
        summary[f"{estimator}.coverage.highest"] = max(shares)
    return summary | results


def _replicated(contexts: Contexts, target: Ranker, size: int, n_replications: int, seed: int) -> dict[str, Array]:
    """Estimate and interval of each replication, shape ``(n_replications, 3)``, by estimator."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ESTIMATORS}
    for nth in range(n_replications):
        rng = np.random.default_rng([seed, size, nth])
        rows, shown, log = contexts.log(size, rng)
        evaluation = evaluate(log, contexts.target(target, rows, shown, log, nth))
        for name in ESTIMATORS:
            estimate = evaluation.of(name)
            found[name].append((estimate.value, estimate.lo, estimate.hi))
    return {name: np.array(values) for name, values in found.items()}


def measure_gate(seed: int, told: Told) -> dict[str, float]:
    """Which of 200 policies, half of them truly worse than logging, the verdict would let pass.

    A policy knows less than nothing (-0.2) to more than twice as much as the logging one (1.2 to its 0.5) and explores
    with 0.02 to 0.6 (it with 0.4); policies are drawn until there are 100 on either side. Each is judged by a log of
    its own of 4,000 requests, by DR as ``recsql promote`` judges it: promoted where the verdict is *better*.
    """
    config = SimulatorConfig()
    world = simulated_world(config, 1000, seed=seed)
    rng = np.random.default_rng([seed, 3])
    contexts = Contexts(config, world, InformedPolicy("logging", world, 0.5, 0.4, rng), seed, 3)
    logging = contexts.logging
    left = {True: N_POLICIES // 2, False: N_POLICIES // 2}
    verdicts: dict[bool, list[str]] = {True: [], False: []}
    margins: dict[bool, list[float]] = {True: [], False: []}
    while any(left.values()):
        insight, explore = float(rng.uniform(-0.2, 1.2)), float(rng.uniform(0.02, 0.6))
        target = contexts.informed(InformedPolicy("candidate", world, insight, explore, rng))
        is_better = target.value > logging.value
        if not left[is_better]:
            continue
        left[is_better] -= 1
        rows, shown, log = contexts.log(4000, rng)
        seed_of_folds = int(rng.integers(2**31))
        evaluation = evaluate(log, contexts.target(target, rows, shown, log, seed_of_folds))
        verdicts[is_better].append(evaluation.verdict)
        margins[is_better].append(target.value / logging.value)
        if sum(left.values()) % 20 == 0:
            told(f"{N_POLICIES - sum(left.values())} of {N_POLICIES} policies")
    results: dict[str, float] = {"policies": float(N_POLICIES), "logging.value": logging.value}
    for is_better, side in ((False, "worse"), (True, "better")):
        for verdict, label in (("better", "promoted"), ("cannot tell", "cannot_tell"), ("worse", "rejected")):
            results[f"{side}.{label}"] = float(np.mean([one == verdict for one in verdicts[is_better]]))
        results[f"{side}.median_ratio"] = float(np.median(margins[is_better]))
    return results
