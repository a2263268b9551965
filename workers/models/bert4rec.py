"""A transformer in both directions that fills in masked items, served by inner product."""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, cast

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from workers.models.attention import MASKED, PADDING, BidirectionalNetwork
from workers.models.base import Sequences
from workers.models.batching import Batch
from workers.models.events import Events
from workers.models.search import Choice, Range, Search
from workers.models.sequence import SequenceConfig, SequenceModel


class Bert4RecConfig(SequenceConfig):
    """Hyperparameters of BERT4Rec."""

    n_layers: int = Field(2, ge=1)
    """Number of attention blocks."""
    n_heads: int = Field(2, ge=1)
    """Attention heads in each block; ``dim`` is a multiple of it."""
    masked: float = Field(0.2, gt=0, lt=1)
    """Share of the items of a window that are masked."""
    only_last: float = Field(0.1, ge=0, le=1)
    """Share of the windows in which the last item alone is masked, as when the model is asked."""

    @model_validator(mode="after")
    def _check(self) -> "Bert4RecConfig":
        if self.dim % self.n_heads:
            raise ValueError(f"dim ({self.dim}) must be a multiple of n_heads ({self.n_heads})")
        if self.horizon > 1:
            raise ValueError("horizon must be 1: what is masked stands at its own place")
        if self.trend:
            raise ValueError("trend must be 0: what is masked is not asked for at a moment before it")
        if self.dislikes:
            raise ValueError("dislikes must be 0: a state that knows what came later says nothing of a refusal before")
        return self


class Bert4Rec(SequenceModel):
    """Masked-item prediction by self-attention in both directions.

    ``u = LayerNorm(blocks(e[i_1], …, e[i_n], m))[n + 1]``, ``score(u, j) = u · v_j``, where ``m`` is the learned vector
    of the mask and the item vectors are those of :class:`SequenceModel`. In training some items of a window are
    replaced by the mask, and the loss is that of the softmax at these places; attention has a learned bias per head and
    signed distance.

    References:
        Sun et al., BERT4Rec, CIKM 2019. Petrov and Macdonald, A Systematic Review and Replicability Study of BERT4Rec,
        RecSys 2022 (how long it has to be trained).
    """

    name = "bert4rec"
    reads_weights = False
    is_causal = False
    Config = Bert4RecConfig
    search: ClassVar[Search] = {
        **SequenceModel.search,
        "n_layers": Range(1, 3),
        "n_heads": Choice((1, 2, 4)),
        "masked": Range(0.1, 0.6),
    }

    def new_network(self) -> BidirectionalNetwork:
        """Attention blocks with fresh weights."""
        c = cast(Bert4RecConfig, self.config)
        # One place more than is read: the mask that asks for the next item.
        return BidirectionalNetwork(
            dim=c.dim,
            n_layers=c.n_layers,
            n_heads=c.n_heads,
            max_length=c.max_length + 1,
            dropout=c.dropout,
            reads=c.reads,
        )

    def training_batches(self, sequences: Sequences, rng: np.random.Generator) -> Iterator[Batch]:
        """The windows of an epoch, some of their items masked; targets are those items."""
        c = cast(Bert4RecConfig, self.config)
        for batch in super().training_batches(sequences, rng):
            n_rows, length = batch.inputs.shape
            # A window is its inputs and the item that followed the last of them.
            lengths = batch.lengths + 1
            items = np.zeros((n_rows, length + 1), dtype=np.int64)
            items[:, 0] = batch.inputs[:, 0]
            items[:, 1:] = batch.targets
            places = np.arange(length + 1)
            is_there = places < lengths[:, None]
            is_last = places == lengths[:, None] - 1
            is_masked = is_there & (rng.random(items.shape) < c.masked)
            if batch.weights is not None:
                # What the first item of a window weighs is not known, since it is nobody's target elsewhere.
                is_masked[:, 0] = False
            # A window without a mask would teach nothing.
            is_asked = (rng.random(n_rows) < c.only_last) | ~is_masked.any(axis=1)
            is_masked = np.where(is_asked[:, None], is_last, is_masked)
            weights = None
            if batch.weights is not None:
                weights = np.concatenate([np.ones((n_rows, 1), np.float32), batch.weights], axis=1)
            inputs = np.where(is_there, np.where(is_masked, MASKED, items), PADDING)
            targets = np.where(is_masked, items, -1)
            yield replace(_one_more(batch), inputs=inputs, targets=targets, lengths=lengths, weights=weights)

    def last_states(self, batch: Batch, inputs: Tensor) -> Tensor:
        """The state of a mask behind the newest item of each row, shape ``(n_rows, dim)``."""
        n_rows, length = batch.inputs.shape
        asked = np.full((n_rows, length + 1), PADDING, dtype=np.int64)
        asked[:, :length] = np.where(np.arange(length) < batch.lengths[:, None], batch.inputs, PADDING)
        asked[np.arange(n_rows), batch.lengths] = MASKED
        states = self._network(Events.of(replace(_one_more(batch), inputs=asked), inputs.device), inputs)
        return states[torch.arange(n_rows), torch.from_numpy(batch.lengths).to(inputs.device)]


def _one_more(batch: Batch) -> Batch:
    """A batch with a place more for what is known of its events: of the last one, which is asked for, nothing is."""

    def longer(array: np.ndarray | None, nothing: int) -> np.ndarray | None:
        return None if array is None else np.pad(array, ((0, 0), (0, 1)), constant_values=nothing)

    return replace(
        batch,
        kinds=longer(batch.kinds, -1),
        values=longer(batch.values, 0),
        gaps=longer(batch.gaps, -1),
        times=longer(batch.times, 0),
        dislikes=None,
    )
