"""How ranking policies score the pools of logged requests: one function for each kind of policy."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.rows import dict_row

from recsql.errors import ModelError, NotFoundError
from recsql.queries import QUERIES
from workers.interactions import rows_of
from workers.models.base import Model, Sequences
from workers.models.registry import load_artifact
from workers.ope.logs import Array, Pools
from workers.ope.targets import ranks_of

_AT_ONCE = 500
"""Requests whose histories are read and scored together."""


@dataclass(frozen=True)
class Policy:
    """A row of ``recsql.ranking_policy``."""

    ranking_policy_no: int
    policy: str
    kind: str
    version_no: int | None
    explore: float
    config: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class Requests:
    """Logged requests as policies see them.

    Attributes:
        request_ids: shape ``(n_requests,)`` of UUIDs.
        item_nos: database key of each item row of the pools, ascending, shape ``(n_items,)``.
        pools: their pools.
    """

    request_ids: list[Any]
    item_nos: NDArray[np.int64]
    pools: Pools


def find_policy(connection: psycopg.Connection[Any], name: str) -> Policy:
    """The ranking policy of a name.

    Raises:
        NotFoundError: there is none.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(QUERIES["ranking_policy"], {"policy": name}).fetchone()
    if row is None:
        raise NotFoundError(
            f"There is no ranking policy '{name}': 'recsql policy list' shows them, 'policy add' adds one."
        )
    return Policy(**row)


def trained_until(connection: psycopg.Connection[Any], policy: Policy) -> datetime | None:
    """When a policy last learnt: what came of older requests it may know; None if it never learns."""
    row = connection.execute(QUERIES["trained_until"], {"policy_no": policy.ranking_policy_no}).fetchone()
    return row[0] if row else None


def explored_by(policy: Policy) -> float:
    """With which probability a policy gives a position to one of those left: to draw uniformly is always to do so."""
    return 1.0 if policy.kind == "uniform" else policy.explore


def scores_of(connection: psycopg.Connection[Any], policy: Policy, requests: Requests) -> Array | None:
    """Scores by which a policy orders the pools, shape ``(n_requests, n_pool)``; None if it leaves them as they are.

    NaN stands for items of which it knows nothing: they follow the others in the pool's order.

    Of a policy that draws one of several orders for each request there is an axis of draws before the others.

    Raises:
        ModelError: what it scores by is gone, damaged, or of another release.
    """
    scores = _RANKERS[policy.kind](connection, policy, requests)
    return None if scores is None else _replayed(connection, requests, scores)


def _replayed(connection: psycopg.Connection[Any], requests: Requests, scores: Array) -> Array:
    """Scores by which pools come in the order that the controls of their requests make of the policy's order."""
    found = connection.execute(QUERIES["reordered_requests"], {"request_ids": requests.request_ids}).fetchall()
    rows = [place - 1 for (place,) in found]
    items = requests.pools.items
    draw = scores if scores.ndim == 2 else scores[0]  # where controls are on, all draws are alike
    ranks = ranks_of(requests.pools, draw)
    for row in rows:
        size = int(requests.pools.sizes[row])
        order = items[row, np.argsort(ranks[row, :size])]
        asked = {"request_id": requests.request_ids[row], "item_nos": requests.item_nos[order].tolist()}
        ((replayed,),) = connection.execute(QUERIES["replayed"], asked).fetchall()
        by_item = np.argsort(items[row, :size])
        shown = rows_of(requests.item_nos, np.array(replayed))
        places = by_item[np.searchsorted(items[row, :size], shown, sorter=by_item)]
        scores[..., row, places] = -np.arange(size)
    return scores


def _as_pooled(connection: psycopg.Connection[Any], policy: Policy, requests: Requests) -> None:
    """The pool's own order."""


def _by_model(connection: psycopg.Connection[Any], policy: Policy, requests: Requests) -> Array:
    """Scores of the version's model, by what each user had done before the request."""
    model, item_nos = _load(connection, policy)
    rows = np.append(rows_of(item_nos, requests.item_nos), -1)
    items = rows[requests.pools.items]
    scores = np.full(items.shape, np.nan)
    for begin in range(0, len(items), _AT_ONCE):
        block = slice(begin, begin + _AT_ONCE)
        histories = histories_before(connection, requests.request_ids[block], item_nos)
        scores[block] = model.score(histories, items[block])
    return np.where(items >= 0, scores, np.nan)


def _by_bandit(connection: psycopg.Connection[Any], policy: Policy, requests: Requests) -> Array:
    """What the posterior expects, as it is now; of Thompson sampling by each of its draws, the first axis."""
    items = requests.pools.items
    n_items = len(requests.item_nos)
    parts: list[Array] = []
    for begin in range(0, len(items), _AT_ONCE):
        block = items[begin : begin + _AT_ONCE]
        asked = {"policy_no": policy.ranking_policy_no, "request_ids": requests.request_ids[begin : begin + _AT_ONCE]}
        found = connection.execute(QUERIES["bandit_request_scores"], asked).fetchall()
        if not found:
            raise ModelError(
                f"Bandit '{policy.policy}' has no posterior or knows no item of these: 'recsql bandit add' makes one."
            )
        places, draws, numbers, values = (np.array(column) for column in zip(*found, strict=True))
        rows, columns = np.nonzero(block >= 0)
        pooled = rows * n_items + block[rows, columns]
        order = np.argsort(pooled)
        scored = (places - 1) * n_items + np.searchsorted(requests.item_nos, numbers)
        here = order[np.searchsorted(pooled, scored, sorter=order)]
        part = np.full((int(draws.max()), *block.shape), np.nan)
        part[draws - 1, rows[here], columns[here]] = values
        parts.append(part)
    return np.concatenate(parts, axis=1) if parts else np.empty((1, *items.shape))


_RANKERS: dict[str, Callable[[psycopg.Connection[Any], Policy, Requests], Array | None]] = {
    "fused": _as_pooled,
    "uniform": _as_pooled,
    "model": _by_model,
    "bandit": _by_bandit,
}
"""By the kind of policy."""


def _load(connection: psycopg.Connection[Any], policy: Policy) -> tuple[Model, NDArray[np.int64]]:
    """The model of a policy's version, and the database key of each of its item rows."""
    found = connection.execute(QUERIES["version_model"], {"version": policy.version_no}).fetchone()
    if found is None or found[1] is None or found[2] is None:
        raise ModelError(
            f"Policy '{policy.policy}' ranks by a model version that is gone or was pruned: 'recsql model list' shows "
            "what there is, 'recsql policy add' makes a policy of it."
        )
    _, artifact, item_nos = found
    return load_artifact(artifact), np.array(item_nos, dtype=np.int64)


def histories_before(
    connection: psycopg.Connection[Any], request_ids: list[Any], item_nos: NDArray[np.int64]
) -> Sequences:
    """What the user of each request had done before it, as the run's interactions would say it at that moment.

    Args:
        connection: any.
        request_ids: UUIDs.
        item_nos: database key of each item row, ascending; items that are not among them are row -1.
    """
    found = connection.execute(QUERIES["histories_before"], {"request_ids": request_ids}).fetchall()
    lengths = np.array([len(row[0]) for row in found], dtype=np.int64)
    columns = [np.array([value for row in found for value in row[column]]) for column in range(4)]
    return Sequences(
        rows_of(item_nos, columns[0].astype(np.int64)),
        np.concatenate([[0], np.cumsum(lengths)]),
        weights=columns[1].astype(np.float32),
        kinds=columns[2].astype(np.int64),
        times=columns[3].astype(np.int64),
    )
