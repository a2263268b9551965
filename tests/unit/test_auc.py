"""The benchmark of AUC, by hand."""

import numpy as np
import pytest

from benchmarks.auc import Pairs, auc_of_users, draw_pairs, pooled_auc
from benchmarks.peers import Part
from workers.interactions import RunData
from workers.models.base import Sequences


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def test_auc_counts_pairs_of_a_user_and_half_of_ties() -> None:
    # User 3: right and tied, 0.75. User 5: wrong, 0. One user is new: 0.5.
    pairs = Pairs(rows(3, 3, 5), rows(0, 1, 2), rows(4, 4, 4), n_new=1)
    found = auc_of_users(pairs, np.array([2.0, 1.0, 0.0]), np.array([1.0, 1.0, 1.0]))
    assert found.tolist() == [0.75, 0, 0.5]
    # Neither has a score: a tie. The negative alone has none: right.
    nothing = np.array([-np.inf, -np.inf, 1.0])
    assert auc_of_users(pairs, nothing, np.full(3, -np.inf)).tolist() == [0.5, 1, 0.5]


def test_auc_pooled_compares_across_users() -> None:
    # 2 against 1 and 3: right, wrong; 1 against 1 and 3: tied, wrong. 1.5 of 4.
    assert pooled_auc(np.array([2.0, 1.0]), np.array([1.0, 3.0])) == pytest.approx(0.375)
    assert pooled_auc(np.array([2.0, -np.inf]), np.array([-np.inf, -np.inf])) == pytest.approx(0.75)


def test_auc_negatives_are_items_that_the_user_never_had() -> None:
    # Items 0 … 4 have events, 5 has none. User 0 may get 2 or 4 alone, user 1 had everything, user 2 may get 3 or 4.
    sequences = Sequences.from_lists([[0, 1], [0, 1, 2, 3, 4], [0, 1]])
    data = RunData(np.arange(6) + 100, np.arange(3), sequences)
    asked = Part(None, rows(0, 1, 2), [rows(3), rows(5), rows(2, 5)], n_new=2)
    drawn = set()
    for seed in range(30):
        pairs = draw_pairs(data, asked, seed)
        assert pairs.users.tolist() == [0, 2, 2]
        assert pairs.positives.tolist() == [3, 2, 5]
        assert pairs.n_new == 2
        drawn |= set(zip(pairs.users.tolist(), pairs.negatives.tolist(), strict=True))
    assert drawn == {(0, 2), (0, 4), (2, 3), (2, 4)}
    np.testing.assert_array_equal(draw_pairs(data, asked, 7).negatives, draw_pairs(data, asked, 7).negatives)
