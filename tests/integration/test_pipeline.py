"""The pipeline on a small simulated catalogue: stages, resuming, choosing, publishing, pruning; and the jobs."""

import time

import psycopg
import pytest
from psycopg.rows import dict_row

from recsql import ingest
from recsql.errors import PipelineError
from recsql.queries import QUERIES
from recsql.readers.simulated import SimulatedReader
from workers import stages
from workers.app import STALLED_AFTER, app, connected_app, defer_job, run_worker, schedules
from workers.embed import embed
from workers.pipeline import Pipeline, PipelineConfig
from workers.spaces import add_space

TINY = PipelineConfig(candidates=30, models={"transformer": {"epochs": 2, "dim": 8, "n_layers": 1, "n_heads": 1}})
TABLES = ("interaction", "item_popularity", "item_similarity", "candidate", "score", "recommendation")


def embed_words(connection):
    """Embed by a model that needs no weights; how many vectors were written."""
    add_space(connection, "text", "text", "hashing:16")
    return embed(connection).written


@pytest.fixture
def simulated(connection):
    ingest.load(connection, SimulatedReader(n_users=60, n_items=40, with_media=False))
    return connection


def count(connection, table, run_no):
    return connection.execute(f"select count(*) from recsql.{table} where run_no = %s", (run_no,)).fetchone()[0]


def test_refresh_chooses_measures_and_publishes_and_repeats_nothing(simulated):
    embed_words(simulated)
    first = Pipeline(simulated, TINY).refresh()
    assert first.is_new
    assert simulated.execute("select run_no, policy_no from recsql.release").fetchone() == (
        first.run_no,
        first.policy_no,
    )
    for table in TABLES:
        assert count(simulated, table, first.run_no) > 0
    methods = {
        row[0]
        for row in simulated.execute(
            "select method from recsql.evaluation where run_no = %s and metric = 'ndcg'", (first.test_run_no,)
        )
    }
    assert {"sequential", "ease", "transformer", "content", "rrf", "fused"} <= methods
    again = Pipeline(simulated, TINY).refresh()
    assert (again.run_no, again.is_new, again.seconds) == (first.run_no, False, {})


def test_refresh_test_run_takes_over_what_validation_chose(simulated):
    refresh = Pipeline(simulated, TINY).refresh()
    policy = simulated.execute("select policy_no, run_no from recsql.fusion_policy where kind = 'weighted'").fetchall()
    assert policy == [(refresh.policy_no, refresh.validation_run_no)]
    fused_by = simulated.execute(
        "select distinct policy_no from recsql.run where run_no in (%s, %s)", (refresh.test_run_no, refresh.run_no)
    ).fetchall()
    assert fused_by == [(refresh.policy_no,)]
    epochs = dict(
        simulated.execute("select run_no, (metrics ->> 'epochs')::float from recsql.model_version").fetchall()
    )
    assert epochs[refresh.test_run_no] == epochs[refresh.validation_run_no] == epochs[refresh.run_no]


@pytest.mark.parametrize("protocol", ["loo", "global"])
def test_measure_by_both_protocols(simulated, protocol):
    config = PipelineConfig(protocol=protocol, candidates=30, models=TINY.models)
    _, test = Pipeline(simulated, config).measure()
    row = simulated.execute(
        "select count(*), min(value), max(value) from recsql_api.run_quality "
        "where run_no = %s and protocol = %s and metric in ('ndcg', 'recall', 'mrr', 'map')",
        (test, protocol),
    ).fetchone()
    assert row[0] > 0
    assert 0 <= row[1] <= row[2] <= 1


def policy_of(connection, slot="default"):
    """The policy that fused what a slot serves."""
    query = "select policy from recsql.release inner join recsql.fusion_policy using (policy_no) where slot = %s"
    return connection.execute(query, (slot,)).fetchone()[0]


@pytest.mark.parametrize(
    "change",
    [
        "update recsql.event_kind set weight = 2 * weight where kind = 'rating'",
        "update recsql.domain set allows_repeat = not allows_repeat",
        'update recsql.app_user set attributes = attributes || \'{"team": "red"}\'',
    ],
)
def test_run_is_made_anew_when_what_it_reads_has_changed(simulated, change):
    first = Pipeline(simulated, TINY).run("validation", until="interactions")
    assert Pipeline(simulated, TINY).run("validation", until="interactions") == first
    simulated.execute(change)
    assert Pipeline(simulated, TINY).run("validation", until="interactions") != first


