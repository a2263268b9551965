"""Training that goes on from a former version: what of the data it reads, and what it keeps."""

from typing import Any

import numpy as np
import pytest

from recsql.errors import ModelError
from workers.models.base import Dislikes, Sequences, TrainingData, TrainingOptions
from workers.models.inner_product import InnerProductModel
from workers.models.registry import get_model
from workers.models.start import Start, fresh_windows

N_ITEMS = 12
SMALL: dict[str, dict[str, Any]] = {
    "transformer": {"dim": 8, "max_length": 6, "batch_tokens": 64, "epochs": 4, "learning_rate": 0.01},
    "bert4rec": {"dim": 8, "max_length": 6, "batch_tokens": 64, "epochs": 4, "learning_rate": 0.01},
    "gru4rec": {"dim": 8, "hidden_dim": 8, "max_length": 6, "epochs": 4, "learning_rate": 0.01},
    "two_tower": {"dim": 8, "hidden": 8, "batch_size": 64, "n_negatives": 8, "epochs": 4},
}


def new_model(name: str, **options: Any) -> InnerProductModel:
    kind = get_model(name)
    model = kind(kind.Config(**SMALL[name] | options))
    assert isinstance(model, InnerProductModel)
    return model


def circle(n: int) -> list[list[int]]:
    """Everybody goes round the same circle of items, from a place of their own, for ``n`` steps."""
    return [[(start + step) % N_ITEMS for step in range(n)] for start in range(24)]


def pieces(found: Sequences) -> list[list[int]]:
    return [found.of(nth).tolist() for nth in range(found.n_users)]


def test_windows_hold_what_is_new_and_what_came_before() -> None:
    histories = Sequences.from_lists([[0, 1, 2, 3, 4, 5], [6, 7], [], [8, 9, 10, 11], [12], [13, 14, 15, 16, 17]])
    n_known = np.array([5, 2, 0, 0, 0, 1])
    found = fresh_windows(histories, n_known, 3, 0, np.random.default_rng(0))
    # The first user's newest with three before it; the second has nothing new and the third nothing at all. All of the
    # fourth and the fifth is new. Of the last all but one, from which the others are predicted.
    assert pieces(found) == [[2, 3, 4, 5], [8, 9, 10, 11], [12], [13, 14, 15, 16, 17]]


