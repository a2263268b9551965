"""Candidates: every source's values by hand, live as in the batch, and what may be recommended at all."""

import time

import psycopg
import pytest

from recsql.errors import InputError, NotFoundError
from recsql.queries import QUERIES
from workers.parallel import execute_all

# Users' items in their order; w likes what u and v like, and is alone with a song. Item d is withdrawn for some tests.
HISTORIES = {"u": "abc", "v": "abd", "w": "bae", "x": "fg", "y": "gf"}
ATTRIBUTES = {"u": ("F", "old"), "v": ("F", "old"), "w": ("F", "young"), "x": ("M", "old"), "z": ("F", "old")}
SOURCES = [
    "sequential", "cosine", "user_cosine", "content", "trending", "popularity", "popular_segment", "new_items",
    "cross_domain",
]  # fmt: skip


def item_no(connection, item_id):
    return connection.execute("select item_no from recsql.item where item_id = %s", (item_id,)).fetchone()[0]


def user_no(connection, user_id):
    return connection.execute("select user_no from recsql.app_user where user_id = %s", (user_id,)).fetchone()[0]


def record(connection, user, item, hour):
    connection.execute(
        "select recsql_api.record_event(%s, %s, 'like', p_at => to_timestamp(1704067200 + 3600 * %s))",
        (user, item, hour),
    )


@pytest.fixture
def released(connection):
    """Number of a released run with what every source reads."""
    for position, item in enumerate("abcdefghij"):
        domain = "film" if item < "h" else "song"
        connection.execute("select recsql_api.upsert_item(%s, %s, p_domain => %s)", (item, item, domain))
        connection.execute(
            "update recsql.item set published_at = to_timestamp(1704067200 + 86400 * %s) where item_id = %s",
            (position, item),
        )
    for user, items in HISTORIES.items():
        for hour, item in enumerate(items):
            record(connection, user, item, hour)
    connection.execute("insert into recsql.app_user (user_id) values ('z')")
    for user, (gender, age_group) in ATTRIBUTES.items():
        connection.execute(
            "update recsql.app_user set attributes = jsonb_build_object('gender', %s::text, 'age_group', %s::text) "
            "where user_id = %s",
            (gender, age_group, user),
        )
    space_no = connection.execute(
        "select recsql.add_embedding_space('t', 'text', 'none', '1', 2, '{title}')"
    ).fetchone()
    # From a, at 0 degrees, every next item is 8 degrees further, up to j at 72.
    connection.execute(
        "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) "
        "select %s, item_no, '', array[cosd(8 * (ascii(item_id) - 97)), sind(8 * (ascii(item_id) - 97))]::vector "
        "from recsql.item",
        space_no,
    )
    connection.execute("update recsql.source set is_active = true where source = any (%s)", (SOURCES,))
    run_no = connection.execute("select recsql.begin_run(null, 'test', '{}')").fetchone()[0]
    for refresh in ("interaction", "item_popularity"):
        connection.execute(f"select recsql.refresh_{refresh}(%s::integer)", (run_no,))
    connection.execute("select recsql.refresh_similarity_sequential(%s::integer)", (run_no,))
    connection.execute("select recsql.refresh_similarity_cosine(%s::integer)", (run_no,))
    connection.execute("select recsql.refresh_user_similarity_cosine(%s::integer, p_shrinkage => 2)", (run_no,))
    connection.execute("select recsql.refresh_segment_popularity(%s::integer, 'popular_segment')", (run_no,))
    connection.execute("insert into recsql.release (slot, run_no, policy_no) select 'default', %s, min(policy_no) "
                       "from recsql.fusion_policy", (run_no,))  # fmt: skip
    return run_no


def written(connection, run_no, source, n=5):
    """What the batch writes: (item id, score) of each user's id, best first."""
    connection.execute("select recsql.refresh_candidates(%s::integer, %s, 0, 1000, %s)", (run_no, source, n))
    rows = connection.execute(
        "select u.user_id, i.item_id, e.score from recsql.candidate as c "
        "inner join recsql.source as s using (source_no) inner join recsql.app_user as u using (user_no) "
        "cross join lateral unnest(c.item_nos, c.scores) with ordinality as e (item_no, score, position) "
        "inner join recsql.item as i on i.item_no = e.item_no where c.run_no = %s and s.source = %s "
        "order by u.user_id, e.position",
        (run_no, source),
    ).fetchall()
    found = {}
    for user, item, score in rows:
        found.setdefault(user, []).append((item, pytest.approx(score, rel=1e-5)))
    return found