def test_run_is_made_anew_when_a_part_of_its_policy_has_changed(simulated):
    policies = (
        "insert into recsql.fusion_policy (policy, kind, weights, config) values "
        """('part', 'weighted', '{"sequential": 1}', '{}'), """
        """('whole', 'switching', '{}', '{"branches": [{"max_history": 9, "use": "part"}], "else": "trending"}') """
        "returning policy_no"
    )
    policy_no = simulated.execute(policies).fetchall()[-1][0]
    first = Pipeline(simulated, TINY).run("production", until="interactions", policy_no=policy_no)
    assert Pipeline(simulated, TINY).run("production", until="interactions", policy_no=policy_no) == first
    simulated.execute("""update recsql.fusion_policy set weights = '{"trending": 1}' where policy = 'part'""")
    assert Pipeline(simulated, TINY).run("production", until="interactions", policy_no=policy_no) != first


def test_policy_that_an_owner_chose_stays_in_use(simulated):
    pipeline = Pipeline(simulated, TINY)
    first = pipeline.refresh()
    assert policy_of(simulated) == f"weighted-{first.validation_run_no}"
    numbers = dict(
        simulated.execute("""
        insert into recsql.fusion_policy (policy, kind, weights, config) values
        ('slots', 'mixed', '{}', '{"slots": {"sequential": 2, "trending": 1}}'),
        ('stages', 'cascade', '{}', '{"first": "slots", "second": "transformer", "keep": 10}')
        returning policy, policy_no
    """).fetchall()
    )
    run_no, is_new = pipeline.use(numbers["slots"], "default")
    assert (run_no != first.run_no, is_new, policy_of(simulated)) == (True, True, "slots")
    # Its models are those of what was served.
    kept = "select count(*) from recsql.model_version where run_no = %s and reused_no is not null"
    assert simulated.execute(kept, (run_no,)).fetchone() == (1,)
    assert pipeline.use(numbers["slots"], "default") == (run_no, False)
    other, _ = pipeline.use(numbers["stages"], "b")
    # Whatever is made next is fused by them, in the other slot too.
    simulated.execute("select recsql_api.record_event('nobody', (select min(item_id) from recsql.item), 'like')")
    assert Pipeline(simulated, TINY).publish()[0] not in (run_no, other)
    assert (policy_of(simulated), policy_of(simulated, "b")) == ("slots", "stages")
    served = dict(simulated.execute("select slot, run_no from recsql.release").fetchall())
    assert run_no not in served.values()
    assert served["b"] not in (other, served["default"])
    # Every slot keeps a run to roll back to.
    simulated.execute("select * from recsql.prune_runs(2)")
    assert simulated.execute("select recsql.rollback()").fetchone() == (run_no,)
    simulated.execute("delete from recsql.fusion_choice")
    Pipeline(simulated, TINY).publish()
    assert policy_of(simulated) == f"weighted-{first.validation_run_no}"


def test_similar_users_by_the_vectors_of_a_model_are_a_source(simulated):
    simulated.execute("update recsql.source set is_active = true where source = 'user_transformer'")
    run_no = Pipeline(simulated, TINY).run("production")
    proposed = (
        "select count(*) from recsql.candidate as c inner join recsql.source as s using (source_no) "
        "where c.run_no = %s and s.source = 'user_transformer'"
    )
    assert simulated.execute(proposed, (run_no,)).fetchone()[0] > 10


