"""Fusion policies of every kind on candidates that are written by hand, and what is refused."""

import itertools

import numpy as np
import psycopg
import pytest
from psycopg.types.json import Jsonb

SEQUENTIAL, CONTENT, TRENDING = 1, 4, 6
CANDIDATES = {
    # Parts: i1 1, i2 0.5, i3 0.25.
    SEQUENTIAL: [("i1", 1.0), ("i2", 0.5), ("i3", 0.25)],
    # A vector source is counted from its lowest: i3 1, i1 0.4, i6 0.
    CONTENT: [("i3", 0.9), ("i1", 0.6), ("i6", 0.4)],
    # Parts: i2 1, i4 0.5, s1 0.5, i5 0.25.
    TRENDING: [("i2", 4.0), ("i4", 2.0), ("s1", 2.0), ("i5", 1.0)],
}
USERS = {"a": ({}, 0), "b": ({"gender": "F"}, 2), "c": ({}, 2)}
"""Attributes, and how many items the run knows."""


def one(connection, query, *arguments):
    return connection.execute(query, arguments).fetchone()[0]


def add_policy(connection, name, kind, config="{}", weights="{}"):
    return one(
        connection,
        "insert into recsql.fusion_policy (policy, kind, weights, config) values (%s, %s, %s, %s) returning policy_no",
        name, kind, weights, config,
    )  # fmt: skip


def write_candidates(connection, run_no, user, lists):
    for source_no, items in lists.items():
        connection.execute(
            "insert into recsql.candidate (run_no, user_no, source_no, item_nos, scores) "
            "select %s, (select user_no from recsql.app_user where user_id = %s), %s, "
            "array_agg(i.item_no order by n.place), array_agg(n.score order by n.place) "
            "from unnest(%s::text [], %s::real []) with ordinality as n (item_id, score, place) "
            "inner join recsql.item as i using (item_id)",
            (run_no, user, source_no, [item for item, _ in items], [score for _, score in items]),
        )


@pytest.fixture
def run_no(connection):
    """A run in which three users have the same candidates; policy w is 2 × sequential + trending."""
    for item in ("i1", "i2", "i3", "i4", "i5", "i6", "s1"):
        domain = "songs" if item == "s1" else "films"
        connection.execute("select recsql_api.upsert_item(%s, %s, p_domain => %s)", (item, item, domain))
    number = one(connection, "select recsql.begin_run(null, 'test', '{}')")
    for user, (attributes, n_items) in USERS.items():
        user_no = one(
            connection,
            "insert into recsql.app_user (user_id, attributes) values (%s, %s) returning user_no",
            user, Jsonb(attributes),
        )  # fmt: skip
        connection.execute(
            "insert into recsql.interaction (run_no, user_no, item_no, step, weight, n_events, at, event_no) "
            "select %s, %s, 1000 + n, n - 1, 1, 1, now(), n from generate_series(1, %s) as n",
            (number, user_no, n_items),
        )
        write_candidates(connection, number, user, CANDIDATES)
    add_policy(connection, "w", "weighted", weights='{"sequential": 2, "trending": 1}')
    return number


def fused(connection, run_no, policy_no, user="a"):
    """A user's list: item, score, parts; best first."""
    return connection.execute(
        "select i.item_id, f.score, f.parts from recsql.fused(%s, %s, 0, 1000) as f "
        "inner join recsql.item as i using (item_no) inner join recsql.app_user as u using (user_no) "
        "where u.user_id = %s order by f.score desc, f.item_no",
        (run_no, policy_no, user),
    ).fetchall()


def order(connection, run_no, policy_no, user="a"):
    return [item for item, _, _ in fused(connection, run_no, policy_no, user)]


def test_weighted_adds_up_parts(connection, run_no):
    policy_no = one(connection, "select policy_no from recsql.fusion_policy where policy = 'w'")
    # i1: 2 × 1; i2: 2 × 0.5 + 1; i3: 2 × 0.25; i4, s1: 0.5; i5: 0.25. i6 is in no source that is weighed.
    found = {item: (score, parts) for item, score, parts in fused(connection, run_no, policy_no)}
    assert {item: score for item, (score, _) in found.items()} == pytest.approx(
        {"i1": 2, "i2": 2, "i3": 0.5, "i4": 0.5, "s1": 0.5, "i5": 0.25}
    )
    assert found["i2"][1] == {"sequential": 1, "trending": 1}


