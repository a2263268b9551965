"""What policies earn, side by side."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsql.errors import InputError
from workers.models.base import Model, TrainingData, TrainingOptions
from workers.models.registry import MODELS, get_model
from workers.simulator.policies import OraclePolicy, RandomPolicy, RankingPolicy, RowPolicy
from workers.simulator.rollout import Earned, interval
from workers.simulator.world import Array, World

KNOWN = ("random", "popular", "greedy", "patient")
"""Policies that are not learnt: all alike, by appeal, by the true probability of a click, and by that and what a
consumed item's quality brings later on."""

_WORTH = 1.0
"""Clicks that the patient policy takes a unit of patience to bring."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value: mean, or ratio of means.
        lo: lower end; NaN with a single user.
        hi: upper end.
    """

    value: float
    lo: float
    hi: float


@dataclass(frozen=True)
class Compared:
    """What a policy earns.

    Attributes:
        policy: its name.
        reward: clicks a session.
        length: requests a session.
        click_through: clicks an item shown.
        ratio: of its reward to that of the greedy policy for the same users, candidates and draws.
    """

    policy: str
    reward: Estimate
    length: Estimate
    click_through: Estimate
    ratio: Estimate


def make_policy(name: str, world: World, explore: float = 0.0) -> RankingPolicy:
    """A policy that is not learnt.

    Raises:
        InputError: there is none of this name.
    """
    match name:
        case "random":
            return RandomPolicy()
        case "popular":
            return RowPolicy("popular", world.appeal, explore)
        case "greedy":
            return OraclePolicy("greedy", explore)
        case "patient":
            return OraclePolicy("patient", explore, _WORTH)
        case _:
            raise InputError(
                f"there is no policy {name!r}; known are {', '.join(KNOWN)}, and the models that recsql has"
            )


def check_names(names: list[str]) -> None:
    """See that all policies exist.

    Raises:
        InputError: one does not, or none is named.
    """
    if not names:
        raise InputError(f"name a policy: {', '.join(KNOWN)}, or a model")
    for name in names:
        if name not in KNOWN and name not in MODELS:
            raise InputError(f"there is no policy {name!r}; known are {', '.join((*KNOWN, *sorted(MODELS)))}")


def learn_model(name: str, data: TrainingData, options: TrainingOptions, config: dict[str, Any]) -> Model:
    """A model that is trained on a log.

    Args:
        name: of the model.
        data: of the log.
        options: how to train.
        config: hyperparameters that differ from the model's defaults.
    """
    kind = get_model(name)
    model: Model = kind(kind.Config(**config))
    model.fit(data, options)
    return model


def compared(name: str, earned: Earned, greedy: Earned) -> Compared:
    """A policy beside the greedy one; intervals by the spread over users."""
    return Compared(
        name,
        Estimate(*interval(earned.rewards.mean(1))),
        Estimate(*interval(earned.lengths.mean(1))),
        ratio(earned.rewards.sum(1), earned.shown.sum(1)),
        ratio(earned.rewards.sum(1), greedy.rewards.sum(1)),
    )


def ratio(over: Array, under: Array) -> Estimate:
    """Ratio of two means of the same users, with its interval by the delta method, both of shape ``(n_users,)``."""
    n, below = len(over), float(under.mean())
    if below == 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    value = float(over.mean()) / below
    error = float(np.std(over - value * under, ddof=1)) / n**0.5 / below if n > 1 else float("nan")
    return Estimate(value, value - 1.959964 * error, value + 1.959964 * error)
