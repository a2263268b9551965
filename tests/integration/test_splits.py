"""Offline protocols: what a split cuts off, by hand and on real data, and that nothing of a run reads beyond it."""

import psycopg
import pytest

from recsql import ingest
from recsql.readers.factory import open_reader
from workers.interactions import read_run
from workers.pipeline import Pipeline, PipelineConfig

HOUR = "to_timestamp(1704067200 + 3600 * %s::double precision)"


def one(connection, query, *parameters):
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def record(connection, *events):
    """Likes, each as (user, item, hour), recorded in the order given; unknown items are added."""
    for user, item, hour in events:
        connection.execute("insert into recsql.domain (domain) values ('default') on conflict do nothing")
        connection.execute(
            "insert into recsql.item (item_id, domain) values (%s, 'default') on conflict do nothing", (item,)
        )
        connection.execute(f"select recsql_api.record_event(%s, %s, 'like', p_at => {HOUR})", (user, item, hour))


def begin_run(connection, protocol, part, core=5):
    split_no = one(connection, "select recsql.make_split(%s, %s, %s)", protocol, part, core)
    return one(connection, "select recsql.begin_run(%s::integer, 'test', '{}')", split_no)


def pairs(connection, function, run_no, user=None):
    """User and item of what a function of a run gives, in the order of time where it has one."""
    order = "v.at, v.event_no" if function == "visible_event" else "i.item_id"
    rows = connection.execute(
        f"select u.user_id, i.item_id from recsql.{function}(%s::integer) as v "
        "inner join recsql.app_user as u on u.user_no = v.user_no "
        f"inner join recsql.item as i on i.item_no = v.item_no order by u.user_id, {order}",
        (run_no,),
    ).fetchall()
    return [item for owner, item in rows if owner == user] if user else rows


def split_counts(connection, run_no):
    """Users, items and events of a run's split."""
    return connection.execute(
        "select s.n_users, s.n_items, s.n_events from recsql.split as s "
        "inner join recsql.run as r on r.split_no = s.split_no where r.run_no = %s",
        (run_no,),
    ).fetchone()


# Leave one out


@pytest.mark.data
@pytest.mark.parametrize(
    ("source", "file", "counts"),
    [
        ("movielens-100k", "ml-100k/ml-100k.zip", (943, 1_349, 99_287)),
        ("movielens-1m", "ml-1m/ml-1m.zip", (6_040, 3_416, 999_611)),
    ],
)
def test_loo_counts_on_real_data(connection, data_dir, source, file, counts):
    ingest.load(connection, open_reader(source, data_dir(file)))
    for part, n_hidden in (("test", 1), ("validation", 2)):
        run_no = begin_run(connection, "loo", part)
        assert split_counts(connection, run_no) == counts
        # Nobody rates a film twice: each user has one relevant film, and all before it is visible.
        assert one(connection, "select count(*) from recsql.relevant_event(%s::integer)", run_no) == counts[0]
        n_visible = one(connection, "select count(*) from recsql.visible_event(%s::integer)", run_no)
        assert n_visible == counts[2] - n_hidden * counts[0]
        assert one(connection, "select count(*) from recsql.catalogue(%s::integer)", run_no) == counts[1]


@pytest.fixture
def ordered(connection):
    """User a had w, x, y, z in this order, of which y and z at the same moment; b two items, c one."""
    # Recorded in another order: time decides, and only for y and z the order in which they came.
    record(connection, ("a", "x", 2), ("a", "y", 3), ("a", "z", 3), ("a", "w", 1), ("b", "x", 1), ("b", "y", 2))
    record(connection, ("c", "x", 1))
    return connection


def test_loo_test_part_hides_the_last_event(ordered):
    run_no = begin_run(ordered, "loo", "test", core=1)
    assert pairs(ordered, "visible_event", run_no, "a") == ["w", "x", "y"]
    assert pairs(ordered, "visible_event", run_no, "b") == ["x"]
    # c's only event has none before it to learn from, so c takes no part.
    assert pairs(ordered, "relevant_event", run_no) == [("a", "z"), ("b", "y")]
    assert split_counts(ordered, run_no)[0] == 2


def test_loo_validation_part_hides_the_last_two_events(ordered):
    run_no = begin_run(ordered, "loo", "validation", core=1)
    assert pairs(ordered, "visible_event", run_no) == [("a", "w"), ("a", "x")]
    assert pairs(ordered, "relevant_event", run_no) == [("a", "y")]


def test_loo_core_is_repeated_until_stable(connection):
    # p and q twice each by two users: a 2-core. The chain 1-A-2-B-3-C-4-D hangs on nothing: item 1 has one event, so it
    # goes; then A has one left and goes, then item 2, and so on, one link a round. E holds on to the core by p alone.
    record(connection, *((user, item, hour) for hour, item in enumerate("pq") for user in ("P", "Q")))
    record(connection, ("A", "1", 1), ("A", "2", 2), ("B", "2", 3), ("B", "3", 4), ("C", "3", 5), ("C", "4", 6))
    record(connection, ("D", "4", 7), ("D", "p", 8), ("E", "p", 9), ("E", "5", 10))
    run_no = begin_run(connection, "loo", "test", core=2)
    assert split_counts(connection, run_no) == (2, 2, 4)
    assert pairs(connection, "relevant_event", run_no) == [("P", "q"), ("Q", "q")]


