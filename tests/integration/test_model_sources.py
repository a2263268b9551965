"""Trained models as sources of a run: several at once, one without vectors, kept from an earlier run, on tiny data."""

import numpy as np
import pytest

from recsql import ingest
from recsql.errors import NotFoundError, PipelineError
from recsql.readers.simulated import SimulatedReader
from workers import versions
from workers.models.neumf import NeuMf
from workers.models.registry import load_artifact
from workers.models.transformer import Transformer
from workers.pipeline import Pipeline, PipelineConfig

pytest.importorskip("implicit")

MODELS = {
    "transformer": {"epochs": 2, "dim": 8, "n_layers": 1, "n_heads": 1},
    "als": {"epochs": 3, "factors": 4},
    "neumf": {"epochs": 3, "dim": 4, "layers": [8, 4]},
}
CONFIG = PipelineConfig(candidates=8, models=MODELS)


def switch_on(connection, *sources):
    connection.execute("update recsql.source set is_active = true where source = any(%s)", (list(sources),))


@pytest.fixture
def simulated(connection):
    """Sixty users, forty items, and three models: two with vectors, one without."""
    ingest.load(connection, SimulatedReader(n_users=60, n_items=40, with_media=False))
    switch_on(connection, "als", "neumf")
    return connection


def versions_of(connection, run_no):
    """Version numbers of a run by model."""
    return dict(
        connection.execute(
            "select m.model, v.version_no from recsql.model_version as v join recsql.model as m using (model_no) "
            "where v.run_no = %s",
            (run_no,),
        ).fetchall()
    )


def scores_of(connection, run_no, version_no):
    """Score by (user, item)."""
    return {
        (user, item): score
        for user, item, score in connection.execute(
            "select user_no, unnest(item_nos), unnest(scores) from recsql.score where run_no = %s and version_no = %s",
            (run_no, version_no),
        )
    }


def asked_anew(connection, run_no, version_no):
    """The same by the model itself: from its artifact, one user at a time, candidates in no order."""
    artifact, item_nos = connection.execute(
        "select artifact, item_nos from recsql.model_version where version_no = %s", (version_no,)
    ).fetchone()
    model, rows = load_artifact(artifact), {item: row for row, item in enumerate(item_nos)}
    histories = dict(
        connection.execute(
            "select user_no, array_agg(item_no order by step desc) from recsql.interaction "
            "where run_no = %s and step is not null group by 1",
            (run_no,),
        ).fetchall()
    )
    weights = dict(
        connection.execute(
            "select user_no, array_agg(weight order by step desc) from recsql.interaction "
            "where run_no = %s and step is not null group by 1",
            (run_no,),
        ).fetchall()
    )
    found = {}
    for user, items in connection.execute(
        "select user_no, array_agg(distinct i) from recsql.candidate, unnest(item_nos) i where run_no = %s group by 1",
        (run_no,),
    ):
        history = [rows.get(item, -1) for item in histories.get(user, [])]
        sequences = versions.Sequences(
            np.array(history, dtype=np.int64),
            np.array([0, len(history)]),
            np.array(weights.get(user, []), dtype=np.float32),
        )
        asked = np.array([[rows.get(item, -1) for item in items[::-1]]])
        for item, score in zip(items[::-1], model.score(sequences, asked)[0], strict=True):
            if not np.isnan(score):
                found[user, item] = pytest.approx(float(score), rel=1e-4, abs=1e-4)
    return found


def test_refresh_trains_and_scores_by_every_active_model(simulated):
    refresh = Pipeline(simulated, CONFIG).refresh()
    for run_no in (refresh.validation_run_no, refresh.test_run_no, refresh.run_no):
        found = versions_of(simulated, run_no)
        assert set(found) == {"transformer", "als", "neumf"}
        for version_no in found.values():
            expected = asked_anew(simulated, run_no, version_no)
            assert expected
            assert scores_of(simulated, run_no, version_no) == expected
    proposing = {
        source
        for (source,) in simulated.execute(
            "select distinct source from recsql.candidate join recsql.source using (source_no) where run_no = %s",
            (refresh.run_no,),
        )
    }
    assert {"transformer", "als", "sequential"} <= proposing
    assert "neumf" not in proposing
    measured = {
        method
        for (method,) in simulated.execute(
            "select distinct method from recsql.evaluation where run_no = %s", (refresh.test_run_no,)
        )
    }
    assert {"transformer", "als", "neumf", "fused"} <= measured
    weights = simulated.execute(
        "select weights from recsql.fusion_policy where policy_no = %s", (refresh.policy_no,)
    ).fetchone()[0]
    assert {"transformer", "als", "neumf"} <= set(weights)
    assert not Pipeline(simulated, CONFIG).refresh().is_new


