"""The SQL API on a tiny catalogue whose answers can be worked out by hand."""

import json
import uuid

import psycopg
import pytest

from recsql.db import connect
from workers.pipeline import Pipeline, PipelineConfig

TINY = PipelineConfig(candidates=20, models={"transformer": {"epochs": 1, "dim": 8, "n_layers": 1, "n_heads": 1}})


@pytest.fixture(scope="module")
def served_template(server, template):
    """Twelve users who all walked through ten films in order, one step further each; published."""
    with server.clone(template) as name:
        with connect(server.url(name)) as connection:
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
            run_no = Pipeline(connection, TINY).run("production")
            [(policy_no,)] = connection.execute(
                "insert into recsql.fusion_policy (policy, kind, weights) "
                "values ('test', 'weighted', '{\"sequential\": 1, \"trending\": 0.1}') returning policy_no"
            ).fetchall()
            connection.execute("select recsql.fuse(%s::integer, %s::integer, 0, 1000)", (run_no, policy_no))
            connection.execute("select recsql.publish(%s::integer, %s::integer)", (run_no, policy_no))
        yield name


@pytest.fixture
def served(server, served_template):
    with server.clone(served_template) as name, connect(server.url(name)) as connection:
        yield connection


def recommend(connection, user, **options):
    names = "".join(f", p_{name} => %({name})s" for name in options)
    query = f"select rank, item_id, score, reason from recsql_api.recommend(%(user)s{names})"
    return connection.execute(query, {"user": user, **options}).fetchall()


def publish_parts(connection, user, item, parts):
    """Let the published recommendation of an item to a user consist of ``parts``."""
    connection.execute(
        "update recsql.recommendation as r set parts = %s, score = %s from recsql.app_user as u, recsql.item as i "
        "where u.user_id = %s and i.item_id = %s and r.user_no = u.user_no and r.item_no = i.item_no",
        (json.dumps(parts), sum(parts.values()), user, item),
    )


def live_parts(connection, user="u0"):
    """What each item that is recommended to a user gains by what the user did since the run, by item and component."""
    return {
        (item, component): contribution
        for _, item, _, _ in recommend(connection, user)
        for component, contribution in connection.execute(
            "select component, contribution from recsql_api.explain_recommendation(%s, %s)", (user, item)
        ).fetchall()
        if component.startswith("live ")
    }


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


def test_recommend_domain_gives_items_of_no_other(served):
    served.execute("select recsql_api.upsert_item('s0', 'Song', p_domain => 'songs')")
    assert [(row[1], row[3]) for row in recommend(served, "u0", domain="songs")] == [("s0", "new here")]
    assert {row[1] for row in recommend(served, "u0", domain="films", n=20)} == {"i6", "i7", "i8", "i9"}
    assert recommend(served, "u0", domain="books") == []


def test_recommend_repeats_items_where_the_domain_allows_it(served):
    served.execute("update recsql.domain set allows_repeat = true where domain = 'films'")
    served.execute("select recsql_api.record_event('u0', 'i6', 'like')")
    rows = recommend(served, "u0", n=10)
    # i6 is new since the run, i0 … i5 the run knows: all ten may come.
    assert {row[1] for row in rows} == {f"i{item}" for item in range(10)}


def test_recommend_context_leads_to_what_follows_the_item_in_view(served):
    rows = recommend(served, "nobody", n=3, context='{"item_id": "i2"}')
    assert rows[0][1] == "i3"
    assert rows[0][3] == "often comes after Film 2"
    # The nearest neighbour of the item in view gets the whole weight of the source, which is 1.
    assert rows[0][2] == pytest.approx(1)
    assert "i2" not in {row[1] for row in rows}


