"""The part of ``benchmarks.simulator`` that lets policies live with users."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import stats

from workers.models.base import TrainingData, TrainingOptions
from workers.simulator.comparison import learn_model
from workers.simulator.config import SimulatorConfig
from workers.simulator.environment import Environment
from workers.simulator.policies import ModelPolicy, OraclePolicy, RandomPolicy, RankingPolicy, RowPolicy
from workers.simulator.rollout import Earned, record, roll_out
from workers.simulator.training import Chain, training_data
from workers.simulator.world import World, simulated_world

N_USERS, N_ITEMS, LOG_SESSIONS = 3000, 120, 10
N_EVALUATED, EVALUATION_SESSIONS = 2000, 2
EXPLORE = 0.5

VARIANTS: dict[str, dict[str, Any]] = {
    "no_satiation": {"satiation": 0.0},
    "no_quality": {"bonus": 0.0},
    "neither": {"satiation": 0.0, "bonus": 0.0, "boredom": 0.0},
    "no_clickbait": {"clickbait": 0.0},
}
"""What is changed in the environment, to see what the ratio is due to."""

Told = Callable[[str], None]


@dataclass(frozen=True)
class Learner:
    """What is trained.

    Attributes:
        model: its name in the registry.
        config: hyperparameters, chosen on seeds from 100 on, which the report does not use.
        chain: as of :func:`training_data`.
    """

    model: str
    config: dict[str, Any]
    chain: Chain = "request"


_STATE = {"network": "gru", "dim": 32, "hidden_dim": 32, "max_length": 20, "batch_tokens": 2048, "warmup_steps": 20,
          "learning_rate": 0.01, "average": 0.98, "epochs": 5}  # fmt: skip
GREEDY = "greedy"
LEARNERS: dict[str, Learner] = {
    GREEDY: Learner("q_learning", {**_STATE, "discount": 0.0}),
    "slate_q": Learner("slate_q", _STATE, "impression"),
    "gru4rec": Learner("gru4rec", {"dim": 32, "hidden_dim": 32, "max_length": 20, "batch_tokens": 2048, "epochs": 10}),
    "q_learning": Learner("q_learning", {**_STATE, "discount": 0.9, "negatives": 0.0, "epochs": 8}, "slate"),
    "sarsa": Learner("sarsa", {**_STATE, "discount": 0.9, "negatives": 0.0, "epochs": 8}, "slate"),
}


def measure_reward(
    seed: int, n_seeds: int, told: Told, variant: str | None = None, models: tuple[str, ...] | None = None
) -> dict[str, float]:
    """Clicks a session of every policy, and their ratios to the greedy supervised ranker.

    For each seed: a world; a log of its users under a policy that orders by what all agree on (appeal) and gives half
    of the positions to chance; models trained on this one log; fresh sessions of the same users under each policy, on
    common random numbers. The interval of a mean ratio is Student's over seeds.
    """
    torch.set_num_threads(1)
    config = SimulatorConfig(**VARIANTS[variant] if variant else {})
    names = [name for name in LEARNERS if models is None or name in models or name == GREEDY]
    rewards: dict[str, list[float]] = {}
    lengths: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}
    for nth in range(seed, seed + n_seeds):
        world = simulated_world(config, N_USERS, N_ITEMS, nth)
        logging = RowPolicy("logging", world.appeal, EXPLORE)
        _, log = record(Environment(config, world, 2 * nth), logging, LOG_SESSIONS)
        policies: list[RankingPolicy] = [RandomPolicy(), logging, *_oracles()]
        data: dict[Chain, TrainingData] = {}
        for name in names:
            learner = LEARNERS[name]
            if learner.chain not in data:
                made = training_data(log, world.n_users, world.n_items, learner.chain)
                data[learner.chain] = replace(made, content=_content(world))
            learnt = learn_model(learner.model, data[learner.chain], TrainingOptions(seed=nth), learner.config)
            policies.append(ModelPolicy(name, learnt))
        some = replace(world, interests=world.interests[:N_EVALUATED], patience=world.patience[:N_EVALUATED])
        for policy in policies:
            earned = roll_out(Environment(config, some, 2 * nth + 1), policy, EVALUATION_SESSIONS)
            rewards.setdefault(policy.name, []).append(float(earned.rewards.mean()))
            lengths.setdefault(policy.name, []).append(float(earned.lengths.mean()))
            shares.setdefault(policy.name, []).append(_click_through(earned))
        told(f"{variant or 'default'}, seed {nth}: " + ", ".join(f"{k} {v[-1]:.2f}" for k, v in rewards.items()))
    results: dict[str, float] = {"seeds": float(n_seeds)}
    for name, values in rewards.items():
        results |= _mean(f"{name}.reward", np.array(values))
        results[f"{name}.length"] = float(np.mean(lengths[name]))
        results[f"{name}.click_through"] = float(np.mean(shares[name]))
    for name, values in rewards.items():
        if name != GREEDY:
            results |= _mean(f"{name}.ratio", np.array(values) / np.array(rewards[GREEDY]))
    return results


def _oracles() -> list[RankingPolicy]:
    """What no model can know: the true click probabilities, without and with what comes later."""
    return [OraclePolicy("oracle_greedy"), OraclePolicy("oracle_patient", worth=1.0)]


def _content(world: World) -> Any:
    """What can be seen of an item: its topics and its appeal; not its quality."""
    return np.column_stack([world.topics, world.appeal]).astype(np.float32)


def _click_through(earned: Earned) -> float:
    return float(earned.rewards.sum() / earned.shown.sum())


def _mean(name: str, values: np.ndarray) -> dict[str, float]:
    """Mean over seeds with its 95 % interval; no interval of a single seed."""
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return {name: mean}
    error = float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5)
    return {name: mean, f"{name}.lo": mean - error, f"{name}.hi": mean + error}
