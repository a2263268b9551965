"""What is learnt from decisions: values of actions, a copy that follows them slowly, and the form of their losses."""

from abc import abstractmethod
from copy import deepcopy
from dataclasses import dataclass
from typing import Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from workers.models.batching import Batch, NegativeSampler
from workers.models.events import Events
from workers.models.inner_product import Trained
from workers.models.item_tables import ItemTables

# Values that are worked on at once: what a processor's cache holds, as in the full softmax.
_CHUNK_VALUES = 1 << 20


class Learner(Trained):
    """Network and item tables, where asked for with a second table of output vectors and a copy that follows slowly.

    Args:
        network: makes states.
        tables: of the items.
        has_head: whether there is a second table, ``head``, shape ``(n_items, dim)``.
        has_target: whether there is a copy, ``target``, from which values of later states are read.
    """

    def __init__(
        self, network: nn.Module, tables: ItemTables, *, has_head: bool = False, has_target: bool = False
    ) -> None:
        super().__init__(network, tables)
        shape = len(tables.is_seen), tables.projection.shape[1]
        self.head = nn.Parameter(torch.randn(shape) * 0.02) if has_head else None
        self.target: Learner | None = None
        self.n_followed: Tensor
        self.register_buffer("n_followed", torch.zeros((), dtype=torch.int64))
        if has_target:
            self.target = deepcopy(self).requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """As of any module; the copy is never one in training, so its values have no dropout."""
        super().train(mode)
        if self.target is not None:
            self.target.eval()
        return self

    @torch.no_grad()
    def follow(self, rate: float) -> None:
        """Move the copy a share of the way to what has been learnt since; the whole way the first time."""
        if self.target is None:
            return
        learnt = [weight for name, weight in self.named_parameters() if not name.startswith("target.")]
        for copied, weight in zip(self.target.parameters(), learnt, strict=True):
            copied.lerp_(weight, rate if self.n_followed else 1.0)
        self.n_followed += 1


@dataclass(frozen=True)
class Values:
    """What is said of actions at the states of a batch: ``states[s] · outputs[a]``.

    Attributes:
        states: shape ``(n_states, dim)``.
        outputs: shape ``(n_items, dim)``.
    """

    states: Tensor
    outputs: Tensor

    def of(self, places: Tensor, items: Tensor) -> Tensor:
        """Of one action each, shape ``(n,)``."""
        return (self.states[places] * self.outputs[items]).sum(1)

    @torch.no_grad()
    def best(self, places: Tensor, is_seen: Tensor) -> Tensor:
        """The item of the highest value at each of some states, among those that training sees, shape ``(n,)``."""
        distinct, row = torch.unique(places, return_inverse=True)
        best = torch.empty_like(distinct)
        size = max(1, _CHUNK_VALUES // len(self.outputs))
        for begin in range(0, len(distinct), size):
            chunk = slice(begin, begin + size)
            values = self.states[distinct[chunk]] @ self.outputs.T
            best[chunk] = values.masked_fill(~is_seen, -torch.inf).argmax(dim=1)
        return best[row]


class DecisionLoss:
    """Sum of the losses of a batch's decisions, and the number of them.

    Args:
        target_rate: how far, each step, the copy moves to what has been learnt.
        draw: draws what all decisions of a step share, if anything is drawn.
    """

    def __init__(self, target_rate: float, draw: NegativeSampler | None = None) -> None:
        self.target_rate = target_rate
        self.draw = draw

    def __call__(self, module: nn.Module, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, float]:
        """As :class:`Task` asks for it; ``module`` is :class:`Learner`."""
        trained = cast(Learner, module)
        device = trained.tables.is_seen.device
        # Drawn and followed also for a share of a batch that is empty: all processes must do alike.
        drawn = None if self.draw is None else torch.from_numpy(self.draw(rng)[0]).to(device)
        trained.follow(self.target_rate)
        if batch.decisions is None or not len(batch.decisions.places):
            return torch.zeros((), device=device), 0.0
        inputs, outputs = trained.tables()
        values = Values(trained.network(Events.of(batch, device), inputs).flatten(0, 1), outputs)
        return self.of_values(trained, values, batch, drawn), float(len(batch.decisions.places))

    @abstractmethod
    def of_values(self, trained: Learner, values: Values, batch: Batch, drawn: Tensor | None) -> Tensor:
        """The sum of the losses.

        Args:
            trained: what is learnt.
            values: of all states of the batch.
            batch: with decisions.
            drawn: item rows, shape ``(n_drawn,)``.
        """
