"""What sequence models read of an event beside its item, and what they learn from what was turned down."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from workers.models.base import Dislikes, Sequences, TrainingData
from workers.models.batching import Batch, history_batches, training_batches
from workers.models.bert4rec import Bert4RecConfig
from workers.models.events import EventInputs, Events, Reads
from workers.models.registry import get_model
from workers.models.sequence import SequenceModel

F32 = np.float32
ALL: Reads = ("kind", "value", "gap")
SEQUENTIAL = ("bert4rec", "gru4rec", "joint", "nextitnet", "transformer")


def sequences() -> Sequences:
    """Two users with 4 and 2 interactions."""
    return Sequences(
        items=np.array([5, 6, 7, 8, 1, 2]),
        offsets=np.array([0, 4, 6]),
        weights=np.ones(6, dtype=F32),
        kinds=np.array([0, 1, 0, 1, 2, 2]),
        values=np.array([0.5, -1, 0, 2, 1, 1], dtype=F32),
        times=np.array([100, 100, 160, 1000, 5, 9]),
        dislikes=Dislikes(np.array([0, 2, 5]), np.array([3, 4, 0]), np.array([1, 0.5, 2], dtype=F32)),
    )


def test_batches_have_what_is_known_of_their_inputs() -> None:
    (batch,) = training_batches(sequences(), 10, 100, np.random.default_rng(0))
    first, second = (int(np.flatnonzero(batch.rows == user)[0]) for user in (0, 1))
    assert batch.inputs[first].tolist() == [5, 6, 7]
    assert batch.targets[first].tolist() == [6, 7, 8]
    assert batch.kinds is not None
    assert batch.kinds[first].tolist() == [0, 1, 0]
    assert batch.kinds[second].tolist() == [2, -1, -1]
    assert batch.values is not None
    assert batch.values[first].tolist() == [0.5, -1, 0]
    # Nobody's first has a gap; the second user begins anew.
    assert batch.gaps is not None
    assert batch.gaps[first].tolist() == [-1, 0, 60]
    assert batch.gaps[second, 0] == -1
    # The dislike after the second user's last interaction is at no input of a window: that one is only a target.
    assert batch.dislikes is not None
    assert batch.dislikes.places.tolist() == [3 * first, 3 * first + 2]
    assert batch.dislikes.items.tolist() == [3, 4]
    assert batch.dislikes.weights.tolist() == [1, 0.5]


def test_histories_know_the_gap_before_the_window() -> None:
    (batch,) = history_batches(sequences(), 2, 100)
    first = int(np.flatnonzero(batch.rows == 0)[0])
    assert batch.inputs[first].tolist() == [7, 8]
    assert batch.gaps is not None
    assert batch.gaps[first].tolist() == [60, 840]
    assert batch.dislikes is None


def test_shares_of_a_batch_have_their_own_dislikes() -> None:
    batch = Batch(
        rows=np.arange(3),
        inputs=np.arange(6).reshape(3, 2),
        targets=np.ones((3, 2), dtype=np.int64),
        lengths=np.array([2, 2, 2]),
        dislikes=Dislikes(np.array([1, 2, 5]), np.array([10, 11, 12]), np.array([1, 2, 3], dtype=F32)),
    )
    even, odd = batch.share(0, 2).dislikes, batch.share(1, 2).dislikes
    # Rows 0 and 2 become 0 and 1 of the first share, row 1 becomes 0 of the second.
    assert even is not None
    assert even.places.tolist() == [1, 3]
    assert even.items.tolist() == [10, 12]
    assert odd is not None
    assert odd.places.tolist() == [0]
    assert odd.weights.tolist() == [2]


def test_inputs_by_hand() -> None:
    inputs = EventInputs(2, ALL)
    assert inputs.kinds is not None
    assert inputs.value is not None
    assert inputs.gaps is not None
    with torch.no_grad():
        inputs.kinds[2] = torch.tensor([1.0, 0.0])
        inputs.value.copy_(torch.tensor([0.0, 10.0]))
        # 0 is none, 1 is under a second, and 60 seconds are of octave 5: 2^5 <= 61 < 2^6.
        inputs.gaps[0] = torch.tensor([100.0, 0.0])
        inputs.gaps[6] = torch.tensor([0.0, 1000.0])
    events = Events(
        torch.tensor([[1, 0]]), torch.tensor([[1, -1]]), torch.tensor([[0.5, 0.0]]), torch.tensor([[-1, 60]])
    )
    items = torch.tensor([[0.25, 0.25], [0.5, 0.5]])
    assert inputs(events, items).tolist() == [[[101.5, 5.5], [0.25, 1000.25]]]
    # What the data do not have is left out.
    assert inputs(Events(torch.tensor([[1, 0]])), items).tolist() == [[[0.5, 0.5], [0.25, 0.25]]]


def kinds_tell(n_users: int = 80) -> Sequences:
    """Everybody has item 0 and goes on to 1 after an event of kind 0, to 2 after one of kind 1."""
    kinds = np.arange(n_users) % 2
    items = np.stack([np.zeros(n_users, dtype=np.int64), kinds + 1], axis=1).ravel()
    return Sequences(
        items, np.arange(0, 2 * n_users + 1, 2), kinds=np.stack([kinds, np.zeros_like(kinds)], axis=1).ravel()
    )


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_models_read_the_kind_of_an_event(name: str) -> None:
    kind = get_model(name)
    small: dict[str, Any] = {"dim": 8, "max_length": 4, "epochs": 40, "learning_rate": 0.02, "batch_tokens": 64}
    model = kind(kind.Config.model_validate(small | {"reads": ["kind"]}))
    model.fit(TrainingData(kinds_tell(), 3))
    asked = Sequences(np.array([0, 0]), np.array([0, 1, 2]), kinds=np.array([0, 1]))
    scores = model.score(asked, np.array([[1, 2], [1, 2]]))
    assert scores[0, 0] > scores[0, 1]
    assert scores[1, 1] > scores[1, 0]


def test_what_was_turned_down_sinks() -> None:
    kind = get_model("transformer")
    histories = Sequences.from_lists([[0, 1 + user % 2] for user in range(60)])
    # After item 0 half went on to 1 and half to 2, and everybody turned 2 down at that moment.
    dislikes = Dislikes(np.arange(0, 120, 2), np.full(60, 2), np.ones(60, dtype=F32))
    turned_down = Sequences(histories.items, histories.offsets, dislikes=dislikes)
    small: dict[str, Any] = {"dim": 8, "max_length": 4, "epochs": 30, "learning_rate": 0.02, "batch_tokens": 64}

    def margin(weight: float) -> float:
        model = kind(kind.Config.model_validate(small | {"dislikes": weight}))
        assert isinstance(model, SequenceModel)
        model.fit(TrainingData(turned_down, 3))
        scores = model.score(Sequences.from_lists([[0]]), np.array([[1, 2]]))
        return float(scores[0, 0] - scores[0, 1])

    assert abs(margin(0)) < 0.3
    assert margin(2) > margin(0) + 0.3


def test_a_state_that_knows_the_future_learns_no_dislikes() -> None:
    with pytest.raises(ValidationError, match="dislikes must be 0"):
        Bert4RecConfig(dislikes=1.0)


def test_targets_are_drawn_from_as_many_events_as_the_horizon() -> None:
    histories, rng = Sequences.from_lists([[0, 1, 2, 3, 4], [7, 8]]), np.random.default_rng(0)
    drawn: dict[int, set[int]] = {}
    for _ in range(200):
        for batch in training_batches(histories, 10, 100, rng, horizon=3):
            for item, target in zip(batch.inputs.ravel(), batch.targets.ravel(), strict=True):
                if target >= 0:
                    drawn.setdefault(int(item), set()).add(int(target))
    # Near the end there are fewer; nothing is drawn of another user.
    assert drawn == {0: {1, 2, 3}, 1: {2, 3, 4}, 2: {3, 4}, 3: {4}, 7: {8}}