@pytest.mark.parametrize("name", stages.stages_of("validation"))
def test_run_stopped_in_a_stage_goes_on_there_and_ends_the_same(simulated, monkeypatch, name):
    whole = Pipeline(simulated, TINY).run("validation")
    expected = {table: content_of_run(simulated, table, whole) for table in TABLES}
    simulated.execute("update recsql.run set fingerprint = 'set aside' where run_no = %s", (whole,))

    original = stages.STAGES[name]

    def stopped_half_way(run, progress):
        original(run, progress)
        raise KeyboardInterrupt

    monkeypatch.setitem(stages.STAGES, name, stopped_half_way)
    with pytest.raises(KeyboardInterrupt):
        Pipeline(simulated, TINY).run("validation")
    state, error = simulated.execute("select state, error from recsql.run order by run_no desc limit 1").fetchone()
    assert state == "failed"
    assert error == "stopped by Ctrl-C"
    monkeypatch.undo()

    pipeline = Pipeline(simulated, TINY)
    resumed = pipeline.run("validation")
    all_names = stages.stages_of("validation")
    assert list(pipeline.seconds) == [f"validation: {stage}" for stage in all_names[all_names.index(name) :]]
    assert resumed != whole
    assert {table: content_of_run(simulated, table, resumed) for table in TABLES} == expected
    versions = simulated.execute("select count(*) from recsql.model_version where run_no = %s", (resumed,)).fetchone()
    assert versions == (1,)


def like(connection):
    """Something more happens."""
    connection.execute("select recsql_api.record_event('user-0001', 'film-0001', 'like')")


def stop(monkeypatch, part, error=KeyboardInterrupt):
    """Have a part's run end at its candidates, and events come in while it and those before it are made."""
    candidates, popularity = stages.STAGES["candidates"], stages.STAGES["popularity"]

    def stopped(run, progress):
        if run.part == part:
            raise error
        return candidates(run, progress)

    def disturbed(run, progress):
        like(run.connection)
        return popularity(run, progress)

    monkeypatch.setitem(stages.STAGES, "candidates", stopped)
    monkeypatch.setitem(stages.STAGES, "popularity", disturbed)


def runs(connection):
    return [run_no for (run_no,) in connection.execute("select run_no from recsql.run order by run_no").fetchall()]


@pytest.mark.parametrize("part", ["validation", "test", "production"])
def test_refresh_that_was_stopped_goes_on_when_more_has_happened(simulated, monkeypatch, part):
    stop(monkeypatch, part)
    with pytest.raises(KeyboardInterrupt):
        Pipeline(simulated, TINY).refresh()
    monkeypatch.undo()
    begun = runs(simulated)
    like(simulated)
    said = []
    pipeline = Pipeline(simulated, TINY, notice=said.append)
    refresh = pipeline.refresh()
    # What was whole is left as it is, and the run that was stopped goes on where it was.
    assert next(iter(pipeline.seconds)) == f"{part}: candidates"
    made = [refresh.validation_run_no, refresh.test_run_no, refresh.run_no]
    assert made[: len(begun)] == begun
    assert runs(simulated) == made
    assert len(said) == 1
    assert said[0].startswith(f"Run {begun[-1]} ({part}) of 20")
    assert " was stopped at its stage candidates and is gone on with; what has come since" in said[0]
    # What has come since is for the next one.
    again = Pipeline(simulated, TINY, notice=said.append).refresh()
    assert again.is_new
    assert runs(simulated) == [*made, again.validation_run_no, again.test_run_no, again.run_no]
    assert not Pipeline(simulated, TINY, notice=said.append).refresh().is_new
    assert len(said) == 1


@pytest.mark.parametrize(
    "change",
    [
        "delete from recsql.event where event_no = (select min(event_no) from recsql.event)",
        "insert into recsql.event (user_no, item_no, kind_no, at) "
        "select user_no, item_no, kind_no, at + '1 s' from recsql.event "
        "order by event_no limit (select count(*) / 9 + 1 from recsql.event)",
        "update recsql.event_kind set weight = weight * 2",
        "update recsql.run set started_at = started_at - interval '25 hours'",
        "update recsql.run set state = 'pruned'",
    ],
)
def test_run_that_was_stopped_is_begun_anew_where_it_is_out_of_date(simulated, monkeypatch, change):
    stop(monkeypatch, "production")
    with pytest.raises(KeyboardInterrupt):
        Pipeline(simulated, TINY).run("production")
    monkeypatch.undo()
    like(simulated)
    simulated.execute(change)
    pipeline = Pipeline(simulated, TINY)
    assert pipeline.run("production") == 2
    assert next(iter(pipeline.seconds)) == "production: interactions"