def test_windows_replay_what_is_known() -> None:
    weights = np.arange(12, dtype=np.float32)
    histories = Sequences(np.arange(12), np.array([0, 6, 12]), weights)
    found = fresh_windows(histories, np.array([5, 6]), 2, 3.0, np.random.default_rng(1))
    # One piece is new; three of those that end at 1 to 4 or 7 to 11 are replayed, with at most two before their end.
    fresh, *replayed = pieces(found)
    assert fresh == [3, 4, 5]
    assert len(replayed) == 3
    ends = [piece[-1] for piece in replayed]
    assert set(ends) <= {1, 2, 3, 4, 7, 8, 9, 10, 11}
    assert len(set(ends)) == 3
    for piece in replayed:
        assert piece == list(range(max(piece[-1] - 2, 6 * (piece[-1] // 6)), piece[-1] + 1))
    assert found.weights is not None
    assert found.weights.tolist() == [float(item) for piece in pieces(found) for item in piece]
    # No more than there are.
    assert fresh_windows(histories, np.array([5, 6]), 2, 99.0, np.random.default_rng(1)).n_users == 1 + 9


def test_version_of_other_layers_is_refused() -> None:
    former = new_model("transformer", n_layers=1)
    histories = Sequences.from_lists(circle(5))
    former.fit(TrainingData(histories, N_ITEMS))
    start = Start(former.state(), np.arange(N_ITEMS), np.full(24, 4))
    with pytest.raises(ModelError, match="former version's weights do not fit"):
        new_model("transformer", n_layers=2).fit(TrainingData(histories, N_ITEMS), TrainingOptions(start=start))


def test_windows_of_nothing_new_are_none() -> None:
    histories = Sequences.from_lists([[0, 1], [2]])
    assert fresh_windows(histories, np.array([2, 1]), 3, 1.0, np.random.default_rng(0)).n_users == 0


@pytest.mark.parametrize("items", ["both", "id", "content"])
def test_items_keep_their_vectors_when_the_catalogue_moves(items: str) -> None:
    content = np.random.default_rng(0).standard_normal((N_ITEMS, 4)).astype(np.float32)
    former = new_model("transformer", items=items)
    former.fit(TrainingData(Sequences.from_lists(circle(5)), N_ITEMS, content))
    # Two items more, in rows 0 and 5; nobody has had the one in row 5.
    rows = np.insert(np.arange(N_ITEMS), [0, 4], -1)
    of_former = np.flatnonzero(rows >= 0)
    histories = Sequences.from_lists([[int(of_former[item]) for item in history] for history in circle(5)] + [[0, 1]])
    n_known = np.diff(histories.offsets)
    grown = np.full((len(rows), 4), np.float32(0.5))
    grown[of_former] = content
    model = new_model("transformer", items=items, fresh_epochs=20)
    # The last user is new, and alone: without replay nothing else is learnt, and hardly that at such a rate.
    n_known[-1] = 0
    options = TrainingOptions(start=Start(former.state(), rows, n_known))
    slow = new_model("transformer", items=items, learning_rate=1e-12, replay=0.0)
    measured = slow.fit(TrainingData(histories, len(rows), grown), options)
    assert measured["epochs"] == 1
    outputs = slow.item_vectors()
    if items == "content":
        # There an item is its content, which is read beside another mean: all of them move by the same.
        moved = outputs[of_former] - former.item_vectors()
        np.testing.assert_allclose(moved - moved.mean(axis=0), 0, atol=0.2 * np.abs(outputs).max())
    else:
        np.testing.assert_allclose(outputs[of_former], former.item_vectors(), atol=1e-5)
        np.testing.assert_allclose(slow.state()["inputs"][of_former], former.state()["inputs"], atol=1e-5)
    asked = Sequences.from_lists([[int(of_former[3]), int(of_former[4])]])
    before = former.user_vectors(Sequences.from_lists([[3, 4]]))
    if items != "content":
        np.testing.assert_allclose(slow.user_vectors(asked), before, atol=1e-4)
    # What nobody has had is placed by its content, where content counts.
    assert np.isnan(outputs[5]).all() == (items == "id")
    assert np.isfinite(outputs[0]).all()
    model.fit(TrainingData(histories, len(rows), grown), options)
    assert not np.allclose(model.item_vectors()[of_former], former.item_vectors(), atol=1e-3)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_model_learns_what_is_new_and_the_same_each_time(name: str) -> None:
    old = Sequences.from_lists(circle(5))
    former = new_model(name, epochs=12)
    former.fit(TrainingData(old, N_ITEMS))
    # From now on everybody has item 7 after 4.
    new = Sequences.from_lists([[*history, 4, 7] for history in circle(5)])
    asked, everything = Sequences.from_lists([[2, 3, 4]]), np.arange(N_ITEMS)[None]
    start = Start(former.state(), np.arange(N_ITEMS), np.full(24, 5))
    learnt = []
    for _ in range(2):
        model = new_model(name, fresh_epochs=12)
        measured = model.fit(TrainingData(new, N_ITEMS), TrainingOptions(start=start))
        assert measured["epochs"] == 12
        learnt.append(model.score(asked, everything)[0])
    np.testing.assert_array_equal(*learnt)

    def place(scores: np.ndarray) -> int:
        return int((scores >= scores[7]).sum())

    assert place(learnt[0]) < place(former.score(asked, everything)[0])


def test_training_that_goes_on_refuses_other_content() -> None:
    content = np.random.default_rng(0).standard_normal((N_ITEMS, 4)).astype(np.float32)
    former = new_model("transformer", epochs=1)
    former.fit(TrainingData(Sequences.from_lists(circle(5)), N_ITEMS, content))
    start = Start(former.state(), np.arange(N_ITEMS), np.full(24, 4))
    with pytest.raises(ModelError, match="content vectors of another model"):
        new_model("transformer").fit(
            TrainingData(Sequences.from_lists(circle(5)), N_ITEMS, content[:, :3]), TrainingOptions(start=start)
        )


def test_windows_keep_what_is_known_of_their_interactions() -> None:
    dislikes = Dislikes(np.array([1, 4, 8]), np.array([20, 21, 22]), np.array([1, 2, 3], dtype=np.float32))
    kinds, times = np.arange(12) % 3, np.arange(12) * 10
    histories = Sequences(np.arange(12), np.array([0, 6, 12]), kinds=kinds, times=times, dislikes=dislikes)
    found = fresh_windows(histories, np.array([5, 4]), 2, 0, np.random.default_rng(0))
    # Interactions 3 to 5 of the first user and 9 to 11 of the second. What was turned down after the first user's
    # interaction 4 stands behind the second of the piece; the others are of before.
    assert pieces(found) == [[3, 4, 5], [9, 10, 11]]
    assert found.kinds is not None
    assert found.kinds.tolist() == [0, 1, 2, 0, 1, 2]
    assert found.times is not None
    assert found.times.tolist() == [30, 40, 50, 90, 100, 110]
    assert found.dislikes is not None
    assert found.dislikes.places.tolist() == [1]
    assert found.dislikes.items.tolist() == [21]
