"""What a model may learn from a log."""

from dataclasses import replace
from typing import Literal

import numpy as np

from recsql.errors import InputError
from workers.models.base import Decisions, IntArray, Sequences, TrainingData
from workers.simulator.rollout import Log

Chain = Literal["impression", "request", "slate"]


def training_data(
    log: Log, n_users: int, n_items: int, chain: Chain = "impression", max_steps: int = 1000
) -> TrainingData:
    """Histories of what users consumed, and the decisions that were taken in between.

    An impression is a decision: the item is the action, a click on it the reward. Those of a request for which nothing
    was consumed yet have no state and are left out.

    Args:
        log: of any policy.
        n_users: rows of users.
        n_items: rows of items.
        chain: what comes next: ``impression``, the next position of the slate and then the next request, as
            ``recsql.transition`` has it; or ``request``, the same position of the next request, so that each item is
            credited with the state that its slate led to; or
            ``slate``, the same with the mean clicks of the other positions added to every reward, so that a further
            request is worth a slate and not a position, without the noise of what the others happened to bring.
        max_steps: a session of more decisions is none and left out, as ``recsql.decision_process`` has it.

    Raises:
        InputError: every session has more decisions than that.
    """
    items = log.slates.items
    size = items.shape[1]
    clicked = np.nonzero(log.clicks)
    users = np.concatenate([log.organic_users, log.users[clicked[0]]])
    seconds = np.concatenate([log.organic_seconds, log.seconds[clicked[0]]])
    within = np.concatenate([np.zeros_like(log.organic_users), clicked[1]])
    rows = np.concatenate([log.organic_items, items[clicked]])
    order = np.lexsort((within, seconds, users))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n_users))])
    times = seconds[order] + within[order]
    sequences = Sequences(rows[order], offsets, times=times)
    decisions = _decisions(log, items, _places(log, sequences), size, chain, max_steps)
    return TrainingData(replace(sequences, decisions=decisions), n_items)


def _places(log: Log, sequences: Sequences) -> IntArray:
    """The user's newest interaction before each request, -1 where there is none, shape ``(n_requests,)``."""
    assert sequences.times is not None
    owners = np.repeat(np.arange(sequences.n_users), np.diff(sequences.offsets))
    # One number that ascends with user and time.
    base = min(int(sequences.times.min(initial=0)), int(log.seconds.min(initial=0)))
    span = max(int(sequences.times.max(initial=0)), int(log.seconds.max(initial=0))) - base + 1
    places = np.searchsorted(owners * span + sequences.times - base, log.users * span + log.seconds - base) - 1
    return np.where(places >= sequences.offsets[log.users], places, -1)


def _decisions(log: Log, items: IntArray, places: IntArray, size: int, chain: Chain, max_steps: int) -> Decisions:
    is_first = (np.diff(log.users, prepend=-1) != 0) | (np.diff(log.sessions, prepend=-1) != 0)
    session = np.cumsum(is_first, dtype=np.int64)
    length = np.bincount(session)[session] * size
    if log.n_requests and (length > max_steps).all():
        raise InputError(
            f"every session has more than {max_steps:,} decisions, which is no session; take less patience or a "
            "smaller max_requests"
        )
    is_usable = np.repeat((places >= 0) & (length <= max_steps), size)
    flat_session = np.repeat(session, size)[is_usable]
    flat_places = np.repeat(places, size)[is_usable]
    flat_items = items.ravel()[is_usable]
    ahead = 1 if chain == "impression" else size
    goes_on = np.zeros(len(flat_session), np.bool_)
    goes_on[:-ahead] = flat_session[ahead:] == flat_session[:-ahead]
    rewards = log.clicks.astype(np.float32)
    if chain == "slate":
        rewards += (size - 1) * rewards.mean()
    return Decisions(
        flat_places,
        flat_items,
        rewards.ravel()[is_usable],
        np.where(goes_on, np.roll(flat_places, -ahead), -1),
        np.where(goes_on, np.roll(flat_items, -ahead), -1),
        log.slates.propensities.ravel()[is_usable].astype(np.float32),
    )