def test_run_that_failed_is_begun_anew_when_more_has_happened(simulated, monkeypatch):
    stop(monkeypatch, "production", ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        Pipeline(simulated, TINY).run("production")
    monkeypatch.undo()
    assert shown(simulated) == [(1, "failed", "candidates")]
    like(simulated)
    assert Pipeline(simulated, TINY).run("production") == 2


def shown(connection):
    """Number, state and stage of each run as ``recsql status`` shows them."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(QUERIES["run_status"]).fetchall()
    return [(row["run_no"], row["state"], row["stage"]) for row in reversed(found)]


def test_status_tells_a_run_that_somebody_makes_from_others(simulated, database):
    Pipeline(simulated, TINY).run("production", until="cosine")
    assert shown(simulated) == [(1, "partial", "cosine")]
    # As while a process is at the next stage.
    simulated.execute("update recsql.run set stage = 'ease'")
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtextextended('recsql.run ' || fingerprint, 0)) from recsql.run")
        assert shown(simulated) == [(1, "running", "ease")]
    deadline = time.monotonic() + 60
    while shown(simulated) != [(1, "killed", "ease")]:
        assert time.monotonic() < deadline
    Pipeline(simulated, TINY).run("production")
    assert shown(simulated) == [(1, "complete", stages.stages_of("production")[-1])]


def test_run_that_another_process_makes_is_left_to_it(simulated, monkeypatch, database):
    stop(monkeypatch, "production")
    with pytest.raises(KeyboardInterrupt):
        Pipeline(simulated, TINY).run("production")
    monkeypatch.undo()
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtextextended('recsql.run ' || fingerprint, 0)) from recsql.run")
        like(simulated)
        assert Pipeline(simulated, TINY).run("production") == 2
        assert simulated.execute("select state from recsql.run where run_no = 1").fetchone() == ("failed",)


def test_validation_after_which_nothing_happened_trains_all_epochs_and_weighs_all_alike(simulated):
    said = []
    run_no = Pipeline(simulated, TINY).run("validation", until="interactions")
    simulated.execute("update recsql.split_cut set until_at = cut_at, until_event_no = cut_event_no")
    assert Pipeline(simulated, TINY, notice=said.append).run("validation") == run_no
    assert said == ["transformer is trained for all its epochs: nobody known did anything after the validation cut."]
    metrics = simulated.execute("select metrics - 'loss' - 'seconds' from recsql.model_version").fetchall()
    assert metrics == [({"epochs": 2.0},)]
    weights = simulated.execute("select weights from recsql.fusion_policy where run_no = %s", (run_no,)).fetchall()
    assert len(weights) == 1
    assert len(set(weights[0][0].values())) == 1


def content_of_run(connection, table, run_no):
    """Digest of a run's rows without the numbers that differ from run to run."""
    return connection.execute(
        f"select md5(string_agg(r, ' ' order by r)) from ("
        f"select (to_jsonb(t) - 'run_no' - 'version_no')::text as r from recsql.{table} as t where run_no = %s) as x",
        (run_no,),
    ).fetchone()[0]


def test_run_until_a_stage_is_not_complete(simulated):
    run_no = Pipeline(simulated, TINY).run("production", until="cosine")
    assert simulated.execute("select state from recsql.run where run_no = %s", (run_no,)).fetchone() == ("running",)
    assert count(simulated, "item_similarity", run_no) > 0
    assert count(simulated, "candidate", run_no) == 0
    assert Pipeline(simulated, TINY).run("production") == run_no


def test_publish_without_validation_fuses_by_reciprocal_rank(simulated):
    run_no, is_new = Pipeline(simulated, TINY).publish()
    assert is_new
    policy = simulated.execute(
        "select p.policy from recsql.release as r join recsql.fusion_policy as p using (policy_no) where r.run_no = %s",
        (run_no,),
    ).fetchone()
    assert policy == ("rrf",)
    assert len(simulated.execute("select * from recsql_api.recommend('nobody', 5)").fetchall()) == 5


def test_publish_is_made_anew_once_validation_has_chosen(simulated):
    before, _ = Pipeline(simulated, TINY).publish()
    refresh = Pipeline(simulated, TINY).refresh()
    assert refresh.is_new
    assert refresh.run_no != before
    served = simulated.execute("select run_no, policy_no from recsql.release").fetchone()
    assert served == (refresh.run_no, refresh.policy_no)
    assert not Pipeline(simulated, TINY).refresh().is_new


def test_run_refuses_a_second_process(simulated, database, await_unlocked):
    pipeline = Pipeline(simulated, TINY)
    run_no = pipeline.run("production", until="popularity")
    fingerprint = simulated.execute("select fingerprint from recsql.run where run_no = %s", (run_no,)).fetchone()[0]
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtextextended('recsql.run ' || %s, 0))", (fingerprint,))
        with pytest.raises(PipelineError, match="Another process"):
            pipeline.run("production")
    await_unlocked(simulated)
    assert pipeline.run("production") == run_no


