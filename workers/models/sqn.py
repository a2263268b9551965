"""Next-item prediction that action values regularise."""

from typing import Any, ClassVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from workers.models.base import IntArray, Sequences
from workers.models.batching import Batch
from workers.models.decisions import places_per_decision
from workers.models.inner_product import Trained
from workers.models.item_tables import ItemTables
from workers.models.learner import Learner, Values
from workers.models.q_values import ValueConfig, ValueLoss, ValueModel, double_value
from workers.models.search import Range, Search
from workers.models.sequence import SequenceLoss
from workers.models.trends import Trends


class SqnConfig(ValueConfig):
    """Hyperparameters of SQN."""

    q_weight: float = Field(1.0, ge=0)
    """How much temporal differences count beside the cross-entropy."""
    negatives: float | None = Field(0.0, ge=0)
    """As of :class:`ValueConfig`; 0 is SQN, above it Q learns of drawn items, too."""


class SqnLoss(SequenceLoss):
    """The cross-entropies of what came next, and temporal differences of a second table of output vectors.

    Args:
        config: how.
        counts: how often training sees each item, shape ``(n_items,)``.
        differences: the loss of the action values.
        per_decision: places with a target for each decision, so that both terms count alike whatever their numbers.
    """

    def __init__(self, config: SqnConfig, counts: IntArray, differences: ValueLoss, per_decision: float) -> None:
        super().__init__(config, counts)
        self.differences = differences
        self.per_decision = per_decision
        self.q_weight = config.q_weight
        self.drawn: Tensor | None = None

    def __call__(self, module: nn.Module, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, float]:
        """As :class:`Task` asks for it; ``module`` is :class:`Learner`."""
        trained, draw = cast(Learner, module), self.differences.draw
        trained.follow(self.differences.target_rate)
        self.drawn = None if draw is None else torch.from_numpy(draw(rng)[0]).to(trained.tables.is_seen.device)
        return super().__call__(module, batch, rng)

    def of_decisions(self, trained: Trained, states: Tensor, outputs: Tensor, batch: Batch) -> Tensor:
        """The temporal differences; arguments as of :class:`SequenceLoss`."""
        learner = cast(Learner, trained)
        if batch.decisions is None or not len(batch.decisions.places) or learner.head is None:
            return torch.zeros((), device=states.device)
        values = Values(states.flatten(0, 1), learner.head)
        weight = self.q_weight * self.per_decision
        return weight * self.differences.of_values(learner, values, batch, self.drawn)


class Sqn(ValueModel):
    """Self-supervised Q-learning: two heads over one state, of which the supervised one ranks.

    ``score(u, j) = u · v_j`` and ``Q(s, j) = u · q_j`` with a table of output vectors each. A step minimises::

        - log softmax_next(u · v)  +  q_weight · ℓ(Q(s, a) - r - γ Q⁻(s', argmax_j Q(s', j)))

    over what came next at every place, and over the decisions, the second sum brought to the size of the first. As in
    the paper what ranks is the supervised head: Q is learnt from what was offered alone, and knows too little of all
    other items to order them; it shapes the state by what pays in the long run. Its vectors are not kept. The copy
    takes the place of the paper's two Q heads that learn from each other. Shapes: item vectors ``(n_items, dim)``, user
    vectors ``(n_users, dim)``.

    References:
        Xin et al., Self-Supervised Reinforcement Learning for Recommender Systems, SIGIR 2020, algorithm 1.
    """

    name = "sqn"
    reads_weights = False
    Config = SqnConfig
    search: ClassVar[Search] = {**ValueModel.search, "q_weight": Range(0.01, 1.0, log=True)}
    value_of = staticmethod(double_value)

    def new_module(self, network: nn.Module, tables: ItemTables) -> Learner:
        """With the vectors of Q, and a copy unless later states count nothing."""
        return Learner(network, tables, has_head=True, has_target=cast(SqnConfig, self.config).discount > 0)

    def new_loss(self, sequences: Sequences, counts: IntArray, trends: Trends | None) -> Any:
        """Both terms."""
        c = cast(SqnConfig, self.config)
        return SqnLoss(c, counts, ValueLoss(c, counts, self.value_of, self.negatives), places_per_decision(sequences))
