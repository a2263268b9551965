"""``recsql`` commands, in processes forked from one that has imported everything: most import longer than they run."""

import multiprocessing
import os
import sys
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
IMPORTED = [
    "workers.cli",
    "workers.app",
    "alembic.command",
    "optuna",
    "pandas",
    "psycopg",
    "pyarrow.parquet",
    "scipy.sparse",
    "sentence_transformers",
    "torch",
]


class Finished(NamedTuple):
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(IMPORTED)


def environment(**variables: str) -> dict[str, str]:
    """Environment of a command: the developer's own settings play no part."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "RECSQL_"))}
    return inherited | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "120"} | variables


def run(
    arguments: list[str], folder: Path, variables: dict[str, str], stdin: str, kept: Path, timeout: float
) -> Finished:
    """Run a command in ``folder``, given ``stdin``; all that it wrote is ``kept``.

    Raises:
        TimeoutError: it was killed after ``timeout`` seconds.
    """
    streams = [kept / name for name in ("stdin", "stdout", "stderr")]
    for path, text in zip(streams, (stdin, "", ""), strict=True):
        path.write_text(text)
    process = _forks.Process(target=_command, args=(arguments, folder, variables, streams))
    process.start()
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"recsql {' '.join(arguments)} took more than {timeout} s")
    return Finished(process.exitcode, streams[1].read_text(), streams[2].read_text())


def _command(arguments: list[str], folder: Path, variables: dict[str, str], streams: list[Path]) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    for number, path in enumerate(streams):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.argv = ["recsql", *arguments]
    from workers.cli import main

    main()
