"""What a command said, and what it left in the database."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from warm_cli import Finished

RECSQL = Path(sys.executable).with_name("recsql")
"""The command as it is installed: under ``python -m``, CPython may end by the signal after a Ctrl-C within an import,
whatever exit code the command gave."""
PATIENCE_S = 60

GOOD = b"user_id,item_id,rating,timestamp\nu1,i1,4,1700000000\nu1,i2,5,1700000001\nu2,i1,3,1700000002\n"
"""Three good events."""

N_ROWS = 200_000
"""Rows of the big file."""


class State(NamedTuple):
    """What a database holds of loads.

    Attributes:
        n_events: events.
        inboxes: partitions of the inbox, the applications' own aside.
        n_waiting: raw items, users and events that nobody cleaned.
    """

    n_events: int
    inboxes: list[str]
    n_waiting: int


NOTHING = State(0, [], 0)


def one(url: str, query: str) -> Any:
    """First column of the first row."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def state(url: str) -> State:
    return State(
        one(url, "select count(*) from recsql.event"),
        one(
            url,
            "select coalesce(array_agg(inhrelid::regclass::text), '{}') from pg_inherits "
            "where inhparent = 'recsql.event_inbox'::regclass and inhrelid <> 'recsql.event_inbox_0'::regclass",
        ),
        one(url, "select (select count(*) from recsql.event_inbox) + (select count(*) from recsql.entity_inbox)"),
    )


def await_true(url: str, query: str, process: "subprocess.Popen[str]") -> None:
    """Ask again until the answer is true, as long as a process runs."""
    end = time.monotonic() + PATIENCE_S
    while not one(url, query):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"never true: {query}"
        time.sleep(0.01)


def told(finished: Finished) -> Any:
    """What a command printed with ``--json``."""
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def refusal(finished: Finished, code: int = 1) -> str:
    """The one line that a command said about why it failed."""
    assert finished.returncode == code, finished
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr
    (line,) = finished.stderr.splitlines()
    return line
