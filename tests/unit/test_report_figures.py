"""Figures of a report by hand: NDCG without a source, coverage, and the Lorenz curve."""

import numpy as np
import pytest

from workers.report.ablation import ndcg
from workers.report.exposure import coverage_curve, lorenz_curve


def test_ndcg_counts_positions_of_each_user():
    # User 0 has its one relevant item second: 1 / log2(3). User 1 has two, first and third, of 1 + 1/log2(3) at best.
    owner = np.array([0, 0, 0, 1, 1, 1])
    scores = np.array([3.0, 2.0, 1.0, 1.0, 3.0, 2.0])
    is_target = np.array([False, True, False, True, True, False])
    found = ndcg(scores, owner, is_target, np.array([1, 2]))
    second = 1 / np.log2(3)
    assert found == pytest.approx([second, (1 + 0.5) / (1 + second)])


def test_ndcg_decides_ties_against_us_and_leaves_out_what_has_no_score():
    owner, is_target = np.array([0, 0, 1]), np.array([True, False, True])
    # A tie: the relevant item comes second. A score of 0: not in the list.
    found = ndcg(np.array([1.0, 1.0, 0.0]), owner, is_target, np.array([1, 1]))
    assert found == pytest.approx([1 / np.log2(3), 0])


def test_ndcg_of_a_user_without_candidates_is_nothing():
    found = ndcg(np.array([1.0]), np.array([1]), np.array([True]), np.array([1, 1]))
    assert found == pytest.approx([0, 1])


def test_coverage_curve_counts_items_by_their_best_position():
    rows = [{"best": 1, "places": 3}, {"best": 2, "places": 1}, {"best": 11, "places": 0}]
    assert coverage_curve(rows, 10, (1, 2, 50)) == [(1, 0.1), (2, 0.2), (50, 0.3)]


def test_lorenz_curve_of_even_places_is_the_diagonal():
    rows = [{"best": 1, "places": 2}] * 4
    assert all(x == pytest.approx(y) for x, y in lorenz_curve(rows, 4))


def test_lorenz_curve_counts_items_that_are_never_shown():
    # One of two items has all places: the other half of the catalogue has none.
    curve = dict(lorenz_curve([{"best": 1, "places": 5}], 2))
    assert curve[0.5] == pytest.approx(0)
    assert curve[1.0] == pytest.approx(1)


def test_lorenz_curve_of_nothing_is_empty():
    assert lorenz_curve([], 3) == []
