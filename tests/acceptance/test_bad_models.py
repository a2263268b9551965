"""Models that fail or have next to nothing to learn from: one line says why, and what was served goes on serving."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from outcome import one, refusal, told
from warm_cli import Finished

from recsql import ingest
from recsql.readers.simulated import SimulatedReader

Cli = Callable[..., Finished]
Connection = psycopg.Connection[Any]

TINY = {"epochs": 2, "dim": 8, "n_layers": 1, "n_heads": 1}
RELEASED = "select run_no from recsql.release"


@pytest.fixture
def options(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Function that gives the environment in which the transformer has these options."""

    def write(**changes: Any) -> dict[str, str]:
        path = tmp_path / "models.json"
        path.write_text(json.dumps({"transformer": TINY | changes}))
        return {"RECSQL_MODEL_OPTIONS": str(path), "RECSQL_CHECKPOINTS": str(tmp_path / "checkpoints")}

    return write


@pytest.fixture
def served(cli: Cli, connection: Connection, options: Callable[..., dict[str, str]]) -> int:
    """Number of a run that is served; something has happened since."""
    ingest.load(connection, SimulatedReader(n_users=60, n_items=40, with_media=False))
    return told(cli("publish", "--json", env=options()))["run_no"]


def happen(connection: Connection) -> None:
    connection.execute("select recsql_api.record_event('user-0001', (select min(item_id) from recsql.item), 'like')")


def assert_serves(cli: Cli, database: str, run_no: int) -> None:
    assert one(database, RELEASED) == run_no
    assert len(told(cli("recommend", "user-0002", "-n", 5, "--json"))) == 5


def test_training_that_diverges_leaves_what_is_served(
    cli: Cli, database: str, connection: Connection, served: int, options: Callable[..., dict[str, str]]
) -> None:
    happen(connection)
    line = refusal(cli("publish", env=options(learning_rate=1e30, average=0.0)))
    assert line.startswith("Error: training diverged: the loss of epoch ")
    assert " at step " in line
    assert line.endswith("lower learning_rate (now 1e+30) and train again")
    assert_serves(cli, database, served)
    assert one(database, "select left(error, 10) from recsql.run order by run_no desc limit 1") == "ModelError"
    mended = told(cli("publish", "--json", env=options()))
    assert_serves(cli, database, mended["run_no"])
    assert mended["run_no"] != served


def test_option_that_there_is_not_leaves_what_is_served(
    cli: Cli, database: str, connection: Connection, served: int, options: Callable[..., dict[str, str]]
) -> None:
    happen(connection)
    for changes, told_of in (
        ({"wings": 2}, "transformer has no option wings; it has learning_rate, "),
        ({"n_heads": 3}, "must be a multiple of n_heads"),
        ({"dropout": 2}, "transformer dropout: "),
        ({"learning_rate": math.inf}, "transformer learning_rate: Input should be a finite number"),
    ):
        assert told_of in refusal(cli("publish", env=options(**changes)))
    assert_serves(cli, database, served)


@pytest.mark.parametrize("is_digest_right", [False, True])
def test_damaged_artifact_is_trained_anew(
    cli: Cli,
    database: str,
    connection: Connection,
    served: int,
    options: Callable[..., dict[str, str]],
    is_digest_right: bool,
) -> None:
    # Scored by its vectors, a model is not looked at again.
    connection.execute("update recsql.source set kind = 'score' where source = 'transformer'")
    happen(connection)
    told(cli("train", "--json", env=options()))
    newest = "(select max(version_no) from recsql.model_version)"
    if is_digest_right:
        # Whole, and of arrays that do not fit the configuration.
        from workers.models.base import Sequences, TrainingData
        from workers.models.registry import save_artifact
        from workers.models.transformer import Transformer, TransformerConfig

        model = Transformer(TransformerConfig.model_validate(TINY))
        model.fit(TrainingData(Sequences.from_lists([[0, 1], [1, 2]]), 3))
        model.config = TransformerConfig.model_validate(TINY | {"n_layers": 2})
        query = f"update recsql.model_version set artifact = %s where version_no = {newest}"
        connection.execute(query.encode(), (save_artifact(model),))
    else:
        flip = "set_byte(artifact, octet_length(artifact) / 2, 255 - get_byte(artifact, octet_length(artifact) / 2))"
        connection.execute(f"update recsql.model_version set artifact = {flip} where version_no = {newest}".encode())
    line = refusal(cli("publish", env=options()))
    assert line.startswith("Error: Version 2 cannot be used: the artifact")
    assert line.endswith("Run again: it is trained anew.")
    assert_serves(cli, database, served)
    again = told(cli("publish", "--json", env=options()))
    assert "production: train" in again["seconds"]
    assert_serves(cli, database, again["run_no"])
    assert one(database, f"select artifact is not null from recsql.model_version where version_no = {newest}")
    assert one(database, "select artifact is null from recsql.model_version where version_no = 2")


