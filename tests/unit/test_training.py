"""The loop that all models learnt by gradients share."""

import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsql.errors import ModelError
from workers.models import losses, training
from workers.models.base import Sequences, TrainingData, TrainingOptions
from workers.models.batching import Batch, history_batches, training_batches
from workers.models.bert4rec import Bert4Rec, Bert4RecConfig
from workers.models.checkpoint import forget_stale
from workers.models.dropout import Dropout
from workers.models.losses import full_softmax_loss, gbce_loss, sampled_softmax_loss
from workers.models.sequence import SequenceModel
from workers.models.training import Task, TrainingConfig, train
from workers.models.transformer import Transformer, TransformerConfig

N_ITEMS = 12
SMALL = {"dim": 8, "max_length": 6, "batch_tokens": 64, "epochs": 4, "learning_rate": 0.01}


def histories() -> Sequences:
    """Everybody goes round the same circle of items, from a place and for a while of their own."""
    rng = np.random.default_rng(3)
    return Sequences.from_lists([[(start + n) % N_ITEMS for n in range(rng.integers(2, 9))] for start in range(30)])


def data(*, with_targets: bool = True) -> TrainingData:
    sequences = histories()
    following = Sequences.from_lists([[(sequences.of(user)[-1] + 1) % N_ITEMS] for user in range(sequences.n_users)])
    return TrainingData(sequences, N_ITEMS, targets=following if with_targets else None)


def states_equal(one: SequenceModel, other: SequenceModel) -> None:
    for name, array in one.state().items():
        np.testing.assert_array_equal(array, other.state()[name], err_msg=name)


class _KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("with_targets", [True, False])
@pytest.mark.parametrize("loss", ["softmax", "gbce"])
def test_training_that_was_killed_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, with_targets: bool, loss: str
) -> None:
    config = TransformerConfig.model_validate(SMALL | {"loss": loss, "n_negatives": 4})
    whole = Transformer(config)
    measured = whole.fit(data(with_targets=with_targets))

    def killed(done: int, total: int, note: str) -> None:
        if done == 3:
            raise _KilledError

    checkpoint = tmp_path / "deep" / "model.checkpoint"
    with pytest.raises(_KilledError):
        Transformer(config).fit(
            data(with_targets=with_targets), TrainingOptions(progress=killed, checkpoint=checkpoint)
        )
    epochs: list[int] = []
    resumed = Transformer(config)
    again = resumed.fit(
        data(with_targets=with_targets),
        TrainingOptions(progress=lambda done, total, note: epochs.append(done), checkpoint=checkpoint),
    )
    # The third epoch was trained, but the process ended before its checkpoint.
    assert epochs == [3, 4]
    assert {**again, "seconds": 0} == {**measured, "seconds": 0}
    states_equal(whole, resumed)


def test_seconds_of_a_training_are_those_before_it_was_killed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def tick(done: int, total: int, note: str) -> None:
        nonlocal now
        now += 100
        if done == 3 and now == 300:
            raise _KilledError

    monkeypatch.setattr(training.time, "perf_counter", lambda: now)
    line = tmp_path / "line.checkpoint"
    with pytest.raises(_KilledError):
        Line([1.0] * 3).measured({"epochs": 4}, TrainingOptions(checkpoint=line, progress=tick))
    # Two epochs of 100 seconds are in the checkpoint, and two more follow it.
    now = 5000.0
    assert Line([1.0] * 2).measured({"epochs": 4}, TrainingOptions(checkpoint=line, progress=tick))["seconds"] == 400


