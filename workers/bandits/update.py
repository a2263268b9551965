"""Posteriors learn from what came of impressions: each counts once, and what comes late is put right.

A batch is one transaction, which holds the bandit's row: it writes the impressions that it read
(``bandit_impression``) and the sums that they changed together, so that whoever is killed leaves either both or
neither, and two updaters follow each other. An impression counts as soon as something came of it, or as one of which
nothing came once it is ``settle_seconds`` old; while outcomes may still come, the difference is added when they do.

What is new is looked for among what came since the last sweep, and a sweep, every hour, looks at all of which something
may come: so nothing is missed that was committed long after its time.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from psycopg.rows import class_row

from recsql.errors import NotFoundError
from recsql.queries import QUERIES
from workers.bandits.posterior import ItemNos
from workers.bandits.store import Stored, lock_bandit, read_items, write_bandit

BATCH = 1000
"""Requests that are read in one transaction."""
LISTED = 100_000
"""Requests that are looked up at once, to be read in batches."""
SWEEP_EVERY = timedelta(hours=1)
"""How often all is looked at of which something may come."""
LOOK_BACK = timedelta(minutes=10)
"""How long before the last sweep impressions may have come that it did not see yet."""
SLACK = timedelta(hours=1)
"""How long after its last outcome an impression may be committed, and still count."""


@dataclass
class Updated:
    """What an update did.

    Attributes:
        policy: name of the bandit.
        n_read: impressions that it counted for the first time.
        n_corrected: impressions of which more had come than was counted.
        skipped: impressions that it does not count, by the reason.
    """

    policy: str
    n_read: int = 0
    n_corrected: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def update_bandits(connection: psycopg.Connection[Any], batch: int = BATCH) -> list[Updated]:
    """Bring all bandits up to the newest feedback; one that is dropped meanwhile is left out."""
    names = connection.execute("select p.policy from recsql.ranking_policy as p where p.kind = 'bandit' order by 1")
    done: list[Updated] = []
    for (name,) in names.fetchall():
        with suppress(NotFoundError):
            done.append(update_bandit(connection, name, batch))
    return done


def update_bandit(connection: psycopg.Connection[Any], policy: str, batch: int = BATCH) -> Updated:
    """Bring a bandit up to the newest feedback; where there is none nothing changes.

    Args:
        connection: in autocommit mode.
        policy: name of the bandit.
        batch: requests that are read in one transaction.

    Raises:
        NotFoundError: there is no such bandit.
    """
    done = Updated(policy)
    while not _update(connection, policy, batch, done):
        pass
    return done


def _update(connection: psycopg.Connection[Any], policy: str, batch: int, done: Updated) -> bool:
    """Correct what was counted and read what is new; False where the bandit began anew meanwhile."""
    with connection.transaction():
        stored = lock_bandit(connection, policy)
        begun_at, plan = stored.begun_at, _plan(connection, stored)
        corrected = _corrected(connection, stored, plan, done)
        if len(corrected.item_nos):
            _learn(connection, stored, corrected, _impressions([], len(stored.statistics.moment)))
    is_listed = False
    while not is_listed:
        asked = {
            "policy_no": stored.ranking_policy_no,
            "after": plan.after,
            "settle": _settle(stored),
            "limit": max(LISTED, batch),
        }
        listed = connection.execute(QUERIES["unread_bandit_requests"], asked).fetchall()
        is_listed = len(listed) < asked["limit"]
        for start in range(0, len(listed), batch):
            part = listed[start : start + batch]
            with connection.transaction():
                stored = lock_bandit(connection, policy)
                if stored.begun_at != begun_at:
                    return False
                read = _read(connection, stored, [row[0] for row in part], done)
                if plan.is_whole:
                    # Of the same time as the last of them, more may be unread.
                    _close(connection, stored, plan, part[-1][1])
                if len(read.item_nos):
                    _learn(connection, stored, _impressions([], len(stored.statistics.moment)), read)
            if start == 0 and len(listed) > batch:
                # It may have been empty when it was last looked at.
                connection.execute("analyze recsql.bandit_impression")
    if plan.is_whole:
        with connection.transaction():
            stored = lock_bandit(connection, policy)
            if stored.begun_at != begun_at:
                return False
            _close(connection, stored, plan, None)
            asked = {
                "policy_no": stored.ranking_policy_no,
                "swept_at": plan.swept_at,
                "swept_event_no": plan.swept_event_no,
            }
            connection.execute(QUERIES["note_bandit_sweep"], asked)
    return True


@dataclass(frozen=True)
class _Plan:
    """From where an update reads.

    Attributes:
        is_whole: it looks at all of which something may come, not only at what is new.
        after: it looks at impressions after that, a time as PostgreSQL writes it.
        event_no: it looks at events after that; None for all.
        swept_at: when it began.
        swept_event_no: the last number that an event may have had then.
    """

    is_whole: bool
    after: str
    event_no: int | None
    swept_at: datetime
    swept_event_no: int


def _plan(connection: psycopg.Connection[Any], stored: Stored) -> _Plan:
    asked = {
        "policy_no": stored.ranking_policy_no,
        "look_back": LOOK_BACK,
        "settle": _settle(stored),
        "sweep_every": SWEEP_EVERY,
    }
    with connection.cursor(row_factory=class_row(_Plan)) as cursor:
        found = cursor.execute(QUERIES["plan_bandit_reading"], asked).fetchone()
    if found is None:
        raise NotFoundError(f"There is no bandit '{stored.policy}' any more.")
    return found


def _settle(stored: Stored) -> timedelta:
    return timedelta(seconds=stored.config.settle_seconds)


def _close(connection: psycopg.Connection[Any], stored: Stored, plan: _Plan, read_until: datetime | None) -> None:
    """Forget impressions of which nothing could come any more when the sweep began, up to which all have been read."""
    asked = {
        "policy_no": stored.ranking_policy_no,
        "slack": SLACK,
        "swept_at": plan.swept_at,
        "settle": _settle(stored),
        "read_until": read_until,
    }
    connection.execute(QUERIES["close_bandit_impressions"], asked)


@dataclass(frozen=True)
class _Impressions:
    """Impressions, one a row: what was shown, its features, its age in days, what is counted and what is to be."""

    item_nos: ItemNos
    features: Any
    ages: Any
    before: Any
    rewards: Any


def _impressions(rows: list[tuple[Any, ...]], n_features: int) -> _Impressions:
    item_nos, features, ages, before, rewards = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return _Impressions(
        np.array(item_nos, dtype=np.int64),
        np.array(features, dtype=np.float64).reshape(-1, n_features),
        np.array(ages, dtype=np.float64),
        np.array(before, dtype=np.float64),
        np.array(rewards, dtype=np.float64),
    )


def _corrected(connection: psycopg.Connection[Any], stored: Stored, plan: _Plan, done: Updated) -> _Impressions:
    """Impressions that were counted with another reward than they have now."""
    asked = {"policy_no": stored.ranking_policy_no, "event_no": plan.event_no}
    rows = connection.execute(QUERIES["correct_bandit_impressions"], asked).fetchall()
    done.n_corrected += len(rows)
    return _impressions(rows, len(stored.statistics.moment))


def _read(connection: psycopg.Connection[Any], stored: Stored, request_ids: list[UUID], done: Updated) -> _Impressions:
    """Impressions of requests that are new."""
    asked = {"policy_no": stored.ranking_policy_no, "request_ids": request_ids}
    rows = connection.execute(QUERIES["read_bandit_impressions"], asked).fetchall()
    counted = [row[:5] for row in rows if row[5] is None]
    done.skipped.update(row[5] for row in rows if row[5] is not None)
    done.n_read += len(counted)
    stored.n_outcomes += len(counted)
    return _impressions(counted, len(stored.statistics.moment))


def _learn(connection: psycopg.Connection[Any], stored: Stored, corrected: _Impressions, read: _Impressions) -> None:
    statistics, half_life = stored.statistics, stored.config.half_life_days
    changed = np.concatenate([corrected.item_nos, read.item_nos])
    # Where things are forgotten, all items change.
    wanted = None if half_life else changed
    statistics.items = read_items(connection, stored.ranking_policy_no, wanted, len(statistics.moment))
    if half_life:
        statistics.fade(0.5 ** ((stored.now - stored.faded_at) / timedelta(days=half_life)))
        stored.faded_at = stored.now
    for part in (corrected, read):
        weights = 0.5 ** (part.ages / half_life) if half_life else np.ones(len(part.ages))
        if part is corrected:
            statistics.correct(part.item_nos, part.features, part.before, part.rewards, weights)
        else:
            statistics.add(part.item_nos, part.features, part.rewards, weights)
    write_bandit(connection, stored, statistics.items.item_nos if half_life else changed)