def test_loo_default_core_is_five(connection):
    # Five users each had the same five items; a sixth had four of these and one of his own, which leaves him four.
    record(connection, *((f"u{user}", f"i{item}", item) for user in range(5) for item in range(5)))
    record(connection, *(("sixth", f"i{item}", item) for item in range(4)), ("sixth", "own", 5))
    assert split_counts(connection, begin_run(connection, "loo", "test")) == (5, 5, 25)


def test_make_split_of_the_same_events_is_the_same_split(ordered):
    first = one(ordered, "select recsql.make_split('loo', 'test', 1)")
    assert one(ordered, "select recsql.make_split('loo', 'test', 1)") == first
    record(ordered, ("a", "v", 9))
    assert one(ordered, "select recsql.make_split('loo', 'test', 1)") != first


# One cut for everybody


@pytest.fixture
def hourly(connection):
    """Twenty-one events, one an hour from 1 to 21.

    a and b take turns through k0 … k6 until hour 14. 80 % of all events are 16.8, so the 17th is the cut of test; 80 %
    of these 17 are 13.6, so the 14th is the cut of validation.
    """
    record(connection, *(("ab"[hour % 2], f"k{hour // 2}", hour + 1) for hour in range(14)))
    record(connection, ("a", "k7", 15), ("b", "k8", 16), ("a", "k8", 17))
    record(connection, ("a", "u", 18), ("a", "k0", 19), ("a", "v", 20), ("c", "k0", 21))
    return connection


def moments(connection, run_no):
    """Hours of the cuts of a run's split."""
    rows = connection.execute(
        "select distinct extract(epoch from c.cut_at)::bigint from recsql.split_cut as c "
        "inner join recsql.run as r on r.split_no = c.split_no where r.run_no = %s",
        (run_no,),
    ).fetchall()
    return [(epoch - 1704067200) / 3600 for (epoch,) in rows]


def test_global_all_events_after_the_one_cut_are_relevant(hourly):
    run_no = begin_run(hourly, "global", "test")
    assert moments(hourly, run_no) == [17]
    # k0 is no discovery of a's, who had it in hour 1; c is new, but did something after the cut.
    assert pairs(hourly, "relevant_event", run_no) == [("a", "u"), ("a", "v"), ("c", "k0")]
    assert len(pairs(hourly, "visible_event", run_no)) == 17
    # Items that nobody had before the cut are ranked as well.
    assert one(hourly, "select count(*) from recsql.catalogue(%s::integer)", run_no) == 11


def test_global_validation_lies_inside_the_first_part(hourly):
    run_no = begin_run(hourly, "global", "validation")
    assert moments(hourly, run_no) == [14]
    assert pairs(hourly, "relevant_event", run_no) == [("a", "k7"), ("a", "k8"), ("b", "k8")]
    assert len(pairs(hourly, "visible_event", run_no)) == 14


def test_global_epochs_are_chosen_by_all_relevant_items_of_known_users(hourly):
    run_no = begin_run(hourly, "global", "test")
    hourly.execute("select recsql.refresh_interaction(%s::integer)", (run_no,))
    hourly.execute("select recsql.refresh_item_popularity(%s::integer)", (run_no,))
    data = read_run(hourly, run_no)
    assert data.targets is not None
    items = dict(hourly.execute("select item_no, item_id from recsql.item").fetchall())
    users = dict(hourly.execute("select user_no, user_id from recsql.app_user").fetchall())
    found = [
        (users[user_no], items[data.item_nos[item]])
        for row, user_no in enumerate(data.user_nos)
        for item in data.targets.of(row)
    ]
    # c is new, so no model has anything to say.
    assert found == [("a", "u"), ("a", "v")]
    assert data.targets.n_users == data.sequences.n_users == 2


def test_make_split_refuses_a_protocol_that_there_is_not(connection):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("select recsql.make_split('kfold', 'test')")
    assert caught.value.sqlstate == "RS002"


# Production


def test_visible_event_in_production_ends_where_the_run_began(connection):
    record(connection, ("a", "x", 1), ("a", "y", 2))
    # Dated tomorrow, as clocks that are wrong do.
    connection.execute("select recsql_api.record_event('a', 'y', 'view', p_at => now() + interval '12 hours')")
    run_no = one(connection, "select recsql.begin_run(null, 'test', '{}')")
    # One comes late with a time of long ago, one happens now.
    record(connection, ("a", "z", 0))
    connection.execute("select recsql_api.record_event('a', 'z', 'view')")
    assert pairs(connection, "visible_event", run_no) == [("a", "x"), ("a", "y")]


# Nothing reads the future