def test_checkpoint_of_another_training_is_left_alone(tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.checkpoint"
    Transformer(TransformerConfig.model_validate(SMALL)).fit(data(), TrainingOptions(checkpoint=checkpoint))
    epochs: list[int] = []
    options = TrainingOptions(seed=1, progress=lambda done, total, note: epochs.append(done), checkpoint=checkpoint)
    Transformer(TransformerConfig.model_validate(SMALL)).fit(data(), options)
    assert epochs == [1, 2, 3, 4]


@pytest.mark.parametrize("content", [b"no checkpoint", b""])
def test_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    checkpoint = tmp_path / "model.checkpoint"
    checkpoint.write_bytes(content)
    with pytest.raises(ModelError, match="delete it"):
        Transformer(TransformerConfig.model_validate(SMALL)).fit(data(), TrainingOptions(checkpoint=checkpoint))


def test_checkpoint_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[int] = []
    options = TrainingOptions(
        checkpoint=tmp_path / "file" / "line.checkpoint", progress=lambda done, total, note: told.append(done)
    )
    with pytest.raises(ModelError, match=r"cannot be written .*RECSQL_CHECKPOINTS"):
        Line([1.0]).train({"epochs": 1}, options)
    # Before anything was trained; a folder in the place of the file is found when it is written.
    assert not told
    (tmp_path / "folder" / "line.checkpoint").mkdir(parents=True)
    (tmp_path / "folder" / "line.checkpoint" / "in the way").write_text("")
    with pytest.raises(ModelError, match=r"checkpoint .*folder.*cannot be (read|written)"):
        Line([1.0]).train({"epochs": 1}, TrainingOptions(checkpoint=tmp_path / "folder" / "line.checkpoint"))
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["line.checkpoint"]


def test_checkpoints_that_nobody_went_on_from_are_forgotten(tmp_path: Path) -> None:
    names = {"run-1-als": 15, "run-2-als": 13, "run-3-als.77.new": 15, "mine": 15}
    for name, days in names.items():
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (0, time.time() - days * 86_400))
    forget_stale(tmp_path)
    forget_stale(tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "run-2-als"]


def test_loss_that_is_no_number_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    checkpoint = tmp_path / "line.checkpoint"
    seen: list[bytes] = []

    def note(done: int, total: int, told: str) -> None:
        seen.append(checkpoint.read_bytes() if checkpoint.exists() else b"")

    line = Line([1.0, 1.0, math.nan])
    with pytest.raises(ModelError, match="epoch 3 is nan at step 3"):
        train(
            line.task(),
            TrainingConfig.model_validate({"epochs": 5}),
            TrainingOptions(checkpoint=checkpoint, progress=note),
            "line",
        )
    # Told of epochs 1 and 2, and what the file held after epoch 1 is not what it holds now.
    assert len(seen) == 2
    assert seen[1]
    assert checkpoint.read_bytes() != seen[1]


class Line:
    """One number that is learnt; each epoch's loss is it times a given slope."""

    def __init__(self, slopes: list[float]) -> None:
        self.module = nn.Linear(1, 1, bias=False)
        self.slopes = iter(slopes)

    def task(self, validate: Any = None) -> Task[Batch]:
        def loss(module: nn.Module, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, float]:
            weight = next(iter(module.parameters()))
            return next(self.slopes) * weight.sum(), 1.0

        one = np.zeros((1, 1), dtype=np.int64)
        return Task(self.module, lambda rng: iter([Batch(one[0], one, one, one[0])]), loss, validate)

    def train(self, config: dict[str, Any], options: TrainingOptions | None = None) -> float:
        """The number after a training from 0."""
        self.measured(config, options)
        return float(self.module.state_dict()["weight"])

    def measured(self, config: dict[str, Any], options: TrainingOptions | None = None) -> dict[str, float]:
        """What is measured in a training from 0."""
        self.module.load_state_dict({"weight": torch.zeros(1, 1)})
        plain = {"average": 0, "warmup_steps": 0, "weight_decay": 0}
        return train(self.task(), TrainingConfig.model_validate(plain | config), options or TrainingOptions(), "line")[
            1
        ]


