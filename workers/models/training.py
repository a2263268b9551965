"""The training loop of all models that learn by gradients.

Weights are averaged over the last steps, the average is what is evaluated and kept. With a validation measure training
stops when it no longer rises, and the best epoch is kept; without one it runs all epochs. Every epoch ends with a
checkpoint, from which a training that was killed goes on as if nothing had happened. Of several processes each computes
a share of every batch and all make the same step, the one that a single process would make.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, distributed, nn

from recsql.errors import ModelError
from workers.models.base import ModelConfig, TrainingOptions
from workers.models.checkpoint import make_folder, resume, save_checkpoint
from workers.models.curves import curves
from workers.models.processes import rank, world_size

_log = logging.getLogger(__name__)

# While training is young, the average reaches back over a quarter of the steps so far.
_AVERAGE_LAG = 4
_STEPS_BETWEEN_LOOKS = 50


class TrainingConfig(ModelConfig):
    """Hyperparameters of the loop."""

    learning_rate: float = Field(0.003, gt=0)
    """Step of AdamW after the warm-up."""
    warmup_steps: int = Field(50, ge=0)
    """Steps over which the learning rate rises to its full height."""
    decay: Literal["none", "cosine"] = "none"
    """How the learning rate falls from epoch to epoch: not at all, where averaged weights take the place of a schedule,
    or along half a cosine that ends at 0 after ``epochs``."""
    weight_decay: float = Field(0.1, ge=0)
    """Decoupled weight decay of all matrices."""
    clip: float = Field(1.0, gt=0)
    """Largest norm of a step's gradient."""
    average: float = Field(0.995, ge=0, lt=1)
    """Decay, per step, of the moving average of the weights, which is what is evaluated and kept; 0 for none."""
    adversarial: float = Field(0.0, ge=0)
    """Norm of the change of the item vectors, the worst one to first order, that each step is trained against as well
    (He et al., Adversarial Personalized Ranking, SIGIR 2018); 0 for none. Twice the time."""
    epochs: int = Field(18, ge=1)
    """Passes over the data: at most so many with targets to stop by, exactly so many without."""
    patience: int = Field(5, ge=1)
    """Epochs without a better NDCG@10 after which training stops."""


class Shareable(Protocol):
    """A batch that several processes can share out."""

    def share(self, rank: int, n_shares: int) -> Self:
        """One of ``n_shares`` parts, which together are all of it; may be empty."""
        ...


B = TypeVar("B", bound=Shareable)


@dataclass
class Task(Generic[B]):
    """What is to be trained.

    Attributes:
        module: holds all parameters that are learnt.
        batches: the batches of one epoch, drawn with the generator that it is given.
        loss: sum of the losses of a batch's places, and the sum of their weights, by which it will be divided.
        validate: NDCG@10 of a module of that kind; None where nothing is held out.
        disturbed: the parameters that adversarial training changes.
    """

    module: nn.Module
    batches: Callable[[np.random.Generator], Iterator[B]]
    loss: Callable[[nn.Module, B, np.random.Generator], tuple[Tensor, float]]
    validate: Callable[[nn.Module], float] | None = None
    disturbed: list[nn.Parameter] = field(default_factory=list)


