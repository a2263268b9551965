"""What the two towers and neural matrix factorisation compute, by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsql.errors import ModelError
from workers.models.bags import place_batches, places_to_predict, recent_bags
from workers.models.base import Model, Sequences, TrainingData, TrainingOptions
from workers.models.item_weights import History
from workers.models.neumf import NeuMf
from workers.models.registry import get_model
from workers.models.two_tower import TwoTower

F32 = np.float32
ALIKE = History(decay="harmonic", rate=0.0, length=100)
SMALL: dict[str, dict[str, Any]] = {
    "two_tower": {"dim": 8, "hidden": 8, "batch_size": 64, "n_negatives": 8, "warmup_steps": 0, "average": 0.9},
    "neumf": {"dim": 4, "layers": (8, 4), "batch_size": 64, "warmup_steps": 0, "average": 0.9},
}


def new_model(name: str, **options: Any) -> Model:
    kind = get_model(name)
    return kind(kind.Config(**SMALL[name] | options))


def pairs(n_users: int = 30) -> TrainingData:
    """Even users have had three of the first five items, odd ones three of the others; the target is a fourth."""
    rng = np.random.default_rng(3)
    orders = [rng.permutation(5) + 5 * (user % 2) for user in range(n_users)]
    targets = Sequences.from_lists([order[3:4].tolist() for order in orders])
    return TrainingData(Sequences.from_lists([order[:3].tolist() for order in orders]), 10, targets=targets)


def test_bags_weigh_by_event_and_step() -> None:
    # Events 0 … 3 of one user, of weights 1, 2, 1, 4; before the last: steps 2, 1, 0, harmonic at rate 1: 1/3, 1/2, 1.
    sequences = Sequences(np.array([7, 8, 9, 7]), np.array([0, 4]), np.array([1, 2, 1, 4], dtype=F32))
    history = History(decay="harmonic", rate=1.0, length=10)
    bags = recent_bags(sequences, np.array([0, 0, 0]), np.array([3, 0, 1]), history, 1.0)
    assert bags.items.tolist() == [7, 8, 9, 7]
    assert bags.offsets.tolist() == [0, 3, 3, 4]
    # 1/3 + 2/2 + 1 = 7/3; so 1/7, 3/7, 3/7. Alone: 1.
    np.testing.assert_allclose(bags.weight_of_each(), [1 / 7, 3 / 7, 3 / 7, 1], rtol=1e-6)
    # Two items back alone, over the root of their sum: (2/2 + 1)^½.
    short = recent_bags(sequences, np.array([0]), np.array([3]), history.model_copy(update={"length": 2}), 0.5)
    assert short.items.tolist() == [8, 9]
    np.testing.assert_allclose(short.weight_of_each(), [1 / 2**0.5, 1 / 2**0.5], rtol=1e-6)


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=6), st.integers(1, 4), st.integers(0, 9))
def test_places_to_predict_have_something_before_them(histories: list[list[int]], per_user: int, seed: int) -> None:
    sequences = Sequences.from_lists(histories)
    for limit in (None, per_user):
        places, users = places_to_predict(sequences, limit, np.random.default_rng(seed))
        assert (sequences.offsets[users] < places).all()
        assert (places < sequences.offsets[users + 1]).all()
        assert len(np.unique(places)) == len(places)
        expected = [min(max(len(history) - 1, 0), limit or len(history)) for history in histories]
        assert np.bincount(users, minlength=len(histories)).tolist() == expected


def two_tower_by_hand() -> TwoTower:
    """Width 2, one hidden unit, items e = [2, 0], [0, 4], [1, 1] and v = [1, 0], [0, 1], [1, 1]."""
    history = History(decay="harmonic", rate=1.0, length=2)
    model = TwoTower(TwoTower.Config(dim=2, hidden=1, history=history))
    model.restore(
        {
            "inputs": np.array([[2, 0], [0, 4], [1, 1]], dtype=F32),
            "outputs": np.array([[1, 0], [0, 1], [1, 1]], dtype=F32),
            "projection": np.zeros((0, 2), dtype=F32),
            "network.hidden.weight": np.array([[1, 0]], dtype=F32),
            "network.hidden.bias": np.array([-100], dtype=F32),
            "network.out.weight": np.array([[1], [0]], dtype=F32),
            "network.out.bias": np.array([0, 3], dtype=F32),
            "network.norm.weight": np.array([2, 1], dtype=F32),
            "network.norm.bias": np.array([0, 5], dtype=F32),
        }
    )
    return model


def test_two_tower_user_vector_by_hand() -> None:
    # Item 1 is the newest (1), item 0 one step back (1/2), item 2 beyond the length. m = (1 [0, 4] + ½ [2, 0]) / 1.5 =
    # [2/3, 8/3]. gelu(2/3 - 100) = 0, so m + [0, 3] = [2/3, 17/3]: of two numbers the layer norm makes -1 and 1, then
    # times [2, 1] plus [0, 5]: [-2, 6]. Scores: -2, 6, 4.
    model = two_tower_by_hand()
    histories = Sequences.from_lists([[2, 0, 1], []])
    np.testing.assert_allclose(model.user_vectors(histories), [[-2, 6], [np.nan, np.nan]], rtol=1e-5)
    np.testing.assert_allclose(model.score(histories, np.array([[0, 1, 2]] * 2))[0], [-2, 6, 4], rtol=1e-5)


def test_two_tower_hidden_layer_counts() -> None:
    # Bias 100 in place of -100: gelu(2/3 + 100) = 302/3, so [2/3 + 302/3, 17/3]: now the first is the greater.
    model = two_tower_by_hand()
    model.restore({**model.state(), "network.hidden.bias": np.array([100], dtype=F32)})
    np.testing.assert_allclose(model.user_vectors(Sequences.from_lists([[2, 0, 1]])), [[2, 4]], rtol=1e-5)


def test_two_tower_event_weights_count() -> None:
    # Without [0, 3]: alike m is [2/3, 8/3] still. Weights 5 and 1: m = (1·1 [0, 4] + 5·½ [2, 0]) / 3.5 = [5, 4] / 3.5.
    model = two_tower_by_hand()
    model.restore({**model.state(), "network.out.bias": np.zeros(2, dtype=F32)})
    alike = Sequences.from_lists([[0, 1]])
    heavy = Sequences(alike.items, alike.offsets, np.array([5, 1], dtype=F32))
    np.testing.assert_allclose(model.user_vectors(alike), [[-2, 6]], rtol=1e-3)
    np.testing.assert_allclose(model.user_vectors(heavy), [[2, 4]], rtol=1e-3)


def test_two_tower_ranks_a_new_item_by_its_content() -> None:
    # The content's first number says which half; items 4 and 9 are new, and each user must prefer the one of their own.
    data = pairs(60)
    histories = [[i for i in data.sequences.of(user).tolist() if i not in (4, 9)] for user in range(60)]
    noise = np.random.default_rng(3).normal(scale=0.1, size=(10, 4))
    content = (np.array([[1 if item < 5 else -1, 0, 0, 0] for item in range(10)]) + noise).astype(F32)
    model = new_model("two_tower", epochs=20, learning_rate=0.01)
    model.fit(TrainingData(Sequences.from_lists(histories), 10, content=content))
    scores = model.score(Sequences.from_lists([[0, 1], [5, 6]]), np.array([[4, 9], [4, 9]]))
    assert scores[0, 0] > scores[0, 1]
    assert scores[1, 1] > scores[1, 0]
    # An item that has content alone makes a user, too.
    assert np.isfinite(model.score(Sequences.from_lists([[4]]), np.array([[0]]))).all()


def test_two_tower_new_item_without_content_is_unknown() -> None:
    content = np.ones((3, 2), dtype=F32) * np.array([[1], [2], [np.nan]], dtype=F32)
    model = new_model("two_tower", epochs=1)
    model.fit(TrainingData(Sequences.from_lists([[0, 1], [1, 0]]), 3, content=content))
    scores = model.score(Sequences.from_lists([[0], [2]]), np.array([[0, 1, 2]] * 2))
    assert np.isnan(scores).tolist() == [[False, False, True], [True] * 3]


def neumf_by_hand(**options: Any) -> NeuMf:
    """Width 1, layers of 2 and 1 units, two items."""
    model = NeuMf(NeuMf.Config(**{"dim": 1, "layers": (2, 1), "history": ALIKE, **options}))
    model.restore(
        {
            "sources": np.array([[1, 2], [3, 4]], dtype=F32),  # a and c
            "items": np.array([[5, 1], [-1, 2]], dtype=F32),  # q and r
            "biases": np.array([0.5, -0.5], dtype=F32),
            "head.layers.0.weight": np.array([[1, 1], [1, -1]], dtype=F32),
            "head.layers.0.bias": np.array([0, 1], dtype=F32),
            "head.layers.1.weight": np.array([[2, 3]], dtype=F32),
            "head.layers.1.bias": np.array([-1], dtype=F32),
            "head.out.weight": np.array([[10, 100]], dtype=F32),
            "head.out.bias": np.array([7], dtype=F32),
        }
    )
    return model


def test_neumf_score_by_hand() -> None:
    # User of item 0: p = 1, s = 2. With item 1: product 1·-1 = -1; z1 = relu(2 + 2, 2 - 2 + 1) = [4, 1]; z2 = relu(8 +
    # 3 - 1) = 10; score 10·-1 + 100·10 + 7 - 0.5 = 996.5. With item 0: product 5; z1 = [3, 2]; z2 = 11; 50 + 1100 + 7 +
    # 0.5 = 1157.5.
    model = neumf_by_hand()
    np.testing.assert_allclose(model.score(Sequences.from_lists([[0]]), np.array([[1, 0]])), [[996.5, 1157.5]])
    assert model.item_vectors() is None


def test_neumf_users_are_sums_over_the_root_of_their_number() -> None:
    # Items 0 and 1: p = (1 + 3)/√2, s = (2 + 4)/√2. With item 1: z1 = [s + 2, relu(s - 1)], z2 = 2 (s + 2) + 3 (s - 1)
    # - 1 = 5 s; score -10 p + 500 s + 6.5.
    p, s = 4 / 2**0.5, 6 / 2**0.5
    expected = -10 * p + 500 * s + 6.5
    model = neumf_by_hand()
    assert model.score(Sequences.from_lists([[0, 1]]), np.array([[1]])) == pytest.approx(expected, rel=1e-6)
    # Item 0 at weight 3 and item 1 at 1: p = (3·1 + 3)/√4 = 3, s = (3·2 + 4)/√4 = 5: -30 + 2500 + 6.5.
    weighted = Sequences(np.array([0, 1]), np.array([0, 2]), np.array([3, 1], dtype=F32))
    assert model.score(weighted, np.array([[1]])) == pytest.approx(2476.5, rel=1e-6)


def test_neumf_scores_in_chunks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = new_model("neumf", epochs=1)
    data = pairs()
    model.fit(data)
    items = np.tile(np.arange(-1, 11), (30, 1))
    whole = model.score(data.sequences, items)
    for at_once in (1, 5, 25):
        monkeypatch.setattr("workers.models.neumf._PAIRS_AT_ONCE", at_once)
        np.testing.assert_array_equal(model.score(data.sequences, items), whole)


def test_neumf_heavier_events_pull_harder() -> None:
    # Items 1 and 2 follow item 0 equally often; those of item 2 weigh ten times as much.
    sequences = Sequences.from_lists([[0, 1], [0, 2]] * 20)
    weights = np.tile(np.array([1, 1, 1, 10], dtype=F32), 20)
    model = new_model("neumf", epochs=30, learning_rate=0.01, batch_size=8)
    model.fit(TrainingData(Sequences(sequences.items, sequences.offsets, weights), 4))
    scores = model.score(Sequences.from_lists([[0]]), np.array([[1, 2, 3]]))[0]
    assert scores[1] > scores[0] + 1
    # Nobody had item 3.
    assert np.isnan(scores[2])


@pytest.mark.parametrize("name", ["neumf", "two_tower"])
def test_neural_keeps_the_best_epoch_and_runs_all_without_targets(name: str) -> None:
    data, epochs = pairs(), 8
    notes: list[str] = []
    options = TrainingOptions(progress=lambda done, total, note: notes.append(note))
    model = new_model(name, epochs=epochs, patience=2, learning_rate=0.01)
    measured = model.fit(data, options)
    ndcgs = [float(note.rpartition(" ")[2]) for note in notes]
    best = int(np.argmax(ndcgs))
    assert measured["epochs"] == best + 1
    assert measured["ndcg@10"] == pytest.approx(ndcgs[best], abs=1e-4)
    assert len(notes) == min(epochs, best + 1 + 2)
    # What is kept is that epoch: as many epochs without targets give the same scores.
    items = np.tile(np.arange(10), (30, 1))
    blind = new_model(name, epochs=best + 1, learning_rate=0.01)
    assert "ndcg@10" not in blind.fit(TrainingData(data.sequences, 10))
    np.testing.assert_array_equal(blind.score(data.sequences, items), model.score(data.sequences, items))


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("name", ["neumf", "two_tower"])
def test_neural_says_that_training_diverged(name: str) -> None:
    with pytest.raises(ModelError, match=r"the loss of epoch \d+ is (nan|inf) at step \d+; lower learning_rate"):
        new_model(name, learning_rate=1e30).fit(pairs())


@pytest.mark.parametrize("name", ["neumf", "two_tower"])
def test_neural_training_that_is_broken_off_leaves_the_last_good_epoch(name: str) -> None:
    data = pairs()

    def stop(done: int, total: int, note: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    broken, whole = new_model(name, epochs=5), new_model(name, epochs=2)
    with pytest.raises(KeyboardInterrupt):
        broken.fit(data, TrainingOptions(progress=stop))
    whole.fit(TrainingData(data.sequences, 10))
    items = np.tile(np.arange(10), (30, 1))
    np.testing.assert_array_equal(broken.score(data.sequences, items), whole.score(data.sequences, items))


@pytest.mark.parametrize("name", ["neumf", "two_tower"])
def test_neural_training_goes_on_from_its_checkpoint(name: str, tmp_path: Path) -> None:
    data, path = pairs(), tmp_path / "training"

    def stop(done: int, total: int, note: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    whole, resumed = new_model(name, epochs=4), new_model(name, epochs=4)
    whole.fit(data)
    with pytest.raises(KeyboardInterrupt):
        resumed.fit(data, TrainingOptions(progress=stop, checkpoint=path))
    seen: list[int] = []
    resumed.fit(data, TrainingOptions(progress=lambda done, total, note: seen.append(done), checkpoint=path))
    # The checkpoint is of the second epoch: the third was broken off before it was written.
    assert seen == [3, 4]
    items = np.tile(np.arange(10), (30, 1))
    np.testing.assert_array_equal(resumed.score(data.sequences, items), whole.score(data.sequences, items))


@pytest.mark.parametrize("name", ["neumf", "two_tower"])
def test_neural_leaves_the_random_state_of_others_alone(name: str) -> None:
    model = new_model(name, epochs=1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model.fit(pairs())
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["neumf", "two_tower"])
def test_neural_user_with_one_event_and_three_items(name: str) -> None:
    # A user of one event is not trained on, but scored; the item that nobody had is unknown.
    model = new_model(name, epochs=2)
    targets = Sequences.from_lists([[], [0]])
    measured = model.fit(TrainingData(Sequences.from_lists([[0, 1], [1]]), 3, targets=targets))
    assert np.isfinite(measured["ndcg@10"])
    scores = model.score(Sequences.from_lists([[1], [0]]), np.array([[0, 1, 2]] * 2))
    assert np.isnan(scores).tolist() == [[False, False, True]] * 2


def test_histories_end_as_far_before_an_event_as_the_horizon() -> None:
    sequences, rng = Sequences.from_lists([[0, 1, 2, 3, 4], [7, 8]]), np.random.default_rng(0)
    drawn: dict[int, set[int]] = {}
    for _ in range(200):
        for batch in place_batches(sequences, 3, None, rng, horizon=3):
            for part in (batch.share(0, 2), batch.share(1, 2)):
                assert part.stops is not None
                for place, stop in zip(part.places, part.stops, strict=True):
                    drawn.setdefault(int(place), set()).add(int(stop))
    # Up to three events after the history, of which at least the user's first event is left.
    assert drawn == {1: {1}, 2: {1, 2}, 3: {1, 2, 3}, 4: {2, 3, 4}, 6: {6}}


def test_histories_end_before_the_event_without_a_horizon() -> None:
    for batch in place_batches(Sequences.from_lists([[0, 1, 2]]), 3, None, np.random.default_rng(0)):
        assert batch.stops is not None
        assert batch.stops.tolist() == batch.places.tolist()