def test_damaged_artifact_is_exported_by_nobody_and_trained_anew_since_its_run(
    cli: Cli, database: str, connection: Connection, served: int, options: Callable[..., dict[str, str]]
) -> None:
    flip = "set_byte(artifact, octet_length(artifact) / 2, 255 - get_byte(artifact, octet_length(artifact) / 2))"
    connection.execute(f"update recsql.model_version set artifact = {flip}".encode())
    line = refusal(cli("model", "export", 1, "model.safetensors", env=options()))
    assert line == f"Error: The artifact of version 1 is damaged: 'recsql run --since {served}' trains that model anew."
    again = told(cli("run", "--since", served, "--json", env=options()))
    assert again["run_no"] != served
    assert_serves(cli, database, again["run_no"])
    note = f"select detail ->> 'transformer' from recsql.run_stage where run_no = {again['run_no']} and stage = 'train'"
    assert one(database, note) == "trained, since the artifact of version 1 is damaged"
    assert cli("model", "export", 2, "model.safetensors", env=options()).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "env", "told_of"),
    [
        (["train", "--protocol", "foo"], {}, "There is no protocol 'foo': protocols are loo and global."),
        (["train"], {"RECSQL_THREADS": "-3"}, "RECSQL_THREADS"),
        (["train"], {"RECSQL_THREADS": "0"}, "RECSQL_THREADS"),
    ],
)
def test_settings_that_there_are_not_are_refused_by_name(
    cli: Cli, database: str, arguments: list[str], env: dict[str, str], told_of: str
) -> None:
    assert told_of in refusal(cli(*arguments, env=env))
    assert one(database, "select count(*) from recsql.run") == 0


def test_three_items_and_users_of_one_event(
    cli: Cli, database: str, tmp_path: Path, options: Callable[..., dict[str, str]]
) -> None:
    path = tmp_path / "few.csv"
    path.write_text(
        "user_id,item_id,rating,timestamp\n"
        + "".join(f"u{user},i{user % 3},4,{1_700_000_000 + user}\n" for user in range(4))
    )
    assert cli("load", "csv", path).returncode == 0
    # Nobody has the five events that the offline protocol asks for, so there is nothing to choose by.
    line = refusal(cli("evaluate", env=options()))
    assert line.startswith("Error: No user has enough positive events for the validation part of protocol loo: ")
    assert line.endswith("serve what there is without measuring it (recsql publish).")
    # What there is can be served: nothing follows on anything, so it is what is popular.
    published = told(cli("publish", "--json", env=options()))
    assert one(database, RELEASED) == published["run_no"]
    assert {row["item_id"] for row in told(cli("recommend", "u0", "--json"))} == {"i1", "i2"}
    assert {row["item_id"] for row in told(cli("recommend", "nobody", "--json"))} == {"i0", "i1", "i2"}


def test_items_without_a_vector_are_recommended_all_the_same(
    cli: Cli, database: str, connection: Connection, served: int, options: Callable[..., dict[str, str]]
) -> None:
    connection.execute("select recsql.add_embedding_space('half', 'text', 'half', '1', 4, '{title}')")
    connection.execute(
        "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) "
        "select s.space_no, i.item_no, '', array[i.item_no % 3, i.item_no % 5, 1, i.item_no % 7]::real[]::vector "
        "from recsql.embedding_space as s, recsql.item as i where i.item_no % 2 = 0"
    )
    connection.execute("select recsql_api.upsert_item('unseen', 'An item of which nothing is known')")
    published = told(cli("publish", "--json", env=options()))
    assert published["run_no"] != served
    # An item that was had has a vector of what others did with it; one that was not had has none at all.
    n_vectors = "select count(*) from recsql.item_vector as v inner join recsql.item as i using (item_no) "
    n_vectors += "where v.version_no = (select max(version_no) from recsql.model_version) and "
    assert one(database, n_vectors + "i.item_no % 2 = 1") > 0
    assert one(database, n_vectors + "i.item_id = 'unseen'") == 0
    assert_serves(cli, database, published["run_no"])
