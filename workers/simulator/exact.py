"""What a policy is truly worth: by enumeration where that can be done, else by as long a rollout as it takes."""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from recsql.errors import InputError
from workers.models.base import IntArray
from workers.simulator.config import SimulatorConfig
from workers.simulator.environment import Environment, State
from workers.simulator.exploration import marginals
from workers.simulator.policies import RankingPolicy
from workers.simulator.rollout import roll_out
from workers.simulator.world import Array, World

MOST_STATES = 500_000
"""States that an enumeration keeps at once, before equal ones are merged."""
_CELLS = 4_000_000
_DECIMALS = 9


@dataclass(frozen=True)
class Value:
    """What a session is worth.

    Attributes:
        reward: expected clicks of a session.
        length: expected requests of a session.
        precision: half of the 95 % interval of the reward; 0 by enumeration.
    """

    reward: float
    length: float
    precision: float = 0.0


def session_value(environment: Environment, policy: RankingPolicy, state: State) -> Value:
    """The expected reward of the sessions that some users are in, averaged over them, by enumeration.

    Forward dynamic programming: from the distribution of states before a request, over all slates that the policy may
    show and all clicks that may come, to the distribution after it; equal states are merged. Nothing is drawn.

    Args:
        environment: its requests have the whole catalogue for a pool, so that no chance is in it.
        policy: any that is not changed by being asked.
        state: users whose sessions have begun, shape ``(n,)``.

    Raises:
        InputError: candidates are drawn, or there are too many states.
    """
    if environment.pool_size != environment.world.n_items:
        raise InputError("candidates are drawn at random here: no enumeration; take pool_size=None, or long rollouts")
    n, size = len(state.users), environment.config.slate_size
    ranks, chances = slates_of(environment.pool_size, size, policy.explore)
    origin, mass = np.arange(n), np.full(n, 1.0 / n)
    reward = length = 0.0
    while len(mass):
        if len(mass) * len(ranks) * 2**size > MOST_STATES:
            raise InputError(
                f"{len(mass):,} states with {len(ranks):,} slates each are too many to enumerate; take fewer items, "
                "shorter slates or less patience, or long rollouts"
            )
        length += float(mass.sum())
        ordered, _ = policy.order(environment, state, environment.pools(state))
        row = np.repeat(np.arange(len(mass)), len(ranks))
        items = ordered[row[:, None], np.tile(ranks, (len(mass), 1))]
        mass = mass[row] * np.tile(chances, len(mass))
        state, origin = state.take(row), origin[row]
        attraction = environment.attraction(state, items)
        parts = []
        for pattern in product((False, True), repeat=size):
            clicks = np.broadcast_to(np.array(pattern), items.shape)
            weight = mass * _chance_of(environment.config, attraction, pattern)
            reward += float(weight.sum()) * sum(pattern)
            after = environment.advance(state, items, clicks)
            goes_on = ~environment.is_over(after) & (weight > 0)
            parts.append((after.take(goes_on), weight[goes_on], origin[goes_on]))
        state, mass, origin = _merged(parts, policy.reads_history)
    return Value(reward, length)


