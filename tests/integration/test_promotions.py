"""Promoted versions: which configuration runs use, how it is taken back, and what pruning leaves."""

from collections.abc import Iterator
from threading import Thread
from typing import Any

import psycopg
import pytest

from recsql import ingest
from recsql.db import connect
from recsql.errors import ConfigurationError, ModelError
from recsql.readers.simulated import SimulatedReader
from workers.pipeline import Pipeline, PipelineConfig
from workers.promotions import with_promoted

Connection = psycopg.Connection[Any]

TINY = PipelineConfig(candidates=30, models={"transformer": {"epochs": 2, "dim": 8, "n_layers": 1, "n_heads": 1}})


@pytest.fixture(scope="module")
def trained(server: Any, template: str) -> Iterator[str]:
    """Name of a database with version 1, trained, and 2, of which there is the configuration alone."""
    with server.clone(template, prefix="recsql_promotions") as name:
        with connect(server.url(name)) as connection:
            ingest.load(connection, SimulatedReader(n_users=60, n_items=40, with_media=False))
            Pipeline(connection, TINY).run("validation", until="train")
            connection.execute(
                "insert into recsql.model_version (model_no, run_no, config) "
                """select model_no, run_no, config || '{"dim": 16, "dropout": 0.5, "epochs": 99}' """
                "from recsql.model_version"
            )
        yield name


@pytest.fixture
def database(server: Any, trained: str) -> Iterator[str]:
    """URL of a copy of it."""
    with server.clone(trained) as name:
        yield server.url(name)


def promote(connection: Connection, version: int) -> int | None:
    row = connection.execute("select recsql.promote_model(%s::integer)", (version,)).fetchone()
    assert row is not None
    return row[0]


def rollback(connection: Connection) -> int | None:
    row = connection.execute("select recsql.rollback_model('transformer')").fetchone()
    assert row is not None
    return row[0]


def history(connection: Connection) -> list[tuple[int, bool]]:
    query = "select version_no, rolled_back_at is not null from recsql.model_promotion order by promotion_no"
    return connection.execute(query.encode()).fetchall()


def test_following_runs_use_the_promoted_configuration_and_ours_before_it(connection: Connection) -> None:
    before = Pipeline(connection, TINY).run("validation", until="train")
    assert promote(connection, 2) is None
    after = Pipeline(connection, TINY).run("validation", until="train")
    assert after != before
    found = connection.execute(
        "select config ->> 'dim', config ->> 'dropout', config ->> 'epochs' from recsql.model_version "
        "where run_no = %s order by version_no desc limit 1",
        (after,),
    ).fetchone()
    # Ours says dim 8 and 2 epochs, and nothing of dropout.
    assert found == ("8", "0.5", "2")
    assert Pipeline(connection, TINY).run("validation", until="train") == after
    # Once it is taken back, the run of before is found again.
    assert rollback(connection) is None
    assert Pipeline(connection, TINY).run("validation", until="train") == before


def test_epochs_are_not_promoted(connection: Connection) -> None:
    promote(connection, 2)
    models = with_promoted(connection, PipelineConfig(models={"ease": {"lambda_": 3.0}})).models
    assert models["ease"] == {"lambda_": 3.0}
    assert models["transformer"]["dim"] == 16
    assert "epochs" not in models["transformer"]


def test_rollback_goes_back_promotion_by_promotion_and_forgets_none(connection: Connection) -> None:
    assert promote(connection, 1) is None
    assert promote(connection, 2) == 1
    # Promoted already: nothing changes.
    assert promote(connection, 2) == 2
    assert rollback(connection) == 1
    assert promote(connection, 2) == 1
    assert rollback(connection) == 1
    assert rollback(connection) is None
    assert history(connection) == [(1, True), (2, True), (2, True)]
    who = connection.execute("select distinct promoted_by = session_user from recsql.model_promotion").fetchall()
    assert who == [(True,)]
    with pytest.raises(psycopg.Error, match="no version of transformer is promoted"):
        rollback(connection)
    with pytest.raises(psycopg.Error, match="there is no version of a model 'oracle'"):
        connection.execute("select recsql.rollback_model('oracle')")
    with pytest.raises(psycopg.Error, match="there is no model version 9"):
        promote(connection, 9)


def test_promotions_at_once_follow_each_other(connection: Connection, database: str) -> None:
    replaced: list[int | None] = []
    with connect(database) as other:
        thread = Thread(target=lambda: replaced.append(promote(other, 2)))
        with connection.transaction():
            promote(connection, 1)
            thread.start()
            waits = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
            while connection.execute(waits.encode()).fetchone() != (True,):
                assert thread.is_alive()
        thread.join()
    assert replaced == [1]
    assert history(connection) == [(1, False), (2, False)]


def test_configuration_that_is_not_accepted_is_named(connection: Connection) -> None:
    promote(connection, 2)
    options = PipelineConfig(models={"transformer": {"n_heads": 3}})
    with pytest.raises(ConfigurationError, match=r"version 2: transformer .*dim \(16\) must be a multiple of n_heads"):
        Pipeline(connection, options).run("validation")
    connection.execute("""update recsql.model_version set config = config || '{"no_such_option": 1}'""")
    with pytest.raises(ModelError, match=r"version 2: transformer no_such_option: .*rollback transformer"):
        Pipeline(connection, TINY).run("validation")
    rollback(connection)
    assert Pipeline(connection, TINY).configuration() == TINY


def test_pruning_leaves_the_artifact_of_a_promoted_version(connection: Connection) -> None:
    promote(connection, 1)
    connection.execute("update recsql.run set state = 'complete'")
    # A newer run of the same part, so that the first is not kept for being the newest.
    newer = "insert into recsql.run (split_no, fingerprint, state) select split_no, 'newer', 'complete' from recsql.run"
    connection.execute(newer.encode())
    assert connection.execute("select * from recsql.prune_models(1)").fetchall() == []
    assert connection.execute("select * from recsql.prune_runs(1)").fetchall() == [(1,)]
    kept = "select artifact is not null from recsql.model_version where version_no = 1"
    assert connection.execute(kept.encode()).fetchone() == (True,)
    rollback(connection)
    assert [row[0] for row in connection.execute("select version_no from recsql.prune_models(1)")] == [1]
    assert connection.execute(kept.encode()).fetchone() == (False,)
    # Its configuration is still there to be promoted.
    assert promote(connection, 1) is None
