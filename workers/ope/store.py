"""Logged requests out of the database, and what a policy would have done in them back into it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from recsql.queries import QUERIES
from workers.interactions import rows_of
from workers.ope.logs import Array, Pools, SlateLog, SlateTarget
from workers.ope.rankers import Policy, Requests, explored_by, scores_of
from workers.ope.targets import target_of

_FETCHED = 2000
"""Requests that are read at a time."""


@dataclass(frozen=True)
class Window:
    """Which part of the log is meant; None is no limit.

    Attributes:
        from_at: the earliest request.
        until_at: the first that is too late.
        slot: where it was served.
        domain: that was asked for.
        segment: attributes that the user has.
        logging_policy: what ordered the pool.
    """

    from_at: datetime | None = None
    until_at: datetime | None = None
    slot: str | None = None
    domain: str | None = None
    segment: dict[str, Any] | None = None
    logging_policy: str | None = None

    def parameters(self) -> dict[str, Any]:
        """As the statements read them."""
        return asdict(self) | {"segment": None if self.segment is None else Jsonb(self.segment)}


@dataclass(frozen=True)
class Logged:
    """Requests of a log that can be used.

    Attributes:
        requests: with their pools.
        log: what they showed, and what came of it, in the same order.
        policies: names of what logged them, in alphabetical order.
        n_rejected: requests that cannot be used: an outcome is refused, a propensity is not known, or what was shown is
            not of the pool.
    """

    requests: Requests
    log: SlateLog
    policies: list[str]
    n_rejected: int


def read_log(connection: psycopg.Connection[Any], window: Window) -> Logged:
    """Read the requests of a window."""
    rows: list[tuple[Any, ...]] = []
    policies: set[str] = set()
    n_rejected = 0
    # A cursor of the server's, since pools are long; it lives in a transaction.
    with connection.transaction(), connection.cursor("logged_requests", binary=True) as cursor:
        cursor.itersize = _FETCHED
        cursor.execute(QUERIES["logged_requests"], window.parameters())
        for is_whole, policy, *row in cursor:
            policies.add(policy)
            if is_whole:
                rows.append((*row[:1], *(np.array(column) for column in row[1:])))
            else:
                n_rejected += 1
    request_ids = [row[0] for row in rows]
    # Of each: pool_nos, pool_scores, positions, places in the pool, rewards, propensities, conditionals.
    item_nos = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *(row[1] for row in rows)]))
    sizes = np.array([len(row[1]) for row in rows], dtype=np.int64)
    pooled = np.repeat(np.arange(len(rows)), sizes), _within(sizes)
    items = np.full((len(rows), int(sizes.max(initial=0))), -1, dtype=np.int64)
    scores = np.full(items.shape, np.nan)
    items[pooled] = rows_of(item_nos, _joined(rows, 1).astype(np.int64))
    scores[pooled] = _joined(rows, 2)
    lengths = np.array([len(row[3]) for row in rows], dtype=np.int64)
    places = np.repeat(np.arange(len(rows)), lengths), _joined(rows, 3).astype(np.int64) - 1
    shape = len(rows), int(places[1].max(initial=-1)) + 1
    shown = np.full(shape, -1, dtype=np.int64)
    shown[places] = _joined(rows, 4).astype(np.int64) - 1
    columns = [np.full(shape, np.nan) for _ in range(3)]
    for nth, column in enumerate(columns):
        column[places] = _joined(rows, 5 + nth)
    requests = Requests(request_ids, item_nos, Pools(items, scores, shown))
    return Logged(requests, SlateLog(*columns), sorted(policies), n_rejected)


def _joined(rows: list[tuple[Any, ...]], column: int) -> Array:
    return np.concatenate([np.empty(0), *(row[column].astype(np.float64) for row in rows)])


def _within(lengths: np.ndarray) -> np.ndarray:
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def propose(
    connection: psycopg.Connection[Any],
    policy: Policy,
    logged: Logged,
    seed: int = 0,
    progress: Callable[[str], None] = lambda stage: None,
) -> SlateTarget:
    """What a policy would have done in logged requests, written to ``policy_propensity`` in place of what was there.

    Args:
        connection: in autocommit mode; the rows of the policy are replaced in one transaction.
        policy: which.
        logged: the requests.
        seed: of the folds of the reward model.
        progress: told what is being done.
    """
    progress("scores")
    scores = scores_of(connection, policy, logged.requests)
    progress("rewards")
    target = target_of(logged.log, logged.requests.pools, scores, explored_by(policy), seed=seed)
    progress("propensities")
    assert target.conditionals is not None
    assert target.predicted is not None
    assert target.expected is not None
    rows, positions = np.nonzero(logged.log.is_shown)
    columns = [
        part[rows, positions].tolist()
        for part in (target.propensities, target.conditionals, target.predicted, target.expected)
    ]
    number = policy.ranking_policy_no
    with connection.transaction():
        connection.execute(QUERIES["lock_policy"], {"policy_no": number})
        connection.execute(QUERIES["clear_policy_propensity"], {"policy_no": number})
        with connection.cursor() as cursor, cursor.copy(QUERIES["copy_policy_propensity"]) as copy:
            for row, position, *values in zip(rows.tolist(), positions.tolist(), *columns, strict=True):
                copy.write_row((number, logged.requests.request_ids[row], position + 1, *values))
    return target
