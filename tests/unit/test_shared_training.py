"""Several processes that train one model: they learn what one does, and go on from one checkpoint."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn

from workers import together
from workers.models.base import Model, Sequences, TrainingData, TrainingOptions
from workers.models.registry import get_model

N_ITEMS = 12
# Dropout is off: each process would drop what it likes.
SMALL = {"dim": 8, "epochs": 3, "learning_rate": 0.01, "dropout": 0.0}
SEQUENCE = SMALL | {"max_length": 6, "batch_tokens": 64}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("transformer", SEQUENCE),
    "adversarial": ("transformer", SEQUENCE | {"adversarial": 0.1}),
    "sampled": ("transformer", SEQUENCE | {"full_softmax_items": 0, "n_negatives": 4}),
    "gbce": ("transformer", SEQUENCE | {"loss": "gbce", "n_negatives": 4}),
    "bert4rec": ("bert4rec", SEQUENCE),
    "gru4rec": ("gru4rec", SEQUENCE | {"hidden_dim": 8}),
    "nextitnet": ("nextitnet", SEQUENCE),
    "joint": ("joint", SEQUENCE | {"is_policy_derived": True}),
    "q_learning": ("q_learning", SEQUENCE),
    "two_tower": ("two_tower", SMALL | {"hidden": 8, "batch_size": 64, "n_negatives": 8}),
    "neumf": ("neumf", SMALL | {"batch_size": 64}),
}


def new_model(variant: str, **changes: Any) -> Model:
    name, options = VARIANTS[variant]
    kind = get_model(name)
    return kind(kind.Config(**options | changes))


def data() -> TrainingData:
    """Everybody goes round the same circle of items, from a place and for a while of their own."""
    rng = np.random.default_rng(3)
    lists = [[(start + n) % N_ITEMS for n in range(rng.integers(2, 9))] for start in range(30)]
    following = Sequences.from_lists([[(history[-1] + 1) % N_ITEMS] for history in lists])
    content = rng.standard_normal((N_ITEMS, 4)).astype(np.float32)
    return TrainingData(Sequences.from_lists(lists), N_ITEMS, content, following)


def test_what_a_killed_training_handed_to_its_processes_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together.tempfile, "gettempdir", lambda: str(tmp_path))
    # No process has a number so high; this one is alive.
    for name in ("recsql-training-4999999-abc", f"recsql-training-{os.getpid()}-abc", "recsql-training-mine", "else"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "handed").write_text("")
    together._forget_killed()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "else",
        f"recsql-training-{os.getpid()}-abc",
        "recsql-training-mine",
    ]


def two_processes(task: Callable[[int, str], None], folder: Path) -> None:
    """Do something as each of two processes that train together."""
    spawn(_as_one_of_two, (task, str(folder)), nprocs=2)


def _as_one_of_two(rank: int, task: Callable[[int, str], None], folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    task(rank, folder)
    distributed.destroy_process_group()


def _save(model: Model, path: str) -> None:
    np.savez(path, **model.state())  # pyright: ignore[reportArgumentType]


def _fit_all(rank: int, folder: str) -> None:
    for variant in VARIANTS:
        model = new_model(variant)
        model.fit(data())
        _save(model, f"{folder}/{variant}-{rank}.npz")


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    two_processes(_fit_all, tmp_path)
    for variant in VARIANTS:
        alone = new_model(variant)
        alone.fit(data())
        with np.load(tmp_path / f"{variant}-0.npz") as first, np.load(tmp_path / f"{variant}-1.npz") as second:
            for name, array in alone.state().items():
                told = f"{variant} {name}"
                np.testing.assert_array_equal(first[name], second[name], err_msg=told)
                np.testing.assert_allclose(first[name], array, atol=2e-4, err_msg=told)


class _KilledError(Exception):
    """Stands for the end of the processes."""


def _fit_and_go_on(rank: int, folder: str) -> None:
    whole = new_model("plain", dropout=0.3)
    whole.fit(data())
    _save(whole, f"{folder}/whole-{rank}.npz")

    def killed(done: int, total: int, note: str) -> None:
        if done == 2:
            raise _KilledError

    # Each has a disk of its own, and the first one alone writes.
    checkpoint = Path(folder) / f"{rank}" / "checkpoint"
    with pytest.raises(_KilledError):
        new_model("plain", dropout=0.3).fit(data(), TrainingOptions(progress=killed, checkpoint=checkpoint))
    assert checkpoint.exists() == (rank == 0)
    epochs: list[int] = []
    resumed = new_model("plain", dropout=0.3)
    told = TrainingOptions(progress=lambda done, total, note: epochs.append(done), checkpoint=checkpoint)
    resumed.fit(data(), told)
    assert epochs == [2, 3]
    _save(resumed, f"{folder}/resumed-{rank}.npz")
    # Left for one process to go on with.
    with pytest.raises(_KilledError):
        new_model("plain", dropout=0.3).fit(data(), TrainingOptions(seed=1, progress=killed, checkpoint=checkpoint))


def test_two_processes_go_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    two_processes(_fit_and_go_on, tmp_path)
    for rank in range(2):
        with np.load(tmp_path / f"whole-{rank}.npz") as whole, np.load(tmp_path / f"resumed-{rank}.npz") as resumed:
            for name in whole.files:
                np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)
    epochs: list[int] = []
    options = TrainingOptions(
        1, progress=lambda done, total, note: epochs.append(done), checkpoint=tmp_path / "0/checkpoint"
    )
    new_model("plain", dropout=0.3).fit(data(), options)
    assert epochs == [2, 3]
