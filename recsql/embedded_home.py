"""The folder of the embedded server: what is in it, whose it is, and one process at a time changing it.

::

    recsql-home   says that recsql made this folder
    lock          held while the server is started, stopped or deleted
    data/         PostgreSQL's data, with our settings in data/recsql.conf
    socket/       the socket (under /tmp where the path would be too long)
    server.log    what the server says
    password      of TCP connections
"""

import fcntl
import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from recsql.embedded_conf import render_conf
from recsql.errors import ServerError

SERVER_USER = "nobody"
_SOCKET_LIMIT = 85
"""Bytes of a socket's folder: the whole path may have 103 (107 on Linux), of which PostgreSQL's own name takes 15."""
_NO_PID = 2**22 + 1
"""A process id that no process can have."""


def read(path: Path) -> str | None:
    """Text of a file, None where there is none.

    Raises:
        ServerError: the folder is another user's.
    """
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ServerError(f"{error}. Use the server as the user who made it, or set RECSQL_HOME elsewhere.") from error


class ServerHome:
    """Paths, ownership and locking of one folder.

    Args:
        path: the folder; it is made by :meth:`make`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.data = self.path / "data"
        self.log = self.path / "server.log"
        self.password = self.path / "password"
        self.pid_file = self.data / "postmaster.pid"
        self.marker = self.path / "recsql-home"

    @property
    def socket_dir(self) -> Path:
        """Folder of the socket: beside the data, or under /tmp where libpq could not take that path."""
        inside = self.path / "socket"
        if len(os.fsencode(inside)) <= _SOCKET_LIMIT and "," not in str(inside):
            return inside
        return Path("/tmp") / f"recsql-{sha256(os.fsencode(self.path)).hexdigest()[:12]}"  # noqa: S108

    @cached_property
    def account(self) -> tuple[int, int] | None:
        """User and group of the server: under root the owner of the data, else ``nobody``; None is who we are."""
        if os.geteuid() != 0:
            return None
        if self.data.exists() and (owner := self.data.stat()).st_uid != 0:
            return owner.st_uid, owner.st_gid
        nobody = pwd.getpwnam(SERVER_USER)
        return nobody.pw_uid, nobody.pw_gid

    @property
    def run_as(self) -> dict[str, Any]:
        """Arguments with which ``subprocess`` runs a program as the server's user."""
        return {"user": self.account[0], "group": self.account[1], "extra_groups": []} if self.account else {}

    def can(self, what: str, path: Path) -> bool:
        """Whether the server's user can read (``r``), write (``w``), or execute or enter (``x``) a path."""
        if self.account is None:
            return os.access(path, {"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}[what])
        command = ["/usr/bin/env", "test", f"-{what}", str(path)]
        return subprocess.run(command, cwd="/", check=False, **self.run_as).returncode == 0

    def give(self, path: Path, mode: int) -> None:
        """Make a path the server's own."""
        path.chmod(mode)
        if self.account:
            os.chown(path, *self.account)

    def write(self, path: Path, text: str) -> None:
        """Replace a file of the server's in one step.

        Never through a link: what the server's user planted in its own folder must not decide where root writes.
        """
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            if self.account:
                os.fchown(file.fileno(), *self.account)
            file.write(text)
        fresh.replace(path)

    def make(self) -> None:
        """Make the folder where it is missing.

        Raises:
            ServerError: the server's user could not work in it.
        """
        if re.search(r'["$`\\\n]', str(self.path)):  # pg_ctl puts it into a shell's command
            raise ServerError(f"RECSQL_HOME may hold no quotes, '$', backslashes or line breaks: {str(self.path)!r}.")
        try:
            missing = [path for path in (self.path, *self.path.parents) if not path.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            for path in missing if self.account else []:  # whatever the umask is
                path.chmod(0o755)
        except OSError as error:
            raise ServerError(f"RECSQL_HOME cannot be made: {error}. Set it to another folder.") from error
        if not self.can("x", self.path):
            user = f"user '{SERVER_USER}', under whom the server runs when root starts it" if self.account else "user"
            raise ServerError(
                f"RECSQL_HOME {self.path} cannot be entered by the {user}: set it to a folder whose parents that user "
                "may enter, such as /var/lib/recsql under root."
            )

    def make_socket_dir(self) -> None:
        """Make the folder of the socket: who can enter it is the superuser without a password.

        Raises:
            ServerError: somebody else put it there.
        """
        path = self.socket_dir
        path.mkdir(mode=0o700, exist_ok=True)
        if path.is_symlink() or path.stat().st_uid not in {os.geteuid(), *(self.account or ())[:1]}:
            raise ServerError(
                f"{path}, where the socket goes, is somebody else's: remove it, or set RECSQL_HOME elsewhere."
            )
        self.give(path, 0o700)

    def make_data_dir(self) -> Path:
        """Make an empty folder to build the data in: renamed once complete, so that a kill leaves nothing half-made.

        Raises:
            ServerError: there are data that recsql did not make.
        """
        if self.data.exists() and (not self.marker.exists() or any(self.data.iterdir())):
            raise ServerError(f"{self.data} is not of recsql's making: set RECSQL_HOME to a folder without a 'data'.")
        for leftover in self.path.glob("new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        self.marker.touch()
        building = Path(tempfile.mkdtemp(prefix="new-", dir=self.path))
        self.give(building, 0o700)
        return building

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process: several may start the server at once.

        Raises:
            ServerError: also for what goes wrong with files meanwhile.
        """
        try:
            with (self.path / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise ServerError(f"{error}. RECSQL_HOME is {self.path}: is it writable, and is there room?") from error

    def delete(self) -> None:
        """Delete what recsql made, the lock aside, on which others may wait."""
        for path in (self.data, self.socket_dir, *self.path.glob("new-*"), *self.path.glob("binaries-*")):
            if path.exists():
                shutil.rmtree(path)
        for path in (self.log, self.password, self.marker):
            path.unlink(missing_ok=True)

    def is_foreign(self) -> bool:
        """Whether the folder holds things and recsql did not make it."""
        try:
            return not self.marker.exists() and any(path.name != "lock" for path in self.path.iterdir())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ServerError(f"{error}. Is RECSQL_HOME right?") from error

    # What the server's folder says

    def named_pid(self) -> int | None:
        """The process id in the pid file, which may be stale."""
        lines = (read(self.pid_file) or "").splitlines()
        return int(lines[0]) if lines and lines[0].strip().isdigit() else None

    def disarm_pid_file(self) -> None:
        """Let stale pid files name no process: PostgreSQL takes a process that got the same id for a server.

        The rest of the data's own file stays: by it PostgreSQL finds out whether a killed server's processes still run.
        """
        for lock in self.socket_dir.glob(".s.PGSQL.*.lock"):
            lock.unlink()
        if self.named_pid() is None:
            self.pid_file.unlink(missing_ok=True)
        else:
            rest = (read(self.pid_file) or "").splitlines()[1:]
            self.write(self.pid_file, "\n".join([str(_NO_PID), *rest]) + "\n")

    def tcp_port(self) -> int | None:
        """The TCP port that the settings name."""
        port = re.search(r"^port = (\d+)$", read(self.data / "recsql.conf") or "", re.MULTILINE)
        return int(port[1]) if port else None

    def write_conf(self, port: int | None) -> None:
        """Write the settings; they are read when the server starts."""
        self.write(self.data / "recsql.conf", render_conf(self.socket_dir, port))