def test_rrf_adds_up_reciprocal_ranks(connection, run_no):
    policy_no = add_policy(connection, "r", "rrf", weights='{"sequential": 1, "trending": 1}')
    found = {item: score for item, score, _ in fused(connection, run_no, policy_no)}
    # i2 is second and first, i1 first and absent.
    assert found["i2"] == pytest.approx(1 / 62 + 1 / 61)
    assert found["i1"] == pytest.approx(1 / 61)


def test_mixed_keeps_quotas_in_every_block(connection, run_no):
    policy_no = add_policy(connection, "m", "mixed", '{"slots": {"sequential": 2, "trending": 1}}')
    found = fused(connection, run_no, policy_no)
    # Slots lie at (n - 0.5) / quota: sequential 0.25, 0.75; trending 0.5, 1.5, 2.5, 3.5. i2 comes first by trending
    # (0.5 before 0.75), so i3 moves up. Of the first three, two are sequential's and one is trending's.
    assert [(item, list(parts)) for item, _, parts in found] == [
        ("i1", ["sequential"]), ("i2", ["trending"]), ("i3", ["sequential"]),
        ("i4", ["trending"]), ("s1", ["trending"]), ("i5", ["trending"]),
    ]  # fmt: skip
    # Weights are the quotas' shares, which sum to 1, so place k has 10 / (9 + k).
    assert [score for _, score, _ in found] == pytest.approx([10 / (9 + k) for k in range(1, 7)], abs=1e-5)


def test_mixed_takes_policies_and_splits_their_parts(connection, run_no):
    policy_no = add_policy(
        connection, "m", "mixed", '{"slots": {"w": 1, "content": 1}}', '{"sequential": 3, "content": 1}'
    )
    found = {item: (score, parts) for item, score, parts in fused(connection, run_no, policy_no)}
    # Both have a quota of 1, and content comes before w by name. content has i3, then i6, since i1 is w's first; w has
    # i1, i2.
    assert order(connection, run_no, policy_no)[:4] == ["i3", "i1", "i6", "i2"]
    score, parts = found["i2"]
    # On the scale of the weights, 4; half of w's score of i2 is each source's.
    assert score == pytest.approx(4 * 10 / 13)
    assert parts == pytest.approx({"sequential": 20 / 13, "trending": 20 / 13}, abs=1e-8)


def test_cascade_orders_the_best_of_the_first_by_the_second(connection, run_no):
    policy_no = add_policy(connection, "c", "cascade", '{"first": "w", "second": "content", "keep": 3}')
    found = fused(connection, run_no, policy_no)
    # w: i1, i2 (2 each), i3, i4, s1 (0.5 each), i5. Of the first three content has i3 1, i1 0.4 and nothing of i2.
    assert [item for item, _, _ in found] == ["i3", "i1", "i2", "i4", "s1", "i5"]
    weights = one(connection, "select weights from recsql.fusion_policy where policy = 'c'")
    # Half is content's; of the other half w gives sequential two thirds.
    assert weights == pytest.approx({"content": 1 / 2, "sequential": 1 / 3, "trending": 1 / 6}, abs=1e-6)
    assert found[0][2] == pytest.approx({"content": 0.5, "sequential": 0.5}, abs=1e-6)
    assert found[2][2] == pytest.approx({"sequential": 5 / 12, "trending": 5 / 12}, abs=1e-6)


def test_switching_takes_the_first_branch_that_fits_the_user(connection, run_no):
    policy_no = add_policy(
        connection, "s", "switching",
        '{"branches": [{"max_history": 1, "use": "trending"}, {"segment": {"gender": "F"}, "use": "w"}], '
        '"else": "sequential"}',
    )  # fmt: skip
    assert order(connection, run_no, policy_no, "a") == ["i2", "i4", "s1", "i5"]
    assert order(connection, run_no, policy_no, "b") == ["i1", "i2", "i3", "i4", "s1", "i5"]
    assert order(connection, run_no, policy_no, "c") == ["i1", "i2", "i3"]
    # Weights of 1 in all; w's scale is 3, and it gives i1 2.
    assert fused(connection, run_no, policy_no, "b")[0][1] == pytest.approx(2 / 3, abs=1e-5)


