"""Connections: which database, and what its errors mean.

The database is, in this order: ``RECSQL_DATABASE_URL``; the ``PG*`` variables (when one of PGHOST, PGSERVICE and
PGDATABASE is set); the embedded server, which is started when it is not running.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from pgvector.psycopg import register_vector
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from recsql import errors
from recsql.settings import get_settings

DATABASE = "recsql"
_PG_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")

_STATES: dict[str, type[errors.RecsqlError]] = {
    "RS001": errors.NotFoundError,
    "RS002": errors.InputError,
    "RS003": errors.PipelineError,
    "RS004": errors.ModelError,
}
"""Our own SQLSTATEs: 1 not found, 2 bad input, 3 a stage cannot go on, 4 a model or space does not fit."""


def uses_embedded() -> bool:
    """Whether the settings leave us with the embedded server."""
    return get_settings().database_url is None and not any(os.environ.get(name) for name in _PG_VARIABLES)


def database_url() -> str:
    """The database to work on, as a connection string of libpq; starts the embedded server when it is the one.

    Raises:
        ConfigurationError: ``RECSQL_DATABASE_URL`` is no connection string.
        ServerError: the embedded server cannot be started.
    """
    url = get_settings().database_url
    if url is not None:
        try:
            conninfo_to_dict(url.get_secret_value())
        except psycopg.ProgrammingError:
            # libpq's own message repeats the text, and the password in it.
            raise errors.ConfigurationError(
                "RECSQL_DATABASE_URL is no connection string: use postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
            ) from None
        return url.get_secret_value()
    if not uses_embedded():
        return make_conninfo("")
    from recsql.embedded import EmbeddedServer

    settings = get_settings()
    server = EmbeddedServer(settings.home, settings.pg_bin)
    server.start()
    server.ensure_database(DATABASE)
    return server.url(DATABASE)


def sqlalchemy_url(url: str) -> Any:
    """The same database for SQLAlchemy: libpq's parameters are passed on as they are."""
    from sqlalchemy import URL

    return URL.create("postgresql+psycopg", query={key: str(value) for key, value in conninfo_to_dict(url).items()})


def explain(error: psycopg.Error) -> errors.RecsqlError:
    """What a database error means in our terms, in one line with what to do."""
    state = error.sqlstate or ""
    message = " ".join((error.diag.message_primary or str(error)).split())
    if error.diag.message_hint:
        message = f"{_sentence(message)} {error.diag.message_hint}"
    if state in _STATES:
        return _STATES[state](message)
    told = _sentence(message)
    if state.startswith("53") or state == "58030":
        return errors.StorageError(f"The database server is out of a resource: {told} Free it and run again.")
    if state in {"28P01", "28000"} or "password" in message:
        return errors.DatabaseError(f"{told} Check the user and the password in RECSQL_DATABASE_URL or PG*.")
    if state == "42501" and "schema recsql" in message:
        told = f"{told} Commands need the account that migrated the database; applications call recsql_api in SQL."
        return errors.DatabaseError(told)
    if "type interval" in message:
        return errors.InputError(f"{told} Write it like '30 days'.")
    if state.startswith("57P"):
        return errors.DatabaseError(f"{told} Run it again once the server is back.")
    if state in {"42P01", "42883", "3F000"}:
        return errors.SchemaError(f"{told} Is the database migrated? Run 'recsql db migrate'.")
    if isinstance(error, psycopg.OperationalError) and not state:
        return errors.DatabaseError(f"{told} Is the server up, and is RECSQL_DATABASE_URL right?")
    return errors.DatabaseError(message)


def _sentence(message: str) -> str:
    return message if message.endswith("?") else f"{message.rstrip('.')}."


@contextmanager
def explained() -> Iterator[None]:
    """Turn the driver's errors into ours.

    Raises:
        RecsqlError: of the class that fits, see :mod:`recsql.errors`.
    """
    try:
        yield
    except psycopg.Error as error:
        raise explain(error) from error


@contextmanager
def connect(
    url: str | None = None, *, autocommit: bool = True, check: bool = True
) -> Iterator[psycopg.Connection[Any]]:
    """Open a connection that knows pgvector, with errors explained.

    Args:
        url: connection string; the configured database when None.
        autocommit: whether each statement is its own transaction outside ``connection.transaction()``.
        check: refuse a database at another revision than this release.

    Raises:
        RecsqlError: of the class that fits, see :mod:`recsql.errors`.
    """
    from recsql.migrate import require_current

    with (
        explained(),
        psycopg.connect(url or database_url(), autocommit=autocommit, application_name="recsql") as connection,
    ):
        if check:
            require_current(connection)
            register_vector(connection)
        yield connection