def test_training_keeps_the_best_epoch_and_stops_when_it_no_longer_gets_better() -> None:
    values = iter([0.1, 0.3, 0.2, 0.25, 0.29, 0.9])
    line = Line([1.0] * 6)
    config = TrainingConfig.model_validate(
        {"epochs": 6, "patience": 3, "average": 0, "warmup_steps": 0, "weight_decay": 0, "learning_rate": 0.5}
    )
    module, measured = train(line.task(lambda module: next(values)), config, TrainingOptions(), "line")
    # Epoch 2 is the best of the first five; three without a better one follow it. The 0.9 is never seen.
    assert measured["epochs"] == 2
    assert measured["ndcg@10"] == 0.3
    assert next(values) == 0.9
    # Adam's step is the learning rate where the gradient is always the same: 2 × 0.5 down from where it was after 0.
    steps = Line([1.0] * 6)
    steps.module.load_state_dict({"weight": module.state_dict()["weight"] + 1.0})
    again, _ = train(steps.task(), config.model_copy(update={"epochs": 2}), TrainingOptions(), "line")
    torch.testing.assert_close(again.state_dict()["weight"], module.state_dict()["weight"])


def test_learning_rate_warms_up_and_decays(tmp_path: Path) -> None:
    line = Line([1.0] * 4)
    line.module.load_state_dict({"weight": torch.zeros(1, 1)})
    config = TrainingConfig.model_validate(
        {
            "epochs": 4,
            "average": 0,
            "warmup_steps": 2,
            "decay": "cosine",
            "weight_decay": 0,
            "learning_rate": 1.0,
            "clip": 1e9,
        }
    )
    module, _ = train(line.task(), config, TrainingOptions(), "line")
    # Half a step, then (1 + cos(π k / 4)) / 2 of a step for k = 1, 2, 3: 0.8536, 0.5, 0.1464. Together 2.
    assert float(module.state_dict()["weight"]) == pytest.approx(-2.0, abs=1e-4)


def test_gradients_are_clipped() -> None:
    # Clipped to a norm of 1 the second step is as long as the first, the learning rate; by the whole gradients Adam's
    # is (0.09 · 1000 + 0.1) / 0.19 over the root of (0.0196 · 1000² + 0.02) / 0.0396, which is 0.674 of it.
    assert Line([1000.0, 1.0]).train({"epochs": 2, "learning_rate": 0.5}) == pytest.approx(-1.0, abs=1e-4)
    unclipped = Line([1000.0, 1.0]).train({"epochs": 2, "learning_rate": 0.5, "clip": 1e9})
    assert unclipped == pytest.approx(-0.5 * 1.674, abs=1e-3)


def test_matrices_decay_and_vectors_do_not() -> None:
    line = nn.Linear(1, 1)
    line.load_state_dict({"weight": torch.ones(1, 1), "bias": torch.ones(1)})

    def nothing(module: nn.Module, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, float]:
        return sum((0 * weight.sum() for weight in module.parameters()), torch.zeros(())), 1.0

    one = np.zeros((1, 1), dtype=np.int64)
    task = Task(line, lambda rng: iter([Batch(one[0], one, one, one[0])]), nothing)
    config = {"epochs": 1, "average": 0, "warmup_steps": 0, "weight_decay": 0.1, "learning_rate": 0.5}
    module, _ = train(task, TrainingConfig.model_validate(config), TrainingOptions(), "line")
    assert module.state_dict()["weight"].item() == pytest.approx(1 - 0.5 * 0.1)
    assert module.state_dict()["bias"].item() == 1


def test_weights_that_are_no_numbers_are_not_kept(tmp_path: Path) -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.ones(2))

    def loss(module: nn.Module, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, float]:
        x = module.x
        assert isinstance(x, nn.Parameter)
        # 0, with a gradient of 0 · ∞.
        return (x - x.detach()).abs().sqrt().sum(), 1.0

    one = np.zeros((1, 1), dtype=np.int64)
    task = Task(Root(), lambda rng: iter([Batch(one[0], one, one, one[0])]), loss)
    checkpoint = tmp_path / "root.checkpoint"
    with pytest.raises(ModelError, match="weights of epoch 1 are no numbers after step 1; lower learning_rate"):
        train(task, TrainingConfig(epochs=3), TrainingOptions(checkpoint=checkpoint), "root")
    assert not checkpoint.exists()