def test_switching_by_domain_takes_items_of_the_domain(connection, run_no):
    policy_no = add_policy(
        connection, "s", "switching", '{"branches": [{"domain": "songs", "use": "trending"}], "else": "sequential"}'
    )
    found = {item: list(parts) for item, _, parts in fused(connection, run_no, policy_no)}
    assert found == {
        "i1": ["sequential"], "i2": ["sequential"], "i3": ["sequential"], "s1": ["trending"],
    }  # fmt: skip


def test_whole_numbers_may_be_written_with_a_fraction_of_0(connection, run_no):
    configs = {
        "mixed": '{"slots": {"sequential": 2.0, "trending": 1}}',
        "cascade": '{"first": "w", "second": "trending", "keep": 3.0}',
        "switching": '{"branches": [{"min_history": 1.0, "max_history": 5.0, "use": "w"}], "else": "trending"}',
    }
    for kind, config in configs.items():
        written = fused(connection, run_no, add_policy(connection, f"{kind} 1", kind, config))
        plain = fused(connection, run_no, add_policy(connection, f"{kind} 2", kind, config.replace(".0", "")))
        assert written
        assert written == plain
    assert (
        connection.execute("select * from recsql.controlled(%s, '{\"n\": 5.0}', 0, 1000)", (run_no,)).fetchall() == []
    )
    with pytest.raises(psycopg.Error, match=r"n must be a whole number from 1 to 1000, not 5\.5"):
        connection.execute("select * from recsql.controlled(%s, '{\"n\": 5.5}', 0, 1000)", (run_no,))


def test_only_candidate_of_a_source_is_its_best(connection, run_no):
    connection.execute(
        "update recsql.candidate set item_nos = item_nos[1 : 1], scores = scores[1 : 1] where source_no = %s",
        (CONTENT,),
    )
    policy_no = add_policy(connection, "by content", "weighted", weights='{"content": 2}')
    assert fused(connection, run_no, policy_no) == [("i3", 2, {"content": 2})]


@pytest.mark.parametrize("seed", range(3))
def test_parts_sum_to_the_score_for_every_kind(connection, run_no, seed):
    draw = np.random.default_rng(seed)
    items = [f"i{number}" for number in range(40)]
    for item in items:
        connection.execute("select recsql_api.upsert_item(%s, %s, p_domain => 'films')", (item, item))
    connection.execute("delete from recsql.candidate where run_no = %s", (run_no,))
    for user in USERS:
        lists = {
            source_no: list(zip(draw.permutation(items)[:25], sorted(draw.random(25), reverse=True), strict=True))
            for source_no in (1, 2, 3, CONTENT, TRENDING)
        }
        write_candidates(connection, run_no, user, lists)
    numbers = {
        name: add_policy(connection, name, kind, config, weights)
        for name, kind, config, weights in [
            ("sum", "weighted", "{}", '{"sequential": 0.7, "ease": 1.9, "content": 0.4}'),
            ("ranks", "rrf", "{}", '{"sequential": 1, "cosine": 2, "trending": 0.5}'),
            ("slots", "mixed", '{"slots": {"sum": 3, "ranks": 2, "trending": 1}}', "{}"),
            ("stages", "cascade", '{"first": "slots", "second": "sum", "keep": 10}', '{"ease": 7}'),
            (
                "branches", "switching",
                '{"branches": [{"max_history": 1, "use": "stages"}, {"domain": "songs", "use": "trending"}], '
                '"else": "ranks"}', "{}",
            ),
        ]
    }  # fmt: skip
    for name, policy_no in numbers.items():
        for user in USERS:
            found = fused(connection, run_no, policy_no, user)
            assert len(found) > 20
            for _, score, parts in found:
                assert sum(parts.values()) == pytest.approx(score, abs=1e-6)
            if name in ("slots", "stages"):
                scores = [score for _, score, _ in found]
                assert all(above > below for above, below in itertools.pairwise(scores))