def live(connection, user, source, n=5):
    """What is served live: (item id, score), best first."""
    return connection.execute(
        "select i.item_id, c.score from recsql.live_candidates(%s, %s, %s) "
        "with ordinality as c (item_no, score, position) "
        "inner join recsql.item as i on i.item_no = c.item_no order by c.position",
        (user_no(connection, user), source, n),
    ).fetchall()


@pytest.mark.parametrize("source", SOURCES)
def test_live_candidates_are_the_batchs_when_nothing_happened_since(connection, released, source):
    batch = written(connection, released, source)
    assert batch
    for user in HISTORIES:
        assert live(connection, user, source) == batch.get(user, [])


@pytest.mark.parametrize("source", SOURCES)
def test_live_candidates_leave_out_what_the_user_had_since_and_what_was_withdrawn(connection, released, source):
    before = live(connection, "u", source)
    assert len(before) > 1 or source == "popular_segment"
    (first, _), *others = before
    record(connection, "u", first, 50)
    after = [item for item, _ in live(connection, "u", source)]
    assert first not in after
    if others:
        withdrawn = others[0][0]
        connection.execute("update recsql.item set available = false where item_id = %s", (withdrawn,))
        assert withdrawn not in [item for item, _ in live(connection, "u", source)]
        # The batch of a new day knows it, too.
        assert withdrawn not in [item for item, _ in written(connection, released, source)["u"]]


@pytest.mark.parametrize("source", ["sequential", "cosine"])
def test_live_candidates_follow_what_the_user_turned_to(connection, released, source):
    assert not {"f"} & {item for item, _ in live(connection, "u", source)}
    record(connection, "u", "g", 50)
    # x and y had f and g together.
    assert live(connection, "u", source)[0][0] == "f"


def test_live_candidates_of_a_user_who_came_since(connection, released):
    connection.execute("select recsql_api.record_event('new', 'a', 'like')")
    assert "b" in [item for item, _ in live(connection, "new", "cosine")]
    assert "a" not in [item for item, _ in live(connection, "new", "popularity")]
    # Of z nothing is known but that she is one of the old women.
    assert [item for item, _ in live(connection, "z", "popular_segment")] == ["a", "b", "c", "d"]
    assert live(connection, "z", "sequential") == []


def test_live_candidates_refuse_what_is_no_source(connection, released):
    with pytest.raises(psycopg.Error, match="there is no source nonsense") as raised:
        live(connection, "u", "nonsense")
    assert raised.value.sqlstate == "RS001"
    with pytest.raises(psycopg.Error, match="there is no source nonsense"):
        written(connection, released, "nonsense")


def test_similarity_by_hand(connection, released):
    # u's newest is c (step 0), then b, then a; recency 1, 1/2, 1/3. d is a neighbour of a and b: v had all three.
    rows = connection.execute(
        "select i.item_id, n.similarity from recsql.item_similarity as s inner join recsql.item as i using (item_no) "
        "cross join lateral unnest(s.neighbour_nos, s.similarities) as n (item_no, similarity) "
        "where s.source_no = 3 and n.item_no = %s",
        (item_no(connection, "d"),),
    ).fetchall()
    similar = dict(rows)
    assert set(similar) == {"a", "b"}
    expected = similar["a"] / 3 + similar["b"] / 2
    assert dict(written(connection, released, "cosine")["u"])["d"] == expected


def test_users_by_hand(connection, released):
    # u and v share a and b of three items each: 2 / 3, shrunk by 2 / (2 + 2); u and w as well; v and w as well.
    rows = connection.execute(
        "select u.user_id, array(select o.user_id from unnest(s.neighbour_nos) with ordinality as n (user_no, place) "
        "inner join recsql.app_user as o using (user_no) order by n.place), s.similarities "
        "from recsql.user_similarity as s inner join recsql.app_user as u using (user_no) order by 1"
    ).fetchall()
    assert rows == [
        ("u", ["v", "w"], [pytest.approx(1 / 3)] * 2),
        ("v", ["u", "w"], [pytest.approx(1 / 3)] * 2),
        ("w", ["u", "v"], [pytest.approx(1 / 3)] * 2),
        # The same two items: 1, shrunk by 2 / 4.
        ("x", ["y"], [pytest.approx(1 / 2)]),
        ("y", ["x"], [pytest.approx(1 / 2)]),
    ]
    # d is v's newest and e is w's: of the same weight, so the one that came first into the catalogue is first.
    assert written(connection, released, "user_cosine")["u"] == [("d", 1 / 3), ("e", 1 / 3)]
    assert "x" not in written(connection, released, "user_cosine")


