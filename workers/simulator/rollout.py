"""Sessions under a policy: what it earns, and the log that it leaves."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recsql.errors import InputError
from workers.models.base import FloatArray, IntArray
from workers.simulator.environment import Environment, State
from workers.simulator.policies import RankingPolicy, Slates
from workers.simulator.world import Array

_USERS_AT_ONCE = 2000

Told = Callable[[int, int], None]
"""``told(done, total)`` is called with numbers of sessions."""


@dataclass(frozen=True)
class Log:
    """Requests in the order of user, session and step, and what users found without us.

    Attributes:
        users: row of the user of each request, shape ``(n_requests,)``.
        sessions: which session of the user, from 0, of the same shape.
        steps: which request of the session, from 0.
        seconds: when, since 1970.
        slates: what was shown, rows as the requests.
        clicks: what was clicked, shape ``(n_requests, slate_size)``.
        organic_users: user rows, shape ``(n_organic,)``.
        organic_items: item rows that they found.
        organic_seconds: when.
    """

    users: IntArray
    sessions: IntArray
    steps: IntArray
    seconds: IntArray
    slates: Slates
    clicks: NDArray[np.bool_]
    organic_users: IntArray
    organic_items: IntArray
    organic_seconds: IntArray

    @property
    def n_requests(self) -> int:
        """How many requests there are."""
        return len(self.users)


@dataclass(frozen=True)
class Earned:
    """What each session brought, all of shape ``(n_users, n_sessions)``.

    Attributes:
        rewards: clicks.
        lengths: requests.
        shown: items shown.
    """

    rewards: Array
    lengths: Array
    shown: Array


@dataclass
class _Kept:
    """What is kept of a rollout, piece by piece."""

    is_kept: bool
    requests: list[tuple[np.ndarray, ...]] = field(default_factory=list)
    organic: list[tuple[np.ndarray, ...]] = field(default_factory=list)


def roll_out(
    environment: Environment, policy: RankingPolicy, n_sessions: int, told: Told = lambda done, total: None
) -> Earned:
    """Let all users of the world have some sessions, and count.

    Raises:
        InputError: there are no sessions.
    """
    return _roll(environment, policy, n_sessions, told, _Kept(False))


def record(
    environment: Environment, policy: RankingPolicy, n_sessions: int, told: Told = lambda done, total: None
) -> tuple[Earned, Log]:
    """As :func:`roll_out`, with the log."""
    kept = _Kept(True)
    earned = _roll(environment, policy, n_sessions, told, kept)
    columns = [np.concatenate(column) for column in zip(*kept.requests, strict=True)]
    order = np.lexsort(columns[2::-1])
    users, sessions, steps, seconds, pools, scores, ranks, propensities, conditionals, clicks = (
        column[order] for column in columns
    )
    organic = [np.concatenate(column) for column in zip(*kept.organic, strict=True)]
    slates = Slates(pools, scores, ranks, propensities, conditionals)
    return earned, Log(users, sessions, steps, seconds, slates, clicks, organic[0], organic[1], organic[2])


def _roll(environment: Environment, policy: RankingPolicy, n_sessions: int, told: Told, kept: _Kept) -> Earned:
    if n_sessions < 1:
        raise InputError(f"{n_sessions} sessions cannot be simulated; take at least 1")
    n_users = environment.world.n_users
    earned = Earned(*(np.zeros((n_users, n_sessions)) for _ in range(3)))
    done = 0
    for first in range(0, n_users, _USERS_AT_ONCE):
        state = environment.newcomers(np.arange(first, min(first + _USERS_AT_ONCE, n_users)))
        for _ in range(n_sessions):
            state, found = environment.begin_session(state)
            if kept.is_kept:
                ages = environment.config.request_seconds * np.arange(found.shape[1], 0, -1)
                seconds = (state.second[:, None] - ages).ravel()
                kept.organic.append((np.repeat(state.users, found.shape[1]), found.ravel(), seconds))
            _live(environment, policy, state, earned, kept)
            done += len(state.users)
            told(done, n_users * n_sessions)
    return earned


def _live(environment: Environment, policy: RankingPolicy, state: State, earned: Earned, kept: _Kept) -> None:
    """Let one session of some users go by; the state is theirs afterwards."""
    rows = np.flatnonzero(~environment.is_over(state))
    while len(rows):
        now = state.take(rows)
        slates = policy.show(environment, now, environment.pools(now))
        items = slates.items
        clicks = environment.respond(now, environment.attraction(now, items))
        if kept.is_kept:
            parts = (slates.pools, slates.scores, slates.ranks, slates.propensities, slates.conditionals)
            kept.requests.append((now.users, now.session, now.step, now.second, *parts, clicks))
        earned.rewards[now.users, now.session] += clicks.sum(1)
        earned.lengths[now.users, now.session] += 1
        earned.shown[now.users, now.session] += items.shape[1]
        after = environment.advance(now, items, clicks)
        state.put(rows, after)
        rows = rows[~environment.is_over(after)]


def interval(per_user: FloatArray | Array, level: float = 1.959964) -> tuple[float, float, float]:
    """Mean over users with its 95 % interval, from the spread between users, who are independent.

    Args:
        per_user: one value a user, shape ``(n_users,)``.
        level: standard errors to either side.

    Returns:
        Mean, lower and upper end; of a single user the ends are NaN.
    """
    mean, n = float(per_user.mean()), len(per_user)
    error = level * float(per_user.std(ddof=1)) / n**0.5 if n > 1 else float("nan")
    return mean, mean - error, mean + error
