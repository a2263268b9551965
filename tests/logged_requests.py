"""A log of requests as ``recommend()`` writes it, drawn from a world whose click rates are known."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import psycopg

from workers.ope.exploration import conditional, marginal

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """Clicks depend on the item and the position alone; the pool is in the wrong order.

    Attributes:
        rates: of a click on each item at the first position, in the order of the pool.
        n_positions: of a slate; at position k the rate is that of the first over k.
    """

    rates: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.25, 0.5)
    n_positions: int = 3


def write_log(
    connection: psycopg.Connection[Any],
    n_requests: int,
    explore: float,
    world: World | None = None,
    policy: str = "fused",
    seed: int = 0,
    pool_sizes: tuple[int, ...] = (6,),
) -> list[UUID]:
    """Write requests, impressions and clicks; the ids of the requests, the oldest first."""
    world = world or World()
    random = np.random.default_rng(seed)
    with connection.transaction():
        connection.execute("insert into recsql.domain (domain) values ('films') on conflict do nothing")
        items = [
            connection.execute(
                "insert into recsql.item (item_id, domain) values (%s, 'films') "
                "on conflict (item_id) do update set domain = 'films' returning item_no",
                (f"i{n}",),
            ).fetchone()[0]
            for n in range(len(world.rates))
        ]
        users = [
            connection.execute(
                "insert into recsql.app_user (user_id, attributes) "
                "values (%s, jsonb_build_object('country', %s::text)) "
                "on conflict (user_id) do update set attributes = excluded.attributes returning user_no",
                (f"u{n}", "de" if n % 2 else "fr"),
            ).fetchone()[0]
            for n in range(20)
        ]
        (click,) = connection.execute("select kind_no from recsql.event_kind where kind = 'click'").fetchone()
        ids, requests, impressions, events = [], [], [], []
        for nth in range(n_requests):
            request_id, user_no = UUID(bytes=random.bytes(16)), users[nth % len(users)]
            at = BEGAN + timedelta(minutes=nth, milliseconds=seed)
            size = pool_sizes[nth % len(pool_sizes)]
            n = min(size, world.n_positions)
            left, ranks = list(range(1, size + 1)), []
            for _ in range(n):
                ranks.append(left.pop(random.integers(len(left)) if random.random() < explore else 0))
            chances = marginal(size, n, explore)
            given = conditional(np.array(ranks), size, explore)
            pool = items[:size]
            requests.append((request_id, user_no, policy, explore, pool, [1.0 - k / 10 for k in range(size)], at))
            for k, rank in enumerate(ranks):
                item_no = items[rank - 1]
                impressions.append((request_id, k + 1, user_no, item_no, policy, chances[rank - 1, k], given[k], at))
                if random.random() < world.rates[rank - 1] / (k + 1):
                    events.append((user_no, item_no, click, at + timedelta(seconds=10 + k), request_id))
            ids.append(request_id)
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into recsql.request (request_id, user_no, slot, policy, explore, pool_nos, pool_scores, at) "
                "values (%s, %s, 'default', %s, %s, %s, %s, %s)",
                requests,
            )
            cursor.executemany(
                "insert into recsql.impression "
                "(request_id, position, user_no, item_no, policy, propensity, conditional, at) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s)",
                impressions,
            )
            cursor.executemany(
                "insert into recsql.event (user_no, item_no, kind_no, at, request_id) values (%s, %s, %s, %s, %s)",
                events,
            )
    return ids
