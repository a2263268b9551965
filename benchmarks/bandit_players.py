"""Methods that choose a film each round: at random, by counts, by the bandits of recsql."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from benchmarks.bandit_world import Array, World
from workers.bandits.base import BanditConfig
from workers.bandits.online import OnlinePosterior
from workers.bandits.posterior import Posterior
from workers.bandits.registry import make_bandit
from workers.bandits.thompson import Ensemble, Thompson

N_DRAWS = 32


class Player(ABC):
    """A method in play."""

    @abstractmethod
    def choose(self, now: int, films: NDArray[np.int64], features: Array) -> int:
        """Place of the film to show in the pool."""

    @abstractmethod
    def observe(self, film: int, features: Array, reward: float) -> None:
        """Learn what came of it."""


class Chance(Player):
    """Any film."""

    def __init__(self, world: World, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def choose(self, now: int, films: NDArray[np.int64], features: Array) -> int:
        """Any."""
        return int(self._rng.integers(len(films)))

    def observe(self, film: int, features: Array, reward: float) -> None:
        """Nothing."""


class Counts(Player):
    """Films by their clicks alone.

    Args:
        world: whose films are counted.
        seed: of what is random.
        constant: of UCB1, how many times sqrt(2 ln t / n) is added; None for Thompson sampling of a beta distribution.
    """

    def __init__(self, world: World, seed: int, constant: float | None) -> None:
        self._shown, self._clicks = np.zeros(len(world.arrivals)), np.zeros(len(world.arrivals))
        self._rng, self._constant = np.random.default_rng(seed), constant

    def choose(self, now: int, films: NDArray[np.int64], features: Array) -> int:
        """The best by what was counted; what was not shown yet comes first with UCB1."""
        shown, clicks = self._shown[films], self._clicks[films]
        if self._constant is None:
            return int(np.argmax(self._rng.beta(1 + clicks, 1 + shown - clicks)))
        if (shown == 0).any():
            return int(np.argmin(shown))
        return int(np.argmax(clicks / shown + self._constant * np.sqrt(2 * np.log(now + 1) / shown)))

    def observe(self, film: int, features: Array, reward: float) -> None:
        """Count."""
        self._shown[film] += 1
        self._clicks[film] += reward


class Contextual(Player):
    """A bandit of recsql.

    Args:
        world: whose films it is to know.
        seed: of what is random.
        config: its options.
        epsilon: how often any film is shown.
        batch: rounds between updates of what is served.
    """

    def __init__(self, world: World, seed: int, config: BanditConfig, epsilon: float = 0.0, batch: int = 1) -> None:
        self._bandit, self._rng = make_bandit(config), np.random.default_rng(seed)
        self._online = OnlinePosterior(len(world.arrivals), world.features.shape[2], config.ridge, config.shrinkage)
        self._epsilon, self._batch = epsilon, batch
        self._waiting: list[tuple[int, Array, float]] = []
        self._served()

    def _served(self) -> None:
        for seen in self._waiting:
            self._online.observe(*seen)
        self._waiting.clear()
        self._posterior: Posterior = self._online.posterior()
        self._ensemble: Ensemble | None = None
        if self._batch > 1 and isinstance(self._bandit, Thompson):
            self._ensemble = self._bandit.draw(self._posterior, N_DRAWS, self._rng)

    def choose(self, now: int, films: NDArray[np.int64], features: Array) -> int:
        """The best by the posterior that is served."""
        if self._rng.random() < self._epsilon:
            return int(self._rng.integers(len(films)))
        if self._ensemble is not None and isinstance(self._bandit, Thompson):
            scores = self._bandit.draw_scores(self._posterior, self._ensemble, features, films)
            return int(np.argmax(scores[self._rng.integers(N_DRAWS)]))
        return int(np.argmax(self._bandit.scores(self._posterior, features, films, self._rng)))

    def observe(self, film: int, features: Array, reward: float) -> None:
        """Learn, in batches."""
        self._waiting.append((film, features, reward))
        if len(self._waiting) >= self._batch:
            self._served()
