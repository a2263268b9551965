"""Posteriors learn from what came of impressions: each counts once, and what comes late is put right.

A batch is one transaction, which holds the bandit's row: it writes the impressions that it read
(``bandit_impression``) and the sums that they changed together, so that whoever is killed leaves either both or
neither, and two updaters follow each other. An impression counts as soon as something came of it, or as one of which
nothing came once it is ``settle_seconds`` old; while outcomes may still come, the difference is added when they do.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from recsql.queries import QUERIES
from workers.bandits.posterior import ItemNos
from workers.bandits.store import Stored, lock_bandit, read_items, write_bandit

BATCH = 1000
"""Requests that are read in one transaction."""
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
    """Bring all bandits up to the newest feedback."""
    names = connection.execute("select p.policy from recsql.ranking_policy as p where p.kind = 'bandit' order by 1")
    return [update_bandit(connection, name, batch) for (name,) in names.fetchall()]


def update_bandit(connection: psycopg.Connection[Any], policy: str, batch: int = BATCH) -> Updated:
    """Bring a bandit up to the newest feedback; where there is none nothing changes.

    Args:
        connection: in autocommit mode.
        policy: name of the bandit.
        batch: requests that are read in one transaction.

    Raises:
        NotFoundError: there is no such bandit.
    """
    done, is_done = Updated(policy), False
    while not is_done:
        with connection.transaction():
            stored = lock_bandit(connection, policy)
            corrected = _corrected(connection, stored, done)
            n_requests, read_until, read = _read(connection, stored, batch, done)
            is_done = n_requests < batch
            asked = {
                "policy_no": stored.ranking_policy_no,
                "slack": SLACK,
                "read_until": None if is_done else read_until,
            }
            connection.execute(QUERIES["close_bandit_impressions"], asked)
            if len(corrected.item_nos) + len(read.item_nos):
                _learn(connection, stored, corrected, read)
    return done


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


def _corrected(connection: psycopg.Connection[Any], stored: Stored, done: Updated) -> _Impressions:
    """Impressions that were counted with another reward than they have now."""
    asked = {"policy_no": stored.ranking_policy_no}
    rows = connection.execute(QUERIES["correct_bandit_impressions"], asked).fetchall()
    done.n_corrected += len(rows)
    return _impressions(rows, len(stored.statistics.moment))


def _read(
    connection: psycopg.Connection[Any], stored: Stored, batch: int, done: Updated
) -> tuple[int, datetime | None, _Impressions]:
    """Impressions that are new, the number of requests that they are of, and the time of the newest of them."""
    settle = timedelta(seconds=stored.config.settle_seconds)
    asked = {"policy_no": stored.ranking_policy_no, "settle": settle, "batch": batch}
    rows = connection.execute(QUERIES["read_bandit_impressions"], asked).fetchall()
    counted = [row[:5] for row in rows if row[5] is None]
    done.skipped.update(row[5] for row in rows if row[5] is not None)
    done.n_read += len(counted)
    stored.n_outcomes += len(counted)
    return (
        len({row[6] for row in rows}),
        max((row[7] for row in rows), default=None),
        _impressions(counted, len(stored.statistics.moment)),
    )


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
