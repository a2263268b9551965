"""Figures of the benchmark of unified spaces, on worlds small enough to count by hand."""

import numpy as np
import pytest

from benchmarks.films import _series, _year
from benchmarks.unified_figures import ColdItems, compared, genre_shares, is_found, neighbours, series_recall
from workers.models.base import Sequences
from workers.models.item_weights import History

NEWEST = History(decay="geometric", rate=0.5, length=2)


def test_own_entry_counts_only_without_ties() -> None:
    gallery = np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32)
    # The first is alone at cosine 1; the second shares it with the third.
    assert is_found(gallery[:2], gallery, np.array([0, 1]), k=1).tolist() == [1, 0]


def test_neighbours_leave_the_query_out() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [-1, 0]], dtype=np.float32)
    found = neighbours(vectors, np.array([0]), np.array([0, 2, 1, 3]))
    assert found[0].tolist()[:3] == [1, 2, 3]


def test_genres_and_series_of_neighbours() -> None:
    genres = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=bool)
    shared, jaccard = genre_shares(np.array([[1, 2]]), np.array([0]), genres)
    # One of two shares a genre; it has one genre of the two that either has.
    assert (shared[0], jaccard[0]) == (0.5, 0.25)
    series = np.array([7, 7, 7, -1])
    recall = series_recall(np.array([[1, 3], [0, 1]]), np.array([0, 3]), np.arange(4), series)
    # One of the two others of the series; the last film is of none.
    assert recall[0] == 0.5
    assert np.isnan(recall[1])


def test_cold_items_are_ranked_by_what_was_had_last() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.8, 0.6], [0.6, 0.8], [-1, 0]], dtype=np.float32)
    is_cold = np.array([False, False, True, True, True])
    # Had 0, then 1: u = 1/3 of 0 + 2/3 of 1, so 1/3, 2/3, 2/3, 11/15, -1/3. Of the second user nothing is asked.
    cold = ColdItems(Sequences.from_lists([[0, 1], [0]]), Sequences.from_lists([[2, 4], []]), is_cold)
    scores = list(cold.by_vectors(vectors, NEWEST))
    assert np.allclose(scores[0], [[1 / 3, 2 / 3, 2 / 3, 11 / 15, -1 / 3]], atol=1e-6)
    alone, among_all = cold.recall(iter(scores), k=2)
    # Among the cold: 3, 2, 4; what the user has had is no candidate, so the same among all.
    assert (alone.tolist(), among_all.tolist()) == ([0.5], [0.5])


def test_popularity_that_nobody_knows_finds_nothing() -> None:
    cold = ColdItems(Sequences.from_lists([[0]]), Sequences.from_lists([[1, 2]]), np.array([False, True, True]))
    alone, _ = cold.recall(cold.by_items(np.array([5, 0, 0], dtype=np.float32)), k=1)
    assert alone.tolist() == [0]


def test_ratio_has_an_interval_around_it() -> None:
    found = compared("x", np.array([1.0, 1, 0, 1]), np.array([1.0, 0, 0, 0]), 0)
    assert found["x"] == pytest.approx(3)
    assert found["x.lo"] <= 3 <= found["x.hi"]


def test_titles_tell_series_and_year() -> None:
    titles = ["Jaws (1975)", "Jaws 2 (1978)", "Godfather, The (1972)", "Godfather: Part II, The (1974)", "Heat (1995)"]
    numbers = _series(titles)
    assert numbers[0] == numbers[1] != numbers[2] == numbers[3]
    assert numbers[4] == -1
    assert _year("2001: A Space Odyssey (1968)") == 1968
