"""Sequential similarities that follow new events end at what a full refresh gives."""

from collections import defaultdict

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsql.db import connect

UNIT = 2**24
WINDOW = 3
REVERSE = 0.5
OPTIONS = f"p_window => {WINDOW}, p_reverse => {REVERSE}::real, p_shrinkage => 1::real, p_popularity_power => 0::real"

# A user does something with an item: kind, and hours from the beginning, so that some of it is written late.
event = st.tuples(
    st.sampled_from(["u1", "u2", "u3"]),
    st.sampled_from("abcdefg"),
    st.sampled_from(["like", "like", "like", "view", "dislike"]),
    st.integers(0, 200),
)
batches = st.lists(st.lists(event, min_size=1, max_size=8), min_size=2, max_size=4)


def record(connection, events):
    for user, item, kind, hour in events:
        connection.execute(
            "select recsql_api.record_event(%s, %s, %s, p_at => to_timestamp(1704067200 + 3600 * %s))",
            (user, item, kind, hour),
        )


def begin_run(connection):
    run_no = connection.execute("select recsql.begin_run(null, 'test', '{}')").fetchone()[0]
    connection.execute("select recsql.refresh_interaction(%s::integer)", (run_no,))
    connection.execute("select recsql.refresh_item_popularity(%s::integer)", (run_no,))
    return run_no


def counts(connection, run_no):
    query = (
        "select item_no, neighbour_no, sum(n)::bigint from recsql.pair_count where run_no = %s "
        "group by item_no, neighbour_no having sum(n) <> 0"
    )
    return {tuple(pair): n for *pair, n in connection.execute(query, (run_no,)).fetchall()}


def lists(connection, run_no):
    query = "select item_no, neighbour_nos, similarities from recsql.item_similarity where run_no = %s"
    return {item: (neighbours, values) for item, neighbours, values in connection.execute(query, (run_no,)).fetchall()}


@pytest.fixture
def catalogue(connection):
    for item in "abcdefg":
        connection.execute("select recsql_api.upsert_item(%s, %s)", (item, item))
    return connection


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=batches, neighbours=st.sampled_from([1, 2, 200]))
def test_updates_end_at_a_full_refresh(catalogue, batches, neighbours):
    # Lists of one or two are full at once, so that items leave them and others come back.
    options = f"{OPTIONS}, p_neighbours => {neighbours}"
    catalogue.execute("truncate recsql.event")
    record(catalogue, batches[0])
    run_no = begin_run(catalogue)
    catalogue.execute(f"select recsql.track_similarity(%s::integer, {options})", (run_no,))
    catalogue.execute(f"select recsql.refresh_similarity_sequential(%s::integer, {options})", (run_no,))
    for batch in batches[1:]:
        record(catalogue, batch)
        catalogue.execute("select recsql.update_similarity(%s::integer)", (run_no,))
    full_no = begin_run(catalogue)
    catalogue.execute(f"select recsql.track_similarity(%s::integer, {options})", (full_no,))
    catalogue.execute(f"select recsql.refresh_similarity_sequential(%s::integer, {options})", (full_no,))
    assert counts(catalogue, run_no) == counts(catalogue, full_no)
    assert lists(catalogue, run_no) == lists(catalogue, full_no)


def test_counts_by_hand(catalogue):
    # u1: a, then b, then c. a→b and b→c at gap 1, a→c at gap 2; half of it in the other direction.
    record(catalogue, [("u1", "a", "like", 1), ("u1", "b", "like", 2), ("u1", "c", "like", 3)])
    run_no = begin_run(catalogue)
    catalogue.execute(f"select recsql.track_similarity(%s::integer, {OPTIONS})", (run_no,))
    no = dict(catalogue.execute("select item_id, item_no from recsql.item").fetchall())
    assert counts(catalogue, run_no) == {
        (no["a"], no["b"]): UNIT,
        (no["b"], no["c"]): UNIT,
        (no["a"], no["c"]): UNIT // 2,
        (no["b"], no["a"]): UNIT // 2,
        (no["c"], no["b"]): UNIT // 2,
        (no["c"], no["a"]): UNIT // 4,
    }
    # Then d: c→d at gap 1, b→d at gap 2, a→d at gap 3; 2^24 / 3 rounds to 5592405, half of it to 2796203.
    record(catalogue, [("u1", "d", "like", 4)])
    assert catalogue.execute("select recsql.update_similarity(%s::integer)", (run_no,)).fetchone()[0] == 6
    found = counts(catalogue, run_no)
    assert found[no["a"], no["d"]] == 5592405
    assert found[no["d"], no["a"]] == 2796203
    # a is followed by b (1), c (1/2) and d (1/3), and 1 is added: 1 / (11/6 + 1) for b.
    neighbours, similarities = lists(catalogue, run_no)[no["a"]]
    assert neighbours == [no["b"], no["c"], no["d"]]
    assert similarities == pytest.approx([6 / 17, 3 / 17, 2 / 17])
    assert catalogue.execute("select recsql.update_similarity(%s::integer)", (run_no,)).fetchone()[0] == 0


