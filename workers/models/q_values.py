"""What models of action values share: temporal differences against a slow copy of what is learnt."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from workers.models.base import IntArray, Sequences
from workers.models.batching import Batch, NegativeSampler
from workers.models.decision_model import DecisionConfig, DecisionModel
from workers.models.events import Events
from workers.models.item_tables import ItemTables
from workers.models.learner import DecisionLoss, Learner, Values
from workers.models.search import Range, Search
from workers.models.trends import Trends

_DERIVED_SHARE = 10.0
_LOGGED_SHARE = 0.1

ValueOf = Callable[[Values, Values, Tensor, Tensor, Tensor], Tensor]
"""What states are worth: of the values that are learnt, those of the copy, places, shape ``(n,)``, the items that were
chosen there, and whether training sees each item, shape ``(n_items,)``."""


class ValueConfig(DecisionConfig):
    """Hyperparameters of models of action values."""

    target_rate: float = Field(0.05, gt=0, le=1)
    """How far, each step, the copy that values later states moves to what has been learnt; 1 is no copy at all."""
    huber: float = Field(10.0, gt=0)
    """Temporal difference, in units of the reward, from which on it counts linearly, no longer by its square."""
    negatives: float | None = Field(None, ge=0)
    """How much items drawn at random count together, as actions of reward 0 that end the session, beside one that was
    taken; None: 10 where decisions are derived, since nothing else tells of failure, and 0.1 where they were logged,
    since rewards of 0 are among them."""
    n_negatives: int = Field(64, ge=1)
    """Items that a step draws for it, all alike, and shares among its decisions."""


class ValueLoss(DecisionLoss):
    """The temporal differences of :class:`ValueModel`.

    Args:
        config: how.
        counts: how often training sees each item, shape ``(n_items,)``.
        value_of: V.
        negatives: w, how much drawn items count.
    """

    def __init__(self, config: ValueConfig, counts: IntArray, value_of: ValueOf, negatives: float) -> None:
        super().__init__(
            config.target_rate, NegativeSampler(counts, config.n_negatives, power=0) if negatives else None
        )
        self.config = config
        self.value_of = value_of
        self.negatives = negatives

    def of_values(self, trained: Learner, values: Values, batch: Batch, drawn: Tensor | None) -> Tensor:
        """The sum of the losses of all temporal differences; arguments as of :class:`DecisionLoss`."""
        assert batch.decisions is not None
        places, items, rewards = (
            torch.from_numpy(array).to(values.states.device)
            for array in (batch.decisions.places, batch.decisions.items, batch.decisions.rewards)
        )
        later = self._later(trained, values, batch)
        loss = self._penalty(values.of(places, items), rewards + self.config.discount * later).sum()
        if drawn is None:
            return loss
        others = values.states[places] @ values.outputs[drawn].T
        penalties = self._penalty(others, torch.zeros_like(others))
        return loss + self.negatives * (penalties * (drawn != items.unsqueeze(1))).mean(dim=1).sum()

    @torch.no_grad()
    def _later(self, trained: Learner, values: Values, batch: Batch) -> Tensor:
        """What each decision's next state is worth, 0 where the session ended."""
        assert batch.decisions is not None
        device, is_seen = values.states.device, trained.tables.is_seen
        later = torch.zeros(len(batch.decisions.places), device=device)
        if trained.target is None:
            return later
        places, items = (
            torch.from_numpy(array).to(device) for array in (batch.decisions.next_places, batch.decisions.next_items)
        )
        inputs, outputs = trained.target.tables()
        states = trained.target.network(Events.of(batch, device), inputs).flatten(0, 1)
        copied = Values(states, outputs if trained.target.head is None else trained.target.head)
        goes_on = places >= 0
        later[goes_on] = self.value_of(values, copied, places[goes_on], items[goes_on], is_seen).float()
        return later

    def _penalty(self, values: Tensor, targets: Tensor) -> Tensor:
        return functional.huber_loss(values.float(), targets.float(), reduction="none", delta=self.config.huber)


class ValueModel(DecisionModel):
    """Action values ``Q(s, a) = u · v_a`` at the state ``u`` of a user, by temporal differences.

    With decisions (state s, action a, reward r, next state s', next action a'), a copy Q⁻ of Q that follows it slowly,
    and a subclass's value V of a state, a step minimises the sum over its decisions of::

        ℓ(Q(s, a) - r - γ V(s', a')) + w · mean over drawn items j of [j ≠ a] ℓ(Q(s, j))

    where ℓ is Huber's loss and V(s', a') is 0 where the session ended. Rewards stay in their units. The second term
    gives what was never offered a value: none. To value it as a step without effect, γ V(s), as SNQN does, would feed
    the maximum on itself. The final norm's bias is a constant part of u, so a part of ``v_a`` is
    the item's bias.
    """

    Config = ValueConfig
    search: ClassVar[Search] = {**DecisionModel.search, "discount": Range(0.0, 0.95)}

    @staticmethod
    @abstractmethod
    def value_of(learnt: Values, copied: Values, places: Tensor, items: Tensor, is_seen: Tensor) -> Tensor:
        """V; see :data:`ValueOf`."""

    def new_module(self, network: nn.Module, tables: ItemTables) -> Learner:
        """With a copy, unless later states count nothing."""
        return Learner(network, tables, has_target=cast(ValueConfig, self.config).discount > 0)

    def new_loss(self, sequences: Sequences, counts: IntArray, trends: Trends | None) -> Any:
        """Temporal differences; see :meth:`InnerProductModel.new_loss`."""
        return ValueLoss(cast(ValueConfig, self.config), counts, self.value_of, self.negatives)

    @property
    def negatives(self) -> float:
        """How much drawn items count in the training that goes on."""
        configured = cast(ValueConfig, self.config).negatives
        if configured is None:
            return _DERIVED_SHARE if self.is_derived else _LOGGED_SHARE
        return configured


def double_value(learnt: Values, copied: Values, places: Tensor, items: Tensor, is_seen: Tensor) -> Tensor:
    """The copy's value of what is learnt to be best: Double DQN's, which the maximum of noise raises less."""
    return copied.of(places, learnt.best(places, is_seen))
