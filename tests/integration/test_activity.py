"""Activity and trends that are kept up to date: always what counting all events again would give."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsql.db import connect

N_ITEMS = 4
KINDS = {"view": (300_000, 36), "like": (1_000_000, None), "dislike": (-1_000_000, 240)}
"""Weight in millionths and half-life in hours that the kinds have in these tests."""
WINDOWS = (24, 168, 720, 1440, None)
"""Hours of the windows that are kept; 1440 are more than the 31 days for which there are buckets of an hour."""

NOW = "date_trunc('hour', now())"


@pytest.fixture(scope="module")
def counted_template(server, template):
    """Four items, three kinds of event that fade at different rates, and a window of more hours than are kept."""
    with server.clone(template) as name:
        with psycopg.connect(server.url(name), autocommit=True) as connection:
            connection.execute("insert into recsql.domain (domain) values ('films'), ('songs')")
            connection.execute(
                "insert into recsql.item (item_no, item_id, domain) "
                "select n, 'i' || n, case when n <= 2 then 'films' else 'songs' end from generate_series(1, %s) as n",
                (N_ITEMS,),
            )
            connection.execute("update recsql.event_kind set half_life = interval '36 hours' where kind = 'view'")
            connection.execute("update recsql.event_kind set half_life = interval '10 days' where kind = 'dislike'")
            connection.execute("insert into recsql.trend_window (n_hours, description) values (1440, 'sixty days')")
        yield name


@pytest.fixture
def counted(server, counted_template):
    with server.clone(counted_template) as name, connect(server.url(name)) as connection:
        yield connection


@pytest.fixture(scope="module")
def shared(server, counted_template):
    """One database for all examples of a property, each of which is rolled back."""
    with server.clone(counted_template) as name, connect(server.url(name)) as connection:
        yield connection


def happen(connection, events, load_no=None):
    """Insert events in one statement: (item, kind, hours before now), each of a user of its own."""
    items, kinds, ages = zip(*events, strict=True)
    connection.execute(
        "insert into recsql.event (user_no, item_no, kind_no, at, load_no) "
        f"select nextval('recsql.event_no_seq') / 1000, e.item_no, k.kind_no, {NOW} - e.age * interval '1 hour', %s "
        "from unnest(%s::integer[], %s::text[], %s::float[]) as e (item_no, kind, age) "
        "inner join recsql.event_kind as k on k.kind = e.kind",
        (load_no, list(items), list(kinds), list(ages)),
    )


def load_year(connection, year, events, load_no):
    """What clean_events does with a year that has no partition yet: (item, kind, hour of the year)."""
    name = connection.execute("select recsql.new_event_year(%s::integer)", (year,)).fetchone()[0]
    items, kinds, hours = zip(*events, strict=True)
    connection.execute(
        f"insert into recsql.{name} (user_no, item_no, kind_no, at, load_no) "
        "select nextval('recsql.event_no_seq') / 1000, e.item_no, k.kind_no, "
        "make_timestamptz(%s::integer, 1, 1, 0, 0, 0, 'UTC') + e.hour * interval '1 hour', %s "
        "from unnest(%s::integer[], %s::text[], %s::integer[]) as e (item_no, kind, hour) "
        "inner join recsql.event_kind as k on k.kind = e.kind",
        (year, load_no, list(items), list(kinds), list(hours)),
    )
    connection.execute("select recsql.attach_event_year(%s::integer)", (year,))


def undo(connection, load_no):
    connection.execute("delete from recsql.event where load_no = %s", (load_no,))


def refresh(connection, anew=False):
    return connection.execute("select recsql.refresh_activity(%s)", (anew,)).fetchone()[0]


def expected(connection, kinds=None):
    """Buckets and trends as counting every event gives them, worked out apart from the database's own sums.

    Loads that are not counted yet are left out.
    """
    kinds = kinds or KINDS
    rolled, now = connection.execute(
        "select rolled_before, floor(extract(epoch from now()) / 3600)::integer from recsql.activity_state"
    ).fetchone()
    buckets = Counter()
    for second, item, kind in connection.execute(
        "select extract(epoch from e.at)::bigint, e.item_no, k.kind from recsql.event as e "
        "inner join recsql.event_kind as k using (kind_no) where not exists (select from recsql.activity_pending as p "
        "where p.load_no = e.load_no and p.year = extract(year from e.at at time zone 'UTC'))"
    ).fetchall():
        hour = second // 3600
        buckets[(hour // 24 * 24 if hour < rolled else hour, item, kind)] += 1
    newest = max((hour for hour, _, _ in buckets if hour <= now), default=0)
    n_events, scores = Counter(), Counter()
    for (hour, item, kind), n in buckets.items():
        weight, half_life = kinds[kind]
        halved = abs(weight) >> (newest - hour) // half_life if half_life and hour <= newest else abs(weight)
        for window in WINDOWS:
            if hour <= newest and (window is None or hour > newest - window):
                n_events[window, item] += n
                scores[window, item] += n * (halved if weight > 0 else -halved)
    return dict(buckets), {key: (n, scores[key]) for key, n in n_events.items()}


def kept(connection):
    """Buckets and trends that are kept."""
    buckets = connection.execute(
        "select a.hour, a.item_no, k.kind, a.n_events from recsql.item_activity as a "
        "inner join recsql.event_kind as k using (kind_no)"
    ).fetchall()
    trends = connection.execute(
        "select w.n_hours, t.item_no, t.n_events, t.score from recsql.item_trend as t "
        "inner join recsql.trend_window as w using (window_no)"
    ).fetchall()
    return {row[:3]: row[3] for row in buckets}, {row[:2]: row[2:] for row in trends}


def served(connection, window):
    """What trending() gives: score by item."""
    hours = None if window is None else f"{window} hours"
    rows = connection.execute("select item_id, score from recsql_api.trending(null, null, %s)", (hours,)).fetchall()
    return {int(item_id[1:]): score for item_id, score in rows}


def check_served(connection, kinds=None):
    """What trending() gives is what everything counted would, whether or not it is counted yet."""
    _, trends = expected(connection, kinds)
    for window in WINDOWS:
        wanted = {item: score / 1e6 for (of, item), (_, score) in trends.items() if of == window and score > 0}
        assert served(connection, window) == pytest.approx(wanted)


# Hours before the moment at which the step happens; a few come dated ahead of it.
ages = st.one_of(st.integers(-3, 60), st.integers(0, 24 * 50))
events = st.lists(st.tuples(st.integers(1, N_ITEMS), st.sampled_from(sorted(KINDS)), ages), min_size=1, max_size=6)
of_year = st.lists(
    st.tuples(st.integers(1, N_ITEMS), st.sampled_from(sorted(KINDS)), st.integers(0, 8000)), min_size=1, max_size=6
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("happen"), st.integers(0, 800), events, st.none() | st.integers(1, 3)),
        st.tuples(st.just("happen"), st.integers(0, 40), events, st.none() | st.integers(1, 3)),
        st.tuples(st.just("load"), of_year, st.integers(1, 3)),
        st.tuples(st.just("undo"), st.integers(1, 3)),
        st.tuples(st.just("refresh"), st.booleans()),
        st.tuples(st.just("refresh"), st.just(False)),
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_refresh_activity_equals_counting_everything(shared, steps):
    year, before_now = 1990, 2000
    with shared.transaction(force_rollback=True):
        for what, *arguments in steps:
            if what == "happen":
                hours, events, load_no = arguments
                before_now = max(before_now - hours, 0)
                happen(shared, [(item, kind, before_now + age) for item, kind, age in events], load_no)
            elif what == "load":
                load_year(shared, year, *arguments)
                year += 1
            elif what == "undo":
                undo(shared, *arguments)
            else:
                assert refresh(shared, *arguments) == shared.execute("select count(*) from recsql.event").fetchone()[0]
                assert kept(shared) == expected(shared)
        # Before the first refresh, and with what came after the last one.
        if shared.execute("select definition is not null from recsql.activity_state").fetchone()[0]:
            check_served(shared)
        refresh(shared)
        assert kept(shared) == expected(shared)
        check_served(shared)


def test_trending_adds_kinds_repeats_and_dislikes(counted):
    # i1: a like now. i2: three views now, 3 × 0.3, one 36 hours ago, 0.15, one 72 hours ago, 0.075: 1.125.
    happen(counted, [(1, "like", 0), (2, "view", 0), (2, "view", 0), (2, "view", 0), (2, "view", 36), (2, "view", 72)])
    # i3: two likes and one dislike of ten days ago, halved once, outside of the week: 1.5 in thirty days, 2 in seven.
    happen(counted, [(3, "like", 5), (3, "like", 6), (3, "dislike", 240)])
    # i4: a like and a dislike: nothing.
    happen(counted, [(4, "like", 1), (4, "dislike", 2)])
    for _ in range(2):  # not counted yet, and counted
        assert served(counted, 168) == {1: 1, 2: pytest.approx(1.125), 3: 2}
        assert served(counted, 720) == {1: 1, 2: pytest.approx(1.125), 3: 1.5}
        # Windows that nobody keeps are summed when asked for; 72 hours end before what is 72 hours old.
        assert served(counted, 72) == {1: 1, 2: pytest.approx(1.05), 3: 2}
        refresh(counted)
    rows = counted.execute("select rank, item_id, score from recsql_api.trending(1, 'films')").fetchall()
    assert rows == [(1, "i2", pytest.approx(1.125))]
    counted.execute("update recsql.item set available = false where item_no = 3")
    assert set(served(counted, 168)) == {1, 2}


def test_trending_window_is_exact_to_the_hour(counted):
    happen(counted, [(1, "like", 0), (2, "like", 23), (3, "like", 24)])
    refresh(counted)
    assert served(counted, 24) == {1: 1, 2: 1}
    # An event dated an hour ahead waits for its time.
    happen(counted, [(4, "like", -1)])
    assert served(counted, 24) == {1: 1, 2: 1}
    # Without the newest event the window ends with i2's, and what was 24 hours old is 1 hour old in it.
    counted.execute("delete from recsql.event where item_no = 1")
    assert served(counted, 24) == {2: 1, 3: 1}


def test_trending_counts_by_the_weights_of_now(counted):
    happen(counted, [(1, "like", 0), (2, "view", 0)])
    refresh(counted)
    counted.execute("update recsql.event_kind set weight = 2 where kind = 'view'")
    refresh(counted)
    assert served(counted, 24) == {1: 1, 2: 2}
    assert kept(counted) == expected(counted, KINDS | {"view": (2_000_000, 36)})


def test_refresh_activity_turns_old_hours_into_days(counted):
    happen(counted, [(1, "like", 24 * 60 + hour) for hour in range(24)] + [(1, "like", 0)])
    refresh(counted)
    buckets, _ = kept(counted)
    # 24 hours in a row lie on two days, unless they are exactly one.
    assert len(buckets) in (2, 3)
    assert sum(buckets.values()) == 25
    # One more of that time goes to its day.
    happen(counted, [(1, "like", 24 * 60)])
    refresh(counted)
    assert len(kept(counted)[0]) == len(buckets)
    assert kept(counted) == expected(counted)


def test_refresh_activity_keeps_trends_right_as_hours_become_days(counted):
    # Of 24 hours in a row the first five are within 1440 hours of the newest event; as parts of days that begin up to a
    # day earlier they are not, unless a day happens to begin with the fifth.
    happen(counted, [(1, "like", 1435 + hour) for hour in range(24)])
    refresh(counted)
    happen(counted, [(2, "like", 0)])
    refresh(counted)
    assert kept(counted) == expected(counted)


def test_event_that_commits_late_with_a_lower_number_is_counted_once(counted, server):
    with connect(counted.info.dsn) as slow, slow.transaction():
        slow.execute("select recsql_api.record_event('slow', 'i1', 'like')")
        counted.execute("select recsql_api.record_event('fast', 'i2', 'like')")
        assert refresh(counted) == 1
        assert served(counted, 24) == {2: 1}
    numbers = counted.execute("select event_no from recsql.event order by item_no").fetchall()
    assert numbers[0] < numbers[1]
    assert served(counted, 24) == {1: 1, 2: 1}
    assert [refresh(counted), refresh(counted)] == [2, 2]
    assert kept(counted) == expected(counted)


def test_load_undone_while_it_is_counted_is_counted_right(counted):
    refresh(counted)
    happen(counted, [(1, "like", 1) for _ in range(5)])
    refresh(counted)
    with connect(counted.info.dsn) as other, ThreadPoolExecutor(1) as pool:
        # Who undoes is first: the refresh waits, and finds less to count.
        load_year(counted, 1990, [(2, "like", 1), (2, "like", 2)], 1)
        with counted.transaction():
            undo(counted, 1)
            waiting = pool.submit(refresh, other)
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
        assert waiting.result(30) == 5
        # Who counts is first: undoing waits, and takes away what was counted.
        load_year(counted, 1991, [(3, "like", 1), (3, "like", 2)], 2)
        with other.transaction():
            assert refresh(other) == 7
            waiting = pool.submit(undo, counted, 2)
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
        waiting.result(30)
        assert refresh(other) == 5
    assert kept(counted) == expected(counted)


def test_refresh_activity_reads_only_what_has_changed(counted):
    """Its statements touch no table of events, however many are counted already."""
    counted.execute(
        "insert into recsql.event (user_no, item_no, kind_no, at) "
        f"select n, n %% %s + 1, 1, {NOW} - n %% 2000 * interval '1 hour' from generate_series(1, 20000) as n",
        (N_ITEMS,),
    )
    refresh(counted)
    counted.execute("select recsql_api.record_event('a', 'i1', 'like')")
    before = reads_of_events(counted)
    assert refresh(counted) == 20001
    assert reads_of_events(counted) == before


def reads_of_events(connection):
    connection.execute("select pg_stat_force_next_flush()")
    return connection.execute(
        "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_all_tables "
        "where relname ~ '^event_(default|[0-9])'"
    ).fetchone()[0]