def test_recommend_items_without_events_come_after_trending_ones_the_newest_first(served):
    for item, day in (("old", 1), ("new", 2)):
        served.execute(
            "select recsql_api.upsert_item(%s, %s, p_domain => 'films', p_published_at => %s)",
            (item, item, f"2024-01-0{day}T00:00:00Z"),
        )
    rows = recommend(served, "nobody", n=20)
    assert [row[0] for row in rows] == list(range(1, 13))
    assert [(row[1], row[2], row[3]) for row in rows[-2:]] == [("new", 0, "new here"), ("old", 0, "new here")]


def test_recommend_user_with_many_new_items_gets_no_known_one(served):
    for item in range(7):
        served.execute("select recsql_api.record_event('fresh', %s, 'like')", (f"i{item}",))
    served.execute("select recsql_api.record_event('fresh', 'i7', 'dislike')")
    assert {row[1] for row in recommend(served, "fresh")} == {"i8", "i9"}


def test_what_a_new_user_did_counts_by_how_much_it_is(served):
    run_no = served.execute("select run_no from recsql.release").fetchone()[0]
    share = "select recsql.personal_share(%s, (select user_no from recsql.app_user where user_id = %s), %s::float8 [])"
    # n / (n + 10) for items of positive weight; 1 where something is published.
    assert served.execute(share, (run_no, "nobody", [])).fetchone() == (0,)
    assert served.execute(share, (run_no, "nobody", [1.0, 0.5, -1.0])).fetchone() == (pytest.approx(2 / 12),)
    assert served.execute(share, (run_no, "u0", [1.0])).fetchone() == (1,)
    served.execute("select recsql_api.record_event('fresh', 'i2', 'like')")
    explain = "select component, contribution from recsql_api.explain_recommendation('fresh', %s)"
    parts = dict(served.execute(explain, ("i3",)).fetchall())
    trend = "select trend / (select max(trend) from recsql.item_popularity) from recsql.item_popularity as p"
    (of_best,) = served.execute(
        f"{trend} inner join recsql.item as i using (item_no) where i.item_id = 'i3'"
    ).fetchone()
    # i3 follows i2 most often, and sequential weighs 1: it has 1 / 11 of that, and the trend what is left of it.
    assert parts == pytest.approx({"cold sequential": 1 / 11, "trending": 10 / 11 * of_best}, abs=1e-6)


def test_recommend_from_a_slot_without_release_gives_what_is_new(served):
    rows = recommend(served, "u0", slot="nothing here")
    assert {(row[1], row[3]) for row in rows} == {(f"i{item}", "new here") for item in range(6, 10)}


def test_recommend_by_reciprocal_ranks_adds_on_the_same_scale(served):
    run_no = served.execute("select run_no from recsql.release").fetchone()[0]
    policy_no = served.execute("select policy_no from recsql.fusion_policy where policy = 'rrf'").fetchone()[0]
    served.execute("select recsql.fuse(%s::integer, %s::integer, 0, 1000)", (run_no, policy_no))
    served.execute("select recsql.publish(%s::integer, %s::integer)", (run_no, policy_no))
    served.execute("select recsql_api.record_event('u0', 'i6', 'like')")
    for item in ("i7", "i8", "i9"):
        rows = served.execute(
            "select component, contribution from recsql_api.explain_recommendation('u0', %s)", (item,)
        ).fetchall()
        # The first of a source of weight 1 gets 1 / (60 + 1), and a new item adds no more than that for one source.
        assert all(contribution <= 1 / 61 + 1e-9 for _, contribution in rows)
        assert any(component.startswith("live ") for component, _ in rows)
    # Where there is no history the most trending item has what the five sources of weight 1 would have that read one.
    assert recommend(served, "nobody", n=1)[0][2] == pytest.approx(5 / 61)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        # 1 of 10 is the tenth that is asked for, 1 of 11 is less.
        ({"transformer": 9, "sequential": 1}, "often comes after Film 5"),
        ({"transformer": 10, "sequential": 1}, "fits your recent choices"),
        # Both read the user's history, and together they are enough: the stronger is named.
        ({"transformer": 8.6, "sequential": 0.6, "ease": 0.8}, "goes with Film"),
        ({"trending": 1}, "trending now"),
        # No item is embedded, so none can be named.
        ({"content": 1}, "fits what you chose before"),
    ],
)
def test_recommend_reason_names_evidence_where_it_counts(served, parts, reason):
    publish_parts(served, "u0", "i6", parts)
    assert {row[1]: row[3] for row in recommend(served, "u0")}["i6"].startswith(reason)


