"""What was in demand when, and models whose scores it is a part of."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from recsql.errors import ModelError
from workers.models.base import Sequences, TrainingData
from workers.models.bert4rec import Bert4RecConfig
from workers.models.gru4rec import Gru4RecConfig
from workers.models.inner_product import InnerProductModel
from workers.models.losses import full_softmax_loss, sampled_softmax_loss
from workers.models.registry import get_model, load_artifact, save_artifact
from workers.models.trends import Prior, Trends

DAY = 86_400
SEQUENCE = {"dim": 8, "max_length": 4, "learning_rate": 0.02, "epochs": 15, "batch_tokens": 64}
SMALL: dict[str, dict[str, Any]] = {
    "gru4rec": {**SEQUENCE, "hidden_dim": 8},
    "joint": {**SEQUENCE, "n_negatives": 8},
    "nextitnet": {**SEQUENCE, "kernel_size": 2, "dilations": (1,)},
    "transformer": SEQUENCE,
    "two_tower": {"dim": 8, "hidden": 8, "learning_rate": 0.02, "epochs": 15, "batch_size": 32, "n_negatives": 8},
}


def at_times(histories: list[list[tuple[int, int]]]) -> Sequences:
    """From items and days."""
    sequences = Sequences.from_lists([[item for item, _ in history] for history in histories])
    days = [day for history in histories for _, day in history]
    return Sequences(sequences.items, sequences.offsets, times=np.array(days, dtype=np.int64) * DAY)


def test_trend_halves_with_its_half_life() -> None:
    # A step is a day.
    trends = Trends.of(at_times([[(0, 100), (1, 107)], [(0, 100)]]), 3, half_life=7)
    # Nothing is known on the first day; on the eighth two events with item 0, a half-life old, count as one; behind it
    # they are eight days old, and the one with item 1 a day.
    prior = trends.prior(np.array([100, 107, 101]) * DAY, torch.device("cpu"))
    found = prior.table[prior.rows].numpy()
    np.testing.assert_allclose(found[0], [0, 0, 0])
    np.testing.assert_allclose(found[1], np.log1p([1, 0, 0]), rtol=1e-6)
    np.testing.assert_allclose(found[2], np.log1p([2 * 0.5 ** (1 / 7), 0, 0]), rtol=1e-6)
    np.testing.assert_allclose(trends.newest(), np.log1p([0.5 ** (1 / 7), 0.5 ** (1 / 7), 0]), rtol=1e-6)


def test_trend_of_nothing_is_nothing() -> None:
    nothing = Sequences(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64), times=np.zeros(0, dtype=np.int64))
    assert Trends.of(nothing, 2, half_life=7).newest().tolist() == [0, 0]


def test_trend_needs_times() -> None:
    with pytest.raises(ModelError, match="when things happened"):
        Trends.of(Sequences.from_lists([[0, 1]]), 2, half_life=7)


def test_prior_is_a_part_of_the_logits() -> None:
    torch.manual_seed(0)
    states, outputs = torch.randn(3, 4), torch.randn(5, 4)
    targets, weights = torch.tensor([0, 1, 4]), torch.tensor([1.0, 2.0, 0.5])
    prior = Prior(torch.randn(2, 5), torch.tensor([1, 0, 1]))
    logits = states @ outputs.T + prior.table[prior.rows]
    expected = (functional.cross_entropy(logits, targets, reduction="none") * weights).sum()
    seen = torch.ones(5, dtype=torch.bool)
    torch.testing.assert_close(full_softmax_loss(states, outputs, targets, weights, seen, prior), expected)
    # All items once as negatives that are expected once: the same, a target being no negative of itself.
    everything = torch.arange(5)
    sampled = sampled_softmax_loss(states, outputs, targets, weights, everything, torch.zeros(5), prior)
    torch.testing.assert_close(sampled, expected)


def old_and_new() -> TrainingData:
    """After item 0 as many had item 1 as item 2, but those who had item 2 had it of late."""
    old = [[(0, day), (1, day)] for day in range(20)]
    new = [[(0, day), (2, day)] for day in range(40, 60)]
    return TrainingData(at_times([*old, *new]), 3)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_model_with_a_trend_prefers_what_is_in_demand_now(name: str) -> None:
    kind, data, history = get_model(name), old_and_new(), Sequences.from_lists([[0], []])
    assert issubclass(kind, InnerProductModel)
    model = kind(kind.Config.model_validate(SMALL[name] | {"trend": 7}))
    model.fit(data)
    scores = model.score(history, np.array([[1, 2], [1, 2]]))
    # A week's demand against one that is six half-lives old: a difference of more than 1.
    assert scores[0, 1] > scores[0, 0] + 1
    assert np.isnan(scores[1]).all()
    users, items = model.user_vectors(history), model.item_vectors()
    assert users.shape == (2, 9)
    assert users.dtype == items.dtype == np.float32
    assert items[:, 8].tolist() == Trends.of(data.sequences, 3, 7).newest().tolist()
    np.testing.assert_allclose((users @ items.T)[0, 1:], scores[0], rtol=1e-5)
    loaded = load_artifact(save_artifact(model))
    np.testing.assert_array_equal(loaded.score(history, np.array([[1, 2], [1, 2]])), scores)


def test_artifact_with_a_trend_of_another_size_is_refused() -> None:
    model = get_model("gru4rec")(Gru4RecConfig.model_validate(SMALL["gru4rec"] | {"trend": 7, "epochs": 1}))
    model.fit(old_and_new())
    state = model.state()
    for broken in ({n: a for n, a in state.items() if n != "trend"}, state | {"trend": np.zeros(2, np.float32)}):
        with pytest.raises(ModelError, match="trend is missing"):
            model.restore(broken)


def test_losses_that_have_no_place_for_a_trend_refuse_it() -> None:
    with pytest.raises(ValidationError, match="trend must be 0"):
        Gru4RecConfig.model_validate({"trend": 7, "loss": "gbce"})
    with pytest.raises(ValidationError, match="trend must be 0"):
        Bert4RecConfig.model_validate({"trend": 7})
