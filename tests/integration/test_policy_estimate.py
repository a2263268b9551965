"""Off-policy estimates in SQL: the same as in Python, for the same part of the log."""

import json
from datetime import timedelta
from uuid import UUID

import numpy as np
import psycopg
import pytest
from logged_requests import BEGAN, write_log
from psycopg.rows import dict_row

from recsql.errors import ModelError
from workers.bandits.base import BanditConfig
from workers.bandits.store import add_bandit
from workers.bandits.update import update_bandit
from workers.embed import embed
from workers.models.base import Sequences, TrainingData
from workers.models.ease import Ease
from workers.models.registry import save_artifact
from workers.ope.evaluation import evaluate
from workers.ope.exploration import conditional, marginal
from workers.ope.rankers import find_policy, histories_before, scores_of
from workers.ope.store import Window, propose, read_log
from workers.policies import evaluate_policy
from workers.spaces import add_space


def add_policy(connection, name, kind, explore=0.0, version_no=None):
    connection.execute(
        "insert into recsql.ranking_policy (policy, kind, explore, version_no) values (%s, %s, %s, %s)",
        (name, kind, explore, version_no),
    )
    return find_policy(connection, name)


def estimates_in_sql(connection, policy, window):
    query = """
        select * from recsql.policy_estimate(
            %(policy_no)s, %(from_at)s, %(until_at)s, %(slot)s, %(domain)s, %(segment)s, %(logging_policy)s
        )
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(query, window.parameters() | {"policy_no": policy.ranking_policy_no}).fetchall()
    return {(row["estimator"], row["form"]): row for row in found}


def assert_equal(in_sql, evaluation):
    in_python = {
        (row.estimator, row.form): row
        for row in (evaluation.logged, *evaluation.estimates)
        if not row.estimator.endswith("_tuned")
    }
    assert set(in_sql) == set(in_python)
    names = ("value", "standard_error", "lo", "hi", "difference", "difference_lo", "difference_hi", "effective_size")
    for key, row in in_sql.items():
        for name in names:
            assert row[name] == pytest.approx(getattr(in_python[key], name), rel=1e-9, abs=1e-9), (key, name)
        assert (row["n_requests"], row["n_rejected"]) == (evaluation.n_requests, evaluation.n_rejected)


@pytest.mark.parametrize(
    "window",
    [
        Window(),
        Window(segment={"country": "de"}),
        Window(from_at=BEGAN + timedelta(minutes=30), until_at=BEGAN + timedelta(minutes=170)),
        Window(logging_policy="other"),
    ],
    ids=["all", "segment", "times", "logging policy"],
)
def test_policy_estimate_in_sql_equals_python(connection, window):
    write_log(connection, 200, 0.4, pool_sizes=(6, 4, 2))
    write_log(connection, 60, 1.0, policy="other", seed=1)
    policy = add_policy(connection, "shuffled", "fused", explore=0.8)
    everything = read_log(connection, Window())
    propose(connection, policy, everything)
    logged = read_log(connection, window)
    chosen = [everything.requests.request_ids.index(number) for number in logged.requests.request_ids]
    # What the reward model says depends on all that was read, so the same rows are taken of it.
    target = propose(connection, policy, everything).take(np.array(chosen))
    width = logged.log.rewards.shape[1]
    assert target.propensities.shape[1] == width
    evaluation = evaluate(logged.log, target, n_rejected=logged.n_rejected)
    assert 0 < evaluation.n_requests <= 260
    assert_equal(estimates_in_sql(connection, policy, window), evaluation)


def test_policy_estimate_leaves_requests_out_that_it_cannot_use(connection):
    ids = write_log(connection, 120, 0.5)
    policy = add_policy(connection, "uniform", "uniform")
    connection.execute(
        "update recsql.impression set propensity = null where request_id = %s and position = 2", (ids[0],)
    )
    connection.execute(
        "update recsql.impression set conditional = null where request_id = %s and position = 3", (ids[1],)
    )
    # Not of the pool, so that nobody knows what the policy would have done.
    connection.execute(
        "update recsql.request set pool_nos = pool_nos[2:], pool_scores = pool_scores[2:] where request_id = %s",
        (ids[2],),
    )
    logged = read_log(connection, Window())
    target = propose(connection, policy, logged)
    evaluation = evaluate(logged.log, target, n_rejected=logged.n_rejected)
    assert evaluation.n_rejected == 3
    assert evaluation.n_requests + evaluation.n_rejected == 120
    assert_equal(estimates_in_sql(connection, policy, Window()), evaluation)


def test_policy_estimate_is_the_mean_reward_for_the_policy_that_logged(connection):
    write_log(connection, 150, 0.3)
    policy = add_policy(connection, "same", "fused", explore=0.3)
    propose(connection, policy, read_log(connection, Window()))
    found = estimates_in_sql(connection, policy, Window())
    logged = found["logged", "position"]
    for form in ("position", "cascade"):
        for estimator in ("ips", "snips"):
            assert found[estimator, form]["value"] == pytest.approx(logged["value"], rel=1e-9)
        assert found["ips", form]["effective_size"] == pytest.approx(150)
        assert found["ips", form]["mean_weight"] == pytest.approx(1)
    assert found["ips", "position"]["difference_lo"] == pytest.approx(0, abs=1e-9)


def test_policy_estimate_tells_what_the_log_cannot_show(connection):
    write_log(connection, 30, 0.0)
    policy = add_policy(connection, "uniform", "uniform")
    propose(connection, policy, read_log(connection, Window()))
    # The log is certain of its item at each of three positions, the policy shows it in one of six cases.
    found = estimates_in_sql(connection, policy, Window())
    assert found["dr", "position"]["unsupported"] == pytest.approx(5 / 6)
    assert found["dr", "position"]["mean_weight"] == pytest.approx(1 / 6)


def test_policy_estimate_of_nothing_has_no_rows(connection):
    policy = add_policy(connection, "uniform", "uniform")
    assert estimates_in_sql(connection, policy, Window()) == {}
    with pytest.raises(psycopg.Error, match="there is no ranking policy nobody"):
        connection.execute("select * from recsql_api.policy_estimate('nobody')")


def test_propose_replaces_what_a_policy_would_have_done(connection):
    write_log(connection, 20, 0.5)
    policy = add_policy(connection, "uniform", "uniform")
    logged = read_log(connection, Window())
    query = "select * from recsql.policy_propensity order by request_id, position"
    propose(connection, policy, logged)
    before = connection.execute(query).fetchall()
    propose(connection, policy, logged)
    assert connection.execute(query).fetchall() == before
    assert len(before) == 60
    # One of six, whatever the order; given what is above, one of those left.
    assert [row[3] for row in before] == pytest.approx([1 / 6] * 60)
    assert {row[2]: row[4] for row in before} == {
        1: pytest.approx(1 / 6),
        2: pytest.approx(1 / 5),
        3: pytest.approx(1 / 4),
    }


def add_ease(connection, item_nos):
    """A version of EASE that knows of two items which follow each other."""
    model = Ease()
    model.fit(TrainingData(Sequences.from_lists([[0, 5], [0, 5], [1, 4], [2], [3]]), len(item_nos)))
    connection.execute("insert into recsql.model (model) values ('ease') on conflict do nothing")
    return connection.execute(
        "insert into recsql.model_version (model_no, config, artifact, artifact_sha256, item_nos) "
        "select m.model_no, '{}', %(blob)s, sha256(%(blob)s::bytea), %(item_nos)s from recsql.model as m "
        "where m.model = 'ease' returning version_no",
        {"blob": save_artifact(model), "item_nos": item_nos},
    ).fetchone()[0]


def test_model_policy_scores_by_what_came_before_the_request(connection):
    ids = write_log(connection, 4, 0.0)
    item_nos = sorted(row[0] for row in connection.execute("select item_no from recsql.item"))
    policy = add_policy(connection, "by ease", "model", version_no=add_ease(connection, item_nos))
    connection.execute("delete from recsql.event")
    insert = (
        "insert into recsql.event (user_no, item_no, kind_no, at) "
        "select r.user_no, i.item_no, k.kind_no, r.at + %s::interval "
        "from recsql.request as r, recsql.item as i, recsql.event_kind as k "
        "where r.request_id = %s and i.item_id = %s and k.kind = 'like'"
    )
    connection.execute(insert, ("-1 hour", ids[0], "i0"))
    connection.execute(insert, ("1 second", ids[0], "i1"))
    connection.execute(insert, ("0", ids[1], "i0"))
    histories = histories_before(connection, ids, np.array(item_nos))
    assert [histories.of(user).tolist() for user in range(4)] == [[0], [], [], []]
    scores = scores_of(connection, policy, read_log(connection, Window()).requests)
    # Whoever had i0 went on to i5.
    assert scores[0, 1:].argmax() + 1 == 5
    connection.execute("update recsql.model_version set artifact = null")
    with pytest.raises(ModelError, match="gone or was pruned"):
        scores_of(connection, policy, read_log(connection, Window()).requests)


def test_model_policy_is_evaluated_by_what_came_after_its_training(connection):
    write_log(connection, 300, 0.8)
    item_nos = sorted(row[0] for row in connection.execute("select item_no from recsql.item"))
    policy = add_policy(connection, "by ease", "model", version_no=add_ease(connection, item_nos))
    # Trained, as far as anybody knows, when it was registered: long after the log.
    connection.execute("update recsql.model_version set created_at = %s", (BEGAN + timedelta(days=9),))
    _, found = evaluate_policy(connection, policy, Window())
    assert (found.n_requests, found.verdict) == (0, "cannot tell")
    assert "has learnt from what came until" in found.reason
    _, found = evaluate_policy(connection, policy, Window(from_at=BEGAN))
    assert (found.n_requests, found.verdict) == (300, "cannot tell")
    assert "may know what came of older requests" in found.reason
    trained = BEGAN + timedelta(minutes=100)
    connection.execute("update recsql.model_version set created_at = %s", (trained,))
    _, found = evaluate_policy(connection, policy, Window())
    # What was served at that very moment may have been seen.
    assert found.n_requests == 199
    saved = connection.execute("select from_at from recsql.policy_evaluation order by evaluation_no desc limit 1")
    assert saved.fetchone() == (trained + timedelta(microseconds=1),)


def test_policy_value_shows_each_estimate_of_an_evaluation(connection, cli):
    write_log(connection, 400, 0.6)
    add_policy(connection, "uniform", "uniform")
    done = cli("ope", "uniform", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    found = connection.execute(
        "select estimator, form, value, decides, verdict from recsql_api.policy_value "
        "where policy = 'uniform' and is_newest"
    ).fetchall()
    assert len(found) == len(told["estimates"])
    (decides,) = (row for row in found if row[3])
    assert decides[:2] == ("dr", "position")
    assert decides[4] == told["verdict"]
    assert decides[2] in [row["value"] for row in told["estimates"]]


def test_bandit_policy_without_a_posterior_says_so(connection):
    write_log(connection, 5, 0.5)
    policy = add_policy(connection, "bandit", "bandit")
    with pytest.raises(ModelError, match="has no posterior"):
        scores_of(connection, policy, read_log(connection, Window()).requests)


def test_thompson_sampling_is_evaluated_over_all_its_draws(connection):
    ids = write_log(connection, 6, 0.7)
    connection.execute("update recsql.item set title = 'film ' || item_no")
    add_space(connection, "text", "text", "hashing:32", "{title}")
    embed(connection)
    add_bandit(connection, "thompson", BanditConfig(bandit="thompson", content_dims=2, n_draws=3), 0.2)
    update_bandit(connection, "thompson")
    policy = find_policy(connection, "thompson")
    logged = read_log(connection, Window())
    target = propose(connection, policy, logged)
    query = "select draw, item_no, score from recsql.bandit_request_score(%s, %s)"
    for row, request_id in enumerate(ids):
        pool = connection.execute(
            "select pool_nos from recsql.request where request_id = %s", (request_id,)
        ).fetchone()[0]
        scores = np.full((3, 6), np.nan)
        for draw, item_no, score in connection.execute(query, (policy.ranking_policy_no, [request_id])):
            scores[draw - 1, pool.index(item_no)] = score
        ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1) + 1
        shown = ranks[:, logged.requests.pools.shown[row]]
        chances = marginal(6, 3, 0.2)
        expected = np.mean([chances[each - 1, np.arange(3)] for each in shown], axis=0)
        np.testing.assert_allclose(target.propensities[row], expected)
        # The probability of the whole slate is that of one of the draws, each as likely as another.
        whole = np.mean([conditional(each, 6, 0.2).prod() for each in shown])
        assert target.conditionals[row].prod() == pytest.approx(whole)
    _, found = evaluate_policy(connection, policy, Window(from_at=BEGAN))
    assert "may know what came of older requests" in found.reason


@pytest.mark.parametrize(
    ("n_pool", "n", "explore"), [(1, 1, 0.3), (6, 3, 0.0), (6, 6, 0.4), (40, 10, 0.1), (5, 5, 1.0)]
)
def test_propensities_that_are_logged_are_those_of_the_estimators(connection, n_pool, n, explore):
    for number in range(5):
        found = connection.execute(
            "select rank, propensity, conditional from recsql.explored(%s, %s, %s, %s) order by place",
            (UUID(int=number), n_pool, n, explore),
        ).fetchall()
        ranks = np.array([row[0] for row in found])
        chances = marginal(n_pool, n, explore)[ranks - 1, np.arange(n)]
        np.testing.assert_allclose([row[1] for row in found], chances, rtol=1e-12)
        np.testing.assert_allclose([row[2] for row in found], conditional(ranks, n_pool, explore), rtol=1e-12)
