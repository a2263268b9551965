"""``recsql train --processes``: several processes learn what one does, and fail as one does."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from outcome import RECSQL, one, refusal, told
from warm_cli import Finished, environment

from workers.models.registry import load_artifact

Cli = Callable[..., Finished]
Connection = psycopg.Connection[Any]

# Each process would drop what it likes.
OPTIONS = {"transformer": {"epochs": 2, "dim": 8, "n_layers": 1, "n_heads": 1, "dropout": 0.0}}


@pytest.fixture
def options(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Function that gives the environment in which models have these options."""

    def write(**changes: Any) -> dict[str, str]:
        path = tmp_path / "models.json"
        path.write_text(json.dumps({"transformer": OPTIONS["transformer"] | changes}))
        return {"RECSQL_MODEL_OPTIONS": str(path), "RECSQL_CHECKPOINTS": str(tmp_path / "checkpoints")}

    return write


def test_two_processes_learn_what_one_does(
    cli: Cli, connection: Connection, database: str, options: Callable[..., dict[str, str]]
) -> None:
    assert cli("load", "simulated").returncode == 0
    told(cli("train", "--json", "--processes", 2, env=options()))
    together = load_artifact(bytes(one(database, "select artifact from recsql.model_version"))).state()
    metrics = one(database, "select metrics from recsql.model_version")
    # The same input by one process: the run is found, so it has to be set aside.
    connection.execute("update recsql.run set fingerprint = 'set aside'")
    told(cli("train", "--json", env=options()))
    query = "select artifact from recsql.model_version order by version_no desc limit 1"
    alone = load_artifact(bytes(one(database, query))).state()
    assert one(database, "select count(*) from recsql.model_version") == 2
    assert together.keys() == alone.keys()
    for name, array in alone.items():
        np.testing.assert_allclose(together[name], array, atol=2e-4, err_msg=name)
    assert metrics["epochs"] == 2
    loss = one(database, "select metrics ->> 'loss' from recsql.model_version order by version_no desc limit 1")
    assert metrics["loss"] == pytest.approx(float(loss), rel=1e-4)


@pytest.fixture
def torchrun(database: str, tmp_path: Path) -> Callable[..., Finished]:
    """Function that runs ``recsql ARGUMENTS`` by two processes of ``torchrun``."""

    def run(*arguments: str, env: dict[str, str]) -> Finished:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        done = subprocess.run(
            [*launcher, "--no-python", str(RECSQL), *arguments],
            cwd=tmp_path,
            env=environment(RECSQL_DATABASE_URL=database, **env),
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


def test_processes_of_torchrun_learn_what_one_does(
    cli: Cli, connection: Connection, database: str, options: Callable[..., dict[str, str]], torchrun: Any
) -> None:
    assert cli("load", "simulated").returncode == 0
    # All stages: the ranker, which learns by gradients too, is the first one's alone.
    done = torchrun("run", "--json", env=options())
    assert done.returncode == 0, done.stderr
    refreshed = json.loads(done.stdout)
    connection.execute("update recsql.run set fingerprint = 'set aside'")
    run_nos = refreshed["run_no"], told(cli("run", "--json", env=options()))["run_no"]
    query = "select artifact from recsql.model_version where run_no = {}"
    together, alone = (load_artifact(bytes(one(database, query.format(no)))).state() for no in run_nos)
    assert together.keys() == alone.keys()
    for name, array in alone.items():
        np.testing.assert_allclose(together[name], array, atol=2e-4, err_msg=name)


def test_failure_under_torchrun_is_told_once(
    cli: Cli, connection: Connection, options: Callable[..., dict[str, str]], torchrun: Any
) -> None:
    assert cli("load", "simulated").returncode == 0
    done = torchrun("train", env=options(learning_rate=1e30, average=0.0))
    assert done.returncode == 1
    assert done.stderr.count("Error: training diverged: the loss of epoch ") == 1
    assert connection.execute("select state from recsql.run").fetchone() == ("failed",)
    done = torchrun("train", "--processes", "2", env=options())
    assert done.returncode == 1
    assert "Error: torchrun has started the processes: leave out --processes" in done.stderr
    # What trains nothing needs nobody.
    done = torchrun("status", "--json", env=options())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_failure_of_several_processes_is_told_as_that_of_one(
    cli: Cli, connection: Connection, options: Callable[..., dict[str, str]]
) -> None:
    assert cli("load", "simulated").returncode == 0
    lines = [
        refusal(cli("train", "--processes", n, env=options(learning_rate=1e30, average=0.0))).split(" at step")[0]
        for n in (2, 1)
    ]
    assert lines[0].startswith("Error: training diverged: the loss of epoch ")
    assert connection.execute("select count(*) from recsql.model_version").fetchone() == (0,)


def test_process_that_is_killed_ends_the_training(
    cli: Cli, start_cli: Callable[..., Any], connection: Connection, tmp_path: Path
) -> None:
    assert cli("load", "simulated").returncode == 0
    process = start_cli("train", "--processes", 2)
    deadline = time.monotonic() + 120
    shares: list[int] = []
    while len(shares) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
        shares = [pid for pid in children(process.pid) if b"spawn_main" in command(pid)]
    os.kill(shares[1], signal.SIGKILL)
    _, stderr = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "a process of the training ended before it was done" in stderr.splitlines()[-1]
    assert not any(command(pid) for pid in shares)
    assert connection.execute("select count(*) from recsql.model_version").fetchone() == (0,)
    assert connection.execute("select state from recsql.run").fetchone() == ("failed",)


def children(pid: int) -> list[int]:
    """Processes that a process started, in the order in which it did."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return sorted(found)


def command(pid: int) -> bytes:
    """Command line of a process, empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
