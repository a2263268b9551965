"""Bandits in the database: made, read and written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg

from recsql.errors import InputError, NotFoundError
from recsql.queries import QUERIES
from workers.bandits.base import Array, BanditConfig
from workers.bandits.features import Projection
from workers.bandits.posterior import ItemNos, Items, Statistics
from workers.bandits.thompson import Thompson
from workers.binary import read_keyed_vectors

N_PROJECTED_FROM = 20_000
"""Items, drawn at random, whose contents decide the projection."""
UNRELEASED = "no release"
"""What ``request.policy`` says where there is no release."""


@dataclass
class Stored:
    """A row of ``recsql.bandit`` and what learning needs of its policy.

    Attributes:
        ranking_policy_no: its key.
        policy: its name.
        config: its options.
        statistics: what it has learnt; of single items, those that were read.
        n_outcomes: impressions counted so far.
        faded_at: when the sums were last faded.
        begun_at: when it was made, or began anew.
        now: time of the transaction that read it.
    """

    ranking_policy_no: int
    policy: str
    config: BanditConfig
    statistics: Statistics
    n_outcomes: int
    faded_at: datetime
    begun_at: datetime
    now: datetime


def add_bandit(connection: psycopg.Connection[Any], policy: str, config: BanditConfig, explore: float = 0.0) -> int:
    """Make a ranking policy of kind bandit, which has not learnt anything.

    Args:
        connection: in autocommit mode.
        policy: its name.
        config: its options.
        explore: with which probability a position goes to one of those left, drawn uniformly.

    Returns:
        The number of the policy.

    Raises:
        InputError: there is a policy of that name, requests that no ranking policy ordered are logged by it, or no item
            has a content vector.
    """
    if policy == UNRELEASED or connection.execute(QUERIES["fusion_policy_named"], {"policy": policy}).fetchone():
        raise InputError(f"'{policy}' is what requests without a ranking policy are logged by: choose another name.")
    with connection.transaction():
        space_no, projection = _project(connection, config)
        asked = {"policy": policy, "explore": explore, "config": config.model_dump_json()}
        row = connection.execute(QUERIES["add_bandit_policy"], asked).fetchone()
        if row is None:
            raise InputError(f"There is a ranking policy '{policy}' already: 'recsql bandit list' shows the bandits.")
        _write_empty(connection, row[0], space_no, projection, config)
    return row[0]


def reset_bandit(connection: psycopg.Connection[Any], policy: str) -> None:
    """Let a bandit forget all that it has learnt, and read contents in the space of today.

    Raises:
        NotFoundError: there is no such bandit.
        InputError: no item has a content vector.
    """
    with connection.transaction():
        stored = lock_bandit(connection, policy)
        space_no, projection = _project(connection, stored.config)
        asked = {"policy_no": stored.ranking_policy_no}
        connection.execute(QUERIES["forget_bandit_items"], asked)
        connection.execute(QUERIES["forget_bandit_impressions"], asked)
        _write_empty(connection, stored.ranking_policy_no, space_no, projection, stored.config)


def _project(connection: psycopg.Connection[Any], config: BanditConfig) -> tuple[int, Projection]:
    space = connection.execute("select space_no, space from recsql.content_space").fetchone()
    if space is None:
        raise InputError("There is no content space yet, by which a bandit knows items: 'recsql embed' makes one.")
    asked = {"space_no": space[0], "n": N_PROJECTED_FROM}
    _, contents = read_keyed_vectors(connection, QUERIES["sampled_contents"], asked)
    if not len(contents):
        raise InputError(f"No item has a vector in content space {space[1]} yet: run 'recsql embed'.")
    return space[0], Projection.fit(contents.astype(np.float64), config.content_dims)


def _write_empty(
    connection: psycopg.Connection[Any], policy_no: int, space_no: int, projection: Projection, config: BanditConfig
) -> None:
    statistics = Statistics.none(projection.n_features, config.shrinkage)
    asked = {
        "policy_no": policy_no,
        "space_no": space_no,
        "center": _vector(projection.center),
        "projection": [_vector(row) for row in projection.directions],
    }
    connection.execute(QUERIES["write_new_bandit"], asked | _solved(statistics, config, policy_no))


def lock_bandit(connection: psycopg.Connection[Any], policy: str) -> Stored:
    """Read a bandit, of single items nothing yet; others who would update it wait until the transaction ends.

    Raises:
        NotFoundError: there is no such bandit.
    """
    row = connection.execute(QUERIES["lock_bandit"], {"policy": policy}).fetchone()
    if row is None:
        raise NotFoundError(
            f"There is no bandit '{policy}': 'recsql bandit list' shows them, 'recsql bandit add' makes one."
        )
    policy_no, name, raw, gram, moment, square, weight, n_outcomes, faded_at, begun_at, now = row
    config = BanditConfig.model_validate(raw)
    n = len(moment)
    statistics = Statistics(
        np.array(gram).reshape(n, n), np.array(moment), square, weight, config.shrinkage, Items.none(n)
    )
    return Stored(policy_no, name, config, statistics, n_outcomes, faded_at, begun_at, now)


def read_items(connection: psycopg.Connection[Any], policy_no: int, item_nos: ItemNos | None, n_features: int) -> Items:
    """What a bandit keeps of single items, all where None are named."""
    asked = {"policy_no": policy_no, "item_nos": None if item_nos is None else np.unique(item_nos).tolist()}
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(QUERIES["bandit_items"], asked).fetchall()
    keys, weights, totals, features = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Items(
        np.array(keys, dtype=np.int64),
        np.array(weights, dtype=np.float64),
        np.array(totals, dtype=np.float64),
        np.array(features, dtype=np.float64).reshape(-1, n_features),
    )


def write_bandit(connection: psycopg.Connection[Any], stored: Stored, item_nos: ItemNos) -> None:
    """Write what a bandit has learnt, and of single items those that changed."""
    items = stored.statistics.items
    rows = items.rows(np.unique(item_nos))
    share = 1 / (items.weights[rows] + stored.config.shrinkage)
    changed = zip(rows, share, strict=True)
    with connection.cursor() as cursor:
        cursor.executemany(
            QUERIES["write_bandit_item"],
            [
                {
                    "policy_no": stored.ranking_policy_no,
                    "item_no": int(items.item_nos[row]),
                    "weight": items.weights[row],
                    "total": items.totals[row],
                    "features": items.features[row].tolist(),
                    "shift": _vector(items.features[row] * part),
                    "value": items.totals[row] * part,
                    "variance": part,
                }
                for row, part in changed
            ],
        )
    asked = {
        "policy_no": stored.ranking_policy_no,
        "n_outcomes": stored.n_outcomes,
        "faded_at": stored.faded_at,
    }
    solved = _solved(stored.statistics, stored.config, stored.ranking_policy_no + stored.n_outcomes)
    connection.execute(QUERIES["write_bandit"], asked | solved)


def _solved(statistics: Statistics, config: BanditConfig, seed: int) -> dict[str, Any]:
    """The sums, and what scoring in SQL reads of them."""
    posterior = statistics.solve(config.ridge)
    draws: list[str] = []
    noise: list[float] = []
    if config.bandit == "thompson":
        drawn = Thompson(config).draw(posterior, config.n_draws, np.random.default_rng(seed))
        draws, noise = [_vector(row) for row in drawn.weights], drawn.noise.tolist()
    return {
        "gram": statistics.gram.ravel().tolist(),
        "moment": statistics.moment.tolist(),
        "square": statistics.square,
        "weight": statistics.weight,
        "theta": _vector(posterior.theta),
        "spread": [_vector(row) for row in posterior.spread],
        "scale": posterior.scale,
        "draws": draws,
        "noise": noise,
    }


def _vector(values: Array | Sequence[float]) -> str:
    """As pgvector reads it, with the digits of single precision."""
    return f"[{','.join(f'{value:.9g}' for value in values)}]"