def test_user_similarity_is_bounded_by_history_users_and_neighbours(connection, released):
    refresh = "select recsql.refresh_user_similarity_cosine(%s::integer, %s, %s, 5, %s)"
    pairs = "select sum(cardinality(neighbour_nos)) from recsql.user_similarity"
    # Of the newest item of each user, c d e g f, no two are the same.
    assert connection.execute(refresh, (released, 1, 100, 50)).fetchone() == (0,)
    # Of each item only the newest user takes part: of a, w (hour 1); of b, u or v, whichever came last (hour 1, v).
    connection.execute(refresh, (released, 50, 1, 50))
    assert connection.execute(pairs).fetchone()[0] < 8
    assert connection.execute(refresh, (released, 50, 100, 1)).fetchone() == (5,)
    assert connection.execute(pairs).fetchone() == (5,)


def test_segment_by_hand(connection, released):
    # Old women: u had a b c, v had a b d. x, an old man, is alone; y has no attributes.
    found = written(connection, released, "popular_segment")
    assert found == {"u": [("d", 1)], "v": [("c", 1)]}
    assert live(connection, "z", "popular_segment") == [("a", 2), ("b", 2), ("c", 1), ("d", 1)]
    connection.execute("update recsql.item set available = false where item_id = 'b'")
    assert live(connection, "z", "popular_segment") == [("a", 2), ("c", 1), ("d", 1)]
    assert connection.execute("select count(*) from recsql.segment_popularity").fetchone() == (3,)


def test_segment_is_a_row_not_code(connection, released):
    connection.execute(
        "insert into recsql.source (source_no, source, kind, segment_keys, reason, description) "
        "values (50, 'by_age', 'segment', '{age_group}', 'popular at your age', 'by age group')"
    )
    connection.execute("select recsql.refresh_segment_popularity(%s::integer, 'by_age')", (released,))
    assert [item for item, _ in written(connection, released, "by_age")["x"]] == ["a", "b", "c", "d"]
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "insert into recsql.source (source_no, source, kind, reason, description) "
            "values (51, 'x', 'segment', '', '')"
        )


def test_popularity_and_trend_by_hand(connection, released):
    # a and b have been had by three, f and g by two, c, d and e by one.
    assert written(connection, released, "popularity", 3)["u"] == [("f", 2), ("g", 2), ("d", 1)]
    # All within hours of one another, so half-lives of days hardly tell: f (y's newest) and g (x's) stand first.
    assert {item for item, _ in written(connection, released, "trending", 2)["u"]} == {"f", "g"}


def test_new_items_by_hand(connection, released):
    # j is the newest; the run was made years after all of them, at least 60 months it would be nothing.
    connection.execute("update recsql.run set as_of = to_timestamp(1704067200 + 86400 * 39)")
    found = written(connection, released, "new_items")
    # j came on the tenth day (9), 30 days before: 0.5. Nobody had it, so it has no trend.
    # g came on the seventh day; two had it, three had a and b, all within hours.
    assert found["u"][0] == ("g", pytest.approx(0.5 ** (33 / 30) * (1 + 2 / 3), rel=1e-2))
    assert dict(found["u"])["j"] == pytest.approx(0.5)
    connection.execute(
        "update recsql.item set published_at = to_timestamp(1704067200 + 86400 * 40) where item_id = 'j'"
    )
    assert "j" not in dict(written(connection, released, "new_items")["u"])
    # Live it is out.
    assert live(connection, "u", "new_items")[0] == ("j", pytest.approx(1))


def test_cross_domain_by_hand(connection, released):
    from math import atan2, cos, radians, sin

    # u's items a, b, c lie at 0, 8, 16 degrees, the newer the heavier: 0.81, 0.9, 1. Songs h, i, j: 56, 64, 72.
    parts = [(0.81, 0), (0.9, 8), (1, 16)]
    angle = atan2(sum(w * sin(radians(a)) for w, a in parts), sum(w * cos(radians(a)) for w, a in parts))
    assert written(connection, released, "cross_domain")["u"] == [
        (item, pytest.approx(cos(radians(degrees) - angle), rel=1e-5))
        for item, degrees in (("h", 56), ("i", 64), ("j", 72))
    ]
    record(connection, "u", "j", 50)
    # There is no domain any more in which u has nothing.
    assert live(connection, "u", "cross_domain") == []


