"""Ways of ordering the candidates of a request, and slates drawn from an order by the stated distribution."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from recsql.errors import InputError
from workers.models.base import FloatArray, IntArray, Model, Sequences
from workers.simulator.environment import Environment, State
from workers.simulator.exploration import draw, marginals
from workers.simulator.world import Array


@dataclass(frozen=True)
class Slates:
    """What a policy shows.

    Attributes:
        pools: candidates, the best first, shape ``(n, pool_size)``.
        scores: their scores, of the same shape, -inf where the policy has none.
        ranks: rank in the pool of the item at each position, from 0, shape ``(n, slate_size)``.
        propensities: with which probability the policy shows the item at this position, of the same shape.
        conditionals: the same, given what it shows above.
    """

    pools: IntArray
    scores: FloatArray
    ranks: IntArray
    propensities: Array
    conditionals: Array

    @property
    def items(self) -> IntArray:
        """What is shown, shape ``(n, slate_size)``."""
        return np.take_along_axis(self.pools, self.ranks, axis=1)


class RankingPolicy(ABC):
    """Orders candidates by a score, and gives each position with probability ``explore`` to one of those left.

    Args:
        name: as logs call it.
        explore: 0 is the order itself, 1 chance alone.

    Raises:
        InputError: explore is no probability.
    """

    reads_history: ClassVar[bool] = False
    """Whether the order depends on the very items that were consumed."""

    def __init__(self, name: str, explore: float = 0.0) -> None:
        if not 0.0 <= explore <= 1.0:
            raise InputError(f"explore is a probability from 0 to 1, not {explore}")
        self.name, self.explore = name, explore

    @abstractmethod
    def scores(self, environment: Environment, state: State, pools: IntArray) -> FloatArray:
        """Score of each candidate, higher is better, NaN for those that come last; of the shape of ``pools``."""

    def order(self, environment: Environment, state: State, pools: IntArray) -> tuple[IntArray, FloatArray]:
        """The candidates and their scores, the best first; of equal ones the lower item first."""
        scores = self.scores(environment, state, pools).astype(np.float32)
        scores = np.where(np.isnan(scores), -np.inf, scores)
        order = np.lexsort((pools, -scores), axis=1)
        return np.take_along_axis(pools, order, axis=1), np.take_along_axis(scores, order, axis=1)

    def show(self, environment: Environment, state: State, pools: IntArray) -> Slates:
        """Draw slates, shape of ``pools``: ``(n, pool_size)``."""
        size = environment.config.slate_size
        ordered, scores = self.order(environment, state, pools)
        uniforms = environment.chance.uniforms("explore", 2 * size, state.users, state.session, state.step)
        ranks, conditionals = draw(pools.shape[1], size, self.explore, uniforms)
        table = marginals(pools.shape[1], size, self.explore)
        return Slates(ordered, scores, ranks, table[ranks, np.arange(size)], conditionals)


class RandomPolicy(RankingPolicy):
    """Every slate is as likely as any other."""

    def __init__(self, name: str = "random") -> None:
        super().__init__(name, 1.0)

    def scores(self, environment: Environment, state: State, pools: IntArray) -> FloatArray:
        """All alike."""
        return np.zeros(pools.shape, np.float32)


class OraclePolicy(RankingPolicy):
    """Orders by the true probability of a click on an examined item, ``c_i``, or by what comes after it as well.

    ``score_i = c_i (1 + worth bonus q_i)``: a consumed item gives patience back, of which a unit is worth so much.

    Args:
        name: as logs call it.
        explore: as of :class:`RankingPolicy`.
        worth: clicks that a unit of patience brings later on; 0 is greedy.
    """

    def __init__(self, name: str = "greedy", explore: float = 0.0, worth: float = 0.0) -> None:
        super().__init__(name, explore)
        self.worth = worth

    def scores(self, environment: Environment, state: State, pools: IntArray) -> FloatArray:
        """From the true state."""
        later = 1.0 + self.worth * environment.config.bonus * environment.world.quality[pools]
        return (environment.attraction(state, pools) * later).astype(np.float32)


class ModelPolicy(RankingPolicy):
    """Orders by the scores of a trained model, which sees what users consumed and nothing else.

    Args:
        name: as logs call it.
        model: trained on item rows of the world.
        explore: as of :class:`RankingPolicy`.
    """

    reads_history = True

    def __init__(self, name: str, model: Model, explore: float = 0.0) -> None:
        super().__init__(name, explore)
        self.model = model

    def scores(self, environment: Environment, state: State, pools: IntArray) -> FloatArray:
        """From the histories; NaN for users who have none."""
        return self.model.score(histories(state), pools)


class RowPolicy(RankingPolicy):
    """Orders by a fixed score of each user and item.

    Args:
        name: as logs call it.
        table: shape ``(n_users, n_items)``, or ``(n_items,)`` for all users alike.
        explore: as of :class:`RankingPolicy`.
    """

    def __init__(self, name: str, table: Array, explore: float = 0.0) -> None:
        super().__init__(name, explore)
        self.table = table

    def scores(self, environment: Environment, state: State, pools: IntArray) -> FloatArray:
        """From the table."""
        if self.table.ndim == 1:
            return self.table[pools].astype(np.float32)
        return self.table[state.users[:, None], pools].astype(np.float32)


def histories(state: State) -> Sequences:
    """What users consumed lately, as a model reads it."""
    is_known = state.history >= 0
    offsets = np.concatenate([[0], np.cumsum(is_known.sum(1))])
    sequences = Sequences(state.history[is_known], offsets)
    return replace(sequences, times=state.times[is_known])
