"""``recsql`` commands, in processes forked from one that has imported everything: most import longer than they run."""

import multiprocessing
import os
import sys
from pathlib import Path

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

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(IMPORTED)


def run(
    arguments: list[str], folder: Path, variables: dict[str, str], stdin: str, kept: Path, timeout: float
) -> tuple[int, str, str]:
    """Exit code of a command in ``folder``, and what it wrote to stdout and stderr, all of which is ``kept``.

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
    return process.exitcode, streams[1].read_text(), streams[2].read_text()


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
