"""``recsql model`` as a user runs it."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from outcome import one, refusal, told
from warm_cli import Finished

from recsql import ingest
from recsql.db import connect
from recsql.readers.simulated import SimulatedReader
from workers.models.base import Sequences
from workers.models.registry import load_artifact
from workers.pipeline import Pipeline, PipelineConfig

Cli = Callable[..., Finished]
Connection = psycopg.Connection[Any]

TINY = PipelineConfig(candidates=30, models={"transformer": {"epochs": 2, "dim": 8, "n_layers": 1, "n_heads": 1}})


@pytest.fixture(scope="module")
def made(server: Any, template: str) -> Iterator[str]:
    """Name of a database with versions 1, 2 and 3: of the validation run, the test run and the served run."""
    with server.clone(template, prefix="recsql_versions") as name:
        with connect(server.url(name)) as connection:
            ingest.load(connection, SimulatedReader(n_users=60, n_items=40, with_media=False))
            Pipeline(connection, TINY).refresh()
        yield name


@pytest.fixture
def database(server: Any, made: str) -> Iterator[str]:
    """URL of a copy of it."""
    with server.clone(made) as name:
        yield server.url(name)


def test_list_shows_versions(cli: Cli, connection: Connection) -> None:
    found = told(cli("model", "list", "--json"))
    assert [row["version"] for row in found] == [1, 2, 3]
    assert [row["part"] for row in found] == ["loo validation", "loo test", "production"]
    assert [row["served"] for row in found] == [False, False, True]
    query = (
        "select v.version_no, octet_length(v.artifact), (v.metrics ->> 'epochs')::float::integer, "
        "(select e.value from recsql.evaluation as e where e.run_no = v.run_no and e.method = 'transformer' "
        "and e.metric = 'ndcg' and e.segment = 'all') from recsql.model_version as v order by 1"
    )
    expected = connection.execute(query.encode()).fetchall()
    assert [(row["version"], row["n_bytes"], row["epochs"], row["ndcg@10"]) for row in found] == expected
    assert found[2]["ndcg@10"] is None
    assert told(cli("model", "list", "transformer", "--json")) == found
    printed = cli("model", "list")
    assert printed.returncode == 0
    assert "loo validation" in printed.stdout
    assert refusal(cli("model", "list", "oracle")).endswith("'recsql model list' shows all versions.")


def test_show_tells_what_a_version_is(cli: Cli, connection: Connection, database: str) -> None:
    found = told(cli("model", "show", 1, "--json"))
    assert (found["version"], found["model"], found["served"]) == (1, "transformer", False)
    assert (found["config"]["dim"], found["config"]["n_heads"]) == (8, 1)
    assert found["metrics"]["epochs"] in (1, 2)
    assert found["data"]["part"] == "loo validation"
    newest = one(database, f"select max(at) from recsql.interaction where run_no = {found['run_no']}")
    assert one(database, f"select '{found['data']['trained_until']}'::timestamptz") == newest
    assert found["data"]["last_event_no"] == one(database, "select max(event_no) from recsql.event")
    blob = bytes(one(database, "select artifact from recsql.model_version where version_no = 1"))
    assert found["artifact"] == {"n_bytes": len(blob), "sha256": sha256(blob).hexdigest()}
    counts = {
        f"n_{kind}s": one(database, f"select count(*) from recsql.{kind}_vector where version_no = 1")
        for kind in ("item", "user")
    }
    assert found["vectors"] == {"dim": 8} | counts
    assert min(counts.values()) > 0
    assert {row["metric"] for row in found["quality"]} >= {"ndcg@10", "recall@10"}
    printed = cli("model", "show", 3)
    assert printed.returncode == 0, printed.stderr
    for wanted in ("Version 3", "learning_rate", "trained_until", "sha256"):
        assert wanted in printed.stdout


@pytest.mark.parametrize("arguments", [["show", 9], ["export", 9, "x.safetensors"], ["compare", 1, 9]])
def test_unknown_version_is_refused(cli: Cli, connection: Connection, arguments: list[object]) -> None:
    line = refusal(cli("model", *arguments))
    assert line == "Error: There is no model version 9: 'recsql model list' shows them."


def test_compare_shows_where_versions_differ(cli: Cli, connection: Connection) -> None:
    # A sister of version 1 with other options and another loss.
    number = connection.execute(
        "insert into recsql.model_version (model_no, run_no, config, metrics) "
        """select model_no, run_no, config || '{"dim": 16, "learning_rate": 0.0001}', metrics || '{"loss": 7.5}' """
        "from recsql.model_version where version_no = 1 returning version_no"
    ).fetchone()
    assert number is not None
    (sister,) = number
    found = told(cli("model", "compare", 1, sister, "--json"))
    facts = {(fact["kind"], fact["name"]): fact for fact in found["facts"]}
    assert {name for (kind, name), fact in facts.items() if kind == "config" and fact["differs"]} == {
        "dim",
        "learning_rate",
    }
    assert facts["config", "dim"]["by_version"] == {"1": 8, str(sister): 16}
    assert facts["metric", "loss"]["by_version"][str(sister)] == 7.5
    assert facts["quality", "ndcg@10"]["by_version"]["1"] == facts["quality", "ndcg@10"]["by_version"][str(sister)]
    printed = cli("model", "compare", 1, sister)
    assert printed.returncode == 0
    assert "0.0001" in printed.stdout
    assert "n_layers" not in printed.stdout
    assert printed.stderr == ""
    assert "trained on different events" in cli("model", "compare", 1, 3).stderr
    assert "Name two versions or more" in refusal(cli("model", "compare", 1, 1))


def test_export_writes_what_can_be_loaded(cli: Cli, connection: Connection, database: str, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    done = told(cli("model", "export", 3, file, "--json"))
    blob = bytes(one(database, "select artifact from recsql.model_version where version_no = 3"))
    assert file.read_bytes() == blob
    assert done["sha256"] == sha256(blob).hexdigest()
    loaded = eval(done["load"], {"load_artifact": load_artifact, "Path": Path})
    for name, array in load_artifact(blob).state().items():
        np.testing.assert_array_equal(loaded.state()[name], array)
    assert refusal(cli("model", "export", 1, file)).endswith("exists: add --force to overwrite it.")
    assert file.read_bytes() == blob
    printed = cli("model", "export", 1, file, "--force")
    assert printed.returncode == 0
    assert "load_artifact(" in printed.stdout
    assert file.read_bytes() == bytes(one(database, "select artifact from recsql.model_version where version_no = 1"))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_export_refuses_what_is_damaged_gone_or_cannot_be_written(
    cli: Cli, connection: Connection, tmp_path: Path
) -> None:
    file = tmp_path / "model.safetensors"
    flip = "set_byte(artifact, octet_length(artifact) - 1, 255 - get_byte(artifact, octet_length(artifact) - 1))"
    connection.execute(f"update recsql.model_version set artifact = {flip} where version_no = 1".encode())
    # Damaged behind the table's back, and so that only the digest inside it tells.
    both = f"artifact = {flip}, artifact_sha256 = sha256({flip})"
    connection.execute(f"update recsql.model_version set {both} where version_no = 2".encode())
    for version in (1, 2):
        assert "damaged" in refusal(cli("model", "export", version, file))
    nowhere = tmp_path / "nowhere" / "model.safetensors"
    assert refusal(cli("model", "export", 3, nowhere)).endswith("cannot be written: No such file or directory.")
    connection.execute("update recsql.model_version set artifact = null where version_no = 3")
    assert "has no artifact any more, it was pruned" in refusal(cli("model", "export", 3, file))
    assert list(tmp_path.iterdir()) == []


def test_prune_removes_what_no_run_needs_once(cli: Cli, connection: Connection) -> None:
    connection.execute("select recsql_api.record_event('u0', (select min(item_id) from recsql.item), 'like')")
    Pipeline(connection, TINY).refresh()
    assert told(cli("model", "prune", "--json")) == {"dry_run": False, "n_bytes": 0, "pruned": []}
    planned = told(cli("model", "prune", "--keep", 1, "--dry-run", "--json"))
    assert [row["version"] for row in planned["pruned"]] == [1, 2, 3]
    assert planned["n_bytes"] == sum(row["n_bytes"] for row in planned["pruned"]) > 0
    assert told(cli("model", "prune", "--keep", 1, "--json")) == planned | {"dry_run": False}
    again = cli("model", "prune", "--keep", 1)
    assert "Freed 0 bytes of 0 versions." in again.stdout
    found = told(cli("model", "list", "--json"))
    assert [row["n_bytes"] is None for row in found] == [True, True, True, False, False, False]
    assert cli("model", "show", 1).returncode == 0
    assert len(told(cli("recommend", "u1", "-n", 3, "--json"))) == 3
    refused = cli("model", "prune", "--keep", 0)
    assert refused.returncode == 2
    assert "--keep" in refused.stderr


def test_promote_and_rollback_tell_what_runs_use_and_how_to_serve(cli: Cli, connection: Connection) -> None:
    done = told(cli("model", "promote", 1, "--json"))
    assert done == {"version": 1, "model": "transformer", "replaced": None, "is_new": True, "release": None}
    printed = cli("model", "promote", 3)
    assert printed.returncode == 0
    assert "configuration of version 3 in place of version 1." in printed.stdout
    assert "Run 3, which trained it, is what is served." in " ".join(printed.stdout.split())
    assert "promoted already" in cli("model", "promote", 3).stdout
    assert [row["promoted"] for row in told(cli("model", "list", "--json"))] == [False, False, True]
    assert told(cli("model", "show", 3, "--json"))["promoted"]
    facts = {fact["name"]: fact for fact in told(cli("model", "compare", 1, 3, "--json"))["facts"]}
    assert facts["promoted"]["by_version"] == {"1": False, "3": True}
    assert told(cli("model", "rollback", "transformer", "--json")) == {"model": "transformer", "version": 1}
    assert "use their defaults again" in cli("model", "rollback", "transformer").stdout
    assert "no version of transformer is promoted" in refusal(cli("model", "rollback", "transformer"))
    assert refusal(cli("model", "promote", 9)) == "Error: There is no model version 9: 'recsql model list' shows them."
    connection.execute("""update recsql.model_version set config = config || '{"wings": 2}' where version_no = 2""")
    line = refusal(cli("model", "promote", 2))
    assert line.startswith("Error: This release does not accept the configuration of version 2: transformer wings: ")


def test_export_in_8_bits_is_smaller_and_loads(cli: Cli, connection: Connection, tmp_path: Path) -> None:
    whole, small = tmp_path / "whole.safetensors", tmp_path / "small.safetensors"
    told(cli("model", "export", 3, whole, "--json"))
    done = told(cli("model", "export", 3, small, "--int8", "--json"))
    assert done["n_bytes"] == small.stat().st_size < whole.stat().st_size
    assert done["sha256"] == sha256(small.read_bytes()).hexdigest()
    loaded = eval(done["load"], {"load_artifact": load_artifact, "Path": Path})
    exact = load_artifact(whole.read_bytes())
    histories = Sequences.from_lists([[0, 1, 2]])
    items = np.arange(10)[None]
    # Of 8 dimensions and 127 steps each way, a score is off by a few hundredths of its size.
    expected = exact.score(histories, items)
    np.testing.assert_allclose(loaded.score(histories, items), expected, atol=0.2 * np.nanstd(expected))
