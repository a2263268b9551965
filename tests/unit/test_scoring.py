"""What scoring does with arrays: its orders and lookups, each of which has two ways, give the same by both."""

from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers import interactions, scoring
from workers.interactions import rows_of
from workers.parallel import read_ahead
from workers.scoring import Pairs, best_first, pair_products

NAN = np.nan


def pairs_of(lists):
    """Pairs of users, each a list of items."""
    return Pairs(
        np.array(list(lists), dtype=np.int64),
        np.array([len(items) for items in lists.values()], dtype=np.int64),
        np.array([item for items in lists.values() for item in items], dtype=np.int64),
    )


def test_best_first_orders_each_user_and_leaves_out_what_has_no_score():
    pairs = pairs_of({7: [1, 4, 5, 9], 8: [1, 2], 12: [3, 4, 6]})
    # 0 and -0 are equal, so the lower number comes first; user 8 has no score, item 9 of user 7 has none.
    scores = np.array([0.0, 2.5, -0.0, NAN, NAN, NAN, -1.0, -np.inf, 3.0], dtype=np.float32)
    user_nos, counts, item_nos, ordered = best_first(pairs, scores)
    assert user_nos.tolist() == [7, 12]
    assert counts.tolist() == [3, 3]
    assert item_nos.tolist() == [4, 1, 5, 6, 3, 4]
    assert ordered.tolist() == [2.5, 0.0, 0.0, 3.0, -1.0, -np.inf]


@pytest.mark.parametrize("n_users", [3, 70_000])
def test_best_first_is_a_stable_sort_by_user_and_falling_score(n_users):
    # 70,000 users with 3 scores each need 17 bits for the user and 18 for the place: more than 32.
    rng = np.random.default_rng(0)
    pairs = Pairs(np.arange(n_users), np.full(n_users, 3), rng.integers(0, 9, 3 * n_users))
    scores = rng.integers(-2, 3, 3 * n_users).astype(np.float32)
    order = np.lexsort((np.arange(len(scores)), -scores, pairs.owner))
    _, counts, item_nos, ordered = best_first(pairs, scores)
    assert (counts == 3).all()
    assert np.array_equal(item_nos, pairs.item_nos[order])
    assert np.array_equal(ordered, scores[order])


def test_best_first_of_nothing_is_nothing():
    assert [len(part) for part in best_first(pairs_of({}), np.empty(0, dtype=np.float32))] == [0, 0, 0, 0]


KEYS = st.sets(st.integers(-30, 30)).map(sorted)


@given(KEYS, st.lists(st.integers(-40, 40)), st.sampled_from([0, 1000]))
def test_rows_of_gives_the_place_of_each_key(keys, wanted, looked_up):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interactions, "_LOOKED_UP", looked_up)
        found = rows_of(np.array(keys, dtype=np.int64), np.array(wanted, dtype=np.int64))
    assert found.tolist() == [keys.index(key) if key in keys else -1 for key in wanted]


@pytest.mark.parametrize("factor", [0, 1000])
def test_pair_products_are_the_same_by_all_items_and_by_pairs(monkeypatch, factor):
    monkeypatch.setattr(scoring, "_DENSE_FACTOR", factor)
    users, items = np.array([[1, 2], [0, 3]], dtype=np.float32), np.array([[5, 1], [2, 2], [1, 0]], dtype=np.float32)
    # 1·5 + 2·1; 1·1 + 2·0; 0·2 + 3·2
    products = pair_products(users, items, np.array([0, 0, 1]), np.array([0, 2, 1]))
    assert products.tolist() == [7, 1, 6]


def test_read_ahead_begins_at_once_and_stays_so_many_ahead():
    done = []

    def submit(work, chunk):
        future = Future()
        future.set_result(work(chunk))
        return future

    results = read_ahead(submit, lambda chunk: done.append(chunk) or -chunk, range(5), 2)
    assert done == [0, 1]
    assert next(results) == 0
    assert done == [0, 1, 2]
    assert list(results) == [-1, -2, -3, -4]