def test_scores_are_lists_with_the_best_first_and_the_lower_number_of_equal_ones(simulated):
    run_no = Pipeline(simulated, CONFIG).run("production", until="score")
    lists = simulated.execute("select item_nos, scores from recsql.score where run_no = %s", (run_no,)).fetchall()
    assert lists
    for item_nos, scores in lists:
        assert len(set(item_nos)) == len(item_nos) == len(scores)
        assert list(zip(scores, item_nos, strict=True)) == sorted(
            zip(scores, item_nos, strict=True), key=lambda pair: (-pair[0], pair[1])
        )


def test_each_model_is_trained_for_as_many_epochs_as_validation_chose_for_it(simulated):
    refresh = Pipeline(simulated, CONFIG).refresh()
    rows = simulated.execute(
        "select run_no, model, (metrics ->> 'epochs')::float from recsql.model_version natural join recsql.model"
    ).fetchall()
    epochs = {(run_no, model): value for run_no, model, value in rows}
    for model in MODELS:
        chosen = epochs[refresh.validation_run_no, model]
        assert epochs[refresh.test_run_no, model] == epochs[refresh.run_no, model] == chosen
    assert epochs[refresh.run_no, "als"] == 3


def test_training_that_is_stopped_goes_on_with_the_model_that_is_missing(simulated, monkeypatch):
    def stopped(self, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(NeuMf, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        Pipeline(simulated, CONFIG).run("production")
    run_no = simulated.execute("select max(run_no) from recsql.run").fetchone()[0]
    before = versions_of(simulated, run_no)
    assert set(before) == {"transformer", "als"}
    monkeypatch.undo()
    monkeypatch.setattr(Transformer, "fit", stopped)  # what is whole is not trained again
    assert Pipeline(simulated, CONFIG).run("production") == run_no
    after = versions_of(simulated, run_no)
    assert set(after) == {"transformer", "als", "neumf"}
    assert {name: after[name] for name in before} == before


def test_scoring_in_another_process_gives_the_same(simulated):
    whole = Pipeline(simulated, CONFIG).run("production")
    simulated.execute("update recsql.run set fingerprint = 'set aside' where run_no = %s", (whole,))
    resumed = Pipeline(simulated, CONFIG).run("production", until="candidates")
    Pipeline(simulated, CONFIG).run("production")  # a run of its own, whose models come from their artifacts
    one, other = versions_of(simulated, whole), versions_of(simulated, resumed)
    for name in MODELS:
        assert scores_of(simulated, whole, one[name]) == scores_of(simulated, resumed, other[name])


@pytest.mark.parametrize("connections", ["1", "2"])
def test_many_ranges_of_users_give_the_same_as_one(simulated, monkeypatch, connections):
    from recsql.settings import get_settings
    from workers import scoring

    run_no = Pipeline(simulated, CONFIG).run("production")
    numbers = versions_of(simulated, run_no)
    before = {name: scores_of(simulated, run_no, version) for name, version in numbers.items()}
    simulated.execute("delete from recsql.run_stage where run_no = %s and stage in ('score', 'fuse')", (run_no,))
    simulated.execute("update recsql.run set state = 'failed' where run_no = %s", (run_no,))
    monkeypatch.setattr(scoring, "USERS_AT_ONCE", 7)
    monkeypatch.setenv("RECSQL_CONNECTIONS", connections)
    get_settings.cache_clear()
    try:
        assert Pipeline(simulated, CONFIG).run("production") == run_no
    finally:
        get_settings.cache_clear()
    for name, version in numbers.items():
        after = scores_of(simulated, run_no, version)
        assert after == {pair: pytest.approx(score, rel=1e-5, abs=1e-6) for pair, score in before[name].items()}


def test_score_that_cannot_be_written_fails_the_stage(simulated, monkeypatch):
    from workers import scoring

    run_no = Pipeline(simulated, CONFIG).run("production", until="candidates")
    simulated.execute("alter table recsql.score add constraint none_is_wanted check (user_no < 0)")
    monkeypatch.setattr(scoring, "USERS_AT_ONCE", 7)
    with pytest.raises(Exception, match="none_is_wanted"):
        Pipeline(simulated, CONFIG).run("production")
    assert simulated.execute("select state from recsql.run where run_no = %s", (run_no,)).fetchone() == ("failed",)


def test_model_that_cannot_be_trained_here_is_told_before_anything_is_done(simulated, monkeypatch):
    monkeypatch.setattr(versions, "find_spec", lambda module: None)
    with pytest.raises(PipelineError, match=r"als is active.*pip install 'recsql\[factors\]'.*source disable als"):
        Pipeline(simulated, CONFIG).run("production")
    assert simulated.execute("select count(*) from recsql.run_stage").fetchone() == (0,)
    assert simulated.execute("select state from recsql.run").fetchone() == ("failed",)
    Pipeline(simulated, CONFIG).run("validation", until="popularity")  # trains nothing
    simulated.execute("update recsql.source set is_active = false where source = 'als'")
    Pipeline(simulated, CONFIG).run("production", until="popularity")


def test_reasons_of_model_sources_are_clauses(simulated):
    Pipeline(simulated, CONFIG).publish()
    reasons = {
        source: simulated.execute("select template from recsql.wording('en', %s)", (source,)).fetchone()[0]
        for source in ("transformer", "als", "neumf")
    }
    assert reasons == {"transformer": "fits your recent choices", "als": "fits your taste", "neumf": "fits your taste"}
    user = simulated.execute("select user_id from recsql.app_user order by user_no limit 1").fetchone()[0]
    assert all(reason for (reason,) in simulated.execute("select reason from recsql_api.recommend(%s, 5)", (user,)))


def test_source_of_kind_score_proposes_nothing(simulated):
    run_no, _ = Pipeline(simulated, CONFIG).publish()
    written = simulated.execute("select recsql.refresh_candidates(%s::integer, 'neumf', 0, 1000)", (run_no,))
    assert written.fetchone() == (0,)
    assert simulated.execute("select * from recsql.live_candidates(1, 'neumf')").fetchall() == []


def test_model_of_vectors_may_score_what_others_propose_and_nothing_else(simulated):
    simulated.execute("update recsql.source set kind = 'score' where source = 'transformer'")
    run_no, _ = Pipeline(simulated, CONFIG).publish()
    version_no = versions_of(simulated, run_no)["transformer"]
    found = scores_of(simulated, run_no, version_no)
    assert found
    assert found == asked_anew(simulated, run_no, version_no)
    for table in ("item_vector", "user_vector"):
        count = simulated.execute(f"select count(*) from recsql.{table} where version_no = %s", (version_no,))
        assert count.fetchone() == (0,)
    count = "select count(*) from recsql.candidate where run_no = %s and source_no = 5"
    assert simulated.execute(count, (run_no,)).fetchone() == (0,)
    # Served by vectors again, it has to be trained for them.
    simulated.execute("update recsql.source set kind = 'vector' where source = 'transformer'")
    since, _ = Pipeline(simulated, CONFIG).publish(since=run_no)
    note = "select detail ->> 'transformer' from recsql.run_stage where run_no = %s and stage = 'train'"
    assert simulated.execute(note, (since,)).fetchone() == (f"trained, since version {version_no} has no vectors",)


def test_run_of_no_model_has_no_scores(connection):
    ingest.load(connection, SimulatedReader(n_users=60, n_items=40, with_media=False))
    connection.execute("update recsql.source set is_active = false where source = 'transformer'")
    refresh = Pipeline(connection, CONFIG).refresh()
    assert connection.execute("select count(*) from recsql.model_version").fetchone() == (0,)
    assert connection.execute("select count(*) from recsql.score").fetchone() == (0,)
    policy = connection.execute("select policy_no from recsql.run where run_no = %s", (refresh.run_no,)).fetchone()
    assert policy == (refresh.policy_no,)
    assert connection.execute("select count(*) from recsql.recommendation").fetchone()[0] > 0


def test_lists_of_similarity_sources_that_are_switched_on_are_made(simulated):
    switch_on(simulated, "jaccard", "ease_whole")
    run_no = Pipeline(simulated, CONFIG).run("production", until="candidates")
    for table in ("item_similarity", "candidate"):
        found = {
            source
            for (source,) in simulated.execute(
                f"select distinct source from recsql.{table} join recsql.source using (source_no) where run_no = %s",
                (run_no,),
            )
        }
        assert {"jaccard", "ease_whole"} <= found


# Since an earlier run.


@pytest.fixture
def served(simulated):
    """Number of a released run, after which the first user likes something that is new to them."""
    run_no, _ = Pipeline(simulated, CONFIG).publish()
    item_id = simulated.execute(
        "select item_id from recsql.item where item_no not in "
        "(select item_no from recsql.interaction where user_no = 1 and run_no = %s) order by 1 limit 1",
        (run_no,),
    ).fetchone()[0]
    # As old as the newest event there is: no other user's weights fade by it.
    simulated.execute(
        "select recsql_api.record_event(user_id, %s, 'like', p_at => (select max(at) from recsql.event)) "
        "from recsql.app_user where user_no = 1",
        (item_id,),
    )
    return run_no


def test_run_since_keeps_the_versions_and_scores_as_a_whole_scoring_would(simulated, served, monkeypatch):
    def unwanted(self, *arguments):
        raise AssertionError("trained")

    pairs = []
    original = NeuMf.score

    def counted(self, histories, items):
        pairs.append(int((items >= 0).sum()))
        return original(self, histories, items)

    for model in (Transformer, NeuMf):
        monkeypatch.setattr(model, "fit", unwanted)
    monkeypatch.setattr(NeuMf, "score", counted)
    run_no, is_new = Pipeline(simulated, CONFIG).publish(since=served)
    assert is_new
    assert run_no != served
    earlier, kept = versions_of(simulated, served), versions_of(simulated, run_no)
    assert set(kept) == {"transformer", "als", "neumf"}
    reused = dict(
        simulated.execute("select version_no, reused_no from recsql.model_version where reused_no is not null")
    )
    assert reused == {kept[name]: earlier[name] for name in kept}
    monkeypatch.undo()
    n_scores = {}
    for name in kept:
        found = scores_of(simulated, run_no, kept[name])
        assert found == asked_anew(simulated, run_no, kept[name])
        n_scores[name] = len(found)
    # Most pairs of the other 59 users were scored by the earlier run.
    assert 0 < sum(pairs) < n_scores["neumf"] / 2
    for name in ("transformer", "als"):
        differs = simulated.execute(
            "select array_agg(user_no) from recsql.user_vector as a join recsql.user_vector as b using (user_no) "
            "where a.version_no = %s and b.version_no = %s and a.embedding <> b.embedding",
            (earlier[name], kept[name]),
        ).fetchone()[0]
        assert differs == [1]
    note = simulated.execute(
        "select detail from recsql.run_stage where run_no = %s and stage = 'train'", (run_no,)
    ).fetchone()[0]
    n_users = simulated.execute(
        "select count(distinct user_no) from recsql.interaction where run_no = %s and step is not null", (run_no,)
    ).fetchone()[0]
    assert note["transformer"] == (
        f"version {earlier['transformer']} is kept, with vectors of 1 of {n_users} users computed anew"
    )
    assert note["neumf"] == f"version {earlier['neumf']} is kept"
    assert simulated.execute("select run_no from recsql.release").fetchone() == (run_no,)


def test_run_since_a_run_that_has_seen_all_is_that_run(simulated, served):
    run_no, _ = Pipeline(simulated, CONFIG).publish(since=served)
    assert Pipeline(simulated, CONFIG).publish(since=run_no) == (run_no, False)
    assert Pipeline(simulated, CONFIG).publish(since=served) == (run_no, False)


def test_run_since_goes_on_where_it_was_stopped(simulated, served, monkeypatch):
    from workers import stages

    def stopped(run, progress):
        raise KeyboardInterrupt

    monkeypatch.setitem(stages.STAGES, "score", stopped)
    with pytest.raises(KeyboardInterrupt):
        Pipeline(simulated, CONFIG).publish(since=served)
    monkeypatch.undo()
    run_no, _ = Pipeline(simulated, CONFIG).publish(since=served)
    assert simulated.execute("select max(run_no) from recsql.run").fetchone() == (run_no,)
    kept = versions_of(simulated, run_no)
    assert scores_of(simulated, run_no, kept["neumf"]) == asked_anew(simulated, run_no, kept["neumf"])


def test_run_since_scores_new_users_and_leaves_new_items_unscored(simulated, served):
    simulated.execute("select recsql_api.upsert_item('brand-new', 'Brand new')")
    simulated.execute("select recsql_api.record_event('nobody-yet', 'brand-new', 'like')")
    old = simulated.execute("select item_id from recsql.item order by item_no limit 1").fetchone()[0]
    simulated.execute("select recsql_api.record_event('somebody-new', %s, 'like')", (old,))
    run_no, _ = Pipeline(simulated, CONFIG).publish(since=served)
    kept = versions_of(simulated, run_no)
    users = dict(simulated.execute("select user_id, user_no from recsql.app_user").fetchall())
    (new,) = simulated.execute("select item_no from recsql.item where item_id = 'brand-new'").fetchone()
    for name in kept:
        found = scores_of(simulated, run_no, kept[name])
        assert found == asked_anew(simulated, run_no, kept[name])
        assert any(user == users["somebody-new"] for user, _ in found)
        assert all(item != new for _, item in found)
        # All that is known of them is an item that the version does not know.
        assert all(user != users["nobody-yet"] for user, _ in found)


def test_run_since_finds_the_rows_of_items_where_the_catalogue_has_shrunk(simulated, served):
    # An item that nobody had, numbered below others, is withdrawn: every later item's row is another one.
    item_no = simulated.execute(
        "select min(item_no) from recsql.item where item_no not in (select item_no from recsql.event)"
    ).fetchone()[0]
    if item_no is None:
        item_no = simulated.execute("select min(item_no) from recsql.item").fetchone()[0]
        simulated.execute("delete from recsql.event where item_no = %s", (item_no,))
    simulated.execute("update recsql.item set available = false where item_no = %s", (item_no,))
    run_no, _ = Pipeline(simulated, CONFIG).publish(since=served)
    for version_no in versions_of(simulated, run_no).values():
        found = scores_of(simulated, run_no, version_no)
        assert found == asked_anew(simulated, run_no, version_no)
        assert all(item != item_no for _, item in found)


def test_run_since_trains_what_cannot_be_kept_and_says_so(simulated, served):
    changed = PipelineConfig(candidates=8, models=MODELS | {"als": {"epochs": 3, "factors": 5}})
    switch_on(simulated, "bpr")
    simulated.execute(
        "update recsql.model_version set item_nos = null where version_no = %s",
        (versions_of(simulated, served)["neumf"],),
    )
    run_no, _ = Pipeline(simulated, changed).publish(since=served)
    notes = simulated.execute(
        "select detail from recsql.run_stage where run_no = %s and stage = 'train'", (run_no,)
    ).fetchone()[0]
    earlier = versions_of(simulated, served)
    assert notes["als"] == f"trained, since its options have changed since run {served}"
    assert notes["bpr"] == f"trained, since run {served} has no version of it that can be used"
    assert notes["neumf"] == f"trained, since version {earlier['neumf']} is of an earlier release"
    assert notes["transformer"].startswith(f"version {earlier['transformer']} is kept")
    kept = versions_of(simulated, run_no)
    assert scores_of(simulated, run_no, kept["als"]) == asked_anew(simulated, run_no, kept["als"])


def test_run_since_refuses_what_is_no_complete_production_run(simulated):
    with pytest.raises(NotFoundError, match="There is no run 77"):
        Pipeline(simulated, CONFIG).run("production", since=77)
    unfinished = Pipeline(simulated, CONFIG).run("production", until="popularity")
    with pytest.raises(PipelineError, match=f"Run {unfinished} is running"):
        Pipeline(simulated, CONFIG).run("production", since=unfinished)
    offline = Pipeline(simulated, CONFIG).run("test", until="popularity")
    with pytest.raises(PipelineError, match=f"Run {offline} is an offline run"):
        Pipeline(simulated, CONFIG).run("production", since=offline)


def test_unchanged_user_is_one_of_whom_the_same_is_known(simulated):
    first = Pipeline(simulated, CONFIG).run("production", until="interactions")
    run_of = "select recsql.begin_run(null, 'other', '{}')"

    def unchanged(run_no, with_weights):
        rows = simulated.execute(
            "select user_no from recsql.unchanged_user(%s::integer, %s::integer, %s)", (run_no, first, with_weights)
        )
        return {user for (user,) in rows}

    everybody = {
        user
        for (user,) in simulated.execute(
            "select distinct user_no from recsql.interaction where run_no = %s and step is not null", (first,)
        )
    }
    same = simulated.execute(run_of).fetchone()[0]
    simulated.execute("select recsql.refresh_interaction(%s::integer)", (same,))
    assert unchanged(same, True) == unchanged(same, False) == everybody
    # One user's newest item goes, another's weight fades; a third one's two newest items change places, and a fourth
    # has one by another event of the same weight.
    gone, faded, turned, again, *_ = sorted(everybody)
    simulated.execute(
        "update recsql.interaction set event_no = event_no + 1 where run_no = %s and user_no = %s and step = 0",
        (same, again),
    )
    simulated.execute("delete from recsql.interaction where run_no = %s and user_no = %s and step = 0", (same, gone))
    simulated.execute(
        "update recsql.interaction set weight = weight / 2 where run_no = %s and user_no = %s and step = 0",
        (same, faded),
    )
    simulated.execute(
        "update recsql.interaction set step = 1 - step where run_no = %s and user_no = %s and step < 2", (same, turned)
    )
    assert unchanged(same, False) == everybody - {gone, turned}
    assert unchanged(same, True) == everybody - {gone, turned, faded, again}


# Data that there is hardly any of.


def test_catalogue_of_three_items_and_a_user_of_one_event(connection):
    switch_on(connection, "als", "neumf")
    # Users a, b, c like x, then y; d has x alone; nobody has z.
    for item in "xyz":
        connection.execute("select recsql_api.upsert_item(%s, %s)", (item, item))
    for user, items in {"a": "xy", "b": "xy", "c": "xy", "d": "x"}.items():
        for hour, item in enumerate(items):
            connection.execute(
                "select recsql_api.record_event(%s, %s, 'like', p_at => to_timestamp(1704067200 + 3600 * %s))",
                (user, item, hour),
            )
    run_no, _ = Pipeline(connection, CONFIG).publish()
    items = dict(connection.execute("select item_id, item_no from recsql.item").fetchall())
    users = dict(connection.execute("select user_id, user_no from recsql.app_user").fetchall())
    for version_no in versions_of(connection, run_no).values():
        found = scores_of(connection, run_no, version_no)
        # z has neither content nor an event, so no model knows it; a, b and c have all else.
        assert set(found) == {(users["d"], items["y"])}
        assert all(np.isfinite(list(found.values())))
    assert connection.execute("select item_id from recsql_api.recommend('d', 1)").fetchone() == ("y",)
    connection.execute("select recsql_api.record_event('e', 'y', 'like')")
    since, _ = Pipeline(connection, CONFIG).publish(since=run_no)
    (e,) = connection.execute("select user_no from recsql.app_user where user_id = 'e'").fetchone()
    for version_no in versions_of(connection, since).values():
        assert set(scores_of(connection, since, version_no)) == {(users["d"], items["y"]), (e, items["x"])}


def test_items_that_are_not_embedded_yet_are_scored_by_what_is_known_of_them(simulated):
    simulated.execute("select recsql_api.upsert_item('with-content', 'Only content')")
    simulated.execute("select recsql_api.upsert_item('without', 'Neither')")
    # Vectors of even items alone: the space is there and not complete.
    space_no = simulated.execute(
        "select recsql.add_embedding_space('t', 'text', 'none', '1', 3, '{title}')"
    ).fetchone()[0]
    simulated.execute(
        "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) "
        "select %s, item_no, '', array[1, item_no, 40 - item_no]::vector from recsql.item "
        "where item_no %% 2 = 0 and item_id <> 'without' or item_id = 'with-content'",
        (space_no,),
    )
    run_no = Pipeline(simulated, CONFIG).run("production")
    found = versions_of(simulated, run_no)
    known = {
        name: {
            item_id
            for (item_id,) in simulated.execute(
                "select i.item_id from recsql.item_vector join recsql.item as i using (item_no) where version_no = %s",
                (found[name],),
            )
        }
        for name in ("transformer", "als")
    }
    had = {
        item_id
        for (item_id,) in simulated.execute(
            "select distinct item_id from recsql.interaction join recsql.item using (item_no) "
            "where run_no = %s and step is not null",
            (run_no,),
        )
    }
    embedded = {
        item_id
        for (item_id,) in simulated.execute(
            "select item_id from recsql.item_embedding join recsql.item using (item_no)"
        )
    }
    assert known["transformer"] == had | embedded
    assert known["als"] == had
    for version_no in found.values():
        assert scores_of(simulated, run_no, version_no) == asked_anew(simulated, run_no, version_no)
