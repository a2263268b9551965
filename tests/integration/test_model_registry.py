"""Versions of models: which lose artifact and vectors, and what becomes of their runs."""

import psycopg
import pytest

from recsql import ingest
from recsql.db import connect
from recsql.errors import PipelineError
from recsql.readers.simulated import SimulatedReader
from workers.pipeline import Pipeline, PipelineConfig

TINY = PipelineConfig(candidates=30, models={"transformer": {"epochs": 2, "dim": 8, "n_layers": 1, "n_heads": 1}})


@pytest.fixture(scope="module")
def refreshes(server, template):
    """Name of a database with a refresh, and a second one after one more event; versions 1 to 3 and 4 to 6."""
    with server.clone(template, prefix="recsql_versions") as name:
        with connect(server.url(name)) as connection:
            ingest.load(connection, SimulatedReader(n_users=60, n_items=40, with_media=False))
            first = Pipeline(connection, TINY).refresh()
            connection.execute("select recsql_api.record_event('u0', (select min(item_id) from recsql.item), 'like')")
            second = Pipeline(connection, TINY).refresh()
        yield name, first, second


@pytest.fixture
def database(server, refreshes):
    """URL of a copy of it."""
    with server.clone(refreshes[0]) as name:
        yield server.url(name)


@pytest.fixture
def twice(connection, refreshes):
    """A connection to the copy, and both refreshes."""
    return connection, *refreshes[1:]


def pruned(connection, keep, dry_run=False):
    query = "select version_no, n_bytes from recsql.prune_models(%s::integer, %s)"
    return connection.execute(query, (keep, dry_run)).fetchall()


def size(connection, version_no):
    """Bytes of a version's artifact and of its partitions, of which those of production runs have one more."""
    return connection.execute(
        "select octet_length(artifact) + pg_total_relation_size(('recsql.item_vector_' || version_no)::regclass) "
        "+ pg_total_relation_size(('recsql.user_vector_' || version_no)::regclass) "
        "+ coalesce(pg_total_relation_size(to_regclass('recsql.attribution_' || version_no)), 0) "
        "from recsql.model_version where version_no = %s",
        (version_no,),
    ).fetchone()[0]


def recommendations(connection, run_no):
    return connection.execute(
        "select user_no, rank, item_no, score, parts from recsql.recommendation where run_no = %s order by 1, 2",
        (run_no,),
    ).fetchall()


def test_prune_models_takes_what_no_kept_run_uses_and_nothing_twice(twice):
    connection, first, second = twice
    expected = [(version, size(connection, version)) for version in (1, 2, 3)]
    assert pruned(connection, 2) == []
    assert pruned(connection, 1, dry_run=True) == expected
    assert pruned(connection, 1) == expected
    assert pruned(connection, 1) == []
    kept = "select array_agg(version_no order by version_no) from recsql.model_version where artifact is not null"
    assert connection.execute(kept).fetchone()[0] == [4, 5, 6]
    for table in ("item_vector", "user_vector"):
        query = f"select array_agg(distinct version_no order by version_no) from recsql.{table}"
        assert connection.execute(query).fetchone()[0] == [4, 5, 6]
    # Figures and lists stay, and what is served is untouched.
    assert recommendations(connection, first.run_no)
    query = "select count(*) from recsql.evaluation where run_no = %s"
    assert connection.execute(query, (first.test_run_no,)).fetchone()[0] > 0
    assert connection.execute("select run_no from recsql.release").fetchone() == (second.run_no,)
    assert Pipeline(connection, TINY).refresh().run_no == second.run_no


def test_prune_models_leaves_what_is_served_however_old(twice):
    connection, first, _ = twice
    connection.execute("select recsql.publish(%s::integer, %s::integer)", (first.run_no, first.policy_no))
    # Version 3 is served, and 6 of the newest production run.
    assert [version for version, _ in pruned(connection, 1)] == [1, 2]


