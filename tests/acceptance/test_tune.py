"""``recsql tune`` as a user runs it, and the options that it finds."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from outcome import RECSQL, await_true, one, refusal, told
from warm_cli import REPOSITORY, Finished, environment

from recsql import ingest
from recsql.db import connect
from recsql.readers.simulated import SimulatedReader

Cli = Callable[..., Finished]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def loaded(server: Any, template: str) -> Iterator[str]:
    """Name of a database with events."""
    with server.clone(template, prefix="recsql_loaded") as name:
        with connect(server.url(name)) as connection:
            ingest.load(connection, SimulatedReader(n_users=60, n_items=40, with_media=False))
        yield name


@pytest.fixture
def database(server: Any, loaded: str) -> Iterator[str]:
    """URL of a copy of it."""
    with server.clone(loaded) as name:
        yield server.url(name)


def test_list_of_none_says_how_to_train_one(cli: Cli) -> None:
    assert told(cli("model", "list", "--json")) == []
    assert "'recsql run' trains one" in cli("model", "list").stdout


def test_tune_searches_goes_on_and_says_how_to_use_it(
    cli: Cli, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    first = told(cli("tune", "ease", "--trials", 3, "--json"))
    assert first["states"] == {"complete": 3}
    again = cli("tune", "ease", "--trials", 2)
    assert again.returncode == 0, again.stderr
    assert "export RECSQL_MODEL_OPTIONS=" in again.stdout
    everything = told(cli("tune", "ease", "--timeout", 0, "--json"))
    assert everything["states"] == {"complete": 5}
    assert everything["study"] == first["study"]
    assert everything["trials"][:3] == first["trials"]

    file = tmp_path / "models.json"
    file.write_text(json.dumps(everything["options"]))
    run = told(cli("refresh", "--json", env={"RECSQL_MODEL_OPTIONS": str(file)}))
    config = connection.execute("select config from recsql.run where run_no = %s", (run["run_no"],)).fetchone()
    assert config is not None
    assert config[0]["models"] == everything["options"]


def test_tune_in_two_processes_makes_one_study(cli: Cli, start_cli: Start) -> None:
    # The tables of studies are not there yet, so both come to make them.
    processes = [start_cli("tune", "ease", "--trials", 3, "--json") for _ in range(2)]
    done = []
    for process in processes:
        stdout, stderr = process.communicate(timeout=120)
        done.append(told(Finished(process.returncode, stdout, stderr)))
    assert done[0]["study"] == done[1]["study"]
    trials = max((found["trials"] for found in done), key=len)
    assert sorted(trial["trial"] for trial in trials) == list(range(6))
    # What is in use is tried once, and no two processes try the same.
    assert len({trial["options"]["lambda_"] for trial in trials if trial["options"]}) == len(trials)
    assert told(cli("tune", "ease", "--timeout", 0, "--json"))["states"] == {"complete": 6}


def test_tune_stopped_by_ctrl_c_leaves_the_study_usable(cli: Cli, start_cli: Start, database: str) -> None:
    process = start_cli("tune", "slit", "--trials", 100_000)
    await_true(database, "select to_regclass('recsql_optuna.trials') is not null", process)
    await_true(database, "select count(*) > 2 from recsql_optuna.trials", process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    line = refusal(Finished(process.returncode, stdout, stderr), code=130)
    assert line.startswith("Stopped; nothing half done")
    assert one(database, "select count(*) from recsql_optuna.trials where state = 'RUNNING'") == 0
    before = one(database, "select count(*) from recsql_optuna.trials")
    again = told(cli("tune", "slit", "--trials", 1, "--json"))
    assert len(again["trials"]) == before + 1
    assert again["trials"][-1]["state"] == "complete"


def test_tune_without_optuna_says_what_to_install(database: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['optuna'] = None\n")
    variables = environment(PYTHONPATH=f"{tmp_path}:{REPOSITORY}", RECSQL_DATABASE_URL=database)
    done = subprocess.run(
        [RECSQL, "tune", "ease"], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    line = refusal(Finished(done.returncode, done.stdout, done.stderr))
    assert line == "Error: The search needs Optuna: pip install 'recsql[tune]'."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tune", "oracle"], "there is no model 'oracle'; known are "),
        (["tune", "ease", "--protocol", "nonsense"], "nonsense"),
    ],
)
def test_tune_refuses_wrong_input(cli: Cli, arguments: list[str], message: str) -> None:
    assert message in refusal(cli(*arguments))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory."),
        ("{", "is no JSON"),
        ("[1]", "must hold options by model"),
        ('{"oracle": {}}', "there is no model 'oracle'"),
        ('{"ease": {"lambda": 3}}', "ease has no option lambda; it has "),
        ('{"ease": {"lambda_": -3}}', "ease lambda_: Input should be greater than 0"),
    ],
)
def test_unusable_model_options_are_refused(cli: Cli, tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "models.json"
    if content is not None:
        file.write_text(content)
    line = refusal(cli("refresh", env={"RECSQL_MODEL_OPTIONS": str(file)}))
    assert line.startswith(f"Error: RECSQL_MODEL_OPTIONS ({file})")
    assert message in line
