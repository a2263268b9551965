"""Requests of a simulation as a contextual slate problem, in which the value of every policy is known exactly.

Contexts are the requests that a logging policy meets: users in the states into which it brings them, with their
candidates. They are put down once and are from then on the whole population; a log draws from it with replacement, so
that its requests are independent and identically distributed, and slates and clicks are drawn anew. What a policy's
slates do to the states that follow is not part of the question: its value is the expected clicks of a request, averaged
over this population, which :func:`request_values` has as a formula (position model).
"""

from dataclasses import dataclass

import numpy as np

from workers.models.base import FloatArray, IntArray
from workers.ope.logs import Array, Pools, SlateLog, SlateTarget
from workers.ope.regression import CrossFitted, pool_features
from workers.simulator.config import SimulatorConfig
from workers.simulator.environment import Environment, State
from workers.simulator.exploration import draw, marginals
from workers.simulator.policies import RankingPolicy
from workers.simulator.rollout import roll_out
from workers.simulator.world import World


class _Watched(RankingPolicy):
    """A policy, and what it was asked."""

    def __init__(self, policy: RankingPolicy) -> None:
        super().__init__(policy.name, policy.explore)
        self.policy = policy
        self.pools: list[IntArray] = []
        self.attraction: list[Array] = []
        self.users: list[IntArray] = []
        self.given: list[FloatArray] = []

    def scores(self, environment: Environment, state: State, pools: IntArray) -> FloatArray:
        """Those of the policy."""
        self.pools.append(pools)
        self.attraction.append(environment.attraction(state, pools))
        self.users.append(state.users)
        self.given.append(self.policy.scores(environment, state, pools))
        return self.given[-1]


class InformedPolicy(RankingPolicy):
    """Knows something of the truth: ``insight logit(c) + ε`` with ε standard normal for each user and item.

    Args:
        name: as logs call it.
        world: items and users.
        insight: how much; 0 is none.
        explore: as of :class:`RankingPolicy`.
        rng: of ε.
    """

    def __init__(self, name: str, world: World, insight: float, explore: float, rng: np.random.Generator) -> None:
        super().__init__(name, explore)
        self.insight = insight
        self.noise = rng.normal(0, 1, (world.n_users, world.n_items))

    def scores(self, environment: Environment, state: State, pools: IntArray) -> FloatArray:
        """From the true state."""
        return self.of(environment.attraction(state, pools), state.users, pools).astype(np.float32)

    def of(self, attraction: Array, users: IntArray, pools: IntArray) -> Array:
        """The same where the attraction is known."""
        return self.insight * np.log(attraction / (1.0 - attraction)) + self.noise[users[:, None], pools]


@dataclass(frozen=True)
class Ranker:
    """A policy on contexts: a score of each candidate, and exploration.

    Attributes:
        order: places of the candidates in its order, shape ``(n_contexts, n_pool)``.
        ranks: rank of each candidate in its order, from 0, of the same shape.
        scores: of the candidates.
        explore: probability of exploring at a position.
        value: its true value, over the whole population.
    """

    order: IntArray
    ranks: IntArray
    scores: Array
    explore: float
    value: float


class Contexts:
    """A population of requests.

    Attributes:
        logging: the policy that leads to them, as the one that logs.

    Args:
        config: of the environment, with the position model.
        world: items and users.
        policy: which leads to them, and logs.
        seed: of the environment.
        n_sessions: of each user.
    """

    def __init__(
        self, config: SimulatorConfig, world: World, policy: RankingPolicy, seed: int, n_sessions: int
    ) -> None:
        self.config, self.world, self.size = config, world, config.slate_size
        watched = _Watched(policy)
        roll_out(Environment(config, world, seed), watched, n_sessions)
        self.pools = np.concatenate(watched.pools)
        self.attraction = np.concatenate(watched.attraction)
        self.users = np.concatenate(watched.users)
        self.examined = config.attention ** np.arange(self.size)
        self.logging = self.ranker(np.concatenate(watched.given).astype(np.float64), policy.explore)

    def ranker(self, scores: Array, explore: float) -> Ranker:
        """A policy by scores, shape ``(n_contexts, n_pool)``."""
        order = np.argsort(-scores, axis=1, kind="stable")
        ranks = np.empty_like(order)
        np.put_along_axis(ranks, order, np.broadcast_to(np.arange(order.shape[1]), order.shape), axis=1)
        chances = marginals(order.shape[1], self.size, explore) @ self.examined
        value = float((np.take_along_axis(self.attraction, order, axis=1) @ chances).mean())
        return Ranker(order, ranks, scores, explore, value)

    def informed(self, policy: InformedPolicy) -> Ranker:
        """An informed policy."""
        return self.ranker(policy.of(self.attraction, self.users, self.pools), policy.explore)

    def log(self, n: int, rng: np.random.Generator) -> tuple[IntArray, IntArray, SlateLog]:
        """Draw a log: rows of contexts, ranks of what was shown in their pools, from 0, and the log itself."""
        ranker = self.logging
        rows, n_pool = rng.integers(0, len(self.pools), n), self.pools.shape[1]
        shown, conditionals = draw(n_pool, self.size, ranker.explore, rng.random((n, 2 * self.size)))
        propensities = marginals(n_pool, self.size, ranker.explore)[shown, np.arange(self.size)]
        places = ranker.order[rows[:, None], shown]
        clicks = rng.random((n, self.size)) < self.attraction[rows[:, None], places] * self.examined
        return rows, shown, SlateLog(clicks.astype(np.float64), propensities, conditionals)

    def target(self, target: Ranker, rows: IntArray, shown: IntArray, log: SlateLog, seed: int) -> SlateTarget:
        """What the target would do with a log's requests, and the rewards that a cross-fitted model expects there."""
        n_pool, positions = self.pools.shape[1], np.arange(self.size)
        order, table = self.logging.order[rows], marginals(self.pools.shape[1], self.size, target.explore)
        # Rank, in the target's order, of the candidates in that of the log.
        ranks = np.take_along_axis(target.ranks[rows], order, axis=1)
        own = np.take_along_axis(ranks, shown, axis=1)
        scores = np.take_along_axis(self.logging.scores[rows], order, axis=1)
        pools = Pools(np.take_along_axis(self.pools[rows], order, axis=1), scores, shown)
        theirs = np.take_along_axis(target.scores[rows], order, axis=1)
        model = CrossFitted(log.rewards, pools, pool_features(pools.items, scores, theirs), seed)
        return SlateTarget(
            table[own, positions],
            _conditionals(own, n_pool, target.explore),
            model.predicted(),
            model.expected(table[ranks]),
        )


def _conditionals(ranks: IntArray, n_pool: int, explore: float) -> Array:
    """Conditional propensities of slates by ranks from 0, both of shape ``(n, size)``."""
    n, size = ranks.shape
    found, is_free = np.empty((n, size)), np.ones((n, n_pool), np.bool_)
    for position in range(size):
        shown = ranks[:, position]
        found[:, position] = (1.0 - explore) * (shown == is_free.argmax(1)) + explore / (n_pool - position)
        is_free[np.arange(n), shown] = False
    return found
