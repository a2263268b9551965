"""What has happened since, counted for trending."""

from typing import Any

import psycopg

from recsql.queries import QUERIES


def refresh_activity(connection: psycopg.Connection[Any], anew: bool = False) -> int:
    """Bring buckets and windows up to date; returns how many events are counted in all.

    Args:
        connection: in autocommit mode, since what was pending is vacuumed away, for ``trending`` reads that table.
        anew: count all events again, not only what has changed.
    """
    row = connection.execute(QUERIES["refresh_activity"], {"anew": anew}).fetchone()
    assert row is not None
    connection.execute(QUERIES["vacuum_pending"])
    return row[0]
