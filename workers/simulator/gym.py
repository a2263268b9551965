"""The simulator as an environment of Gymnasium: one user, one session an episode."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from recsql.errors import InputError
from workers.simulator.config import SimulatorConfig
from workers.simulator.environment import HISTORY, Environment, State
from workers.simulator.world import World, simulated_world


class SlateEnv(gymnasium.Env[dict[str, Any], NDArray[np.int64]]):
    """Choose slates for a user until they have had enough.

    An action is one place of the request's candidates for each position. An item that a slate has twice counts where it
    stands first. The reward is the number of clicks. An episode terminates when the user's patience is gone and is
    truncated after ``config.max_requests`` requests.

    An observation has of the candidates ``items`` (rows of the catalogue), ``topics`` (shares) and ``appeal``, of the
    user ``history`` (what was consumed lately plus 1, the newest last, 0 for nothing), and ``clicks`` on the last
    slate. Interests, satiation, patience and quality are hidden.

    Args:
        config: how users behave.
        world: items and users; 100 users of the simulated catalogue when left out.

    Raises:
        InputError: the catalogue cannot fill a slate.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - so declared by Gymnasium

    def __init__(self, config: SimulatorConfig | None = None, world: World | None = None) -> None:
        self.config = config or SimulatorConfig()
        self.world = world or simulated_world(self.config, 100)
        size, n_pool = self.config.slate_size, self.config.pool_of(self.world.n_items)
        n_items, n_topics = self.world.topics.shape
        self.action_space = spaces.MultiDiscrete(np.full(size, n_pool))
        observed: dict[str, spaces.Space[Any]] = {
            "items": spaces.MultiDiscrete(np.full(n_pool, n_items)),
            "topics": spaces.Box(0.0, 1.0, (n_pool, n_topics), np.float32),
            "appeal": spaces.Box(-10.0, 10.0, (n_pool,), np.float32),
            "history": spaces.MultiDiscrete(np.full(HISTORY, n_items + 1)),
            "clicks": spaces.MultiBinary(size),
        }
        self.observation_space: spaces.Space[dict[str, Any]] = spaces.Dict(observed)
        self._environment: Environment | None = None
        self._state: State | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin a session of a user drawn at random, or of ``options["user"]``, a row of the world.

        Raises:
            InputError: there is no such user.
        """
        super().reset(seed=seed)
        user = (options or {}).get("user", int(self.np_random.integers(self.world.n_users)))
        if not 0 <= user < self.world.n_users:
            raise InputError(f"there is no user {user}; rows are 0 to {self.world.n_users - 1}")
        self._environment = Environment(self.config, self.world, int(self.np_random.integers(2**62)))
        self._state, _ = self._environment.begin_session(self._environment.newcomers(np.array([user])))
        return self._observe(np.zeros(self.config.slate_size, np.bool_)), {"user": user}

    def step(self, action: NDArray[np.int64]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Show a slate.

        Raises:
            InputError: no session has begun.
        """
        if self._environment is None or self._state is None:
            raise InputError("no session has begun; call reset() first")
        items = self._pool[np.asarray(action)][None, :]
        is_first = np.zeros(items.shape, np.bool_)
        is_first[0, np.unique(items[0], return_index=True)[1]] = True
        attraction = self._environment.attraction(self._state, items) * is_first
        clicks = self._environment.respond(self._state, attraction)
        self._state = self._environment.advance(self._state, items, clicks)
        is_terminated = bool(self._state.patience[0] <= 0)
        is_truncated = not is_terminated and bool(self._environment.is_over(self._state)[0])
        info = {"items": items[0], "clicks": clicks[0]}
        return self._observe(clicks[0]), float(clicks.sum()), is_terminated, is_truncated, info

    def _observe(self, clicks: NDArray[np.bool_]) -> dict[str, Any]:
        assert self._environment is not None
        assert self._state is not None
        self._pool = self._environment.pools(self._state)[0].astype(np.int64)
        return {
            "items": self._pool,
            "topics": self.world.topics[self._pool].astype(np.float32),
            "appeal": self.world.appeal[self._pool].astype(np.float32),
            "history": self._state.history[0] + 1,
            "clicks": clicks.astype(np.int8),
        }