def train(
    task: Task[B], config: TrainingConfig, options: TrainingOptions, fingerprint: str
) -> tuple[nn.Module, dict[str, float]]:
    """Train a module.

    Args:
        task: what; its module is trained in place.
        config: how.
        options: seed, device, progress, checkpoint and curves.
        fingerprint: of data and configuration: a checkpoint of another training is not gone on with.

    Returns:
        The module with the kept weights, and what was measured: ``epochs`` and ``loss`` of the kept epoch, ``ndcg@10``
        with validation, ``seconds`` of all epochs, those before the process was killed included.

    Raises:
        ModelError: the loss, or a weight, is no longer a number; says at which step, of all epochs. The checkpoint
            then is of the epoch before. Also if a GPU's memory does not hold a step, or the checkpoint cannot be read
            or written.
    """
    state = State(task.module, config, options)
    if options.checkpoint is not None:
        make_folder(options.checkpoint)
        if resume(state, options.checkpoint, fingerprint):
            _log.info("training goes on", extra={"epoch": state.epoch})
    # With what those took that were trained before it was killed.
    began = time.perf_counter() - state.seconds
    with curves(options) as draw:
        while state.epoch < config.epochs and not state.is_stalled:
            with _memory_explained():
                mean_loss = state.run_epoch(task)
                # Where nothing is new to a version that is gone on from, there is no loss.
                measured = {"epochs": float(state.epoch)} | ({} if mean_loss is None else {"loss": mean_loss})
                if task.validate is not None:
                    measured["ndcg@10"] = task.validate(state.averaged)
            state.judge(measured)
            draw(state.epoch, measured | {"learning_rate": state.optimizer.param_groups[0]["lr"]})
            told = ", ".join(f"{name} {value:.4f}" for name, value in measured.items() if name != "epochs")
            options.measured(measured)
            options.progress(state.epoch, config.epochs, told)
            _log.info("epoch trained", extra=measured)
            state.seconds = time.perf_counter() - began
            if options.checkpoint is not None:
                save_checkpoint(state, options.checkpoint, fingerprint)
    task.module.load_state_dict(state.kept)
    return task.module, {**state.best, "seconds": state.seconds}


@contextmanager
def seeded(options: TrainingOptions) -> Iterator[None]:
    """Everything random inside follows the seed, and nothing outside is changed by it."""
    devices = [torch.device(options.device)] if options.device.startswith("cuda") else []
    was_deterministic = torch.backends.cudnn.deterministic
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(options.seed)
        torch.backends.cudnn.deterministic = True
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic = was_deterministic


def mixed_precision(device: torch.device) -> torch.autocast:
    """Products of matrices in bfloat16 on a GPU; on a CPU all as it is."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


@contextmanager
def _memory_explained() -> Iterator[None]:
    """Say what to do where a GPU is full.

    Raises:
        ModelError: it is.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise ModelError(
            f"the GPU's memory does not hold a step ({str(error).splitlines()[0]}); lower batch_tokens or batch_size, "
            "dim or max_length"
        ) from error