def test_run_without_events_says_what_to_do(connection):
    with pytest.raises(PipelineError, match="recsql load"):
        Pipeline(connection, TINY).run("production")


def test_prune_keeps_figures_and_what_is_served(simulated):
    refresh = Pipeline(simulated, TINY).refresh()
    for user in range(3):
        simulated.execute(
            "select recsql_api.record_event('u' || %s, (select min(item_id) from recsql.item), 'like')", (user,)
        )
        newest = Pipeline(simulated, TINY).refresh()
    simulated.execute("select recsql.publish(%s::integer, %s::integer)", (refresh.run_no, refresh.policy_no))
    pruned = {row[0] for row in simulated.execute("select run_no from recsql.prune_runs(1)")}
    assert refresh.test_run_no in pruned
    assert refresh.run_no not in pruned
    assert not {newest.run_no, newest.test_run_no, newest.validation_run_no} & pruned
    assert count(simulated, "evaluation", refresh.test_run_no) > 0
    assert simulated.execute("select to_regclass(%s)", (f"recsql.candidate_{refresh.test_run_no}",)).fetchone() == (
        None,
    )
    assert len(simulated.execute("select * from recsql_api.recommend('u1', 5)").fetchall()) == 5
    # What was pruned is made anew when asked for, not taken for complete.
    assert Pipeline(simulated, TINY).refresh().run_no == newest.run_no


def jobs(connection):
    return dict(
        connection.execute(
            "select task_name, status::text from procrastinate.procrastinate_jobs order by id"
        ).fetchall()
    )


@pytest.fixture
def configured(database, monkeypatch):
    from recsql.settings import get_settings

    monkeypatch.setenv("RECSQL_DATABASE_URL", database)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_worker_does_deferred_jobs(connection, configured):
    connection.execute("insert into recsql.event_inbox (user_id, item_id, kind) values ('a', 'x', 'view')")
    assert defer_job("drain_inbox") is not None
    assert defer_job("drain_inbox") is None  # one waits already
    run_worker(wait=False)
    assert connection.execute("select count(*) from recsql.event").fetchone() == (1,)
    assert "drain_inbox" not in jobs(connection)


def test_worker_keeps_a_job_that_failed_and_goes_on(connection, configured):
    defer_job("train")  # there are no events
    defer_job("prune")
    run_worker(wait=False)
    assert jobs(connection)["train"] == "failed"
    assert "prune" not in jobs(connection)
    state, error = connection.execute("select state, error from recsql.run").fetchone()
    assert state == "failed"
    assert "recsql load" in error
    assert defer_job("train") is not None


def test_worker_does_the_job_of_a_dead_worker_again(connection, configured):
    connection.execute("insert into recsql.event_inbox (user_id, item_id, kind) values ('a', 'x', 'view')")
    defer_job("drain_inbox")
    connection.execute("set search_path = procrastinate, public")  # its triggers name their tables without a schema
    connection.execute(
        "with dead as (insert into procrastinate.procrastinate_workers (last_heartbeat) "
        "values (now() - %s * interval '2 seconds') returning id) "
        "update procrastinate.procrastinate_jobs set status = 'doing', worker_id = (select id from dead)",
        (STALLED_AFTER,),
    )
    with connected_app() as connected, connected.open():
        connected.tasks["retry_stalled"].defer()
    run_worker(wait=False)
    assert connection.execute("select count(*) from recsql.event").fetchone() == (1,)


def test_every_task_of_the_design_is_there():
    assert {
        "embed", "refresh_similarity", "refresh_candidates", "train", "score", "publish", "evaluate", "drain_inbox",
    } <= set(app.tasks)  # fmt: skip


def test_every_schedule_names_a_task():
    assert set(schedules()) <= set(app.tasks)