def test_recommend_reason_of_content_names_the_nearest_recent_item(served):
    row = served.execute("select recsql.add_embedding_space('text', 'text', 'tiny', '1', 2, '{title}')").fetchone()
    # u0 had i4 and then, newest, i5. Seen from i6, i4 has cosine 1 and weight 0.8, i5 cosine 0.
    for item, vector in (("i4", "[1,0]"), ("i5", "[0,1]"), ("i6", "[1,0]")):
        served.execute(
            "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) "
            "select %s, i.item_no, '', %s from recsql.item as i where i.item_id = %s",
            (row[0], vector, item),
        )
    publish_parts(served, "u0", "i6", {"content": 1})
    assert {row[1]: row[3] for row in recommend(served, "u0")}["i6"] == "similar in content to Film 4"
    evidence = served.execute(
        "select evidence_item_id, contribution, explanation from recsql_api.explain_recommendation('u0', 'i6')"
    ).fetchall()
    assert evidence == [("i4", 1, "similar in content to Film 4")]


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


def test_explain_names_the_users_items_old_and_new(served):
    served.execute("select recsql_api.record_event('u0', 'i7', 'like')")
    rows = served.execute(
        "select component, evidence_item_id, contribution, explanation "
        "from recsql_api.explain_recommendation('u0', 'i8')"
    ).fetchall()
    evidence = {(component, item): explanation for component, item, _, explanation in rows}
    assert evidence["live sequential", "i7"] == "often comes after Film 7"
    assert evidence["sequential", "i5"] == "often comes after Film 5"
    score = {row[1]: row[2] for row in recommend(served, "u0")}["i8"]
    assert sum(row[2] for row in rows) == pytest.approx(score, abs=1e-6)


def test_explain_divides_content_among_the_items_that_it_is_the_sum_of(served):
    row = served.execute("select recsql.add_embedding_space('text', 'text', 'tiny', '1', 2, '{title}')").fetchone()
    # Of u0's history i5 is the newest. Inner products with i6, times 0.8 for each step back: 3, 0.8 · 1 and 0.64 · -1.
    for item, vector in (("i5", "[3,4]"), ("i4", "[1,0]"), ("i3", "[-1,0]"), ("i6", "[1,0]")):
        served.execute(
            "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) "
            "select %s, i.item_no, '', %s from recsql.item as i where i.item_id = %s",
            (row[0], vector, item),
        )
    publish_parts(served, "u0", "i6", {"content": 6.32})
    evidence = served.execute(
        "select evidence_item_id, contribution, explanation from recsql_api.explain_recommendation('u0', 'i6')"
    ).fetchall()
    # 6.32 is twice the sum, 3.16.
    assert evidence == [
        ("i5", pytest.approx(6), "similar in content to Film 5"),
        ("i4", pytest.approx(1.6), "similar in content to Film 4"),
        ("i3", pytest.approx(-1.28), "Film 3 speaks against it"),
    ]


