"""The SQL API on a tiny catalogue whose answers can be worked out by hand."""

import json
import uuid

import psycopg
import pytest

from workers.pipeline import Pipeline, PipelineConfig

TINY = PipelineConfig(candidates=20, model={"epochs": 1, "dim": 8, "n_layers": 1, "n_heads": 1})


@pytest.fixture
def served(connection):
    """Twelve users who all walked through ten films in order, one step further each; published."""
    for item in range(10):
        connection.execute(
            "select recsql_api.upsert_item(%s, %s, p_domain => 'films', p_attributes => %s)",
            (f"i{item}", f"Film {item}", json.dumps({"genre": "drama" if item % 2 else "comedy"})),
        )
    for user in range(12):
        for step in range(6):
            connection.execute(
                "select recsql_api.record_event(%s, %s, 'like', p_at => to_timestamp(1704067200 + 3600 * %s))",
                (f"u{user}", f"i{(user + step) % 10}", user * 10 + step),
            )
    pipeline = Pipeline(connection, TINY)
    run_no, _ = pipeline.run("production")
    row = connection.execute(
        "insert into recsql.fusion_policy (policy, kind, weights) "
        "values ('test', 'weighted', '{\"sequential\": 1, \"trending\": 0.1}') returning policy_no"
    ).fetchone()
    connection.execute("select recsql.fuse(%s::integer, %s::integer, 0, 1000)", (run_no, row[0]))
    connection.execute("select recsql.publish(%s::integer, %s::integer)", (run_no, row[0]))
    return connection


def recommend(connection, user, **options):
    names = "".join(f", p_{name} => %({name})s" for name in options)
    query = f"select rank, item_id, score, reason from recsql_api.recommend(%(user)s{names})"
    return connection.execute(query, {"user": user, **options}).fetchall()


def test_recommend_known_user_gets_what_comes_next(served):
    rows = recommend(served, "u0")
    # u0 had i0 … i5; everyone who had i5 went on to i6.
    assert rows[0][1] == "i6"
    assert [row[0] for row in rows] == [1, 2, 3, 4]
    assert {row[1] for row in rows} == {"i6", "i7", "i8", "i9"}
    assert rows[0][3].startswith("often comes after Film")


def test_recommend_new_user_is_served_from_events_of_a_moment_ago(served):
    served.execute(
        "select recsql_api.record_event('fresh', 'i2', 'like'), recsql_api.record_event('fresh', 'i3', 'like')"
    )
    rows = recommend(served, "fresh", n=3)
    assert rows[0][1] == "i4"
    assert not {"i2", "i3"} & {row[1] for row in rows}


def test_recommend_unknown_user_gets_trending(served):
    rows = recommend(served, "nobody", n=10)
    assert len(rows) == 10
    assert all("trending" in row[3] for row in rows)


def test_recommend_user_who_has_seen_everything_gets_the_oldest_again(served):
    for item in range(10):
        served.execute(
            "select recsql_api.record_event('all', %s, 'view', null, now() - %s * interval '1 day')", (f"i{item}", item)
        )
    rows = recommend(served, "all", n=2)
    assert [row[1] for row in rows] == ["i9", "i8"]


def test_recommend_filter_that_nothing_matches_is_empty(served):
    assert recommend(served, "u0", filter='{"genre": "opera"}') == []


def test_recommend_honours_filter_exclude_and_availability(served):
    assert {row[1] for row in recommend(served, "u0", filter='{"genre": "comedy"}')} == {"i6", "i8"}
    assert "i6" not in {row[1] for row in recommend(served, "u0", exclude=["i6"])}
    served.execute("select recsql_api.upsert_item('i6', 'Film 6', p_domain => 'films', p_available => false)")
    assert "i6" not in {row[1] for row in recommend(served, "u0")}


def test_recommend_drops_an_item_the_moment_it_is_consumed(served):
    served.execute("select recsql_api.record_event('u0', 'i6', 'view')")
    assert "i6" not in {row[1] for row in recommend(served, "u0")}


def test_recommend_refuses_n_out_of_range(served):
    with pytest.raises(psycopg.Error, match="p_n is 0") as caught:
        recommend(served, "u0", n=0)
    assert caught.value.sqlstate == "RS002"


@pytest.mark.parametrize("user", ["u0", "u3", "fresh", "nobody"])
def test_explain_contributions_sum_to_the_score(served, user):
    if user == "fresh":
        served.execute("select recsql_api.record_event('fresh', 'i2', 'like')")
    for _, item, score, _ in recommend(served, user):
        rows = served.execute(
            "select contribution from recsql_api.explain_recommendation(%s, %s)", (user, item)
        ).fetchall()
        assert sum(row[0] for row in rows) == pytest.approx(score, abs=1e-6)


def test_similar_items_by_behaviour(served):
    rows = served.execute("select item_id, similarity from recsql_api.similar_items('i5', 4)").fetchall()
    assert len(rows) == 4
    assert rows == sorted(rows, key=lambda row: -row[1])
    assert "i5" not in {row[0] for row in rows}


def test_similar_items_refuses_an_unknown_item(served):
    with pytest.raises(psycopg.Error) as caught:
        served.execute("select * from recsql_api.similar_items('i99')")
    assert caught.value.sqlstate == "RS001"


def test_trending_counts_events_since_the_run(served):
    for user in range(20):
        served.execute("select recsql_api.record_event(%s, 'i9', 'purchase')", (f"t{user}",))
    assert served.execute("select item_id from recsql_api.trending(1)").fetchone() == ("i9",)


def test_record_event_twice_is_one_event(served):
    at = "2024-05-01T00:00:00Z"
    assert served.execute("select recsql_api.record_event('u0', 'i1', 'view', null, %s)", (at,)).fetchone() == (True,)
    assert served.execute("select recsql_api.record_event('u0', 'i1', 'view', null, %s)", (at,)).fetchone() == (False,)


def test_record_impressions_refuses_propensity_zero(served):
    with pytest.raises(psycopg.Error) as caught:
        served.execute("select recsql_api.record_impressions(%s, 'u0', '{i1}', '{0}')", (uuid.uuid4(),))
    assert caught.value.sqlstate == "RS002"


def test_rollback_serves_the_run_before(served):
    first = served.execute("select run_no, policy_no from recsql.release").fetchone()
    served.execute("select recsql_api.record_event('u0', 'i9', 'like')")
    second, is_new = Pipeline(served, TINY).run("production")
    assert is_new
    served.execute("select recsql.publish(%s::integer, %s::integer)", (second, first[1]))
    assert served.execute("select recsql.rollback()").fetchone() == (first[0],)
    with pytest.raises(psycopg.Error, match="no earlier release"):
        served.execute("select recsql.rollback()")