def test_prune_models_leaves_a_run_that_is_being_made(twice, database):
    connection, first, _ = twice
    query = "select fingerprint from recsql.run where run_no = %s"
    fingerprint = connection.execute(query, (first.test_run_no,)).fetchone()[0]
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtextextended('recsql.run ' || %s, 0))", (fingerprint,))
        assert [version for version, _ in pruned(connection, 1)] == [1, 3]
        other.execute("select pg_advisory_unlock_all()")
    assert [version for version, _ in pruned(connection, 1)] == [2]


def test_run_whose_model_was_pruned_trains_again_when_it_is_wanted(twice):
    connection, first, _ = twice
    before = recommendations(connection, first.validation_run_no)
    pruned(connection, 1)
    state = connection.execute("select state, error from recsql.run where run_no = %s", (first.validation_run_no,))
    assert state.fetchone() == ("failed", "its model was pruned")
    # The input is again what it was before the second refresh.
    connection.execute("delete from recsql.event where event_no = (select max(event_no) from recsql.event)")
    pipeline = Pipeline(connection, TINY)
    assert pipeline.run("validation") == first.validation_run_no
    assert list(pipeline.seconds) == [
        f"validation: {s}" for s in ("train", "profiles", "candidates", "score", "weights", "fuse", "evaluate")
    ]
    assert recommendations(connection, first.validation_run_no) == before


def test_rollback_passes_over_runs_that_lost_their_rows_or_their_model(twice):
    connection, first, second = twice
    pruned(connection, 1)
    with pytest.raises(psycopg.Error, match="no earlier release"):
        connection.execute("select recsql.rollback()")
    connection.execute("select run_no from recsql.prune_runs(1)")
    connection.execute("select recsql.prune_run(%s::integer)", (first.run_no,))
    with pytest.raises(psycopg.Error, match="no earlier release"):
        connection.execute("select recsql.rollback()")
    assert connection.execute("select run_no from recsql.release").fetchone() == (second.run_no,)


def test_prune_models_keeps_one_run_at_least(twice):
    connection, *_ = twice
    with pytest.raises(psycopg.Error, match="at least one run of each kind is kept"):
        pruned(connection, 0)


def test_registry_tells_part_figures_and_what_is_served(twice):
    connection, first, second = twice
    found = connection.execute(
        "select version_no, model, run_no, part, dim, is_served from recsql.model_registry order by version_no"
    ).fetchall()
    runs = [first.validation_run_no, first.test_run_no, first.run_no]
    runs += [second.validation_run_no, second.test_run_no, second.run_no]
    parts = ["loo validation", "loo test", "production"] * 2
    assert found == [
        (number, "transformer", run_no, part, 8, number == 6)
        for number, (run_no, part) in enumerate(zip(runs, parts, strict=True), start=1)
    ]
    ndcg = connection.execute(
        "select g.version_no, g.ndcg from recsql.model_registry as g where g.ndcg is distinct from ("
        "select e.value from recsql.evaluation as e where e.run_no = g.run_no and e.method = 'transformer' "
        "and e.metric = 'ndcg' and e.segment = 'all')"
    ).fetchall()
    assert ndcg == []
    # Without an evaluation, what training measured.
    connection.execute("delete from recsql.evaluation")
    told = connection.execute(
        "select g.ndcg = (v.metrics ->> 'ndcg@10')::float, v.metrics ? 'ndcg@10' from recsql.model_registry as g "
        "inner join recsql.model_version as v using (version_no) order by version_no limit 2"
    ).fetchall()
    assert told == [(True, True), (None, False)]


def test_pipeline_waits_for_another_process_where_it_is_asked_to(twice, database):
    from threading import Timer

    connection, _, second = twice
    query = "select fingerprint from recsql.run where run_no = %s"
    fingerprint = connection.execute(query, (second.validation_run_no,)).fetchone()[0]
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtextextended('recsql.run ' || %s, 0))", (fingerprint,))
        with pytest.raises(PipelineError, match="Another process"):
            Pipeline(connection, TINY).run("validation")
        timer = Timer(0.3, other.execute, ["select pg_advisory_unlock_all()"])
        timer.start()
        assert Pipeline(connection, TINY).run("validation", wait=True) == second.validation_run_no
        timer.join()
