"""How simulated users look at slates, click, tire and come back."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from workers.models.base import IntArray
from workers.simulator.chance import Chance
from workers.simulator.config import SimulatorConfig
from workers.simulator.world import Array, World

HISTORY = 50
"""Of how many consumed items a user's state keeps track."""
START = 1_735_689_600
"""Seconds since 1970 of the first possible session: 2025-01-01T00:00:00Z."""


@dataclass(frozen=True)
class State:
    """Users in the midst of sessions; the first axis of every array is the users.

    Attributes:
        users: rows of the world's users, shape ``(n,)``.
        session: which session of the user it is, from 0, shape ``(n,)``.
        step: which request of the session, from 0, shape ``(n,)``.
        second: seconds since 1970, shape ``(n,)``.
        interests: in each topic now, shape ``(n, n_topics)``.
        satiation: with each topic, in consumed items, shape ``(n, n_topics)``.
        patience: what is left; the session is over at 0, shape ``(n,)``.
        consumed: what was consumed in the session, shape ``(n, n_items)``, bool.
        history: the newest consumed items, the newest last, -1 before the first, shape ``(n, HISTORY)``.
        times: when they were consumed, of the same shape.
    """

    users: IntArray
    session: IntArray
    step: IntArray
    second: IntArray
    interests: Array
    satiation: Array
    patience: Array
    consumed: NDArray[np.bool_]
    history: IntArray
    times: IntArray

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "State":
        """Some of the rows."""
        return State(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def put(self, rows: NDArray[np.integer], other: "State") -> None:
        """Write other rows over some of these."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)


class Environment:
    """The behaviour of users, many at once.

    With interests p, satiation s, and of item i topics x_i, appeal a_i and quality q_i, an item that is examined is
    clicked, and so consumed, with probability ``c_i = logistic(base + taste p·x_i + appeal a_i - satiation s·x_i)``.
    Whatever is clicked in a request counts for what comes after it::

        s ← fading s + Σ x_i
        patience ← patience - effort - boredom [nothing was clicked] + bonus Σ q_i

    Between sessions ``s ← s 2^(-hours / recovery)`` and, with m a user's mean interests and ε standard normal,
    ``p ← m + persistence (p - m) + drift sqrt(1 - persistence²) ε``.

    Args:
        config: the numbers in it.
        world: items and users.
        seed: of what happens; the world has its own.

    Raises:
        InputError: the catalogue cannot fill a slate.
    """

    def __init__(self, config: SimulatorConfig, world: World, seed: int = 0) -> None:
        self.config, self.world = config, world
        self.pool_size = config.pool_of(world.n_items)
        self.chance = Chance(seed)

    def newcomers(self, users: IntArray) -> State:
        """Users before their first session, shape ``(n,)`` of rows."""
        n, shape = len(users), self.world.topics.shape
        deviation = self.config.drift * self.chance.normals("interests", shape[1], users)
        return State(
            users,
            np.full(n, -1),
            np.zeros(n, np.int64),
            np.full(n, START),
            self.world.interests[users] + deviation,
            np.zeros((n, shape[1])),
            np.zeros(n),
            np.zeros((n, shape[0]), np.bool_),
            np.full((n, HISTORY), -1),
            np.zeros((n, HISTORY), np.int64),
        )

    def begin_session(self, state: State) -> tuple[State, IntArray]:
        """The next session of each user.

        Returns:
            The state, and what each user found without us, shape ``(n, config.organic)``.
        """
        c, session = self.config, state.session + 1
        keys = (state.users, session)
        hours = 1.0 - (c.session_gap - 1.0) * np.log(self.chance.uniforms("gap", 1, *keys)[:, 0])
        mean = self.world.interests[state.users]
        noise = c.drift * np.sqrt(1.0 - c.persistence**2) * self.chance.normals("drift", mean.shape[1], *keys)
        begun = replace(
            state,
            session=session,
            step=np.zeros_like(state.step),
            second=state.second + (3600 * np.maximum(hours, 1.0)).astype(np.int64),
            interests=mean + c.persistence * (state.interests - mean) + noise,
            satiation=state.satiation * 2.0 ** (-hours / c.recovery)[:, None],
            patience=self.world.patience[state.users].copy(),
            consumed=np.zeros_like(state.consumed),
        )
        if not c.organic:
            return begun, np.empty((len(session), 0), np.int64)
        # Gumbel's trick draws without replacement from the softmax of interest.
        gumbel = -np.log(-np.log(self.chance.uniforms("organic", self.world.n_items, *keys)))
        liking = c.taste * begun.interests - c.satiation * begun.satiation
        found = np.argsort(-(liking @ self.world.topics.T + gumbel), axis=1)[:, : c.organic]
        for column in range(c.organic):
            begun = self._consume(begun, found[:, [column]], np.ones((len(found), 1), np.bool_))
            begun = replace(begun, second=begun.second + c.request_seconds)
        return begun, found

    def pools(self, state: State) -> IntArray:
        """Candidates of each user's next request, in no order that means anything, shape ``(n, pool_size)``."""
        n_items = self.world.n_items
        if self.pool_size == n_items and self.config.repeats:
            return np.broadcast_to(np.arange(n_items), (len(state.users), n_items))
        order = self.chance.uniforms("pool", n_items, state.users, state.session, state.step)
        if not self.config.repeats:
            # What was consumed only comes where there is nothing else.
            order = order + state.consumed
        if self.pool_size == n_items:
            return np.argsort(order, axis=1)
        return np.argpartition(order.astype(np.float32), self.pool_size - 1, axis=1)[:, : self.pool_size]

    def attraction(self, state: State, items: IntArray) -> Array:
        """Probability of a click on each item if it is examined, of the shape of ``items``: ``(n, any)``."""
        c = self.config
        liking = c.taste * state.interests - c.satiation * state.satiation
        logits = np.einsum("nt,nkt->nk", liking, self.world.topics[items])
        return expit(c.base + logits + c.appeal * self.world.appeal[items])

    def click_probabilities(self, attraction: Array) -> Array:
        """Probability of a click at each position of a slate, shape ``(n, slate_size)`` as the argument.

        Position model: ``attention^(k-1) c_k``. Cascade: ``e_k c_k`` with ``e_1 = 1`` and
        ``e_{k+1} = e_k (c_k after_click + (1 - c_k) attention)``.

        References:
            Craswell et al., An experimental comparison of click position-bias models, WSDM 2008; Guo et al., Efficient
            multiple-click models in web search, WSDM 2009.
        """
        c, examined = self.config, np.ones(len(attraction))
        clicks = np.empty_like(attraction)
        for position, attracted in enumerate(attraction.T):
            clicks[:, position] = examined * attracted
            if c.examination == "cascade":
                examined = examined * (attracted * c.after_click + (1.0 - attracted) * c.attention)
            else:
                examined = examined * c.attention
        return clicks

    def respond(self, state: State, attraction: Array) -> NDArray[np.bool_]:
        """What users click on, given how attractive the items of their slates are; of the same shape."""
        c, n = self.config, attraction.shape[1]
        draws = self.chance.uniforms("response", 2 * n, state.users, state.session, state.step)
        wanted = draws[:, :n] < attraction
        if c.examination == "position":
            return wanted & (draws[:, n:] < c.attention ** np.arange(n))
        examined = np.ones(len(attraction), np.bool_)
        for position in range(n):
            wanted[:, position] &= examined
            onward = np.where(wanted[:, position], c.after_click, c.attention)
            examined &= draws[:, n + position] < onward
        return wanted

    def advance(self, state: State, items: IntArray, clicks: NDArray[np.bool_]) -> State:
        """The state after a request, given its slate and what was clicked, both of shape ``(n, slate_size)``."""
        c = self.config
        given = c.bonus * (self.world.quality[items] * clicks).sum(1)
        after = replace(
            state,
            step=state.step + 1,
            satiation=c.fading * state.satiation,
            patience=state.patience - c.effort - c.boredom * ~clicks.any(1) + given,
        )
        return replace(self._consume(after, items, clicks), second=state.second + c.request_seconds)

    def is_over(self, state: State) -> NDArray[np.bool_]:
        """Whose session has ended, shape ``(n,)``."""
        return (state.patience <= 0) | (state.step >= self.config.max_requests)

    def _consume(self, state: State, items: IntArray, clicks: NDArray[np.bool_]) -> State:
        history, times, consumed = state.history.copy(), state.times.copy(), state.consumed.copy()
        for column in range(items.shape[1]):
            rows = np.flatnonzero(clicks[:, column])
            history[rows, :-1], history[rows, -1] = history[rows, 1:], items[rows, column]
            times[rows, :-1], times[rows, -1] = times[rows, 1:], state.second[rows] + column
            consumed[rows, items[rows, column]] = True
        added = (self.world.topics[items] * clicks[:, :, None]).sum(1)
        return replace(state, satiation=state.satiation + added, history=history, times=times, consumed=consumed)
