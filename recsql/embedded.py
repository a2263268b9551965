"""The embedded PostgreSQL: packaged binaries, started and stopped by ``initdb`` and ``pg_ctl``.

Under root the server runs as ``nobody``, since PostgreSQL refuses root; its folder and its binaries are put where that
user can reach them. A pid file is believed only when the process that it names really is this server.
"""

import logging
import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from recsql.embedded_binaries import find_binaries, find_program, reachable_copy
from recsql.embedded_home import ServerHome, read
from recsql.embedded_process import end_orphans, is_postmaster, require_free
from recsql.errors import ServerError

logger = logging.getLogger(__name__)

SUPERUSER = "postgres"
_PATIENCE_S = 600
_SURVIVORS_S = 30
_TELLING = re.compile("FATAL|PANIC|HINT|invalid|unrecognized|could not")
_PREFIX = re.compile(r"^\S+ \S+ \S+ \[\d+\] ")


@dataclass(frozen=True)
class ServerStatus:
    """State of the embedded server: sizes in bytes, ``url`` without a password."""

    running: bool
    pid: int | None
    version: str | None
    data: str
    size: int | None
    url: str
    tcp_port: int | None

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON."""
        return asdict(self)


class EmbeddedServer:
    """One server in one folder.

    Args:
        home: folder for data, socket, log and password.
        bin_dir: folder of ``initdb``, ``pg_ctl`` and ``postgres``; the packaged ones when None.
    """

    def __init__(self, home: Path, bin_dir: Path | None = None) -> None:
        self._home = ServerHome(home)
        self.home = self._home.path
        self.data = self._home.data
        self.log = self._home.log
        self._bin = bin_dir

    @cached_property
    def bin_dir(self) -> Path:
        """Folder of the binaries that are used."""
        source = self._bin or find_binaries()
        if not (source / "postgres").exists():
            raise ServerError(f"{source} holds no 'postgres': set RECSQL_PG_BIN to the bin folder of a PostgreSQL.")
        return source if self._home.can("x", source / "postgres") else reachable_copy(source, self.home)

    @property
    def psql_path(self) -> Path | None:
        """The packaged ``psql``, else the one on PATH, else None."""
        return find_program("psql", self._bin)

    @property
    def socket_dir(self) -> Path:
        """Folder of the socket."""
        return self._home.socket_dir

    def url(self, database: str = "recsql") -> str:
        """Connection URL over the socket."""
        host = quote(str(self.socket_dir), safe="")
        port = self._home.tcp_port() or 5432
        return f"postgresql://{SUPERUSER}@/{quote(database, safe='')}?host={host}&port={port}"

    def tcp_url(self, database: str = "recsql") -> str | None:
        """Connection URL over TCP with its password, where TCP was asked for; else None."""
        port, password = self._home.tcp_port(), read(self._home.password)
        if port is None or not password:
            return None
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{port}/{quote(database, safe='')}"

    def status(self) -> ServerStatus:
        """Look at the server without changing anything."""
        pid = self._pid()
        version = read(self.data / "PG_VERSION")
        size = None
        if pid is not None:
            try:
                with psycopg.connect(self.url("postgres"), connect_timeout=5) as connection:
                    row = connection.execute("select sum(pg_database_size(oid))::bigint from pg_database").fetchone()
                    size = row[0] if row else None
            except psycopg.Error:
                logger.warning("the server does not answer", extra={"pid": pid})
        return ServerStatus(
            running=pid is not None,
            pid=pid,
            version=version.strip() if version else None,
            data=str(self.data),
            size=size,
            url=self.url(),
            tcp_port=self._home.tcp_port() if pid is not None else None,
        )

    def start(self, tcp_port: int | None = None) -> None:
        """Start the server, making its data first where there are none; a running one is left alone.

        Args:
            tcp_port: also listen on 127.0.0.1 at this port, with a password kept in ``home/password``. None leaves
                that as it was, 0 ends it; a change restarts a running server.

        Raises:
            ServerError: with what the log says.
        """
        self._home.make()
        with self._home.locked():
            pid, before = self._pid(), self._home.tcp_port()
            port = before if tcp_port is None else tcp_port or None
            if pid is not None and not self._await_ready(pid):
                pid = None
            if pid is not None and port == before:
                return
            if port is not None:
                require_free(port)
            if pid is not None:
                self._pg_ctl("stop", "-m", "fast")
            self._home.make_socket_dir()
            if read(self.data / "PG_VERSION") is None:
                self._init()
            end_orphans(self.data)  # first of all: it refuses where the server lives after all
            self._home.write_conf(port)
            self._home.disarm_pid_file()
            try:
                self._launch()
            except ServerError:
                self._home.write_conf(before)
                raise
            if port is not None:
                self._set_password()

    def stop(self) -> bool:
        """Stop the server; returns whether it was running."""
        if self._pid() is None:
            return False
        with self._home.locked():
            if self._pid() is None:
                return False
            self._pg_ctl("stop", "-m", "fast")
            return True

    def reset(self) -> None:
        """Stop the server and delete its folder's content; a folder that recsql never used is left as it is.

        Raises:
            ServerError: the folder is not one that recsql made.
        """
        if self._home.is_foreign():
            raise ServerError(f"{self.home} was not made by recsql, so it is not deleted. Is RECSQL_HOME right?")
        if not self._home.marker.exists():
            return
        with self._home.locked():
            if self._pid() is not None:
                self._pg_ctl("stop", "-m", "fast")
            self._home.delete()
        self.__dict__.pop("bin_dir", None)  # a copy of them may just have been deleted

    def ensure_database(self, name: str) -> None:
        """Create a database where it is missing.

        Raises:
            ServerError: the server does not answer.
        """
        with self._superuser() as connection:
            if connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
                return
            try:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                logger.info("another process created the database", extra={"database": name})

    # Inside

    @contextmanager
    def _superuser(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
                yield connection
        except psycopg.Error as error:
            raise ServerError(
                f"The server does not answer: {' '.join(str(error).split())} (log: {self.log})"
            ) from error

    def _init(self) -> None:
        building = self._home.make_data_dir()
        version = re.search(r"\) (\d+)", self._run("initdb", "--version"))
        locale = ["--locale=C.UTF-8"]
        if version and int(version[1]) >= 17:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        self._run("initdb", "-D", str(building), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", *locale)
        conf = building / "postgresql.conf"
        self._home.write(conf, f"{conf.read_text()}\ninclude 'recsql.conf'\n")
        hba = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        self._home.write(building / "pg_hba.conf", hba)
        building.rename(self.data)

    def _set_password(self) -> None:
        path = self._home.password
        path.touch(mode=0o600)
        if not path.read_text():
            path.write_text(secrets.token_urlsafe(24))
        with self._superuser() as connection:
            hashed = connection.pgconn.encrypt_password(
                path.read_bytes(), SUPERUSER.encode(), b"scram-sha-256"
            ).decode()
            connection.execute(
                sql.SQL("alter role {} password {}").format(sql.Identifier(SUPERUSER), sql.Literal(hashed))
            )

    def _run(self, program: str, *arguments: str) -> str:
        # Nothing else of ours: PG* and locales would mislead it, and secrets are none of its business.
        environment = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
        environment |= {"LC_ALL": "C", "TZ": "UTC"}
        log_size = self.log.stat().st_size if self.log.exists() else 0
        done = subprocess.run(
            [str(self.bin_dir / program), *arguments],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C in the terminal ends the command, not the server
            check=False,
            **self._home.run_as,
        )
        if done.returncode != 0:
            # The server's own words first; what the log held before this call belongs to other troubles.
            logged = (read(self.log) or "").encode()[log_size:].decode(errors="replace").splitlines()
            told = [_PREFIX.sub("", line) for line in logged if _TELLING.search(line)]
            told = told or [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            reason = " ".join(line.strip() for line in told[-3:])[:500] or f"exit code {done.returncode}"
            raise ServerError(f"{' '.join([program, *arguments[:1]])} failed: {reason} (log: {self.log})")
        return done.stdout

    def _pg_ctl(self, action: str, *arguments: str) -> None:
        self._run("pg_ctl", action, "-D", str(self.data), "-w", "-s", "-t", str(_PATIENCE_S), *arguments)

    def _launch(self) -> None:
        """Start, waiting for what is left of a server that was killed: its last processes still use its memory."""
        self.log.touch()
        self._home.give(self.log, 0o640)
        end = time.monotonic() + _SURVIVORS_S
        while True:
            try:
                self._pg_ctl("start", "-l", str(self.log))
                return
            except ServerError as error:
                if "still in use" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def _await_ready(self, pid: int) -> bool:
        """Wait for a server that is still recovering; False: it was stopping, and has ended."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            if self._pid() is None:
                return False
            if (read(self._home.pid_file) or "").rstrip().endswith("ready"):
                return True
            time.sleep(0.1)
        raise ServerError(f"The server (process {pid}) does not get ready, see {self.log}.")

    def _pid(self) -> int | None:
        """Process id of this server, verified against the process itself; None when it does not run."""
        pid = self._home.named_pid()
        return pid if pid is not None and is_postmaster(pid, self.data) else None