class State:
    """Everything that changes while a module is trained."""

    def __init__(self, module: nn.Module, config: TrainingConfig, options: TrainingOptions) -> None:
        self.module = module
        self.config = config
        self.device = torch.device(options.device)
        self.rng = np.random.default_rng(options.seed)
        self.averaged = deepcopy(module)
        self.optimizer = _new_optimizer(module, config)
        self.epoch = 0
        self.step = 0
        self.seconds = 0.0
        self.best: dict[str, float] = {"epochs": 0.0}
        self.kept: dict[str, Any] = {}

    @property
    def is_stalled(self) -> bool:
        """Whether the last epochs were no better than the best one."""
        return self.epoch - self.best["epochs"] >= self.config.patience and bool(self.kept)

    def run_epoch(self, task: Task[B]) -> float | None:
        """One pass over the data; the mean loss, None where there is nothing to learn from.

        Raises:
            ModelError: the loss of a step is no number, or a weight after the last of them.
        """
        self.epoch += 1
        self.module.train()
        total, n_places = torch.zeros((), device=self.device), 0.0
        bad_step = torch.zeros((), dtype=torch.int64, device=self.device)
        for batch in task.batches(self.rng):
            loss, weight = self._take_step(task, batch)
            total += loss
            n_places += weight
            bad_step = torch.where(torch.isfinite(loss) | (bad_step > 0), bad_step, self.step)
            # A look at the value waits for the GPU, so there it is taken now and then.
            if self.device.type == "cpu" or self.step % _STEPS_BETWEEN_LOOKS == 0:
                self._check(bad_step, total)
        self._check(bad_step, total)
        # A loss that is a number may have a gradient that is none, which the next step would show if there were one.
        if not all(bool(weight.isfinite().all()) for weight in self.averaged.parameters()):
            raise ModelError(
                f"training diverged: weights of epoch {self.epoch} are no numbers after step {self.step}; "
                f"lower learning_rate (now {self.config.learning_rate:g}) and train again"
            )
        return float(total) / n_places if n_places else None

    def _check(self, bad_step: Tensor, total: Tensor) -> None:
        """Stop where the loss of a step was no number, or the sum of an epoch's losses no longer is.

        Raises:
            ModelError: it was not.
        """
        if int(bad_step) or not math.isfinite(float(total)):
            raise ModelError(
                f"training diverged: the loss of epoch {self.epoch} is {float(total)} at step "
                f"{int(bad_step) or self.step}; lower learning_rate (now {self.config.learning_rate:g}) and train again"
            )

    def judge(self, measured: dict[str, float]) -> None:
        """Keep the averaged weights if they are the best so far, or if nothing says which are."""
        if "ndcg@10" not in measured or not self.kept or measured["ndcg@10"] > self.best["ndcg@10"]:
            self.best = measured
            self.kept = {name: value.clone() for name, value in self.averaged.state_dict().items()}

    def _take_step(self, task: Task[B], batch: B) -> tuple[Tensor, float]:
        """One step of the optimizer; the batch's summed loss and weight over all processes."""
        self.step += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * self._rate()
        part = batch.share(rank(), world_size())
        self.optimizer.zero_grad()
        loss, weight = self._backward(task, part)
        if self.config.adversarial and task.disturbed:
            with self._disturbed(task.disturbed):
                self._backward(task, part)
        total = loss.detach()
        if world_size() > 1:
            sums = torch.stack([total, torch.tensor(weight, device=self.device)])
            distributed.all_reduce(sums)
            total, weight = sums[0], float(sums[1])
            for parameter in self.module.parameters():
                if parameter.requires_grad:
                    parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                    distributed.all_reduce(parameter.grad)
        for parameter in self.module.parameters():
            if parameter.grad is not None:
                parameter.grad /= max(weight, 1e-12)
        nn.utils.clip_grad_norm_(self.module.parameters(), self.config.clip)
        self.optimizer.step()
        self._update_average()
        return total, weight

    def _backward(self, task: Task[B], batch: B) -> tuple[Tensor, float]:
        with mixed_precision(self.device):
            loss, weight = task.loss(self.module, batch, self.rng)
        if loss.requires_grad:
            loss.backward()
        return loss, weight

    @contextmanager
    def _disturbed(self, parameters: list[nn.Parameter]) -> Iterator[None]:
        """The parameters moved along their gradient, together by the norm ``adversarial``."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]
        if world_size() > 1:
            for gradient in gradients:
                distributed.all_reduce(gradient)
        before = [parameter.detach().clone() for parameter in parameters]
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().clamp(min=1e-12)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter += self.config.adversarial * gradient / norm
        yield
        with torch.no_grad():
            for parameter, kept in zip(parameters, before, strict=True):
                parameter.copy_(kept)

    def _rate(self) -> float:
        """The share of the full learning rate that this step takes."""
        rising = min(1.0, self.step / self.config.warmup_steps) if self.config.warmup_steps else 1.0
        if self.config.decay == "none":
            return rising
        return rising * (1 + math.cos(math.pi * (self.epoch - 1) / self.config.epochs)) / 2

    @torch.no_grad()
    def _update_average(self) -> None:
        n_before = self.step - 1
        share = 1 - min(self.config.average, n_before / (n_before + _AVERAGE_LAG))
        for average, new in zip(self.averaged.parameters(), self.module.parameters(), strict=True):
            average.lerp_(new, share)


def _new_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    learnt = [weight for weight in module.parameters() if weight.requires_grad]
    matrices = [weight for weight in learnt if weight.dim() > 1]
    vectors = [weight for weight in learnt if weight.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
