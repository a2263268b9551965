"""What the factorisations compute, by hand."""

import sys
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsql.errors import ModelError
from workers.models.als import Als, least_squares
from workers.models.base import Sequences, TrainingData, TrainingOptions
from workers.models.bpr import Bpr
from workers.models.registry import get_model
from workers.together import fit_together

F32 = np.float32


def new_als(**options: Any) -> Als:
    """Rank 1, alpha 3, penalty 1, and the items [1], [2]."""
    model = Als(Als.Config(**{"factors": 1, "alpha": 3.0, "regularization": 1.0, **options}))
    model.restore({"items": np.array([[1], [2]], dtype=F32)})
    return model


def test_als_folds_users_in_by_the_closed_form() -> None:
    # Had item 0: c = 3 and 1, so (3·1² + 1·2² + 1) x = 3·1, x = 3/8; scores 3/8 and 6/8.
    # Had item 1: (1·1² + 3·2² + 1) x = 3·2, x = 6/14. Had both: (3 + 12 + 1) x = 3 + 6, x = 9/16.
    model = new_als()
    histories = Sequences.from_lists([[0], [1], [1, 0], []])
    users = model.user_vectors(histories)
    np.testing.assert_allclose(users, [[3 / 8], [6 / 14], [9 / 16], [np.nan]], rtol=1e-6)
    np.testing.assert_allclose(model.score(histories, np.array([[0, 1]] * 4))[0], [3 / 8, 6 / 8], rtol=1e-6)


def test_als_weights_of_events_are_confidence_and_add_up() -> None:
    # Item 0 at weight 2: c = 6, (6 + 4 + 1) x = 6. Item 0 twice at weight 1 is the same.
    model = new_als()
    heavy = Sequences(np.array([0]), np.array([0, 1]), np.array([2], dtype=F32))
    np.testing.assert_allclose(model.user_vectors(heavy), [[6 / 11]], rtol=1e-6)
    np.testing.assert_allclose(model.user_vectors(Sequences.from_lists([[0, 0]])), [[6 / 11]], rtol=1e-6)


def test_als_ratings_bear_on_confidence() -> None:
    # One deviation above the mean with value_weight 1/2: weight 3/2, c = 4.5, (4.5 + 4 + 1) x = 4.5. Ten below: a tenth
    # of the weight is kept, c = 0.3, (0.3 + 4 + 1) x = 0.3. Without value_weight ratings are nothing: 3/8 as ever.
    values = np.array([1, -10], dtype=F32)
    rated = Sequences(np.array([0, 0]), np.array([0, 1, 2]), values=values)
    users = new_als(value_weight=0.5).user_vectors(rated)
    np.testing.assert_allclose(users, [[4.5 / 9.5], [0.3 / 5.3]], rtol=1e-6)
    np.testing.assert_allclose(new_als().user_vectors(rated), [[3 / 8], [3 / 8]], rtol=1e-6)


def test_als_is_trained_by_one_process_whatever_is_asked_for() -> None:
    pytest.importorskip("implicit")
    seen = TrainingData(Sequences.from_lists([[0, 1], [1, 3], [0]]), 4)
    models = [Als(Als.Config(factors=2)) for _ in range(2)]
    for n_processes, model in enumerate(models, start=1):
        fit_together(model, seen, TrainingOptions(seed=3), n_processes)
    np.testing.assert_array_equal(models[0].state()["items"], models[1].state()["items"])


def test_als_confidence_below_that_of_nothing_is_allowed() -> None:
    # alpha 1/2: (1/2 + 4 + 1) x = 1/2.
    np.testing.assert_allclose(new_als(alpha=0.5).user_vectors(Sequences.from_lists([[0]])), [[0.5 / 5.5]], rtol=1e-6)


def test_als_agrees_with_the_library_that_trained_it() -> None:
    als = pytest.importorskip("implicit.cpu.als").AlternatingLeastSquares
    rng = np.random.default_rng(0)
    seen = csr_matrix((rng.random((30, 12)) < 0.3) * rng.uniform(0.5, 2, (30, 12)), dtype=F32)
    seen = seen[np.diff(seen.indptr) > 0]
    sequences = Sequences(seen.indices.astype(np.int64), seen.indptr.astype(np.int64), seen.data)
    model = Als(Als.Config(factors=4, alpha=2.0, regularization=0.1, epochs=5))
    model.fit(TrainingData(sequences, 12), TrainingOptions(seed=3))
    theirs = als(factors=4, alpha=2.0, regularization=0.1, iterations=5, random_state=3)
    theirs.fit(seen, show_progress=False)
    np.testing.assert_allclose(model.item_vectors(), theirs.item_factors, rtol=1e-4, atol=1e-5)
    folded = theirs.recalculate_user(np.arange(seen.shape[0]), seen)
    np.testing.assert_allclose(model.user_vectors(sequences), folded, rtol=1e-3, atol=1e-4)


