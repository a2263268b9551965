"""One statement many times, on several sessions at once: SQL that splits its work by items or users uses all cores."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from pgvector.psycopg import register_vector
from psycopg.conninfo import make_conninfo

from recsql.queries import QUERIES
from recsql.settings import get_settings

__all__ = ["run_parts"]


def run_parts(
    connection: psycopg.Connection[Any],
    query: str,
    parameters: Sequence[dict[str, Any]],
    done: Callable[[int, int], None] = lambda done, total: None,
    n_sessions: int | None = None,
) -> list[Any]:
    """First columns of a named statement's first rows, one for each set of parameters and in their order.

    Args:
        connection: whose server and user the sessions have; it waits meanwhile.
        query: name of the statement, which commits each time by itself.
        parameters: of each time.
        done: called after each time with how many are done, and how many there are.
        n_sessions: at once; the setting ``sessions`` when None.

    Raises:
        psycopg.Error: one of the statements failed; those that ran beside it have been cancelled.
    """
    n_sessions = min(n_sessions or get_settings().sessions, len(parameters))
    if n_sessions < 2:
        found = []
        for number, one in enumerate(parameters):
            found.append(_first(connection, query, one))
            done(number + 1, len(parameters))
        return found
    with _sessions(connection, n_sessions) as sessions, ThreadPoolExecutor(n_sessions) as threads:
        free, futures, pending = list(sessions), [], set[Future[Any]]()
        used: dict[Future[Any], psycopg.Connection[Any]] = {}
        try:
            for one in parameters:
                if not free:
                    pending = _wait(pending, used, free)
                    done(len(futures) - len(pending), len(parameters))
                session = free.pop()
                future = threads.submit(_first, session, query, one)
                used[future] = session
                futures.append(future)
                pending.add(future)
            while pending:
                pending = _wait(pending, used, free)
                done(len(futures) - len(pending), len(parameters))
        except BaseException:
            for session in sessions:
                session.cancel()
            raise
        return [future.result() for future in futures]


def _wait(
    pending: set[Future[Any]], used: dict[Future[Any], psycopg.Connection[Any]], free: list[psycopg.Connection[Any]]
) -> set[Future[Any]]:
    """Wait for the next to end; what still runs."""
    ended, running = wait(pending, return_when=FIRST_COMPLETED)
    for future in ended:
        future.result()
        free.append(used.pop(future))
    return running


def _first(connection: psycopg.Connection[Any], query: str, parameters: dict[str, Any]) -> Any:
    row = connection.execute(QUERIES[query], parameters).fetchone()
    assert row is not None
    return row[0]


@contextmanager
def _sessions(connection: psycopg.Connection[Any], n_sessions: int) -> Iterator[list[psycopg.Connection[Any]]]:
    """Sessions like that of a connection."""
    address = make_conninfo(connection.info.dsn, password=connection.info.password or None)
    with ExitStack() as stack:
        sessions = [
            stack.enter_context(psycopg.connect(address, autocommit=True, application_name="recsql"))
            for _ in range(n_sessions)
        ]
        for session in sessions:
            register_vector(session)
        yield sessions
