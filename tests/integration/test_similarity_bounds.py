"""Similarities at the edges: no events, one item, one user of a hundred thousand events."""

import pytest

METHODS = ("sequential", "cosine", "jaccard", "conditional", "llr", "pearson")


def begin_run(connection):
    run_no = connection.execute("select recsql.begin_run(null, 'test', '{}')").fetchone()[0]
    connection.execute("select recsql.refresh_interaction(%s::integer)", (run_no,))
    connection.execute("select recsql.refresh_item_popularity(%s::integer)", (run_no,))
    return run_no


def refresh(connection, method, run_no):
    return connection.execute(f"select recsql.refresh_similarity_{method}(%s::integer)", (run_no,)).fetchone()[0]


@pytest.mark.parametrize("method", METHODS)
def test_no_events_give_no_lists(connection, method):
    assert refresh(connection, method, begin_run(connection)) == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_single_item_has_no_neighbours(connection, method):
    connection.execute("select recsql_api.upsert_item('only', 'Only')")
    for user in ("u1", "u2"):
        connection.execute("select recsql_api.record_event(%s, 'only', 'rating', 4::real)", (user,))
    run_no = begin_run(connection)
    assert refresh(connection, method, run_no) == 0
    connection.execute("select recsql.track_similarity(%s::integer)", (run_no,))
    connection.execute("select recsql_api.record_event('u3', 'only', 'like')")
    assert connection.execute("select recsql.update_similarity(%s::integer)", (run_no,)).fetchone() == (0,)


def test_of_a_user_of_a_hundred_thousand_events_the_newest_are_read(connection):
    # 20,000 items, each five times; the last round goes from item 1 to item 20,000, which ten more users had alone.
    connection.execute("insert into recsql.domain (domain) values ('d') on conflict do nothing")
    connection.execute(
        "insert into recsql.item (item_no, item_id, domain) select n, 'i' || n, 'd' from generate_series(1, 20000) as n"
    )
    connection.execute(
        "insert into recsql.app_user (user_no, user_id) select n, 'u' || n from generate_series(1, 11) as n"
    )
    connection.execute(
        "insert into recsql.event (user_no, item_no, kind_no, at) "
        "select 1, 1 + n %% 20000, k.kind_no, to_timestamp(1704067200 + n) "
        "from generate_series(0, 99999) as n cross join recsql.event_kind as k where k.kind = %s "
        "union all "
        "select u, 20000, k.kind_no, to_timestamp(1704067200) "
        "from generate_series(2, 11) as u cross join recsql.event_kind as k where k.kind = %s",
        ("like", "like"),
    )
    run_no = begin_run(connection)
    sequences = connection.execute(
        "select user_no, cardinality(item_nos), item_nos[1] from recsql.user_sequence "
        "where run_no = %s order by user_no",
        (run_no,),
    ).fetchall()
    assert sequences == [(1, 640, 20000), *((user, 1, 20000) for user in range(2, 12))]
    # The newest 100 of the one user have each other in common, by the step from one to the next the newest 640.
    assert refresh(connection, "cosine", run_no) == 100
    assert refresh(connection, "sequential", run_no) == 640
    # Item 19,999 is followed by 20,000, which has 11 users: 1 / (T + 20) / 11^0.3, with T the sum of what follows, 1,
    # and of 0.4 / gap for the 30 items before it; 19,998 comes before it: 0.4 / (T + 20).
    total = 1 + 0.4 * sum(1 / gap for gap in range(1, 31))
    found = connection.execute(
        "select neighbour_nos[:2], similarities[:2] from recsql.item_similarity as s "
        "inner join recsql.source as o using (source_no) "
        "where run_no = %s and source = 'sequential' and item_no = 19999",
        (run_no,),
    ).fetchone()
    assert found[0] == [20000, 19998]
    assert found[1] == pytest.approx([1 / (total + 20) / 11**0.3, 0.4 / (total + 20)])