TINY = {"candidates": 20, "models": {"transformer": {"epochs": 2, "dim": 8, "n_layers": 1, "n_heads": 1}}}
N_RESERVED = 20

# Everything that a run makes of what it sees; of model versions and vectors only what was learned.
MADE = {
    "interaction": "select to_jsonb(t) - 'run_no' from recsql.interaction as t where run_no = %(run_no)s",
    "item_popularity": "select to_jsonb(t) - 'run_no' from recsql.item_popularity as t where run_no = %(run_no)s",
    "item_similarity": "select to_jsonb(t) - 'run_no' from recsql.item_similarity as t where run_no = %(run_no)s",
    "candidate": "select to_jsonb(t) - 'run_no' from recsql.candidate as t where run_no = %(run_no)s",
    "score": "select to_jsonb(t) - 'run_no' - 'version_no' from recsql.score as t where run_no = %(run_no)s",
    "item_vector": "select jsonb_build_array(t.item_no, t.embedding::text) from recsql.item_vector as t "
    "inner join recsql.model_version as v using (version_no) where v.run_no = %(run_no)s",
    "user_vector": "select jsonb_build_array(t.user_no, t.embedding::text) from recsql.user_vector as t "
    "inner join recsql.model_version as v using (version_no) where v.run_no = %(run_no)s",
}


def two_crowds(connection):
    """Six users who had i0 … i4 and six who had i5 … i9, each in an order of his own; no item meets one of the others.

    Every user has five events and every item six, so all are in the core. Some event numbers are left out before the
    last event, for what is planted: no event is newer, so the split stays the same.

    Returns:
        The numbers left out, ascending.
    """
    record(connection, ("u0", "i0", 0))
    reserved = [one(connection, "select nextval('recsql.event_no_seq')") for _ in range(N_RESERVED)]
    for user in range(12):
        for step in range(5):
            if user or step:
                item = f"i{user // 6 * 5 + (user + step) % 5}"
                record(connection, (f"u{user}", item, user * 0.1 + step))
    return reserved


def plant(connection, reserved, protocol):
    """Things that happened after the cuts: some users turned to items of the other crowd, or to their own again."""
    planted = [(user, (user // 6 * 5 + 5 + step) % 10, 6 + step) for user in (0, 3, 6, 9) for step in range(3)]
    planted += [(user, user // 6 * 5, 10) for user in (1, 7)]
    if protocol == "loo":
        # Between the fourth event, which is the cut, and the fifth.
        planted += [(user, (user // 6 * 5 + 5) % 10, user * 0.1 + 3.5) for user in (4, 10)]
    for event_no, (user, item, hour) in zip(reserved, planted, strict=False):
        connection.execute(
            "insert into recsql.event (event_no, user_no, item_no, kind_no, at) "
            f"select %s, u.user_no, i.item_no, k.kind_no, {HOUR} "
            "from recsql.app_user as u, recsql.item as i, recsql.event_kind as k "
            "where u.user_id = %s and i.item_id = %s and k.kind = 'like'",
            (event_no, hour, f"u{user}", f"i{item}"),
        )


def run_everything(connection, protocol):
    """What an offline run on the test part makes: sorted rows by table."""
    run_no = Pipeline(connection, PipelineConfig(protocol=protocol, **TINY)).run("test")
    made = {}
    for table, query in MADE.items():
        made[table] = sorted(map(str, connection.execute(query, {"run_no": run_no}).fetchall()))
        assert made[table], f"the run made no {table}, so there is nothing to compare"
    return run_no, made


def remove_the_cut(connection):
    """Let a run see all events of its split's users and items, as if nobody had thought of cuts."""
    connection.execute("""
        create or replace function recsql.visible_event(p_run_no integer)
        returns table (event_no bigint, user_no integer, item_no integer, kind_no smallint, value real, at timestamptz)
        language sql stable
        begin atomic
            select e.event_no, e.user_no, e.item_no, e.kind_no, e.value, e.at
            from recsql.event as e
            inner join recsql.run as r on r.run_no = p_run_no
            inner join recsql.split_item as i on i.split_no = r.split_no and i.item_no = e.item_no;
        end
    """)


@pytest.mark.parametrize("protocol", ["loo", "global"])
@pytest.mark.parametrize("has_cut", [True, False], ids=["with the cut", "without the cut"])
def test_run_makes_the_same_with_and_without_planted_future_events(connection, protocol, has_cut):
    """The second case shows that the first one can fail."""
    reserved = two_crowds(connection)
    if not has_cut:
        remove_the_cut(connection)
    first_no, before = run_everything(connection, protocol)
    if protocol == "global":
        # All that is planted lies behind the one cut in time, though before the last event in number.
        assert max(moments(connection, first_no)) < 6
    plant(connection, reserved, protocol)
    second_no, after = run_everything(connection, protocol)
    assert second_no != first_no
    splits = connection.execute("select distinct split_no from recsql.run").fetchall()
    assert len(splits) == 1
    differing = {table for table in MADE if before[table] != after[table]}
    if has_cut:
        assert differing == set()
    else:
        assert differing == set(MADE)
