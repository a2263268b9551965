"""Alembic's environment: revisions and the repeatable objects of ``sql/``, in one transaction.

Plain ``alembic upgrade head`` and ``recsql db migrate`` both end here. Revisions own tables; the files under ``sql/``
own functions, views and triggers, which are dropped before the revisions run and created again after them.
"""

from pathlib import Path
from typing import Any

import psycopg
from alembic import context
from alembic.util import CommandError
from sqlalchemy import create_engine, pool
from sqlalchemy.exc import DBAPIError

from recsql.db import database_url, explained, sqlalchemy_url
from recsql.errors import ConfigurationError, DatabaseError, RecsqlError, SchemaError
from recsql.migrate import check_server, known_revision
from recsql.repeatable import LOCK_KEY, RepeatableObjects, dependents

VERSIONS = Path(__file__).parent / "versions"
SETTINGS = """
    select
        set_config('client_min_messages', 'warning', true),
        set_config('statement_timeout', '0', true),
        set_config('lock_timeout', '0', true),
        set_config('search_path', %(search_path)s, true)
"""
SEARCH_PATH = """
    select concat_ws(', ', 'public', (
        select quote_ident(n.nspname)
        from pg_extension as e inner join pg_namespace as n on n.oid = e.extnamespace
        where e.extname = 'vector' and n.nspname <> 'public'
    ))
"""
config = context.config


def destination() -> str | bool | None:
    """Revision asked for: None is base, False is a command that only looks (``current``, ``check`` …)."""
    try:
        revision: Any = context.get_revision_argument()
    except KeyError:
        return False
    if isinstance(revision, tuple):  # of `heads`
        return str(revision[0])
    return revision


def run_online() -> None:
    """Run the command on the database, all in one transaction."""
    engine = create_engine(
        sqlalchemy_url(config.attributes.get("url") or database_url()),
        poolclass=pool.NullPool,
        isolation_level="READ COMMITTED",  # who waited for the lock must see what its holder did
    )
    with engine.connect() as connection, connection.begin():
        driver: Any = connection.connection.driver_connection
        # Before `create schema`, or simultaneous upgraders collide on it.
        driver.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        check_server(driver)
        known_revision(driver)
        # Names are recorded as this path shows them, so it must not be the user's own.
        usual_path = driver.execute(SEARCH_PATH).fetchone()[0]
        driver.execute(SETTINGS, {"search_path": usual_path})

        def run_file(name: str, search_path: str | None = None) -> None:
            """Run a whole SQL file, as it stands, in the migration's transaction."""
            driver.execute(SETTINGS, {"search_path": search_path or usual_path})
            driver.execute((VERSIONS / name).read_text(encoding="utf-8"))
            driver.execute(SETTINGS, {"search_path": usual_path})

        config.attributes["run_file"] = run_file
        context.configure(connection=connection, version_table_schema="recsql", transactional_ddl=True)
        target = destination()
        if target is False:
            with context.begin_transaction():
                context.run_migrations()
            return
        objects = RepeatableObjects(driver)
        objects.prepare()
        if context.get_context().get_current_revision() != target or objects.is_stale():
            objects.drop()
            with context.begin_transaction():
                context.run_migrations()
            if context.get_context().get_current_revision() == context.script.get_current_head():
                objects.create()
        elif target == context.script.get_current_head():
            objects.grant()


def run() -> None:
    """Run, with errors that Alembic's command line prints in one line."""
    if context.is_offline_mode():
        raise ConfigurationError(
            "Offline mode (--sql) is not supported: functions and views are created from the files under sql/ by "
            "looking at the database. Run the upgrade online; it is one transaction."
        )
    try:
        with explained():
            try:
                run_online()
            except DBAPIError as error:
                if isinstance(error.orig, psycopg.Error):
                    raise error.orig from error
                raise
    except RecsqlError as error:
        cause = error.__cause__
        if isinstance(cause, psycopg.errors.DependentObjectsStillExist) and not isinstance(error, SchemaError):
            raise SchemaError(
                f"The migration was stopped and nothing was changed: {dependents(cause)}. Drop what is not ours (keep "
                "its definition), migrate, then create it again."
            ) from cause
        if isinstance(cause, psycopg.errors.InsufficientPrivilege) and "extension" in str(cause):
            raise DatabaseError(
                "This account may not create the extension vector. Have a superuser run 'create extension vector; "
                "create role recsql_reader nologin; create role recsql_writer nologin' in this database, then migrate "
                "again."
            ) from cause
        raise


try:
    run()
except RecsqlError as error:
    raise CommandError(str(error)) from error
