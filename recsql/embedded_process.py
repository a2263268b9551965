"""Whether a process is the embedded server, and whether a port is free for it."""

import os
import re
import signal
import socket
import subprocess
from contextlib import closing, suppress
from pathlib import Path

from recsql.errors import ServerError

_PROC = Path("/proc")


def is_postmaster(pid: int, data: Path) -> bool:
    """Whether a process is the PostgreSQL server of a data folder.

    A pid file alone says little: after a crash its number may belong to any program, which must not be signalled.

    Raises:
        ServerError: the system tells nothing about its processes.
    """
    if not (_PROC / "self").exists():
        return _is_postmaster_by_ps(pid, data)
    process = _PROC / str(pid)
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        if os.path.basename(arguments[0]) != b"postgres":
            return False
        try:
            return Path(os.readlink(process / "cwd")) == data
        except PermissionError:  # root without CAP_SYS_PTRACE, as in containers
            return os.fsencode(data) in arguments
    except OSError:
        return False


def _is_postmaster_by_ps(pid: int, data: Path) -> bool:
    command = ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ServerError(f"Cannot tell whether process {pid} is the server: there is neither /proc nor ps.") from error
    return bool(re.match(rf"\S.*/postgres -D {re.escape(str(data))}\s*$", done.stdout))


def end_orphans(data: Path) -> None:
    """End what a killed server left of itself: a busy process does not notice, and it blocks the next start.

    Raises:
        ServerError: the server lives, and only its pid file is gone.
    """
    for process in _PROC.glob("[0-9]*"):
        pid = int(process.name)
        if is_postmaster(pid, data):
            raise ServerError(f"Process {pid} serves {data} and its postmaster.pid is gone: end that process first.")
        with suppress(OSError):  # it has ended, or it is another user's
            title = (process / "cmdline").read_bytes()
            if title.startswith(b"postgres: ") and Path(os.readlink(process / "cwd")) == data:
                os.kill(pid, signal.SIGQUIT)


def require_free(port: int) -> None:
    """Refuse a TCP port that the server could not listen on.

    Raises:
        ServerError: another program has it, or it is out of range.
    """
    if not 1024 <= port <= 65535:
        raise ServerError(f"Port {port} cannot be used: give one from 1024 to 65535.")
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServerError(
                f"Port {port} is in use: choose another with 'recsql db start --tcp PORT', or 0 for none."
            ) from error
