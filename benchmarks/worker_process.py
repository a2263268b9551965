"""Worker processes that benchmarks start, watch and kill."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def start_worker(url: str) -> "subprocess.Popen[bytes]":
    """Start ``recsql worker --queue embed`` on a database; whoever calls has to end it."""
    return subprocess.Popen(
        [sys.executable, "-m", "workers.cli", "worker", "--queue", "embed"],
        cwd=ROOT,
        env=os.environ | {"RECSQL_DATABASE_URL": url},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@contextmanager
def running_worker(url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker that is ended afterwards."""
    process = start_worker(url)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(is_so: Callable[[], bool], seconds: float, pause: float = 0.002) -> bool:
    """Ask until something is so; False if it is not after so many seconds."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
