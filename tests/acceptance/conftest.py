"""Fixtures of the acceptance tests: commands as processes of their own."""

import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from outcome import GOOD, N_ROWS, RECSQL
from warm_cli import environment


@pytest.fixture
def start_cli(database: str, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Function that starts ``recsql ARGUMENTS`` on ``database``, with variables ``env``, and does not wait for it."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [RECSQL, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(RECSQL_DATABASE_URL=database, **(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A test run in the background of a shell ignores Ctrl-C, and would hand that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def good_csv(tmp_path: Path) -> Path:
    """A file whose three events are good."""
    path = tmp_path / "good.csv"
    path.write_bytes(GOOD)
    return path


@pytest.fixture(scope="session")
def big_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of several blocks, so that a load can be met while it reads."""
    path = tmp_path_factory.mktemp("big") / "big.csv"
    with path.open("w") as file:
        file.write("user_id,item_id,rating,timestamp\n")
        file.writelines(f"user{n % 5_000},item{n % 700},{n % 5 + 1},{1_600_000_000 + n * 60}\n" for n in range(N_ROWS))
    return path
