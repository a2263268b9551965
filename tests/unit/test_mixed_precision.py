"""Training in mixed precision, as on a GPU, by the CPU's own: all models, items and losses, without a GPU."""

from typing import Any

import numpy as np
import pytest
import torch

from workers.models import losses, training
from workers.models.base import Sequences, TrainingData
from workers.models.registry import MODELS, get_model
from workers.models.training import TrainingConfig
from workers.models.trends import Prior

N_ITEMS = 12
SMALL = {"dim": 8, "max_length": 6, "epochs": 2, "learning_rate": 0.01}
GRADIENT = sorted(name for name in MODELS if issubclass(get_model(name).Config, TrainingConfig))


def variants() -> list[tuple[str, dict[str, Any]]]:
    """Every model, with items of each kind, and each loss of those that have some."""
    found: list[tuple[str, dict[str, Any]]] = []
    for name in GRADIENT:
        fields = get_model(name).Config.model_fields
        of_items = ("both", "id", "content") if "items" in fields else (None,)
        found += [(name, {} if items is None else {"items": items}) for items in of_items]
    return [
        *found,
        ("transformer", {"loss": "gbce", "n_negatives": 4}),
        ("transformer", {"full_softmax_items": 0, "n_negatives": 4}),
        ("transformer", {"trend": 1.0}),
        ("transformer", {"trend": 1.0, "full_softmax_items": 0, "n_negatives": 4}),
        ("joint", {"full_softmax_items": 0, "n_negatives": 4, "is_policy_derived": True}),
        ("sqn", {"network": "gru"}),
    ]


@pytest.mark.parametrize(("name", "options"), variants())
def test_model_learns_in_mixed_precision(monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, Any]) -> None:
    entered: list[str] = []

    def mixed(device: torch.device) -> torch.autocast:
        entered.append(device.type)
        return torch.autocast("cpu", dtype=torch.bfloat16)

    monkeypatch.setattr(training, "mixed_precision", mixed)
    sequences = Sequences.from_lists([[(start + n) % N_ITEMS for n in range(3 + start % 5)] for start in range(30)])
    if "trend" in options:
        seconds = np.concatenate([np.arange(length) for length in np.diff(sequences.offsets)]) * 86_400
        sequences = Sequences(sequences.items, sequences.offsets, times=seconds)
    content = np.random.default_rng(0).standard_normal((N_ITEMS, 4)).astype(np.float32)
    kind = get_model(name)
    known = {option: value for option, value in SMALL.items() if option in kind.Config.model_fields}
    model = kind(kind.Config(**known | options))
    measured = model.fit(TrainingData(sequences, N_ITEMS, content))
    assert entered
    assert np.isfinite(measured["loss"])
    scores = model.score(sequences, np.arange(N_ITEMS)[None].repeat(sequences.n_users, axis=0))
    assert np.isfinite(scores).all()
    # What is learnt is kept in full.
    assert {array.dtype for array in model.state().values() if array.dtype.kind == "f"} == {np.dtype(np.float32)}


def test_trend_keeps_its_digits() -> None:
    states, outputs = torch.zeros(1, 4), torch.zeros(2, 4)
    # 8.01 and 8 are the same number in 16 bits.
    prior = Prior(torch.tensor([[8.01, 8.0]]), torch.tensor([0]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = losses.full_softmax_loss(
            states, outputs, torch.tensor([0]), torch.ones(1), torch.ones(2, dtype=torch.bool), prior
        )
    assert float(loss) == pytest.approx(np.log(1 + np.exp(-0.01)), abs=1e-6)
