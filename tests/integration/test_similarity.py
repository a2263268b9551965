"""Item similarities: each method's values on six users worked out by hand."""

from itertools import pairwise
from math import log, sqrt

import pytest

# Who had what, with stars: a is had by four, b by three, c by three, d by one of the six users.
RATINGS = {
    "u1": {"a": 5, "b": 4, "c": 1},
    "u2": {"a": 4, "b": 5},
    "u3": {"a": 3, "b": 1, "c": 4},
    "u4": {"a": 2, "d": 5},
    "u5": {"c": 3},
    "u6": {"e": 3},
}


@pytest.fixture
def run(connection):
    """Function that runs a method and gives its similarities by pair of item ids."""
    for item in "abcde":
        connection.execute("select recsql_api.upsert_item(%s, %s)", (item, item))
    for user, ratings in RATINGS.items():
        for hour, (item, stars) in enumerate(ratings.items()):
            connection.execute(
                "select recsql_api.record_event(%s, %s, 'rating', %s::real, to_timestamp(1704067200 + 3600 * %s))",
                (user, item, stars, hour),
            )
    run_no = connection.execute("select recsql.begin_run(null, 'test', '{}')").fetchone()[0]
    connection.execute("select recsql.refresh_interaction(%s::integer)", (run_no,))
    connection.execute("select recsql.refresh_item_popularity(%s::integer)", (run_no,))

    def similarities(method, **options):
        names = "".join(f", p_{name} => {value}" for name, value in options.items())
        written = connection.execute(f"select recsql.refresh_similarity_{method}(%s::integer{names})", (run_no,))
        rows = connection.execute(
            "select i.item_id, n.item_id, e.similarity, e.rank from recsql.item_similarity as s "
            "cross join lateral unnest(s.neighbour_nos, s.similarities) with ordinality "
            "as e (neighbour_no, similarity, rank) "
            "inner join recsql.source as o using (source_no) inner join recsql.item as i using (item_no) "
            "inner join recsql.item as n on n.item_no = e.neighbour_no where s.run_no = %s and o.source = %s "
            "order by i.item_id, e.rank",
            (run_no, method),
        ).fetchall()
        assert written.fetchone()[0] == len({row[0] for row in rows})
        for first, second in pairwise(rows):
            # Of equally similar neighbours the one of the lower number, here that of the earlier letter, comes first.
            assert first[0] != second[0] or (-first[2], first[1]) < (-second[2], second[1])
        return {(item, neighbour): similarity for item, neighbour, similarity, _ in rows}

    return similarities


def test_cosine_by_hand(run):
    found = run("cosine", shrinkage=10)
    # Weights are all 1. a and b share u1, u2, u3: 3 / sqrt(4 x 3), shrunk by 3 / 13.
    assert found["a", "b"] == found["b", "a"] == pytest.approx(3 / sqrt(12) * 3 / 13)
    assert found["a", "d"] == pytest.approx(1 / sqrt(4) * 1 / 11)
    assert not any("e" in pair for pair in found)


def test_jaccard_by_hand(run):
    found = run("jaccard", shrinkage=0)
    # a and c share u1, u3; either has been had by u1 … u5.
    assert found["a", "c"] == found["c", "a"] == pytest.approx(2 / 5)
    assert found["a", "b"] == pytest.approx(3 / 4)


def test_conditional_by_hand_is_not_symmetric(run):
    found = run("conditional", shrinkage=0, popularity_power=0.5)
    # Of the four who had a, one had d; who had d also had a.
    assert found["a", "d"] == pytest.approx(1 / 4 / sqrt(1))
    assert found["d", "a"] == pytest.approx(1 / 1 / sqrt(4))


def test_llr_by_hand_leaves_out_what_is_rarer_than_chance(run):
    found = run("llr")

    def entropy(*counts):
        return sum(counts) * log(sum(counts)) - sum(n * log(n) for n in counts if n)

    # a (4 of 6) and b (3 of 6) share 3: 2 x (H(4, 2) + H(3, 3) - H(3, 1, 0, 2)).
    assert found["a", "b"] == pytest.approx(2 * (entropy(4, 2) + entropy(3, 3) - entropy(3, 1, 0, 2)), rel=1e-5)
    # a and c share 2, and chance alone gives 4 x 3 / 6 = 2: no more than that is no sign.
    assert ("a", "c") not in found


def test_pearson_by_hand(run):
    found = run("pearson", shrinkage=0)
    # u1's stars 5, 4, 1: mean 10/3, deviation 2.0817; u2's 4, 5: mean 4.5, deviation 0.7071; u3's 3, 1, 4: 8/3, 1.5275.
    a = [(5 - 10 / 3) / 2.081666, (4 - 4.5) / 0.707107, (3 - 8 / 3) / 1.527525]
    b = [(4 - 10 / 3) / 2.081666, (5 - 4.5) / 0.707107, (1 - 8 / 3) / 1.527525]
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    norm = sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    # They disagree, and negative similarities are left out.
    assert dot / norm < 0
    assert ("a", "b") not in found
    # a and c: u1 and u3 alone.
    a, c = [a[0], a[2]], [(1 - 10 / 3) / 2.081666, (4 - 8 / 3) / 1.527525]
    expected = sum(x * y for x, y in zip(a, c, strict=True)) / sqrt(sum(x * x for x in a) * sum(y * y for y in c))
    assert expected < 0
    assert ("a", "c") not in found
    # b and c: u1 liked b and not c, u3 the other way round.
    assert ("b", "c") not in found


def test_pearson_of_those_who_agree_is_positive(connection, run):
    for user in ("v1", "v2"):
        for hour, (item, stars) in enumerate({"d": 5, "e": 4, "c": 1}.items()):
            connection.execute(
                "select recsql_api.record_event(%s, %s, 'rating', %s::real, to_timestamp(1704067200 + 3600 * %s))",
                (user, item, stars, hour),
            )
    connection.execute("update recsql.run set last_event_no = (select max(event_no) from recsql.event)")
    connection.execute("select recsql.refresh_interaction(max(run_no)) from recsql.run")
    # Both rated d and e above their mean, alike: the correlation is 1, shrunk by 2 / 12.
    assert run("pearson", shrinkage=10)["d", "e"] == pytest.approx(2 / 12, rel=1e-5)


@pytest.mark.parametrize("method", ["sequential", "cosine", "jaccard", "conditional", "llr", "pearson"])
def test_methods_keep_the_strongest_neighbours_and_replace_what_was_there(run, method):
    whole = run(method)
    assert run(method) == whole
    kept = run(method, neighbours=1)
    for item in {item for item, _ in kept}:
        assert sum(1 for pair in kept if pair[0] == item) == 1
        (pair,) = (pair for pair in kept if pair[0] == item)
        assert whole[pair] == max(similarity for other, similarity in whole.items() if other[0] == item)


def test_sequential_by_hand_knows_the_direction(run):
    found = run("sequential", reverse=0.0, shrinkage=0, popularity_power=0)
    # After a came b at once (u1, u2, u3: 3 x 1), c two steps on (u1, u3: 2 x 1/2), d at once (u4): 5 in all.
    assert found["a", "b"] == pytest.approx(3 / 5)
    assert found["a", "c"] == pytest.approx(1 / 5)
    assert ("b", "a") not in found
