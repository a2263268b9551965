"""Candidates as pairs of a user and an item, whatever their numbers are."""

import pytest

from workers import scoring
from workers.run import PipelineConfig, Run
from workers.scoring import read_pairs

LARGE = 2**24 + 1
"""The smallest number that is not exact in single precision."""


@pytest.fixture
def run_no(connection):
    return connection.execute("select recsql.begin_run(null, 'test', '{}')").fetchone()[0]


def propose(connection, run_no, lists):
    """Candidates by user and source."""
    for (user_no, source_no), item_nos in lists.items():
        connection.execute(
            "insert into recsql.candidate (run_no, user_no, source_no, item_nos, scores) "
            "values (%s, %s, %s, %s::integer [], array_fill(0::real, array[cardinality(%s::integer [])]))",
            (run_no, user_no, source_no, item_nos, item_nos),
        )


def found(connection, run_no, first, last):
    pairs = read_pairs(connection, run_no, first, last)
    assert len(pairs.user_nos) == len(pairs.lengths)
    return list(zip(pairs.user_nos[pairs.owner].tolist(), pairs.item_nos.tolist(), strict=True))


@pytest.mark.parametrize("marked", [0, 10**6], ids=["sorted", "marked"])
def test_pairs_are_each_once_by_user_and_item(connection, run_no, monkeypatch, marked):
    monkeypatch.setattr(scoring, "_MARKED", marked)
    propose(connection, run_no, {(5, 1): [9, 3], (5, 2): [3, 4], (6, 1): [], (8, 2): [9], (9, 1): [2]})
    assert found(connection, run_no, 4, 8) == [(5, 3), (5, 4), (5, 9), (8, 9)]
    assert found(connection, run_no, 9, 9) == [(9, 2)]
    assert found(connection, run_no, 6, 7) == []
    assert found(connection, run_no, 10, 20) == []


def test_pairs_of_numbers_that_vectors_do_not_hold_are_exact(connection, run_no):
    connection.execute("insert into recsql.domain (domain) values ('test') on conflict do nothing")
    connection.execute(
        "insert into recsql.item (item_no, item_id, domain, title) overriding system value "
        "values (%s, 'large', 'test', 'large')",
        (LARGE,),
    )
    propose(connection, run_no, {(5, 1): [LARGE, LARGE - 1]})
    assert found(connection, run_no, 0, 9) == [(5, LARGE - 1), (5, LARGE)]


def test_pairs_of_more_items_than_a_vector_has_are_all_there(connection, run_no):
    propose(connection, run_no, {(5, 1): list(range(1, 16_002)), (6, 1): [4]})
    assert found(connection, run_no, 0, 9) == [*((5, item) for item in range(1, 16_002)), (6, 4)]


def test_ranges_of_users_are_those_of_the_run(connection, run_no):
    run = Run(connection, run_no, "production", PipelineConfig())
    assert run.user_chunks() == []
    connection.execute(
        "insert into recsql.interaction (run_no, user_no, item_no, step, weight, n_events, at, event_no) "
        "values (%(run)s, 3, 1, 0, 1, 1, now(), 1), (%(run)s, 12, 1, 0, 1, 1, now(), 2)",
        {"run": run_no},
    )
    assert run.user_chunks(5) == [(3, 7), (8, 12)]
    split_no = connection.execute("select recsql.make_split('loo', 'test')").fetchone()[0]
    connection.execute("update recsql.run set split_no = %s where run_no = %s", (split_no, run_no))
    connection.execute(
        "insert into recsql.split_cut values (%s, 14, now(), 1, now(), 1), (%s, 2, now(), 1, now(), 1)",
        (split_no, split_no),
    )
    # Those whose whole history is after the cut have no interaction, but are users of the run.
    assert run.user_chunks(10) == [(2, 11), (12, 14)]
