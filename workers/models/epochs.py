"""Training epoch by epoch, and which of them is kept."""

import logging
import time
from collections.abc import Callable
from typing import cast

import numpy as np
from pydantic import Field

from recsql.errors import ModelError
from workers.models.base import Model, ModelConfig, TrainingOptions

_log = logging.getLogger(__name__)


class EpochsConfig(ModelConfig):
    """What training by gradient descent has to be told."""

    learning_rate: float = Field(0.003, gt=0)
    """Step of AdamW."""
    weight_decay: float = Field(0.1, ge=0)
    """Decoupled weight decay."""
    epochs: int = Field(10, ge=1)
    """Passes over the data: at most so many with targets to stop by, exactly so many without."""
    patience: int = Field(5, ge=1)
    """Epochs without a better NDCG@10 after which training stops."""
    batch_size: int = Field(512, ge=1)
    """Events that are predicted in one step."""


def train_epochs(
    model: Model,
    options: TrainingOptions,
    train_epoch: Callable[[], float],
    take: Callable[[], None],
    validate: Callable[[], float] | None,
) -> dict[str, float]:
    """Train a model whose configuration is an :class:`EpochsConfig`.

    It is left as it was after the epoch of the best NDCG@10, or after the last one without validation; so it is when
    training fails later.

    Args:
        model: what is trained.
        options: progress is reported to.
        train_epoch: passes over the data once and returns the mean loss.
        take: makes the model score with what has been learnt so far.
        validate: measures NDCG@10; None when there are no targets.

    Returns:
        ``epochs``, ``loss`` and ``ndcg@10`` of the epoch that is kept, and ``seconds``.

    Raises:
        ModelError: if the loss is no longer a number.
    """
    started = time.perf_counter()
    config = cast(EpochsConfig, model.config)
    best: dict[str, float] = {"epochs": 0.0, "loss": 0.0}
    kept: dict[str, np.ndarray] | None = None
    try:
        for epoch in range(1, config.epochs + 1):
            loss = train_epoch()
            if not np.isfinite(loss):
                raise ModelError(
                    f"training diverged: the loss of epoch {epoch} is {loss}; "
                    f"lower learning_rate (now {config.learning_rate:g}) and train again"
                )
            take()
            measured = {"epochs": float(epoch), "loss": loss}
            if validate is not None:
                measured["ndcg@10"] = validate()
            note = ", ".join(f"{name} {value:.4f}" for name, value in measured.items() if name != "epochs")
            options.progress(epoch, config.epochs, note)
            _log.info("epoch trained", extra=measured)
            if validate is None or kept is None or measured["ndcg@10"] > best["ndcg@10"]:
                best, kept = measured, {name: array.copy() for name, array in model.state().items()}
            if epoch - best["epochs"] >= config.patience:
                break
    finally:
        if kept is not None:
            model.restore(kept)
    return {**best, "seconds": time.perf_counter() - started}
