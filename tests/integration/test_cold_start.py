"""What nobody has had yet, and users who have nothing in a domain: recommended by content, and explained."""

import json

import numpy as np
import pytest

from recsql.db import connect
from workers.pipeline import Pipeline, PipelineConfig

TINY = PipelineConfig(candidates=20, models={"transformer": {"epochs": 1, "dim": 8, "n_layers": 1, "n_heads": 1}})
N_FILMS = 10


def put(connection, item_id, vector, domain="films"):
    """An item with the vector that its content is said to have."""
    connection.execute("select recsql_api.upsert_item(%s, %s, p_domain => %s)", (item_id, f"Title {item_id}", domain))
    connection.execute("delete from recsql.embedding_task")
    connection.execute(
        "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) "
        "select 1, item_no, '', %s from recsql.item where item_id = %s",
        (np.array(vector, dtype=np.float32), item_id),
    )


@pytest.fixture(scope="module")
def served_template(server, template):
    """Ten films around a circle, users who walk along it, two songs whose content is that of a film each; published."""
    with server.clone(template) as name:
        with connect(server.url(name)) as connection:
            connection.execute("select recsql.add_embedding_space('text', 'text', 'none', '1', 2, '{title}')")
            for number in range(N_FILMS):
                angle = 2 * np.pi * number / N_FILMS
                put(connection, f"f{number}", [np.cos(angle), np.sin(angle)])
            put(connection, "s0", [1, 0], "songs")
            put(connection, "s5", [-1, 0], "songs")
            for user in range(12):
                for step in range(5):
                    connection.execute(
                        "select recsql_api.record_event(%s, %s, 'like', p_at => to_timestamp(1704067200 + 3600 * %s))",
                        (f"u{user}", f"f{(user + step) % N_FILMS}", user * 10 + step),
                    )
            for user, song in (("x", "s5"), ("y", "s5"), ("z", "s0")):
                connection.execute("select recsql_api.record_event(%s, %s, 'like')", (user, song))
            run_no = Pipeline(connection, TINY).run("production")
            [(policy_no,)] = connection.execute(
                "insert into recsql.fusion_policy (policy, kind, weights) "
                "values ('test', 'weighted', '{\"sequential\": 1, \"content\": 0.5, \"trending\": 0.01}') "
                "returning policy_no"
            ).fetchall()
            connection.execute("select recsql.fuse(%s::integer, %s::integer, 0, 1000)", (run_no, policy_no))
            # As where the lists are full of what is nearer.
            connection.execute(
                "delete from recsql.recommendation as r using recsql.item as i "
                "where i.item_no = r.item_no and i.domain = 'songs'"
            )
            connection.execute("select recsql.publish(%s::integer, %s::integer)", (run_no, policy_no))
        yield name


@pytest.fixture
def served(server, served_template):
    with server.clone(served_template) as name, connect(server.url(name)) as connection:
        yield connection


def recommend(connection, user, **options):
    names = "".join(f", p_{name} => %({name})s" for name in options)
    query = f"select item_id, score, reason from recsql_api.recommend(%(user)s{names})"
    return {row[0]: row[1:] for row in connection.execute(query, {"user": user, **options}).fetchall()}


def explain(connection, user, item):
    query = (
        "select component, evidence_item_id, contribution, explanation from recsql_api.explain_recommendation(%s, %s)"
    )
    return connection.execute(query, (user, item)).fetchall()


def test_new_item_is_recommended_next_to_what_it_is_like(served):
    # u0 had f0 … f4 and is given f5 before all others.
    before = recommend(served, "u0", domain="films")
    put(served, "new", [np.cos(np.pi), np.sin(np.pi)])  # where f5 is
    after = recommend(served, "u0", domain="films")
    assert set(after) == {*before, "new"}
    # The best that is published, times a cosine of 1.
    assert after["new"][0] == pytest.approx(max(score for score, _ in before.values()))
    # Of what u0 had, f4 is nearest to it.
    assert after["new"][1] == "similar in content to Title f4"


