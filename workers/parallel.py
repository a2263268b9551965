"""Statements over several connections at once: the work of a stage that the database itself does."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from recsql import db
from recsql.queries import QUERIES
from recsql.settings import get_settings

Call = tuple[str, dict[str, Any]]
"""A named statement and its parameters."""


def execute_all(
    connection: psycopg.Connection[Any], calls: Sequence[Call], n_connections: int | None = None
) -> Iterator[tuple[int, Any]]:
    """Do statements, each in a transaction of its own, on as many connections as the settings say.

    Calls must not depend on each other. If one fails or the caller stops, those that run are cancelled and none begins.

    Args:
        connection: in autocommit mode; the others go to the same database.
        calls: what to do.
        n_connections: at once; ``RECSQL_CONNECTIONS`` when None.

    Yields:
        The place of a call among ``calls`` and the first column of its first row, in the order in which they end.
    """
    n_connections = min(n_connections or get_settings().connections, len(calls))
    if n_connections <= 1:
        for place, (query, parameters) in enumerate(calls):
            yield place, _first(connection.execute(QUERIES[query], parameters))
        return
    # libpq shows its parameters without the password.
    url = make_conninfo(connection.info.dsn, password=connection.info.password or None)
    with ExitStack() as stack:
        opened = [stack.enter_context(db.connect(url)) for _ in range(n_connections)]
        free: SimpleQueue[psycopg.Connection[Any]] = SimpleQueue()
        for other in opened:
            free.put(other)
        pool = stack.enter_context(ThreadPoolExecutor(n_connections, thread_name_prefix="execute_all"))

        def execute(call: Call) -> Any:
            other = free.get()
            try:
                return _first(other.execute(QUERIES[call[0]], call[1]))
            finally:
                free.put(other)

        places: dict[Future[Any], int] = {pool.submit(execute, call): place for place, call in enumerate(calls)}
        try:
            for done in as_completed(places):
                with db.explained():
                    result = done.result()
                yield places[done], result
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for other in opened:
                other.cancel_safe()
            raise


def _first(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    return None if row is None else row[0]