def test_policy_of_a_new_kind_is_served_and_explained(connection, run_no):
    policy_no = add_policy(connection, "c", "cascade", '{"first": "w", "second": "content", "keep": 3}')
    connection.execute("update recsql.run set state = 'complete' where run_no = %s", (run_no,))
    connection.execute("select recsql.fuse(%s::integer, %s::integer, 0, 1000)", (run_no, policy_no))
    connection.execute("select recsql.publish(%s::integer, %s::integer)", (run_no, policy_no))
    rows = connection.execute("select item_id, score from recsql_api.recommend('a', 6)").fetchall()
    assert [item for item, _ in rows] == ["i3", "i1", "i2", "i4", "s1", "i5"]
    for item, score in rows:
        explained = one(
            connection, "select sum(contribution) from recsql_api.explain_recommendation('a', %s)", item
        )  # fmt: skip
        assert explained == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "config", "weights", "state", "message"),
    [
        ("weighted", "{}", '{"nowhere": 1}', "RS001", "weighs nowhere, which is no source"),
        ("weighted", "{}", '{"content": -1}', "RS002", "weight -1 of content"),
        ("weighted", "{}", '{"content": "NaN"}', "RS002", 'weight "NaN" of content'),
        ("weighted", "{}", '{"content": 1e400}', "RS002", "of content"),
        ("weighted", "{}", '{"content": null}', "RS002", "weight null of content"),
        ("weighted", "{}", '{"content": 0, "ease": 0}', "RS002", "no source a weight above 0"),
        ("weighted", "{}", "{}", "RS002", "no source a weight above 0"),
        ("rrf", '{"k": 60}', '{"content": 1}', "RS002", "'k' means nothing to kind rrf"),
        ("mixed", "{}", "{}", "RS002", '"slots" must be'),
        ("mixed", '{"slots": {}}', "{}", "RS002", '"slots" must be'),
        ("mixed", '{"slots": {"content": 0}}', "{}", "RS002", "quota of 'content' is 0"),
        ("mixed", '{"slots": {"content": 1.5}}', "{}", "RS002", "quota of 'content' is 1.5"),
        ("mixed", '{"slots": {"content": "2"}}', "{}", "RS002", "quota of 'content' is \"2\""),
        ("mixed", '{"slots": {"nowhere": 1}}', "{}", "RS001", "names nowhere, which is neither"),
        ("mixed", '{"slots": {"new": 1}}', "{}", "RS001", "names new, which is neither"),
        ("cascade", '{"second": "content", "keep": 5}', "{}", "RS002", "first must name"),
        ("cascade", '{"first": "w", "second": "content"}', "{}", "RS002", '"keep" is missing'),
        ("cascade", '{"first": "w", "second": "content", "keep": -1}', "{}", "RS002", '"keep" is -1'),
        ("cascade", '{"first": "w", "second": "learned", "keep": 9}', "{}", "RS002", "learned, a ranker"),
        ("switching", '{"else": "w"}', "{}", "RS002", '"branches" must be'),
        ("switching", '{"branches": [{"max_history": 1, "use": "w"}]}', "{}", "RS002", '"else" must name'),
        ("switching", '{"branches": [{"use": "w"}], "else": "w"}', "{}", "RS002", "has no condition"),
        ("switching", '{"branches": [7], "else": "w"}', "{}", "RS002", "must be an object"),
        ("switching", '{"branches": [{"age": 1, "use": "w"}], "else": "w"}', "{}", "RS002", "'age' is no condition"),
        (
            "switching", '{"branches": [{"min_history": 5, "max_history": 4, "use": "w"}], "else": "w"}', "{}",
            "RS002", "fits nobody",
        ),
        ("switching", '{"branches": [{"segment": [], "use": "w"}], "else": "w"}', "{}", "RS002", "segment must be"),
        ("switching", '{"branches": [{"domain": "x", "use": "w"}], "else": "w"}', "{}", "RS001", "domain x, which"),
    ],
)  # fmt: skip
def test_policy_that_cannot_be_executed_is_refused(connection, run_no, kind, config, weights, state, message):
    add_policy(connection, "learned", "ranker", weights='{"content": 1}')
    with pytest.raises(psycopg.Error) as caught:
        add_policy(connection, "new", kind, config, weights)
    assert (caught.value.sqlstate, message in str(caught.value)) == (state, True), caught.value
    assert caught.value.diag.message_hint


