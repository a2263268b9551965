"""Work over several connections at once: what the database does alone, what is read ahead, what is written behind."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from itertools import islice
from queue import SimpleQueue
from threading import Event
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from recsql import db
from recsql.queries import QUERIES
from recsql.settings import get_settings

Call = tuple[str, dict[str, Any]]
"""A named statement and its parameters."""

T = TypeVar("T")
Submit = Callable[..., Future[Any]]
"""What has a function done in the background: ``submit(work, *arguments)`` calls ``work(connection, *arguments)``."""


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
    url = _url_of(connection)
    with ExitStack() as stack:
        opened = [stack.enter_context(db.connect(url)) for _ in range(n_connections)]
        free: SimpleQueue[psycopg.Connection[Any]] = SimpleQueue()
        for other in opened:
            free.put(other)
        stopped = Event()
        pool = stack.enter_context(ThreadPoolExecutor(n_connections, thread_name_prefix="execute_all"))

        def execute(call: Call) -> Any:
            other = free.get()
            try:
                return None if stopped.is_set() else _first(other.execute(QUERIES[call[0]], call[1]))
            finally:
                free.put(other)

        try:
            places: dict[Future[Any], int] = {pool.submit(execute, call): place for place, call in enumerate(calls)}
            for done in as_completed(places):
                with db.explained():
                    result = done.result()
                yield places[done], result
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            # Until all are idle: a statement that is only about to be sent cannot be cancelled yet.
            while free.qsize() < n_connections:
                for other in opened:
                    other.cancel_safe()
                time.sleep(0.05)
            raise


def _first(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    return None if row is None else row[0]


@contextmanager
def background(connection: psycopg.Connection[Any], own: bool) -> Iterator[Submit]:
    """A thread that does one piece of work on a connection after another.

    It ends with the context, after the work that waits; what runs is cancelled if the context ends with an error.

    Args:
        connection: in autocommit mode.
        own: whether the thread has a connection of its own to the same database, which it opens by itself; else it
            uses ``connection``, which nobody else may meanwhile.

    Yields:
        What takes a function and its arguments after the connection, and gives what it will return.
    """
    with ExitStack() as stack, ThreadPoolExecutor(1, thread_name_prefix="background") as pool:
        opened: Future[psycopg.Connection[Any]] = Future()
        if own:
            opened = pool.submit(lambda: stack.enter_context(db.connect(_url_of(connection))))
        else:
            opened.set_result(connection)
        try:
            yield lambda work, *arguments: pool.submit(lambda: work(opened.result(), *arguments))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            if opened.done() and opened.exception() is None:
                opened.result().cancel_safe()
            raise


def at_once(connection: psycopg.Connection[Any]) -> Submit:
    """As :func:`background` gives it, without a thread: work is done when it is submitted."""

    def submit(work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(connection, *arguments))
        return done

    return submit


def read_ahead(submit: Submit, work: Callable[..., T], chunks: Iterable[Any], n: int = 2) -> Iterator[T]:
    """Results of work on each chunk in order, of which up to ``n`` are made before they are asked for, from now on."""
    left = iter(chunks)
    waiting = deque(submit(work, chunk) for chunk in islice(left, n))

    def results() -> Iterator[T]:
        while waiting:
            result = _result(waiting.popleft())
            waiting.extend(submit(work, chunk) for chunk in islice(left, 1))
            yield result

    return results()


class WriteBehind:
    """Work that nothing waits for, but for errors and for not more than ``n`` pieces to wait at a time."""

    def __init__(self, submit: Submit, n: int = 2) -> None:
        self._submit, self._n = submit, n
        self._waiting: deque[Future[Any]] = deque()

    def __call__(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Have work done; raises what earlier work raised."""
        self._waiting.append(self._submit(work, *arguments))
        while len(self._waiting) > self._n:
            _result(self._waiting.popleft())

    def finish(self) -> None:
        """Wait for all of it; raises what it raised."""
        while self._waiting:
            _result(self._waiting.popleft())


def _result(future: "Future[T]") -> T:
    with db.explained():
        return future.result()


def _url_of(connection: psycopg.Connection[Any]) -> str:
    # libpq shows its parameters without the password.
    return make_conninfo(connection.info.dsn, password=connection.info.password or None)
