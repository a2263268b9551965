"""Loading: what is refused is kept with its reason, and the same content twice changes nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from recsql import ingest
from recsql.db import connect
from recsql.errors import InputError
from recsql.readers.delimited import CsvReader

ROWS = """user,item,kind,rating,timestamp
a,x,rating,4,1700000000
a,x,rating,4,1700000000
a,y,rating,9,1700000001
a,y,nonsense,,1700000002
-1,y,view,,1700000003
b,y,rating,5,1700000004000
b,z,rating,3,2023-11-14T22:13:20Z
"""


def reasons(connection):
    rows = connection.execute("select line_no, reason from recsql.event_rejected order by line_no").fetchall()
    return dict(rows)


@pytest.fixture
def reader(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text(ROWS)
    return CsvReader(path, None)


def test_load_keeps_refused_rows_with_their_reason(connection, reader):
    result = ingest.load(connection, reader, ingest.LoadOptions(max_rejected=1))
    # Lines 2 and 8 are good; 3 repeats 2; the others each have one fault.
    assert (result.n_rows, result.n_events, result.n_rejected) == (7, 2, 5)
    found = reasons(connection)
    assert found["3"] == "duplicate of another row of this load"
    assert found["4"] == "value out of range"
    assert found["5"] == "unknown kind of event"
    assert found["6"] == "malformed user id"
    assert "milliseconds" in found["7"]


def test_load_twice_changes_nothing(connection, reader):
    options = ingest.LoadOptions(max_rejected=1)
    first = ingest.load(connection, reader, options)
    again = ingest.load(connection, reader, options)
    assert (again.is_new, again.load_no) == (False, first.load_no)
    assert connection.execute("select count(*) from recsql.event").fetchone() == (2,)


def test_load_that_is_mostly_bad_is_given_up_but_its_rows_are_kept(connection, reader):
    with pytest.raises(InputError, match="5 of 7 events were refused"):
        ingest.load(connection, reader)
    assert connection.execute("select count(*) from recsql.event").fetchone() == (0,)
    assert len(reasons(connection)) == 5


def test_redrive_takes_rows_once_the_fault_is_mended(connection, reader):
    ingest.load(connection, reader, ingest.LoadOptions(max_rejected=1))
    connection.execute("update recsql.event_kind set value_max = 10 where kind = 'rating'")
    result = ingest.redrive(connection, ingest.LoadOptions(), reason="value out of range")
    assert (result.n_rows, result.n_events) == (1, 1)
    assert "4" not in reasons(connection)


def test_drain_inbox_takes_what_applications_copied(connection):
    connection.execute("insert into recsql.event_inbox (user_id, item_id, kind) values ('a', 'x', 'view')")
    result = ingest.drain_inbox(connection)
    assert result is not None
    assert result.n_events == 1
    assert ingest.drain_inbox(connection) is None


def test_loads_at_once_both_complete(database, tmp_path):
    paths = [tmp_path / f"{name}.csv" for name in ("first", "second")]
    for number, path in enumerate(paths):
        rows = [
            f"u{user},i{user % 50},view,{1_700_000_000 + user}" for user in range(number * 500, number * 500 + 2000)
        ]
        path.write_text("\n".join(["user,item,kind,timestamp", *rows]) + "\n")

    def load(path):
        with connect(database) as opened:
            return ingest.load(opened, CsvReader(path, None))

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(load, paths))
    # The second file repeats 1,500 rows of the first: whichever comes later finds them there.
    assert sorted(result.n_events for result in results) == [500, 2000]
    assert sum(result.n_present for result in results) == 1500
    with connect(database) as opened:
        assert opened.execute("select count(*), count(distinct event_no) from recsql.event").fetchone() == (2500, 2500)


def test_load_with_a_row_without_user_still_adds_the_others(connection, tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("user,item,kind,timestamp\n,x,view,1700000000\nb,x,view,1700000001\nc,x,view,1700000002\n")
    result = ingest.load(connection, CsvReader(path, None), ingest.LoadOptions(max_per_minute=1))
    assert (result.n_events, result.n_rejected) == (2, 1)


def test_clean_entities_takes_the_last_row_of_an_id_that_can_be_used(connection):
    for title in ('"first"', '"second"', "no JSON"):
        connection.execute(
            "insert into recsql.entity_inbox (load_no, line_no, entity, entity_id, payload) "
            "values (1, %s, 'item', 'x', %s)",
            (title, f'{{"title": {title}}}'),
        )
    counts = connection.execute("select n_items, n_users, n_rejected from recsql.clean_entities(1)").fetchone()
    assert counts == (1, 0, 1)
    assert connection.execute("select title from recsql.item").fetchall() == [("second",)]
    assert connection.execute("select line_no, reason from recsql.entity_rejected").fetchall() == [
        ("no JSON", "payload is not a JSON object")
    ]


def test_load_whose_session_is_gone_has_failed(connection, database, reader, await_unlocked):
    states = "select state from recsql.load order by load_no"
    with connect(database) as other:
        other.execute(ingest.QUERIES["begin_load"], {"source": "csv", "fingerprint": "lost"})
        ingest.load(connection, reader, ingest.LoadOptions(max_rejected=1))
        assert connection.execute(states).fetchall() == [("running",), ("complete",)]
    await_unlocked(connection)
    ingest.load(connection, reader, ingest.LoadOptions(max_rejected=1, force=True))
    assert connection.execute(states).fetchall() == [("failed",), ("complete",), ("complete",)]
    # Nothing holds a lock of loads that are over.
    assert connection.execute("select count(*) from pg_locks where locktype = 'advisory'").fetchone() == (0,)