def test_explain_puts_first_what_the_item_would_fall_without(served):
    row = served.execute("select recsql.add_embedding_space('text', 'text', 'tiny', '1', 2, '{title}')").fetchone()
    for item, vector in (("i5", "[1,0]"), ("i4", "[1.5,1.5]"), ("i6", "[1,0]"), ("i7", "[0,1]")):
        served.execute(
            "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) "
            "select %s, i.item_no, '', %s from recsql.item as i where i.item_id = %s",
            (row[0], vector, item),
        )
    # Of i6, i5 says 1 and i4, a step back, 0.8 · 1.5; of i7 i4 alone.
    publish_parts(served, "u0", "i6", {"content": 2.2})
    publish_parts(served, "u0", "i7", {"content": 1.5})
    publish_parts(served, "u0", "i8", {"trending": 0.5})
    publish_parts(served, "u0", "i9", {"trending": 0.25})
    rows = served.execute(
        "select evidence_item_id, contribution, rank_without from recsql_api.explain_recommendation('u0', 'i6')"
    ).fetchall()
    # Without i5 it has 1.2 and i7 1.5; without i4 it has 1, i7 0 and i8 0.5.
    assert rows == [("i5", pytest.approx(1), 2), ("i4", pytest.approx(1.2), 1)]
    served.execute("select recsql_api.record_event('u0', 'i9', 'like')")
    rows = served.execute(
        "select component, evidence_item_id, rank_without from recsql_api.explain_recommendation('u0', 'i6')"
    ).fetchall()
    # Also of what is new, and with what it adds.
    assert {row[1] for row in rows} == {"i5", "i4", "i9"}
    assert all(row[2] is not None for row in rows)


def reason_of(connection, item, **options):
    return {row[1]: row[3] for row in recommend(connection, "u0", **options)}[item]


def explained(connection, item, **options):
    names = "".join(f", p_{name} => %({name})s" for name in options)
    query = f"select component, contribution, explanation from recsql_api.explain_recommendation('u0', %(item)s{names})"
    return connection.execute(query, {"item": item, **options}).fetchall()


def test_reason_is_in_the_language_of_the_context_then_of_the_user_then_english(served):
    publish_parts(served, "u0", "i6", {"sequential": 1})
    assert reason_of(served, "i6") == "often comes after Film 5"
    served.execute("update recsql.app_user set attributes = '{\"language\": \"de-AT\"}' where user_id = 'u0'")
    assert reason_of(served, "i6") == "kommt oft nach Film 5"
    assert reason_of(served, "i6", context='{"language": "en"}') == "often comes after Film 5"
    assert reason_of(served, "i6", context='{"language": "tlh"}') == "often comes after Film 5"
    assert reason_of(served, "i6", context='{"language": 5}') == "often comes after Film 5"
    assert explained(served, "i6")[0][2] == "kommt oft nach Film 5"
    assert explained(served, "i6", language="en")[0][2] == "often comes after Film 5"


def test_phrases_are_rows_and_what_a_language_lacks_is_said_in_english(served):
    served.execute("insert into recsql.phrase values ('fr', 'sequential', 'suit souvent « {title} »')")
    served.execute(
        "update recsql.phrase set template = 'everybody wants it' where (language, key) = ('en', 'trending')"
    )
    publish_parts(served, "u0", "i6", {"sequential": 1})
    publish_parts(served, "u0", "i7", {"trending": 1})
    assert reason_of(served, "i6", context='{"language": "fr"}') == "suit souvent « Film 5 »"
    assert reason_of(served, "i7", context='{"language": "fr"}') == "everybody wants it"
    with pytest.raises(psycopg.errors.CheckViolation):
        served.execute("insert into recsql.phrase values ('French', 'new', 'nouveau')")
    with pytest.raises(psycopg.Error, match=r"phrase cosine of language fr has \{titel\}"):
        served.execute("insert into recsql.phrase values ('fr', 'cosine', '{name}: {titel}')")


def test_every_clause_is_said_in_both_languages(served):
    rows = served.execute("select language, key, template from recsql.phrase").fetchall()
    english, german = ({key: text for language, key, text in rows if language == told} for told in ("en", "de"))
    assert english.keys() == german.keys() >= {s for (s,) in served.execute("select source from recsql.source")}
    for key, text in english.items():
        assert [name in text for name in ("{title}", "{reason}", "{name}", "{value}")] == [
            name in german[key] for name in ("{title}", "{reason}", "{name}", "{value}")
        ]