def test_policy_is_not_named_like_a_source(connection):
    with pytest.raises(psycopg.Error, match="content is the name of a source"):
        add_policy(connection, "content", "weighted", weights='{"ease": 1}')


@pytest.mark.parametrize("name", ["fused", 'fused {"diversity": 1}', "weighted", "ranker", "weighted by gender"])
def test_policy_is_not_named_as_metrics_name_something_else(connection, name):
    with pytest.raises(psycopg.Error, match="call something else") as caught:
        add_policy(connection, name, "weighted", weights='{"ease": 1}')
    assert (caught.value.sqlstate, "another name" in caught.value.diag.message_hint) == ("RS002", True)


def test_policies_are_not_put_together_in_a_circle(connection, run_no):
    add_policy(connection, "p1", "mixed", '{"slots": {"w": 1}}')
    add_policy(connection, "p2", "mixed", '{"slots": {"p1": 1}}')
    change = "update recsql.fusion_policy set config = '{\"slots\": {\"p2\": 1}}' where policy = 'p1'"
    with pytest.raises(psycopg.Error, match="put together from itself") as caught:
        connection.execute(change)
    assert caught.value.sqlstate == "RS002"


@pytest.mark.parametrize(("policy", "user"), [("w", "policy p1"), ("p1", "slot default"), ("rrf", "runs of which")])
def test_policy_in_use_is_not_dropped(connection, run_no, policy, user):
    policy_no = add_policy(connection, "p1", "mixed", '{"slots": {"w": 1}}')
    connection.execute("insert into recsql.fusion_choice (slot, policy_no) values ('default', %s)", (policy_no,))
    for change in ("delete from recsql.fusion_policy", "update recsql.fusion_policy set policy = 'other'"):
        with pytest.raises(psycopg.Error, match=f"is used by {user}") as caught:
            connection.execute(f"{change} where policy = %s", (policy,))
        assert caught.value.sqlstate == "RS003"


def test_users_are_similar_by_the_vectors_of_a_model(connection, run_no):
    assert one(connection, "select recsql.refresh_user_similarity_vectors(%s, 'user_transformer')", run_no) == 0
    version_no = one(
        connection,
        "with m as (insert into recsql.model (model) values ('transformer') returning model_no) "
        "insert into recsql.model_version (model_no, run_no, config) select model_no, %s, '{}' from m "
        "returning version_no",
        run_no,
    )
    connection.execute("select recsql.add_model_vectors(%s::integer, 2)", (version_no,))
    # b and c at 60 degrees; a, of whom the run knows nothing, is like b but nobody's neighbour.
    for user, vector in {"a": "[2,0]", "b": "[1,0]", "c": "[0.5,0.8660254]"}.items():
        connection.execute(
            "insert into recsql.user_vector (version_no, user_no, embedding) "
            "select %s, user_no, %s from recsql.app_user where user_id = %s",
            (version_no, vector, user),
        )
    assert one(connection, "select recsql.refresh_user_similarity_vectors(%s, 'user_transformer')", run_no) == 3
    found = connection.execute(
        "select u.user_id, array(select a.user_id from unnest(s.neighbour_nos) with ordinality as n (user_no, place) "
        "inner join recsql.app_user as a using (user_no) order by n.place), s.similarities "
        "from recsql.user_similarity as s inner join recsql.app_user as u using (user_no) order by u.user_id"
    ).fetchall()
    assert [row[:2] for row in found] == [("a", ["b", "c"]), ("b", ["c"]), ("c", ["b"])]
    assert found[0][2] == pytest.approx([1, 0.5])
    assert found[1][2] == pytest.approx([0.5])