def test_full_gpu_says_what_to_lower() -> None:
    def loss(module: nn.Module, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, float]:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nMore of it.")

    one = np.zeros((1, 1), dtype=np.int64)
    task = Task(nn.Linear(1, 1), lambda rng: iter([Batch(one[0], one, one, one[0])]), loss)
    with pytest.raises(ModelError, match=r"does not hold a step \(CUDA out .* 9 GiB\.\); lower batch_tokens"):
        train(task, TrainingConfig(), TrainingOptions(), "full")


def test_adversarial_training_adds_the_loss_of_the_worst_change() -> None:
    class Square(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.tensor([3.0, 4.0]))

    def loss(module: nn.Module, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, float]:
        x = module.x
        assert isinstance(x, nn.Parameter)
        seen.append(x.detach().clone())
        return x.pow(2).sum() / 2, 1.0

    seen: list[Tensor] = []
    square = Square()
    one = np.zeros((1, 1), dtype=np.int64)
    task = Task(square, lambda rng: iter([Batch(one[0], one, one, one[0])]), loss, None, [square.x])
    config = TrainingConfig.model_validate(
        {"epochs": 1, "average": 0, "warmup_steps": 0, "weight_decay": 0, "learning_rate": 1e-9, "adversarial": 0.5}
        | {"clip": 1e9}
    )
    module, _ = train(task, config, TrainingOptions(), "square")
    # The gradient at (3, 4) is (3, 4), of norm 5: half a unit along it is (0.3, 0.4). Then it is taken back.
    torch.testing.assert_close(seen[1], torch.tensor([3.3, 4.4]))
    torch.testing.assert_close(module.state_dict()["x"], torch.tensor([3.0, 4.0]))
    # The step was by the sum of both gradients.
    torch.testing.assert_close(square.x.grad, torch.tensor([6.3, 8.4]))


def test_curves_are_written(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    Transformer(TransformerConfig.model_validate(SMALL)).fit(data(), TrainingOptions(curves=tmp_path))
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"loss", "ndcg@10", "learning_rate"} <= set(events.Tags()["scalars"])
    assert [point.step for point in events.Scalars("loss")] == [1, 2, 3, 4]


def test_curves_are_written_offline_to_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="pip install 'recsql[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    options = TrainingOptions(wandb_project="recsql", name="run-7-transformer")
    Transformer(TransformerConfig.model_validate(SMALL)).fit(data(), options)
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    # A process of the client's writes it, which may be a little behind.
    deadline = time.monotonic() + 60
    while b"run-7-transformer" not in file.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)
    # The client's own format: names stand in it as they are, those of figures once an epoch at least.
    written = file.read_bytes()
    assert b"run-7-transformer" in written
    for name in (b"loss", b"ndcg@10", b"learning_rate"):
        assert written.count(name) >= 4


def test_curves_in_no_folder_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ModelError, match=r"curves cannot be written to .*file.*name a folder by RECSQL_CURVES"):
        Transformer(TransformerConfig.model_validate(SMALL)).fit(data(), TrainingOptions(curves=file / "run-1"))


def test_curves_say_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ModelError, match=r"recsql\[wandb\]"):
        Transformer(TransformerConfig.model_validate(SMALL)).fit(data(), TrainingOptions(wandb_project="recsql"))


def test_softmax_losses_by_hand() -> None:
    states = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    outputs = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [9.0, 0.0]])
    targets, weights = torch.tensor([1, 2]), torch.tensor([1.0, 0.5])
    # Logits 2, 1, 0 and an item that is never seen: log(e² + e + 1) - 1. Logits 0, 0, 1: log(1 + 1 + e) - 1, by half.
    is_seen = torch.tensor([True, True, True, False])
    expected = math.log(math.e**2 + math.e + 1) - 1 + 0.5 * (math.log(2 + math.e) - 1)
    assert float(full_softmax_loss(states, outputs, targets, weights, is_seen)) == pytest.approx(expected)
    # Negatives 0 (expected twice, so log 2 less), 2, and 1; the target itself is none.
    negatives, log_expected = torch.tensor([0, 2, 1]), torch.tensor([math.log(2), 0.0, 0.0])
    expected = math.log(math.e + math.e**2 / 2 + 1) - 1 + 0.5 * (math.log(math.e + 1 / 2 + 1) - 1)
    found = sampled_softmax_loss(states, outputs, targets, weights, negatives, log_expected)
    assert float(found) == pytest.approx(expected)


