"""The command line: quick to start, explained, and never a traceback."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from outcome import refusal
from rich.console import Console
from warm_cli import Finished, environment

from recsql.cli.output import table
from workers.cli import app

Cli = Callable[..., Finished]

HEAVY = {"torch", "sentence_transformers", "transformers", "pandas", "sqlalchemy", "scipy", "pyarrow", "alembic"}
SILENT = {
    ("db", "stop"),  # says on stderr what it did
    ("db", "reset"),
    ("db", "url"),  # one bare line, to be put into a command
    ("db", "psql"),  # psql's own output
    ("worker",),  # runs until it is stopped, and logs
}
"""Commands that print no result of their own."""


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it, groups included."""
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))
LEAVES = {path: command for path, command in COMMANDS.items() if not hasattr(command, "commands")}


def imported(*arguments: str) -> set[str]:
    """Packages that a Python process imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {name.split(".")[0] for name in lines}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["load", "--help"], ["db", "migrate", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    names = imported("-m", "workers.cli", *arguments)
    assert "typer" in names
    assert names & HEAVY == set()


def test_import_of_the_cli_imports_nothing_heavy() -> None:
    names = imported("-c", "import workers.cli")
    assert "recsql" in names
    assert names & HEAVY == set()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_command_and_its_options_are_explained(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert (command.help or "").strip()
    unexplained = [parameter.name for parameter in command.params if not (getattr(parameter, "help", "") or "").strip()]
    assert unexplained == []


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - SILENT), ids=" ".join)
def test_command_with_a_result_prints_json(path: tuple[str, ...]) -> None:
    assert "--json" in {option for parameter in LEAVES[path].params for option in parameter.opts}


@pytest.mark.parametrize("arguments", [["nonsense"], ["db", "nonsense"], ["load", "--nonsense"], ["recommend"]])
def test_wrong_usage_is_exit_code_2(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "told"),
    [
        (["load", "nonsense"], {}, "nonsense is no source; known are movielens-100k"),
        (["load", "csv"], {}, "needs the path of a file: recsql load csv PATH"),
        (["load", "simulated", "--time-unit", "h"], {}, "'h' is not a time unit: use one of s, ms"),
        (["rollback"], {}, ""),
        (["db", "migrate", "nonsense"], {}, "recsql db migrate --list"),
        (["db", "downgrade", "base"], {}, "add --yes"),
        (["status"], {"RECSQL_DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "Is the server up"),
        (["status"], {"RECSQL_DATABASE_URL": "mysql://u:secret@x"}, "RECSQL_DATABASE_URL is no connection string"),
        (["status"], {"RECSQL_THREADS": "many"}, "RECSQL_THREADS cannot be used"),
        (["rejected"], {"PGOPTIONS": "-c statement_timeout=nonsense"}, "statement_timeout"),
    ],
)
def test_error_is_one_line(cli: Cli, arguments: list[str], variables: dict[str, str], told: str) -> None:
    line = refusal(cli(*arguments, env=variables))
    assert line.startswith("Error: ")
    assert told in line
    assert "secret" not in line


def test_unmigrated_database_is_refused_in_one_line(cli: Cli, empty_database: str) -> None:
    line = refusal(cli("status", env={"RECSQL_DATABASE_URL": empty_database}))
    assert line.endswith("run 'recsql db migrate'.")


def test_json_is_one_document_on_stdout(cli: Cli, good_csv: Path) -> None:
    done = cli("load", "csv", good_csv, "--json")
    assert json.loads(done.stdout)["n_events"] == 3
    assert done.stderr == ""


def test_long_values_are_folded_and_not_cut() -> None:
    address = "postgresql://postgres@/recsql?host=%2Fvar%2Flib%2Frecsql%2Fsocket&port=5432"
    narrow = Console(file=StringIO(), width=40)
    narrow.print(table({"url": address}))
    printed = narrow.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "…" not in printed
    parts = [line.split("│")[2].strip() for line in printed.splitlines() if "│" in line]
    assert "".join(parts) == address