def test_full_refresh_agrees_with_the_definition(catalogue):
    likes = {"u1": "abcdefg", "u2": "gfab", "u3": "acegb"}
    record(catalogue, [(u, item, "like", hour) for u, items in likes.items() for hour, item in enumerate(items)])
    run_no = begin_run(catalogue)
    catalogue.execute(f"select recsql.refresh_similarity_sequential(%s::integer, {OPTIONS})", (run_no,))
    weights = defaultdict(float)
    for items in likes.values():
        for first in range(len(items)):
            for gap in range(1, min(WINDOW, len(items) - 1 - first) + 1):
                weights[items[first], items[first + gap]] += 1 / gap
                weights[items[first + gap], items[first]] += REVERSE / gap
    name = dict(catalogue.execute("select item_no, item_id from recsql.item").fetchall())
    found = {
        (name[item], name[neighbour]): similarity
        for item, (neighbours, similarities) in lists(catalogue, run_no).items()
        for neighbour, similarity in zip(neighbours, similarities, strict=True)
    }
    totals = {item: sum(w for (first, _), w in weights.items() if first == item) for item in "abcdefg"}
    assert found == {pair: pytest.approx(w / (totals[pair[0]] + 1)) for pair, w in weights.items()}


def test_parts_of_a_refresh_make_the_whole(catalogue):
    record(catalogue, [("u1", item, "like", hour) for hour, item in enumerate("abcdefg")])
    record(catalogue, [("u2", item, "like", hour) for hour, item in enumerate("gbdfa")])
    run_no = begin_run(catalogue)
    for method in ("sequential", "cosine"):
        catalogue.execute(f"select recsql.refresh_similarity_{method}(%s::integer)", (run_no,))
        whole = lists(catalogue, run_no)
        catalogue.execute("delete from recsql.item_similarity")
        for part in range(3):
            catalogue.execute(
                f"select recsql.refresh_similarity_{method}(%s::integer, p_part => %s::integer, p_parts => 3)",
                (run_no, part),
            )
        assert lists(catalogue, run_no) == whole
        catalogue.execute("delete from recsql.item_similarity")


def test_events_that_commit_late_are_not_lost(catalogue, database):
    record(catalogue, [("u1", "a", "like", 1), ("u2", "c", "like", 1)])
    run_no = begin_run(catalogue)
    catalogue.execute(f"select recsql.track_similarity(%s::integer, {OPTIONS})", (run_no,))
    with connect(database, autocommit=False) as slow:
        record(slow, [("u2", "d", "like", 2)])
        # Written after the other one's event and committed before it.
        record(catalogue, [("u1", "b", "like", 2)])
        assert catalogue.execute("select recsql.update_similarity(%s::integer)", (run_no,)).fetchone() == (2,)
        slow.commit()
    assert catalogue.execute("select recsql.update_similarity(%s::integer)", (run_no,)).fetchone() == (2,)
    assert catalogue.execute("select recsql.update_similarity(%s::integer)", (run_no,)).fetchone() == (0,)


def test_follow_release_counts_once_and_then_follows(catalogue):
    assert catalogue.execute("select recsql.follow_release()").fetchone() == (None,)
    record(catalogue, [("u1", "a", "like", 1), ("u1", "b", "like", 2)])
    run_no = begin_run(catalogue)
    catalogue.execute("insert into recsql.release (slot, run_no, policy_no) select 'default', %s, 1", (run_no,))
    assert catalogue.execute("select recsql.follow_release()").fetchone() == (0,)
    record(catalogue, [("u1", "g", "like", 3)])
    # b→g, a→g and back.
    assert catalogue.execute("select recsql.follow_release()").fetchone() == (4,)
    no = dict(catalogue.execute("select item_id, item_no from recsql.item").fetchall())
    assert no["g"] in lists(catalogue, run_no)[no["b"]][0]
    # Another run takes its place: its pairs are counted, those of the first forgotten.
    next_no = begin_run(catalogue)
    catalogue.execute("update recsql.release set run_no = %s", (next_no,))
    assert catalogue.execute("select recsql.follow_release()").fetchone() == (0,)
    assert not counts(catalogue, run_no)
    assert len(counts(catalogue, next_no)) == 6


def test_update_of_a_run_that_does_not_follow_says_what_to_do(catalogue):
    run_no = begin_run(catalogue)
    with pytest.raises(psycopg.Error) as caught:
        catalogue.execute("select recsql.update_similarity(%s::integer)", (run_no,))
    assert caught.value.sqlstate == "RS001"
    assert "track_similarity" in caught.value.diag.message_hint


def test_updates_hold_when_the_oldest_items_fall_out(connection):
    # 640 items of a user are read: of the first 645 events the oldest five are not, after three more the oldest eight.
    connection.execute("insert into recsql.domain (domain) values ('d') on conflict do nothing")
    connection.execute(
        "insert into recsql.item (item_id, domain) select 'i' || n, 'd' from generate_series(1, 700) as n"
    )
    connection.execute("insert into recsql.app_user (user_id) values ('u')")
    insert = """
        insert into recsql.event (user_no, item_no, kind_no, at)
        select u.user_no, i.item_no, k.kind_no, to_timestamp(1704067200 + 3600 * n.n)
        from generate_series(%s::integer, %s::integer) as n (n)
        inner join recsql.item as i on i.item_id = 'i' || n.n
        inner join recsql.event_kind as k on k.kind = 'like'
        cross join recsql.app_user as u
    """
    connection.execute(insert, (1, 645))
    run_no = begin_run(connection)
    connection.execute(f"select recsql.track_similarity(%s::integer, {OPTIONS})", (run_no,))
    length = "select cardinality(item_nos) from recsql.user_sequence where run_no = %s"
    assert connection.execute(length, (run_no,)).fetchone() == (640,)
    connection.execute(insert, (646, 648))
    # Three new items have pairs with three older ones each, three that fall out with three newer ones; both ways.
    assert connection.execute("select recsql.update_similarity(%s::integer)", (run_no,)).fetchone() == (36,)
    full_no = begin_run(connection)
    connection.execute(f"select recsql.track_similarity(%s::integer, {OPTIONS})", (full_no,))
    assert counts(connection, run_no) == counts(connection, full_no)