def test_new_item_that_is_like_nothing_wanted_is_left_out(served):
    put(served, "new", [0, 0])
    assert "new" not in recommend(served, "u0", domain="films", n=5)


def test_new_item_is_explained_by_what_adds_up_to_its_score(served):
    put(served, "new", [np.cos(3.0), np.sin(3.0)])
    score, _ = recommend(served, "u0")["new"]
    rows = explain(served, "u0", "new")
    assert [row[:2] for row in rows] == [("cold content", "f4")]
    assert sum(row[2] for row in rows) == pytest.approx(score)


def test_new_item_is_kept_by_the_run_that_nobody_had_it_before(served):
    put(served, "new", [-1, 0])
    run_no = Pipeline(served, TINY).run("production")
    noted = (
        "select i.item_id from recsql.run as r inner join recsql.item as i on i.item_no = any (r.newcomer_nos) "
        "where r.run_no = %s"
    )
    assert served.execute(noted, (run_no,)).fetchall() == [("new",)]
    newcomers = "select i.item_id from recsql.newcomer(%s) as n inner join recsql.item as i using (item_no)"
    assert served.execute(newcomers, (run_no,)).fetchall() == [("new",)]


def test_new_item_that_somebody_had_is_no_newcomer_of_the_next_run(served):
    put(served, "new", [-1, 0])
    served.execute("select recsql_api.record_event('u3', 'new', 'like')")
    run_no = Pipeline(served, TINY).run("production")
    assert served.execute("select newcomer_nos from recsql.run where run_no = %s", (run_no,)).fetchone() == ([],)


def test_domain_new_to_a_user_is_served_by_what_he_had_elsewhere(served):
    # s5 is liked more, but u8 had f8, f9, f0, f1, f2, whose contents are that of s0 more than that of s5.
    assert next(iter(recommend(served, "nobody", domain="songs"))) == "s5"
    songs = recommend(served, "u8", domain="songs")
    assert list(songs) == ["s0", "s5"]
    assert songs["s0"][1].startswith("similar in content to Title f")
    rows = explain(served, "u8", "s0")
    assert {row[0] for row in rows} == {"cold content", "trending"}
    assert sum(row[2] for row in rows) == pytest.approx(songs["s0"][0])


def test_user_who_came_a_moment_ago_is_served_by_trend_and_a_little_content_in_a_new_domain(served):
    served.execute("select recsql_api.record_event('fresh', 'f0', 'like')")
    songs = recommend(served, "fresh", domain="songs")
    # s5 is liked more; that s0 is like f0 counts 1 / (1 + 10) of the 0.5 that content weighs.
    assert list(songs) == ["s5", "s0"]
    parts = {row[0]: row[2] for row in explain(served, "fresh", "s0")}
    assert parts["cold content"] == pytest.approx(0.5 / 11)
    assert sum(parts.values()) == pytest.approx(songs["s0"][0])


def test_domain_is_served_within_its_filter(served):
    served.execute("update recsql.item set attributes = '{\"mood\": \"sad\"}' where item_id = 's5'")
    assert list(recommend(served, "u8", domain="songs", filter=json.dumps({"mood": "sad"}))) == ["s5"]


def test_domain_whose_items_are_unlike_all_that_a_user_had_is_not_empty(served):
    # In a domain of its own, at the opposite of each film that u0 had.
    for number in range(5):
        angle = 2 * np.pi * number / N_FILMS + np.pi
        put(served, f"b{number}", [np.cos(angle), np.sin(angle)], "books")
    served.execute("update recsql.item set created_at = '2000-01-01' where domain = 'books'")
    served.execute("select recsql_api.record_event('late', 'f2', 'like')")
    found = recommend(served, "late", domain="books")
    assert set(found) == {f"b{number}" for number in range(5)}