def test_source_of_ones_own_says_its_reason_in_every_language(served):
    served.execute(
        "insert into recsql.source (source_no, source, kind, reason, description) "
        "values (1000, 'house', 'popularity', 'picked by us', '')"
    )
    publish_parts(served, "u0", "i6", {"house": 1})
    assert reason_of(served, "i6", context='{"language": "de"}') == "picked by us"
    served.execute("insert into recsql.phrase values ('de', 'house', 'von uns gewählt')")
    assert reason_of(served, "i6", context='{"language": "de"}') == "von uns gewählt"


def test_parts_of_rules_and_of_a_ranker_are_told_but_no_rule_is_the_users_reason(served):
    publish_parts(
        served, "u0", "i6", {"sequential": 1, "rule summer sequential": 5, "rule old": -0.25, "ranker": 0.125}
    )
    assert reason_of(served, "i6") == "often comes after Film 5"
    found = {component: (contribution, told) for component, contribution, told in explained(served, "i6")}
    assert found["rule summer sequential"] == (5, "put forward by rule summer sequential")
    assert found["rule old"] == (-0.25, "held back by rule old")
    assert found["ranker"] == (0.125, "fits you, all things considered")
    publish_parts(served, "u0", "i6", {"rule summer": 5})
    assert reason_of(served, "i6") == "put forward by rule summer"


def test_items_that_are_published_without_parts_stay_in_their_places(served):
    publish_parts(served, "u0", "i6", {})
    before = recommend(served, "u0", n=4)
    assert "i6" in [row[1] for row in before]
    assert [row[2] for row in before] == sorted((row[2] for row in before), reverse=True)
    assert None not in [value for row in before for value in row]
    assert [row[1] for row in before] == [row[1] for row in recommend(served, "u0", n=4, novelty=1e-9)]
    places = served.execute(
        "select place, component, score "
        """from recsql.main_component(array['{"ease": 2}', '{}', '{"ease": 1}']::jsonb [])"""
    ).fetchall()
    assert places == [(1, "ease", 2), (2, "ranker", 0), (3, "ease", 1)]


def test_what_a_user_does_now_adds_no_more_than_a_sources_weight_where_his_history_has_faded(served):
    run_no = served.execute("select run_no from recsql.release").fetchone()[0]
    served.execute("select recsql_api.record_event('u0', 'i6', 'like')")
    before = live_parts(served)
    assert before
    # As of a history of old views, of which a hundredth is left.
    served.execute(
        "update recsql.candidate set scores = array(select s / 100 from unnest(scores) as s) where run_no = %s",
        (run_no,),
    )
    weights = served.execute(
        "select f.weights from recsql.release as r inner join recsql.fusion_policy as f using (policy_no)"
    ).fetchone()[0]
    after = live_parts(served)
    assert after.keys() == before.keys()
    assert all(part <= weights[component.removeprefix("live ")] + 1e-9 for (_, component), part in after.items())