def request_values(environment: Environment, policy: RankingPolicy, state: State, pools: IntArray) -> Array:
    """The expected clicks of one request each, given its candidates, without drawing anything; shape ``(n,)``.

    Position model: ``Σ_k attention^(k-1) Σ_r P(rank r at k) c_r``. Cascade: over all slates.
    """
    c = environment.config
    ordered, _ = policy.order(environment, state, pools)
    attraction = environment.attraction(state, ordered)
    if c.examination == "position":
        table = marginals(pools.shape[1], c.slate_size, policy.explore)
        return attraction @ (table * c.attention ** np.arange(c.slate_size)).sum(1)
    ranks, chances = slates_of(pools.shape[1], c.slate_size, policy.explore)
    values = np.empty(len(pools))
    at_once = max(1, _CELLS // ranks.size)
    for first in range(0, len(pools), at_once):
        part = attraction[first : first + at_once][:, ranks]
        clicks = environment.click_probabilities(part.reshape(-1, c.slate_size)).sum(1)
        values[first : first + at_once] = clicks.reshape(-1, len(ranks)) @ chances
    return values


def long_run_value(
    config: SimulatorConfig,
    world: World,
    policy: RankingPolicy,
    precision: float,
    n_sessions: int = 1,
    seed: int = 0,
    most_rollouts: int = 1000,
) -> Value:
    """The mean over the world's users and their first sessions, by rollouts until it is known precisely enough.

    Args:
        config: of the environment.
        world: its users are the population, all of whom take part in each rollout.
        policy: whose value it is.
        precision: half of the 95 % interval of the reward that is asked for.
        n_sessions: of each user.
        seed: of the first rollout; the others take those that follow.
        most_rollouts: after so many it ends all the same; the value tells how precise it is.

    Raises:
        InputError: the precision is not above 0, or there are no sessions.
    """
    if not precision > 0:
        raise InputError(f"a precision is above 0, not {precision}")
    rewards, lengths, reached = [], [], np.inf
    for nth in range(most_rollouts):
        earned = roll_out(Environment(config, world, seed + nth), policy, n_sessions)
        rewards.append(earned.rewards.mean())
        lengths.append(earned.lengths.mean())
        if nth >= 4:
            reached = float(stats.t.ppf(0.975, nth) * np.std(rewards, ddof=1) / (nth + 1) ** 0.5)
            if reached <= precision:
                break
    return Value(float(np.mean(rewards)), float(np.mean(lengths)), reached)


def slates_of(n_pool: int, size: int, explore: float) -> tuple[IntArray, Array]:
    """All slates of the stated distribution, as ranks from 0, and their probabilities.

    Returns:
        Shapes ``(n_slates, size)`` and ``(n_slates,)``.
    """
    if explore == 0:
        return np.arange(size)[None, :], np.ones(1)
    ranks = np.array(list(permutations(range(n_pool), size)))
    chances, is_free = np.ones(len(ranks)), np.ones((len(ranks), n_pool), np.bool_)
    for position in range(size):
        shown = ranks[:, position]
        chances *= (1.0 - explore) * (shown == is_free.argmax(1)) + explore / (n_pool - position)
        is_free[np.arange(len(ranks)), shown] = False
    return ranks[chances > 0], chances[chances > 0]


def _chance_of(config: SimulatorConfig, attraction: Array, pattern: tuple[bool, ...]) -> Array:
    """Probability of just these clicks on each slate, shape ``(n,)`` for ``attraction`` of ``(n, slate_size)``."""
    if config.examination == "position":
        clicked = attraction * config.attention ** np.arange(len(pattern))
        return np.where(pattern, clicked, 1.0 - clicked).prod(1)
    # With the clicks so far, and the user still looking or not any more.
    looking, gone = np.ones(len(attraction)), np.zeros(len(attraction))
    for attracted, is_click in zip(attraction.T, pattern, strict=True):
        looking = looking * (attracted if is_click else 1.0 - attracted)
        onward = config.after_click if is_click else config.attention
        gone = (0.0 if is_click else gone) + looking * (1.0 - onward)
        looking = looking * onward
    return looking + gone


def _merged(parts: list[tuple[State, Array, IntArray]], with_history: bool) -> tuple[State, Array, NDArray[np.int64]]:
    """The parts as one, equal states as one with the sum of their masses."""
    mass = np.concatenate([part[1] for part in parts])
    origin = np.concatenate([part[2] for part in parts])
    names = vars(parts[0][0])
    state = State(**{name: np.concatenate([getattr(part[0], name) for part in parts]) for name in names})
    columns = [origin[:, None], state.patience[:, None], state.satiation]
    if with_history:
        columns.append(state.history)
    if not len(mass):
        return state, mass, origin
    keys = np.round(np.concatenate(columns, axis=1), _DECIMALS)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return state.take(first), np.bincount(group.ravel(), mass).astype(np.float64), origin[first]