def test_new_item_that_is_published_is_not_worth_more_for_being_new(served):
    put(served, "new", [np.cos(np.pi), np.sin(np.pi)])  # where f5 is
    added = recommend(served, "u0", domain="films")["new"][0]
    served.execute(
        "insert into recsql.recommendation (run_no, user_no, rank, item_no, score, parts) "
        "select l.run_no, u.user_no, 99, i.item_no, 0.125, '{\"content\": 0.125}' "
        "from recsql.release as l, recsql.app_user as u, recsql.item as i where u.user_id = 'u0' and i.item_id = 'new'"
    )
    assert added > 0.125
    assert recommend(served, "u0", domain="films")["new"][0] == 0.125
    assert sum(row[2] for row in explain(served, "u0", "new")) == pytest.approx(0.125)


def test_domain_new_to_a_user_does_not_follow_what_he_has_come_to_dislike(served):
    put(served, "s1", [0, 1], "songs")
    liked = recommend(served, "u0", domain="songs")
    assert any(reason.startswith("similar in content") for _, reason in liked.values())
    parts = (
        "select item_no, component, contribution from recsql.history_part("
        "(select run_no from recsql.release), (select policy_no from recsql.release), null, %s, %s, 1) order by 1, 2"
    )
    numbers = [
        served.execute("select item_no from recsql.item where item_id = %s", (item,)).fetchone()[0]
        for item in ("f0", "f1")
    ]
    once = served.execute(parts, (numbers, [1.0, 1.0])).fetchall()
    assert once
    # Known as liked, disliked since: it speaks no more. Liked again: it speaks once.
    disliked = served.execute(parts, ([numbers[0], *numbers], [-1.0, 1.0, 1.0])).fetchall()
    assert disliked != once
    assert served.execute(parts, ([*numbers, numbers[0]], [1.0, 1.0, 1.0])).fetchall() == once


def test_similar_to_vector_finds_what_is_near(served):
    rows = served.execute("select * from recsql_api.similar_to_vector('[1,0.1]', 3)").fetchall()
    # f0 and s0 lie at 0 degrees, f1 at 36, the vector at 5.7.
    assert [(rank, item) for rank, item, _ in rows] == [(1, "f0"), (2, "s0"), (3, "f1")]
    assert rows[0][2] == pytest.approx(1 / np.sqrt(1.01))
    songs = served.execute("select item_id from recsql_api.similar_to_vector('[1,0.1]', 3, 'text', 'songs')").fetchall()
    assert songs == [("s0",), ("s5",)]


@pytest.mark.parametrize(
    ("arguments", "state"),
    [
        ("'[1,2,3]'", "RS004"),
        ("'[1,2]', 0", "RS002"),
        ("'[1,2]', 3, 'none'", "RS001"),
        ("'[1,2]', 3, null, null, '[]'", "RS002"),
    ],
)
def test_similar_to_vector_refuses_what_does_not_fit(served, arguments, state):
    with pytest.raises(Exception, match=r".") as caught:
        served.execute(f"select * from recsql_api.similar_to_vector({arguments})")
    assert caught.value.sqlstate == state


def test_offline_run_knows_no_projection_that_saw_what_came_after(served):
    pipeline = Pipeline(served, TINY)
    offline = pipeline.run("validation", until="popularity")
    other = pipeline.run("test", until="popularity")
    production = served.execute("select run_no from recsql.release").fetchone()[0]
    served.execute("insert into recsql.model (model) values ('unified')")
    versions = {
        run_no: served.execute(
            "insert into recsql.model_version (model_no, run_no, config) "
            "select model_no, %s, '{}' from recsql.model where model = 'unified' returning version_no",
            (run_no,),
        ).fetchone()[0]
        for run_no in (production, offline)
    }
    space = "select space from recsql.run_space(%s)"
    for trained_on, version_no in versions.items():
        name = f"of run {trained_on}"
        served.execute(
            "select recsql.add_embedding_space(%s, 'unified', %s, '1', 2, '', %s::integer, '{1}')",
            (name, f"version:{version_no}", version_no),
        )
        served.execute("select recsql.switch_embedding_space(%s, 0)", (name,))
        assert served.execute(space, (production,)).fetchone() == (name,)
        assert served.execute(space, (offline,)).fetchone() == (name if trained_on == offline else "text",)
        assert served.execute(space, (other,)).fetchone() == ("text",)
