"""Migrations: upgrade, downgrade, and whether a database fits this release."""

import logging
import re
from typing import Any

import psycopg

from recsql.db import database_url, explained
from recsql.errors import DatabaseError, RecsqlError, SchemaError
from recsql.paths import ALEMBIC_INI, MIGRATIONS_DIR
from recsql.queries import QUERIES
from recsql.repeatable import RepeatableObjects

logger = logging.getLogger(__name__)

MIN_SERVER = 160_000
MIN_PGVECTOR = (0, 8)


def _config(url: str) -> Any:
    from alembic.config import Config

    config = Config(str(ALEMBIC_INI))
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    config.attributes["url"] = url
    return config


def _known() -> list[str]:
    """Revisions of this release in their order; a revision is the first four characters of its file's name."""
    return sorted(path.name[:4] for path in (MIGRATIONS_DIR / "versions").glob("[0-9]*.py"))


def check_server(connection: psycopg.Connection[Any]) -> str:
    """Refuse a server that is too old or has no pgvector; returns pgvector's version.

    Raises:
        DatabaseError: with what to install or upgrade.
    """
    if connection.info.server_version < MIN_SERVER:
        major = connection.info.server_version // 10_000
        raise DatabaseError(
            f"PostgreSQL {major} is too old: recsql needs PostgreSQL 16 or newer. Upgrade the server, or unset "
            f"RECSQL_DATABASE_URL and PG* to use the embedded one."
        )
    row = connection.execute(
        "select coalesce(e.extversion, a.default_version) from pg_available_extensions a "
        "left join pg_extension e on e.extname = a.name where a.name = 'vector'"
    ).fetchone()
    if row is None:
        raise DatabaseError(
            "This server has no pgvector: install the pgvector package (0.8 or newer) on the database server, or unset "
            "RECSQL_DATABASE_URL and PG* to use the embedded one."
        )
    version = str(row[0])
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < MIN_PGVECTOR:
        raise DatabaseError(
            f"pgvector {version} is too old: recsql needs 0.8 or newer. Install it on the server, then run "
            f"'alter extension vector update'."
        )
    return version


def _current(connection: psycopg.Connection[Any]) -> str | None:
    row = connection.execute("select to_regclass('recsql.alembic_version') is not null").fetchone()
    if row is None or not row[0]:
        return None
    row = connection.execute("select version_num from recsql.alembic_version").fetchone()
    return row[0] if row else None


def known_revision(connection: psycopg.Connection[Any]) -> str | None:
    """The database's revision, None where it has none.

    Raises:
        SchemaError: this release does not know it.
    """
    current = _current(connection)
    if current is not None and current not in (known := _known()):
        raise SchemaError(
            f"The database is at revision {current} and this release knows up to {known[-1]}: it was upgraded by a "
            "newer recsql. Install that release (pip install --upgrade recsql)."
        )
    return current


def _run(command: str, url: str, revision: str) -> None:
    from alembic import command as commands
    from alembic.util import CommandError

    try:
        with explained():
            getattr(commands, command)(_config(url), revision)
    except CommandError as error:
        if isinstance(error.__cause__, RecsqlError):
            raise error.__cause__ from error
        raise SchemaError(f"{error}. The revisions are listed by 'recsql db migrate --list'.") from error


def upgrade(url: str, revision: str = "head") -> None:
    """Bring a database to a revision: schema, functions and views, in one transaction; repeating it changes nothing.

    Raises:
        DatabaseError: the server cannot be reached, is too old or has no pgvector.
        SchemaError: the database is newer than this release, or an object that is not ours is in the way.
    """
    _run("upgrade", url, revision)


def migrated_url() -> str:
    """The configured database, brought to this release's revision.

    Raises:
        RecsqlError: as :func:`recsql.db.database_url` and :func:`upgrade` do.
    """
    with explained():
        url = database_url()
        with psycopg.connect(url) as connection:
            try:
                require_current(connection)
            except SchemaError:
                pass
            else:
                return url
        upgrade(url)
    return url


def downgrade(url: str, revision: str) -> None:
    """Take a database back to an earlier revision; at ``base`` nothing is left but the empty schema ``recsql``.

    Raises:
        SchemaError: there is no such revision, or an object that is not ours is in the way.
    """
    _run("downgrade", url, revision)


def revisions() -> list[dict[str, str]]:
    """The revisions of this release, the oldest first: ``revision`` and ``title``."""
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_config(""))
    return [{"revision": found.revision, "title": found.doc} for found in reversed(list(script.walk_revisions()))]


def status(url: str) -> dict[str, Any]:
    """Where a database stands: ``revision``, ``head``, ``is_current``, and the versions of server and pgvector.

    ``is_current`` also says whether the functions and views are those of this release; ``missing_roles`` are those of
    the applications that the server does not have.

    Raises:
        DatabaseError: the server cannot be reached, is too old or has no pgvector.
        SchemaError: the database is newer than this release.
    """
    head = _known()[-1]
    with explained(), psycopg.connect(url) as connection:
        pgvector = check_server(connection)
        current = known_revision(connection)
        return {
            "revision": current,
            "head": head,
            "is_current": current == head and not RepeatableObjects(connection).is_stale(),
            "server_version": connection.info.parameter_status("server_version"),
            "pgvector": pgvector,
            "missing_roles": [role for (role,) in connection.execute(QUERIES["missing_roles"]).fetchall()],
        }


def require_current(connection: psycopg.Connection[Any]) -> None:
    """Refuse to work on a database that is not this release's: its revision, and its functions and views.

    It is cheap: no Alembic is loaded.

    Raises:
        SchemaError: with the command that mends it.
    """
    current, head = known_revision(connection), _known()[-1]
    if current != head:
        raise SchemaError(
            f"The database is at revision {current or 'none'} and this release needs {head}: run 'recsql db migrate'."
        )
    if RepeatableObjects(connection).is_stale():
        raise SchemaError("The database's functions and views are not those of this release: run 'recsql db migrate'.")