def test_explain_tells_what_a_request_did(served):
    rows = served.execute("select item_id, request_id from recsql_api.recommend('u0', 4, p_explore => 1)").fetchall()
    request_id = rows[0][1]
    pool = served.execute(
        "select array_agg(i.item_id order by p.place) from recsql.request as r "
        "cross join lateral unnest(r.pool_nos) with ordinality as p (item_no, place) "
        "inner join recsql.item as i using (item_no) where r.request_id = %s",
        (request_id,),
    ).fetchone()[0]
    propensities = dict(served.execute("select position, propensity from recsql.impression").fetchall())
    left = list(pool)
    for position, (item, _) in enumerate(rows, start=1):
        alone, told = explained(served, item), explained(served, item, request_id=request_id)
        assert told[: len(alone)] == alone
        expected = [("position", 0, f"shown at position {position}")]
        if item != left[0]:
            probability = f"{propensities[position]:.6f}"
            expected.insert(0, ("exploration", 0, f"drawn by chance, at this position with probability {probability}"))
        assert told[len(alone) :] == expected
        left.remove(item)
    served.execute("alter table recsql.request add column if not exists controls jsonb")
    controls = {
        "diversity": 0.3,
        "diversity_method": "mmr",
        "novelty": 0,
        "calibration": None,
        "calibration_key": "genre",
    }
    served.execute("update recsql.request set controls = %s", (json.dumps(controls),))
    told = explained(served, rows[0][0], request_id=request_id)
    assert [row for row in told if row[0].startswith("control ")] == [
        ("control diversity", 0, "diversity was 0.3"),
        ("control diversity_method", 0, "diversity_method was mmr"),
    ]
    with pytest.raises(psycopg.Error, match="there is no request") as caught:
        explained(served, "i6", request_id=uuid.uuid4())
    assert caught.value.sqlstate == "RS001"


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


def test_upsert_item_tells_whether_anything_changed(served):
    call = "select recsql_api.upsert_item('x', 'Title', 'Body', 'films', %s, '{\"a\": 1}', true, '2024-01-01 00:00Z')"
    assert [served.execute(call, (tags,)).fetchone()[0] for tags in (["b", "a"], ["b", "a"], ["a"])] == [
        True,
        False,
        True,
    ]
    row = served.execute(
        "select title, body, domain, tags, attributes, available, published_at from recsql.item where item_id = 'x'"
    ).fetchone()
    assert row[:6] == ("Title", "Body", "films", ["a"], {"a": 1}, True)
    assert row[6].timestamp() == 1704067200


def test_upsert_item_refuses_what_loading_refuses(served):
    with pytest.raises(psycopg.Error, match="domain is not") as caught:
        served.execute("select recsql_api.upsert_item('x', p_domain => 'No Domain')")
    assert caught.value.sqlstate == "RS002"


@pytest.mark.parametrize("at", ["infinity", "-infinity"])
def test_upsert_item_refuses_a_time_without_end(served, at):
    with pytest.raises(psycopg.Error, match="published_at is not a time"):
        served.execute("select recsql_api.upsert_item('x', p_published_at => %s)", (at,))


def test_reader_may_ask_but_neither_write_nor_read_tables(served):
    served.execute("set role recsql_reader")
    assert recommend(served, "u0")[0][1] == "i6"
    assert served.execute("select count(*) from recsql_api.similar_items('i5')").fetchone()[0] > 0
    assert served.execute("select count(*) from recsql_api.explain_recommendation('u0', 'i6')").fetchone()[0] > 0
    for refused in (
        "select recsql_api.record_event('u0', 'i6')",
        "select recsql_api.upsert_item('i6', 'Other')",
        "select count(*) from recsql.item",
        "select * from recsql.known_item(1, 1)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            served.execute(refused)


def test_writer_may_record_but_not_read_tables(served):
    served.execute("set role recsql_writer")
    assert served.execute("select recsql_api.record_event('u0', 'i6', 'like')").fetchone() == (True,)
    assert "i6" not in {row[1] for row in recommend(served, "u0")}
    assert served.execute("select recsql_api.upsert_item('i6', 'Other', p_domain => 'films')").fetchone() == (True,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        served.execute("select count(*) from recsql.event")


def test_rollback_serves_the_run_before(served):
    first = served.execute("select run_no, policy_no from recsql.release").fetchone()
    served.execute("select recsql_api.record_event('u0', 'i9', 'like')")
    second = Pipeline(served, TINY).run("production")
    assert second != first[0]
    served.execute("select recsql.publish(%s::integer, %s::integer)", (second, first[1]))
    assert served.execute("select recsql.rollback()").fetchone() == (first[0],)
    with pytest.raises(psycopg.Error, match="no earlier release"):
        served.execute("select recsql.rollback()")
