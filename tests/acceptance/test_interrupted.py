"""A load that is stopped, killed or cut off leaves nothing, and the next one completes."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from outcome import N_ROWS, NOTHING, State, await_true, one, refusal, state
from warm_cli import Finished

Cli = Callable[..., Finished]
Start = Callable[..., "subprocess.Popen[str]"]


HELD = (
    "create function public.wait_at_row() returns trigger language plpgsql as "
    "$$ begin perform pg_advisory_xact_lock(7); return new; end $$",
    "create trigger wait_at_row before insert on recsql.event_inbox for each row "
    f"when (new.line_no = '{N_ROWS // 2}') execute function public.wait_at_row()",
)
"""Rows arrive up to the middle of the file, and then no more as long as somebody has the lock."""
LOADING = "where datname = current_database() and application_name = 'recsql'"
WAITING = f"select exists (select from pg_stat_activity {LOADING} and wait_event_type = 'Lock')"
MOMENTS = ["reading", "cleaning"]


@contextmanager
def met(database: str, start: Start, path: Path, moment: str) -> Iterator["subprocess.Popen[str]"]:
    """A load that is held up as rows arrive in the inbox, or when its users and items are written."""
    with psycopg.connect(database) as other:
        if moment == "cleaning":
            other.execute("lock table recsql.event in share mode")
        else:
            for statement in HELD:
                other.execute(statement.encode())
            other.commit()
            other.execute("select pg_advisory_xact_lock(7)")
        process = start("load", "csv", path)
        await_true(database, WAITING, process)
        yield process


@pytest.fixture
def path(moment: str, request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue("big_csv" if moment == "reading" else "good_csv")


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_loads_nothing(cli: Cli, start_cli: Start, database: str, path: Path, moment: str) -> None:
    with met(database, start_cli, path, moment) as process:
        process.send_signal(signal.SIGINT)
        line = refusal(finished(process), code=130)
    assert line.startswith("Stopped; nothing half done")
    assert state(database) == NOTHING
    assert one(database, "select state || ' ' || error from recsql.load").startswith("failed KeyboardInterrupt")
    assert_completes(cli, database, path)


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_9_loads_nothing(cli: Cli, start_cli: Start, database: str, path: Path, moment: str) -> None:
    with met(database, start_cli, path, moment) as process:
        process.kill()
        assert finished(process).returncode == -signal.SIGKILL
    assert_completes(cli, database, path)
    # The next load, or at the latest this, finds that the session of the killed one is gone.
    assert cli("status").returncode == 0
    assert one(database, "select state || ': ' || error from recsql.load order by load_no limit 1") == (
        "failed: its session ended before it did"
    )
    counts = "select array[count(*), count(distinct user_no), count(distinct item_no)] from recsql.event"
    assert one(database, counts) == ([N_ROWS, 5_000, 700] if moment == "reading" else [3, 2, 2])


def test_server_that_ends_the_connection_loads_nothing(
    cli: Cli, start_cli: Start, database: str, good_csv: Path
) -> None:
    with met(database, start_cli, good_csv, "cleaning") as process:
        one(database, f"select pg_terminate_backend(pid) from pg_stat_activity {LOADING} and wait_event_type = 'Lock'")
        line = refusal(finished(process))
    assert line.startswith("Error: terminating connection due to administrator command.")
    assert line.endswith("Run it again once the server is back.")
    assert state(database) == NOTHING
    assert_completes(cli, database, good_csv)


def finished(process: "subprocess.Popen[str]") -> Finished:
    stdout, stderr = process.communicate(timeout=60)
    return Finished(process.returncode, stdout, stderr)


def assert_completes(cli: Cli, database: str, path: Path) -> None:
    n_events = N_ROWS if path.name == "big.csv" else 3
    done = cli("load", "csv", path, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["is_new"], result["n_rows"], result["n_events"]) == (True, n_events, n_events)
    assert state(database) == State(n_events, [], 0)
