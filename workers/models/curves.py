"""Curves of a training: its figures epoch by epoch, to TensorBoard, to Weights & Biases, or to both."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from recsql.errors import ModelError
from workers.models.base import TrainingOptions
from workers.models.processes import rank

Draw = Callable[[int, Mapping[str, float]], None]
"""``draw(epoch, figures)``."""


@contextmanager
def curves(options: TrainingOptions) -> Iterator[Draw]:
    """Draws figures of an epoch wherever the options ask for it, by the first process alone.

    Raises:
        ModelError: what draws them is not installed, or cannot begin.
    """
    with ExitStack() as stack:
        drawn: list[Draw] = []
        if not rank() and options.curves is not None:
            drawn.append(stack.enter_context(_tensorboard(options.curves)))
        if not rank() and options.wandb_project is not None:
            drawn.append(stack.enter_context(_wandb(options.wandb_project, options.name)))

        def draw(epoch: int, figures: Mapping[str, float]) -> None:
            for one in drawn:
                one(epoch, figures)

        yield draw


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Draw]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModelError("curves need TensorBoard: pip install 'recsql[curves]', or train without them") from error
    try:
        writer = SummaryWriter(str(folder))
    except OSError as error:
        raise ModelError(
            f"curves cannot be written to {folder} ({error.strerror}): name a folder by RECSQL_CURVES, or unset it"
        ) from error
    with writer:

        def draw(epoch: int, figures: Mapping[str, float]) -> None:
            for name, value in figures.items():
                writer.add_scalar(name, value, epoch)

        yield draw


@contextmanager
def _wandb(project: str, name: str) -> Iterator[Draw]:
    try:
        wandb: Any = import_module("wandb")
    except ImportError as error:
        raise ModelError(
            "curves in Weights & Biases need its client: pip install 'recsql[wandb]', or unset RECSQL_WANDB_PROJECT"
        ) from error
    try:
        # Where to, offline or not, and under which key is said by the WANDB_… variables.
        run = wandb.init(project=project, name=name or None, settings=wandb.Settings(silent=True))
    except wandb.Error as error:
        told = str(error).splitlines()[0].rstrip(".")
        raise ModelError(
            f"Weights & Biases cannot begin a run ({told}): log in, set WANDB_MODE=offline, or unset "
            "RECSQL_WANDB_PROJECT"
        ) from error
    # A training that fails is marked as failed there.
    with run:
        yield lambda epoch, figures: run.log(dict(figures), step=epoch)