def test_full_softmax_has_the_gradients_of_the_operations_that_it_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    # Three places at a time, so that the last of the ten are a chunk of one.
    monkeypatch.setattr(losses, "_CHUNK_LOGITS", 3 * N_ITEMS)
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(10, 4, generator=generator).requires_grad_()
    outputs = torch.randn(N_ITEMS, 4, generator=generator).requires_grad_()
    targets = torch.randint(0, N_ITEMS - 1, (10,), generator=generator)
    weights = torch.rand(10, generator=generator)
    is_seen = torch.arange(N_ITEMS) < N_ITEMS - 1
    found = full_softmax_loss(states, outputs, targets, weights, is_seen)
    found_gradients = torch.autograd.grad(3 * found, (states, outputs))
    logits = (states @ outputs.T).masked_fill(~is_seen, -torch.inf)
    expected = (functional.cross_entropy(logits, targets, reduction="none") * weights).sum()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for one, other in zip(found_gradients, torch.autograd.grad(3 * expected, (states, outputs)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_dropout_keeps_the_mean_and_is_off_when_asked() -> None:
    torch.manual_seed(0)
    dropout, ones = Dropout(0.25), torch.ones(400, 300)
    dropped = dropout(ones)
    # 64 of 256: what is kept counts 4/3. The share of 120,000 has a standard deviation of 0.00125.
    assert dropped.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.005)
    assert not torch.equal(dropout(ones), dropped)
    assert torch.equal(dropout.eval()(ones), ones)


def test_gbce_by_hand() -> None:
    states, weights = torch.tensor([[1.0]]), torch.tensor([2.0])
    outputs = torch.tensor([[0.0], [math.log(3)]])
    target, negatives = torch.tensor([1]), torch.tensor([0])
    # σ(log 3) = 3/4 for the target, σ(0) = 1/2 for the negative; the place counts twice.
    plain = 2 * (-math.log(3 / 4) + math.log(2))
    assert float(gbce_loss(states, outputs, target, weights, negatives, 0.1, 0.0)) == pytest.approx(plain)
    # Fully calibrated, the positive counts as much as the share that is sampled.
    full = 2 * (-0.1 * math.log(3 / 4) + math.log(2))
    assert float(gbce_loss(states, outputs, target, weights, negatives, 0.1, 1.0)) == pytest.approx(full)


def test_bert4rec_masks_are_the_targets() -> None:
    sequences = histories()
    model = Bert4Rec(Bert4RecConfig.model_validate({"dim": 8, "max_length": 6, "batch_tokens": 64}))
    n_masked = n_items = 0
    for batch in model.training_batches(sequences, np.random.default_rng(0)):
        for row in range(len(batch.rows)):
            inputs, targets = batch.inputs[row, : batch.lengths[row]], batch.targets[row, : batch.lengths[row]]
            # The window stands somewhere in the user's own history once its masks are filled in.
            window = np.where(targets >= 0, targets, inputs)
            history = sequences.of(batch.rows[row]).tolist()
            assert any(history[at : at + len(window)] == window.tolist() for at in range(len(history)))
            assert ((inputs == -1) == (targets >= 0)).all()
            assert (targets >= 0).any()
            assert (batch.inputs[row, batch.lengths[row] :] == -2).all()
            n_masked += int((targets >= 0).sum())
            n_items += len(window)
    # A fifth of the items, a little more for the windows in which the last one alone is asked for.
    assert 0.15 < n_masked / n_items < 0.4


def test_bert4rec_asks_for_no_item_whose_weight_is_not_known() -> None:
    sequences = histories()
    weighted = Sequences(sequences.items, sequences.offsets, np.full(len(sequences.items), 0.5, np.float32))
    options = {"dim": 8, "max_length": 6, "batch_tokens": 64, "masked": 0.5}
    for with_weights in (False, True):
        model = Bert4Rec(Bert4RecConfig.model_validate(options | {"is_weighted": with_weights}))
        batches = list(model.training_batches(weighted, np.random.default_rng(0)))
        # The first item of a window is nobody's target elsewhere.
        assert any((batch.targets[:, 0] >= 0).any() for batch in batches) is not with_weights
        assert all((batch.targets >= 0).any(axis=1).all() for batch in batches)


def test_little_of_a_batch_is_padding() -> None:
    rng = np.random.default_rng(0)
    sequences = Sequences.from_lists([[0] * n for n in rng.geometric(0.03, 2000)])
    for batches in (history_batches(sequences, 100, 2048), training_batches(sequences, 100, 2048, rng)):
        filled, size = np.sum([(batch.lengths.sum(), batch.inputs.size) for batch in batches], axis=0)
        # In the order of users it is two thirds.
        assert filled / size > 0.85


def test_items_are_made_of_what_is_asked_for() -> None:
    sequences = histories()
    content = np.random.default_rng(0).standard_normal((N_ITEMS, 4)).astype(np.float32)
    content[1] = content[0]
    both = {"items": "both"}, {"items": "id"}, {"items": "content"}
    for options in both:
        model = Transformer(TransformerConfig.model_validate(SMALL | options))
        model.fit(TrainingData(sequences, N_ITEMS, content))
        vectors = model.item_vectors()
        # Two items of the same content are one where content is all there is.
        assert np.allclose(vectors[0], vectors[1]) == (options["items"] == "content")
    with pytest.raises(ModelError, match="no content vectors"):
        Transformer(TransformerConfig.model_validate(SMALL | {"items": "content"})).fit(
            TrainingData(sequences, N_ITEMS)
        )


def test_weights_of_events_are_those_of_their_losses() -> None:
    sequences = histories()
    weights = np.ones(len(sequences.items), dtype=np.float32)
    weighted = TrainingData(Sequences(sequences.items, sequences.offsets, weights), N_ITEMS)
    plain, alike = (Transformer(TransformerConfig.model_validate(SMALL | {"is_weighted": True})) for _ in range(2))
    plain.fit(TrainingData(sequences, N_ITEMS))
    alike.fit(weighted)
    states_equal(plain, alike)
    # Of an event that counts almost nothing, almost nothing is learnt: item 5 is hardly ever recommended after 4.
    weights[sequences.items == 5] = 1e-6
    less = Transformer(TransformerConfig.model_validate(SMALL | {"is_weighted": True, "epochs": 12}))
    less.fit(TrainingData(Sequences(sequences.items, sequences.offsets, weights), N_ITEMS))
    # A rating of ten deviations below the mean leaves a tenth: the same weights make the same model.
    values = np.where(sequences.items == 5, np.float32(-10), np.float32(0))
    rated = Transformer(TransformerConfig.model_validate(SMALL | {"value_weight": 1.0}))
    rated.fit(TrainingData(Sequences(sequences.items, sequences.offsets, values=values), N_ITEMS))
    tenths = np.where(sequences.items == 5, np.float32(0.1), np.float32(1))
    tenth = Transformer(TransformerConfig.model_validate(SMALL | {"is_weighted": True}))
    tenth.fit(TrainingData(Sequences(sequences.items, sequences.offsets, tenths), N_ITEMS))
    states_equal(rated, tenth)
    full = Transformer(TransformerConfig.model_validate(SMALL | {"epochs": 12}))
    full.fit(TrainingData(sequences, N_ITEMS))
    asked, everything = Sequences.from_lists([[3, 4]]), np.arange(N_ITEMS)[None]
    assert full.score(asked, everything)[0].argmax() == 5
    assert less.score(asked, everything)[0].argmax() != 5
