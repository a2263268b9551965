"""What models of action values share: temporal differences against a slow copy of what is learnt."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from workers.models.base import IntArray, Sequences
from workers.models.batching import Batch, NegativeSampler
from workers.models.decision_model import DecisionConfig, DecisionModel, Learner, on_device
from workers.models.events import Events
from workers.models.item_tables import ItemTables
from workers.models.search import Range, Search
from workers.models.trends import Trends

# Values that are worked on at once: what a processor's cache holds, as in the full softmax.
_CHUNK_VALUES = 1 << 20
_LOGGED_SHARE = 0.1


class ValueConfig(DecisionConfig):
    """Hyperparameters of models of action values."""

    target_rate: float = Field(0.05, gt=0, le=1)
    """How far, each step, the copy that values later states moves to what has been learnt; 1 is no copy at all."""
    huber: float = Field(10.0, gt=0)
    """Temporal difference, in units of the reward, from which on it counts linearly, no longer by its square."""
    negatives: float | None = Field(None, ge=0)
    """How much an item drawn at random counts, as an action of reward 0 that leaves the state as it is (SNQN), beside
    one that was taken; None: 1 where decisions are derived, since nothing else tells of failure, and 0.1 where they
    were logged, since rewards of 0 are among them."""
    n_negatives: int = Field(64, ge=1)
    """Items that a step draws for it, all alike, and shares among its decisions."""


@dataclass(frozen=True)
class Values:
    """Action values of the states of a batch, ``Q(s, a) = states[s] · outputs[a]``.

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


class ValueLoss:
    """Sum of the losses of a batch's temporal differences, and the number of its decisions.

    Args:
        config: how.
        counts: how often training sees each item, shape ``(n_items,)``.
        value_of: what a state is worth: of the values that are learnt, those of the copy, the places, the items that
            were chosen there, and the items that training sees.
        negatives: how much drawn items count.
    """

    def __init__(
        self,
        config: ValueConfig,
        counts: IntArray,
        value_of: Callable[[Values, Values, Tensor, Tensor, Tensor], Tensor],
        negatives: float,
    ) -> None:
        self.config = config
        self.value_of = value_of
        self.negatives = negatives
        self.draw = NegativeSampler(counts, config.n_negatives, power=0) if negatives else None

    def __call__(self, module: nn.Module, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, float]:
        """As :class:`Task` asks for it; ``module`` is :class:`Learner`."""
        trained = cast(Learner, module)
        device = trained.tables.is_seen.device
        # Drawn and followed also for a share of a batch that is empty: all processes must do alike.
        drawn = None if self.draw is None else torch.from_numpy(self.draw(rng)[0]).to(device)
        trained.follow(self.config.target_rate)
        if batch.decisions is None or not len(batch.decisions.places):
            return torch.zeros((), device=device), 0.0
        inputs, outputs = trained.tables()
        learnt = Values(trained.network(Events.of(batch, device), inputs).flatten(0, 1), outputs)
        decided = on_device(batch.decisions, device)
        loss = self.of_differences(trained, learnt, batch, decided, drawn) + self.beside(trained, learnt, decided)
        return loss, float(len(batch.decisions.places))

    def beside(self, trained: Learner, learnt: Values, decided: dict[str, Tensor]) -> Tensor:
        """What a subclass adds to the loss."""
        return torch.zeros((), device=learnt.states.device)

    def of_differences(
        self, trained: Learner, learnt: Values, batch: Batch, decided: dict[str, Tensor], drawn: Tensor | None
    ) -> Tensor:
        """The sum of the losses of all temporal differences.

        Args:
            trained: what is learnt, with the copy.
            learnt: its values.
            batch: the batch that they are of.
            decided: its decisions.
            drawn: item rows of the negatives, if there are any, shape ``(n_negatives,)``.
        """
        places, items = decided["places"], decided["items"]
        later, idle = self._worth(trained, learnt, batch, decided)
        loss = self._penalty(learnt.of(places, items), decided["rewards"] + self.config.discount * later).sum()
        if drawn is None:
            return loss
        values = learnt.states[places] @ learnt.outputs[drawn].T
        penalties = self._penalty(values, (self.config.discount * idle).unsqueeze(1).expand_as(values))
        return loss + self.negatives * (penalties * (drawn != items.unsqueeze(1))).mean(dim=1).sum()

    @torch.no_grad()
    def _worth(
        self, trained: Learner, learnt: Values, batch: Batch, decided: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """What each decision's next state is worth, 0 where the session ended, and what its own state is worth."""
        places, after = decided["places"], decided["next_places"]
        later = torch.zeros(len(places), device=places.device)
        if trained.target is None:
            return later, later
        inputs, outputs = trained.target.tables()
        states = trained.target.network(Events.of(batch, places.device), inputs).flatten(0, 1)
        copied = Values(states, outputs if trained.target.head is None else trained.target.head)
        goes_on, is_seen = after >= 0, trained.tables.is_seen
        later[goes_on] = self.value_of(learnt, copied, after[goes_on], decided["next_items"][goes_on], is_seen).float()
        idle = later
        if self.negatives:
            idle = self.value_of(learnt, copied, places, decided["items"], is_seen)
        return later, idle

    def _penalty(self, values: Tensor, targets: Tensor) -> Tensor:
        return functional.huber_loss(values.float(), targets.float(), reduction="none", delta=self.config.huber)


class ValueModel(DecisionModel):
    """Action values ``Q(s, a) = u · v_a`` at the state ``u`` of a user, by temporal differences.

    With decisions (state s, action a, reward r, next state s', next action a'), a copy Q⁻ of Q that follows it slowly,
    and a subclass's value V of a state, a step minimises the sum over its decisions of::

        ℓ(Q(s, a) - r - γ V(s', a')) + w · mean over drawn items j ≠ a of ℓ(Q(s, j) - γ V(s, a))

    where ℓ is Huber's loss and V(s', a') is 0 where the session ended. Rewards stay in their units. The second term
    gives what was never offered a value, that of a step without effect. The final norm's bias is a constant part of u,
    so a part of ``v_a`` is the item's bias.
    """

    Config = ValueConfig
    search: ClassVar[Search] = {**DecisionModel.search, "discount": Range(0.0, 0.95)}
    Loss: ClassVar[type[ValueLoss]] = ValueLoss

    @staticmethod
    @abstractmethod
    def value_of(learnt: Values, copied: Values, places: Tensor, items: Tensor, is_seen: Tensor) -> Tensor:
        """What states are worth; see :class:`ValueLoss`."""

    def new_module(self, network: nn.Module, tables: ItemTables) -> Learner:
        """With a copy, unless later states count nothing."""
        return Learner(network, tables, has_target=cast(ValueConfig, self.config).discount > 0)

    def new_loss(self, sequences: Sequences, counts: IntArray, trends: Trends | None) -> Any:
        """Temporal differences; see :meth:`InnerProductModel.new_loss`."""
        c = cast(ValueConfig, self.config)
        weight = (1.0 if self.is_derived else _LOGGED_SHARE) if c.negatives is None else c.negatives
        return self.Loss(c, counts, self.value_of, weight)
