"""Fixtures of the whole suite: a real server, a migrated template, and a clone of it for each test.

``RECSQL_TEST_DATABASE_URL`` names a server to use (its user may create databases) in place of an embedded one.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
import warm_cli
from psycopg import sql
from psycopg.conninfo import make_conninfo
from warm_cli import REPOSITORY, Finished, environment

from recsql import migrate
from recsql.db import connect
from recsql.embedded import EmbeddedServer

# Several threads for such small models only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Consoles take their width from the environment when they are imported: in warm_cli that is before any command.
os.environ["COLUMNS"] = "120"

_NUMBERS = count(1)


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server on which tests make databases."""

    base: str
    embedded: EmbeddedServer | None = None

    def url(self, database: str) -> str:
        return make_conninfo(self.base, dbname=database)

    @contextmanager
    def clone(self, template: str = "template0", prefix: str = "recsql_test") -> Iterator[str]:
        """Name of a new database, which is dropped afterwards."""
        name = f"{prefix}_{os.getpid()}_{next(_NUMBERS)}"
        with psycopg.connect(self.base, autocommit=True) as admin:
            admin.execute(
                sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
            )
        try:
            yield name
        finally:
            with psycopg.connect(self.base, autocommit=True) as admin:
                admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def await_unlocked() -> Callable[[psycopg.Connection[Any]], None]:
    """Function that waits until no other session has an advisory lock: a closed one is gone a moment later."""

    def wait(connection: psycopg.Connection[Any]) -> None:
        held = (
            "select count(*) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid() "
            "and database = (select oid from pg_database where datname = current_database())"
        )
        end = time.monotonic() + 30
        while connection.execute(held).fetchone() != (0,):
            assert time.monotonic() < end, "a lock is held by a session that should be gone"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def make_home() -> Iterator[Callable[[], Path]]:
    """Function that makes an empty folder which the server's own user can enter, as it cannot enter pytest's."""
    homes: list[Path] = []

    def make() -> Path:
        homes.append(Path(tempfile.mkdtemp(prefix="recsql-test-")))
        homes[-1].chmod(0o755)
        return homes[-1]

    yield make
    for home in homes:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def server(make_home: Callable[[], Path]) -> Iterator[Server]:
    """The server of this session."""
    given = os.environ.get("RECSQL_TEST_DATABASE_URL")
    if given:
        yield Server(given)
        return
    pg_bin = os.environ.get("RECSQL_PG_BIN")
    embedded = EmbeddedServer(make_home(), Path(pg_bin) if pg_bin else None)
    embedded.start()
    try:
        with psycopg.connect(embedded.url("postgres"), autocommit=True) as admin:
            # Nothing here outlives a crash, so nothing needs to reach the disk.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                admin.execute(sql.SQL("alter system set {} = off").format(sql.Identifier(setting)))
            admin.execute("select pg_reload_conf()")
        yield Server(embedded.url("postgres"), embedded)
    finally:
        embedded.stop()


@pytest.fixture(scope="session")
def template(server: Server) -> Iterator[str]:
    """Name of a database at this release's revision, to be cloned."""
    with server.clone(prefix="recsql_template") as name:
        migrate.upgrade(server.url(name))
        yield name


@pytest.fixture
def database(server: Server, template: str) -> Iterator[str]:
    """URL of a migrated database of this test's own."""
    with server.clone(template) as name:
        yield server.url(name)


@pytest.fixture
def empty_database(server: Server) -> Iterator[str]:
    """URL of a database with nothing in it."""
    with server.clone() as name:
        yield server.url(name)


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Autocommit connection to ``database`` that knows pgvector."""
    with connect(database) as opened:
        yield opened


@pytest.fixture(scope="session")
def data_dir() -> Callable[[str], Path]:
    """Function that gives the folder (or file) of a data set under ``RECSQL_DATA``, or skips the test."""
    root = REPOSITORY / os.environ.get("RECSQL_DATA", "../shared/data")

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"no data set {name!r} under RECSQL_DATA ({root.resolve()})")
        return path.resolve()

    return find


@pytest.fixture
def cli(database: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Finished]:
    """Function that runs ``recsql ARGUMENTS`` on ``database`` as a process of its own (``warm_cli``).

    It takes the arguments and, as keywords, ``env`` (more variables), ``stdin`` (text) and ``timeout`` (seconds).
    """

    def run(*arguments: object, env: dict[str, str] | None = None, stdin: str = "", timeout: float = 300) -> Finished:
        variables = environment(RECSQL_DATABASE_URL=database) | (env or {})
        kept = tmp_path_factory.mktemp("streams")
        # In a folder where no .env of the developer's is read.
        return warm_cli.run([*map(str, arguments)], tmp_path, variables, stdin, kept, timeout)

    return run