def test_cross_domain_where_there_is_one_domain(connection, released):
    connection.execute("update recsql.item set domain = 'film'")
    connection.execute("delete from recsql.domain where domain <> 'film'")
    assert written(connection, released, "cross_domain") == {}


@pytest.mark.parametrize("source", ["cosine", "user_cosine", "content", "popularity", "popular_segment", "new_items"])
def test_domain_that_allows_repeats_gives_known_items_again(connection, released, source):
    def known():
        return {item for item, _ in written(connection, released, source, 10)["u"]} & set("abc")

    assert known() == set()
    connection.execute("update recsql.domain set allows_repeat = true where domain = 'film'")
    assert known()
    assert known() <= {item for item, _ in live(connection, "u", source, 10)}


def test_known_interaction_counts_steps_anew(connection, released):
    record(connection, "u", "a", 50)
    connection.execute(
        "select recsql_api.record_event('u', 'c', 'dislike', p_at => to_timestamp(1704067200 + 3600 * 60))"
    )
    user = user_no(connection, "u")
    query = (
        "select i.item_id, k.step, k.weight, k.n_events from recsql.known_interaction(%s::integer, %s, %s, %s) as k "
        "inner join recsql.item as i using (item_no) order by i.item_id"
    )
    assert connection.execute(query, (released, user, user, False)).fetchall() == [
        ("a", 2, 1, 1), ("b", 1, 1, 1), ("c", 0, 1, 1),
    ]  # fmt: skip
    # a was liked again; c was liked once and then not: nothing is left of it.
    assert connection.execute(query, (released, user, user, True)).fetchall() == [
        ("a", 0, 2, 2), ("b", 1, 1, 1), ("c", None, 0, 2),
    ]  # fmt: skip


def test_offline_run_knows_no_now(connection, released):
    for user in "uvw":
        for hour, item in enumerate("abcde"):
            record(connection, user, item, 10 + hour)
    split_no = connection.execute("select recsql.make_split('loo', 'test', 2)").fetchone()[0]
    run_no = connection.execute("select recsql.begin_run(%s::integer, 'test', '{}')", (split_no,)).fetchone()[0]
    connection.execute("select recsql.refresh_interaction(%s::integer)", (run_no,))
    record(connection, "u", "g", 99)
    query = "select item_no, step from recsql.known_interaction(%s::integer, 0, 1000, %s) order by user_no, item_no"
    assert (
        connection.execute(query, (run_no, True)).fetchall()
        == connection.execute(query, (run_no, False)).fetchall()
        != []
    )


def test_execute_all_gives_every_result_once(connection, released):
    calls = [
        ("refresh_candidates", {"run_no": released, "source": source, "first": user, "last": user, "n": 3})
        for source in ("popularity", "cosine")
        for user in range(1, 7)
    ]
    places = dict(execute_all(connection, calls, n_connections=3))
    assert sorted(places) == list(range(12))
    for place, (_, call) in enumerate(calls):
        rows = connection.execute(
            "select coalesce(sum(cardinality(c.item_nos)), 0) from recsql.candidate as c "
            "inner join recsql.source as s using (source_no) where s.source = %s and c.user_no = %s",
            (call["source"], call["first"]),
        ).fetchone()
        assert rows == (places[place],)


def test_execute_all_stops_at_the_first_error(connection, released):
    calls = [("refresh_candidates", {"run_no": released, "source": "nonsense", "first": 0, "last": 1, "n": 3})] * 4
    with pytest.raises((NotFoundError, InputError), match="there is no source nonsense"):
        list(execute_all(connection, calls, n_connections=2))


def test_execute_all_cancels_a_statement_that_begins_as_it_stops(connection, monkeypatch):
    monkeypatch.setitem(QUERIES, "wait", "select pg_sleep(%(seconds)s)")
    cancel, early = psycopg.Connection.cancel_safe, []

    def come_too_early_at_first(other):
        if other not in early:
            early.append(other)
        else:
            cancel(other)

    monkeypatch.setattr(psycopg.Connection, "cancel_safe", come_too_early_at_first)
    results = execute_all(connection, [("wait", {"seconds": seconds}) for seconds in (0, 120)], n_connections=2)
    assert next(results) == (0, "")
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 60
