"""Lists and vectors in binary form, to a table and back."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsql.queries import QUERIES
from workers.binary import read_arrays, read_keyed_vectors, read_lists, read_vectors, within, write_lists, write_vectors

TYPES = {"item_nos": np.int32, "scores": np.float32}


@pytest.fixture
def run_no(connection):
    return connection.execute("select recsql.begin_run(null, 'test', '{}')").fetchone()[0]


def read(connection, run_no, first=0, last=2**31 - 1):
    parameters = {"run_no": run_no, "version_no": 3, "first": first, "last": last}
    keys, lengths, values = read_lists(connection, QUERIES["score_lists"], parameters, TYPES)
    ends = np.cumsum(lengths)
    return {
        int(key): tuple(column[end - length : end].tolist() for column in values)
        for key, length, end in zip(keys, lengths, ends, strict=True)
    }


LISTS = st.dictionaries(
    st.integers(0, 2**31 - 1),
    st.lists(st.tuples(st.integers(-(2**31), 2**31 - 1), st.floats(width=32, allow_nan=False)), min_size=1, max_size=9),
    max_size=6,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LISTS)
def test_lists_come_back_as_they_were_written(connection, run_no, lists):
    connection.execute("delete from recsql.score")
    pairs = [pair for found in lists.values() for pair in found]
    write_lists(
        connection,
        "score",
        {"run_no": run_no, "version_no": 3, "user_no": np.array(list(lists), dtype=np.int64)},
        {
            "item_nos": np.array([item for item, _ in pairs], dtype=np.int32),
            "scores": np.array([score for _, score in pairs], dtype=np.float32),
        },
        np.array([len(found) for found in lists.values()], dtype=np.int64),
    )
    expected = {key: tuple(map(list, zip(*found, strict=True))) for key, found in lists.items()}
    assert read(connection, run_no) == expected
    # As any other client reads them; in text, a real is as short as tells it from its neighbours.
    query = "select user_no, item_nos, scores from recsql.score where run_no = %s"
    rows = connection.execute(query, (run_no,), binary=True)
    assert {user: (items, scores) for user, items, scores in rows} == expected


def test_lists_are_read_of_a_range_of_keys_and_none_where_there_are_none(connection, run_no):
    values = {"item_nos": np.array([5, 6, 7], dtype=np.int32), "scores": np.array([1, 2, 3], dtype=np.float32)}
    numbers = {"run_no": run_no, "version_no": 3, "user_no": np.array([1, 2])}
    write_lists(connection, "score", numbers, values, np.array([1, 2]))
    assert read(connection, run_no, 2, 9) == {2: ([6, 7], [2.0, 3.0])}
    assert read(connection, run_no, 3, 9) == {}


def test_rows_that_a_constraint_refuses_leave_nothing(connection, run_no):
    import psycopg

    values = {"item_nos": np.array([5, 6], dtype=np.int32), "scores": np.array([1, 2], dtype=np.float32)}
    numbers = {"run_no": run_no, "version_no": 3, "user_no": np.array([1, 1])}
    with pytest.raises(psycopg.errors.UniqueViolation):
        write_lists(connection, "score", numbers, values, np.array([1, 1]))
    assert read(connection, run_no) == {}


def test_vectors_come_back_without_rows_of_nan(connection, run_no):
    version_no = connection.execute(
        "with m as (insert into recsql.model (model) values ('m') returning model_no) "
        "insert into recsql.model_version (model_no, config) select model_no, '{}' from m returning version_no"
    ).fetchone()[0]
    connection.execute("select recsql.add_model_vectors(%s::integer, 3)", (version_no,))
    vectors = np.array([[1.5, -2, 3e-9], [np.nan] * 3, [4, 5, np.float32(0.1)]], dtype=np.float32)
    keys = np.array([9, 4, 7])
    assert write_vectors(connection, "user_vector", "user_no", version_no, keys, vectors) == 2
    found, read_back = read_vectors(connection, "user_vector", "user_no", version_no)
    assert found.tolist() == [7, 9]
    assert read_back.tolist() == vectors[[2, 0]].tolist()
    assert read_vectors(connection, "user_vector", "user_no", version_no, (8, 9))[0].tolist() == [9]
    nothing, none = read_vectors(connection, "user_vector", "user_no", version_no, (10, 11))
    assert (len(nothing), len(none)) == (0, 0)
    text = "select embedding::text from recsql.user_vector where version_no = %s and user_no = 7"
    assert connection.execute(text, (version_no,)).fetchone() == ("[4,5,0.1]",)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(-(2**24), 2**24), min_size=1, max_size=9), min_size=1, max_size=6))
def test_lists_as_vectors_are_read_as_those_as_arrays(connection, lists):
    parameters = {"lists": [str(found).replace("[", "{").replace("]", "}") for found in lists]}
    for sent in ("array_send(x.list)", "vector_send(x.list::vector)", "array_send(x.list::bigint [])"):
        query = (
            "select array_send(array_agg(x.nth::integer)), array_send(array_agg(cardinality(x.list))), "
            f"string_agg({sent}, ''::bytea) from (select t.nth, t.list::integer [] as list "
            "from unnest(%(lists)s::text []) with ordinality as t (list, nth)) as x"
        )
        kind = np.int64 if "bigint" in sent else np.int32
        keys, lengths, (values,) = read_lists(connection, query, parameters, {"list": kind})
        assert keys.tolist() == list(range(1, len(lists) + 1))
        assert lengths.tolist() == [len(found) for found in lists]
        assert values.tolist() == [value for found in lists for value in found]
        assert values.dtype == kind


def test_arrays_are_columns(connection):
    types = {"n": np.int32, "big": np.int64, "share": np.float32}
    query = (
        "select array_send(array_agg(t.n)), array_send(array_agg(1099511627776 * t.n)), "
        "array_send(array_agg((t.n / 4.0)::real)) "
        "from (select n from generate_series(%(first)s::integer, 3) as n order by n) as t"
    )
    found = read_arrays(connection, query, {"first": 1}, types)
    assert [column.tolist() for column in found] == [[1, 2, 3], [2**40, 2**41, 3 * 2**40], [0.25, 0.5, 0.75]]
    assert [column.dtype for column in found] == list(types.values())
    nothing = read_arrays(connection, query, {"first": 4}, types)
    assert [(len(column), column.dtype) for column in nothing] == [(0, kind) for kind in types.values()]


def test_keyed_vectors_are_read_in_the_order_of_the_query(connection):
    query = "select n, ('[' || n || ',0.1]')::vector from generate_series(%(first)s::integer, 2) as n order by n desc"
    keys, vectors = read_keyed_vectors(connection, query, {"first": 1})
    assert keys.tolist() == [2, 1]
    assert vectors.tolist() == [[2, np.float32(0.1)], [1, np.float32(0.1)]]


def test_within_counts_in_each_list():
    assert within(np.array([2, 0, 3])).tolist() == [0, 1, 0, 1, 2]
