"""Artifacts of 8 bits: how numbers are rounded, and what becomes of the scores."""

from typing import Any

import numpy as np
import pytest

from recsql.errors import ModelError
from workers.models.base import Sequences, TrainingData
from workers.models.inner_product import InnerProductModel
from workers.models.quantised import Quantised, dequantise, quantise
from workers.models.registry import get_model, load_artifact, save_artifact, save_int8_artifact

N_ITEMS = 127
SMALL: dict[str, dict[str, Any]] = {
    "transformer": {"dim": 32, "max_length": 8, "epochs": 3, "learning_rate": 0.01},
    "gru4rec": {"dim": 32, "hidden_dim": 32, "max_length": 8, "epochs": 3, "learning_rate": 0.01},
    "bert4rec": {"dim": 32, "max_length": 8, "epochs": 3, "learning_rate": 0.01},
    "nextitnet": {"dim": 32, "max_length": 8, "epochs": 3, "learning_rate": 0.01},
    "two_tower": {"dim": 32, "hidden": 32, "epochs": 3, "batch_size": 64, "n_negatives": 8},
}
EVERYTHING = np.arange(N_ITEMS)[None]


def histories() -> Sequences:
    return Sequences.from_lists([[(start + step) % (N_ITEMS - 1) for step in range(7)] for start in range(120)])


@pytest.fixture(scope="module", params=sorted(SMALL))
def fitted(request: pytest.FixtureRequest) -> InnerProductModel:
    kind = get_model(request.param)
    model = kind(kind.Config(**SMALL[request.param]))
    model.fit(TrainingData(histories(), N_ITEMS))
    assert isinstance(model, InnerProductModel)
    return model


def test_rows_are_rounded_by_their_largest_number() -> None:
    matrix = np.array([[127, -63.4, 0.6], [0, 0, 0], [np.nan, np.nan, np.nan], [0.0254, -0.0127, 0]], dtype=np.float32)
    vector = np.array([0.1, 0.2], dtype=np.float32)
    packed = quantise({"m": matrix, "v": vector})
    # Scales 127 / 127, 0, NaN and 0.0254 / 127 = 0.0002; -0.0127 / 0.0002 = -63.5, which goes to the even -64.
    assert packed["m"].dtype == np.int8
    assert packed["m"][[0, 1, 2]].tolist() == [[127, -63, 1], [0, 0, 0], [0, 0, 0]]
    assert packed["m"][3, 0] == 127
    assert packed["m"][3, 1] in (-63, -64)
    np.testing.assert_allclose(packed["m:scale"], [1, 0, np.nan, 0.0002], rtol=1e-5)
    back = dequantise(packed)
    assert list(back) == ["m", "v"]
    assert np.isnan(back["m"][2]).all()
    # No number is off by more than half a step.
    assert (np.abs(back["m"] - matrix)[[0, 1, 3]] <= packed["m:scale"][[0, 1, 3], None] * 0.5001).all()
    np.testing.assert_array_equal(back["v"], vector)
    assert quantise({"c": np.ones((2, 3, 4), np.float32), "e": np.zeros((0, 5), np.float32)})["c"].shape == (2, 3, 4)


def test_artifact_is_smaller_and_ranks_alike(fitted: InnerProductModel) -> None:
    whole, small = save_artifact(fitted), save_int8_artifact(fitted)
    # Of numbers a quarter remains, with a scale for each row of 32, and what the header takes.
    assert len(small) < 0.45 * len(whole)
    loaded = load_artifact(small)
    assert isinstance(loaded, Quantised)
    assert loaded.of is type(fitted)
    assert loaded.describe() == fitted.describe()
    asked = histories()
    items = np.broadcast_to(EVERYTHING, (asked.n_users, N_ITEMS))
    exact, rounded = fitted.score(asked, items), loaded.score(asked, items)
    # The last item was had by nobody.
    assert (np.isnan(rounded) == np.isnan(exact)).all()
    exact, rounded = exact[:, :-1], rounded[:, :-1]
    errors = np.abs(rounded - exact).max(axis=1) / exact.std(axis=1)
    assert np.median(errors) < 0.3
    assert not np.array_equal(exact, rounded)
    assert np.mean(exact.argmax(axis=1) == rounded.argmax(axis=1)) > 0.8
    np.testing.assert_allclose(loaded.user_vectors(asked) @ loaded.item_vectors()[:-1].T, rounded, rtol=1e-4, atol=1e-4)


def test_artifact_loaded_twice_scores_the_same(fitted: InnerProductModel) -> None:
    blob, asked = save_int8_artifact(fitted), histories()
    items = np.broadcast_to(EVERYTHING, (asked.n_users, N_ITEMS))
    np.testing.assert_array_equal(load_artifact(blob).score(asked, items), load_artifact(blob).score(asked, items))
    assert save_int8_artifact(fitted) == blob


def test_artifact_that_is_damaged_is_refused(fitted: InnerProductModel) -> None:
    blob = save_int8_artifact(fitted)
    for place in (60, len(blob) // 2, len(blob) - 1):
        flipped = bytearray(blob)
        flipped[place] ^= 0x10
        with pytest.raises(ModelError):
            load_artifact(bytes(flipped))
    loaded = load_artifact(blob)
    for name in ("outputs:scale", "outputs", "inputs"):
        with pytest.raises(ModelError, match="again"):
            loaded.restore({key: value for key, value in loaded.state().items() if key != name})
    with pytest.raises(ModelError, match="one a row"):
        loaded.restore({**loaded.state(), "outputs:scale": loaded.state()["outputs:scale"][1:]})


def test_quantised_model_is_not_trained(fitted: InnerProductModel) -> None:
    with pytest.raises(ModelError, match=f"train a {fitted.name} and export it"):
        Quantised(fitted).fit(TrainingData(histories(), N_ITEMS))


def test_model_that_has_no_vectors_has_no_form_of_8_bits() -> None:
    kind = get_model("ease")
    model = kind()
    model.fit(TrainingData(Sequences.from_lists([[0, 1], [1, 2]]), 3))
    with pytest.raises(ModelError, match="ease has no form of 8 bits"):
        save_int8_artifact(model)