def test_least_squares_in_groups_equals_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(9, 3)).astype(F32)
    had = (rng.random((20, 9)) < 0.4) * rng.uniform(0.5, 4, (20, 9))
    had[5] = 0
    # Straight from the definition: weighted ridge regression over all places of the row.
    expected = np.zeros((20, 3))
    for user, row in enumerate(had):
        if row.any():
            c, p = np.where(row > 0, row, 1), row > 0
            left = (vectors * c[:, None]).T @ vectors + 0.3 * np.eye(3)
            expected[user] = np.linalg.solve(left, (c * p) @ vectors)
    for at_once in (1, 60, 2**22):
        monkeypatch.setattr("workers.models.als._NUMBERS_AT_ONCE", at_once)
        found = least_squares(csr_matrix(had), vectors, 0.3)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_bpr_users_are_means_and_the_bias_is_a_dimension_of_its_own() -> None:
    # Items [y, b] = [1, 0.5], [2, -1]. Had both, the second at weight 3: x = (1 + 3·2)/4 = 1.75; scores 1.75 + 0.5 and
    # 3.5 - 1. Had the first alone: 1 + 0.5 and 2 - 1.
    model = Bpr(Bpr.Config(factors=1))
    model.restore({"items": np.array([[1, 0.5], [2, -1]], dtype=F32)})
    histories = Sequences(np.array([0, 1, 0]), np.array([0, 2, 3]), np.array([1, 3, 9], dtype=F32))
    np.testing.assert_allclose(model.user_vectors(histories), [[1.75, 1], [1, 1]], rtol=1e-6)
    np.testing.assert_allclose(model.score(histories, np.array([[0, 1]] * 2)), [[2.25, 2.5], [1.5, 1]], rtol=1e-6)


@pytest.mark.parametrize("name", ["als", "bpr"])
def test_factors_items_without_events_are_unknown(name: str) -> None:
    # Nobody had item 2; who had nothing else is unknown, and it changes nothing beside others.
    model = get_model(name)(get_model(name).Config(factors=2, epochs=3))
    model.fit(TrainingData(Sequences.from_lists([[0, 1], [1, 3], [0]]), 4))
    scores = model.score(Sequences.from_lists([[2], [0, 2], [0]]), np.array([[0, 1, 2, 3]] * 3))
    assert np.isnan(scores).tolist() == [[True] * 4, [False, False, True, False], [False, False, True, False]]
    np.testing.assert_array_equal(scores[1], scores[2])
    assert np.isnan(model.item_vectors()).all(axis=1).tolist() == [False, False, True, False]  # pyright: ignore


@pytest.mark.parametrize("name", ["als", "bpr"])
def test_factors_training_leaves_the_data_alone_and_reports_progress(name: str) -> None:
    items, weights = np.array([1, 0, 1, 2]), np.array([1, 2, 3, 4], dtype=F32)
    sequences = Sequences(items.copy(), np.array([0, 3, 4]), weights.copy())
    done: list[tuple[int, int]] = []
    options = TrainingOptions(progress=lambda at, total, note: done.append((at, total)))
    model = get_model(name)(get_model(name).Config(factors=2, epochs=3))
    measured = model.fit(TrainingData(sequences, 3), options)
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert measured["epochs"] == 3
    assert "ndcg@10" not in measured
    np.testing.assert_array_equal(sequences.items, items)
    np.testing.assert_array_equal(sequences.weight_of_each(), weights)


@pytest.mark.parametrize("name", ["als", "bpr"])
def test_factors_another_seed_gives_other_factors(name: str) -> None:
    vectors = []
    for seed in (0, 1):
        model = get_model(name)(get_model(name).Config(factors=2, epochs=2))
        model.fit(TrainingData(Sequences.from_lists([[0, 1], [1, 2]]), 3), TrainingOptions(seed=seed))
        vectors.append(model.item_vectors())
    assert not np.array_equal(*vectors)


def test_factors_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "implicit"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "implicit", None)
    with pytest.raises(ModelError, match=r"pip install 'recsql\[factors\]'"):
        Als().fit(TrainingData(Sequences.from_lists([[0, 1]]), 2))
    # To score, the library is not needed.
    assert new_als().score(Sequences.from_lists([[0]]), np.array([[1]])) == pytest.approx(0.75)


def test_bpr_says_that_training_diverged() -> None:
    with pytest.raises(ModelError, match="diverged"):
        Bpr(Bpr.Config(factors=2, learning_rate=1e30, epochs=5)).fit(
            TrainingData(Sequences.from_lists([[0, 1], [2, 3], [1, 2]] * 5), 4)
        )


@pytest.mark.parametrize("items", [np.zeros((3, 3)), np.zeros(3), np.zeros((3, 2, 1))])
def test_factors_refuse_vectors_of_another_width(items: np.ndarray) -> None:
    with pytest.raises(ModelError, match="not 2 wide; train this model again"):
        Als(Als.Config(factors=2)).restore({"items": items.astype(F32)})
