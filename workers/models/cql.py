"""Conservative Q-learning: action values that do not trust what was hardly tried."""

from typing import Any, cast

import torch
from pydantic import Field
from torch import Tensor

from workers.models.base import IntArray, Sequences
from workers.models.batching import Batch
from workers.models.learner import Learner, Values
from workers.models.losses import full_softmax_loss
from workers.models.q_values import ValueConfig, ValueLoss, ValueModel, double_value
from workers.models.trends import Trends


class CqlConfig(ValueConfig):
    """Hyperparameters of conservative Q-learning."""

    conservative: float = Field(0.1, ge=0)
    """How much the term counts that lowers values of what was not tried; 0 is Double DQN."""
    negatives: float | None = Field(0.0, ge=0)
    """As of :class:`ValueConfig`; 0 since being conservative already values what was never offered."""


class CqlLoss(ValueLoss):
    """Temporal differences, and the conservative term over all items that training sees."""

    def of_values(self, trained: Learner, values: Values, batch: Batch, drawn: Tensor | None) -> Tensor:
        """The sum of both; arguments as of :class:`DecisionLoss`."""
        loss = super().of_values(trained, values, batch, drawn)
        alpha = cast(CqlConfig, self.config).conservative
        if not alpha:
            return loss
        assert batch.decisions is not None
        device = values.states.device
        places, items = (
            torch.from_numpy(array).to(device) for array in (batch.decisions.places, batch.decisions.items)
        )
        # log Σ exp Q - Q(s, a) is the cross-entropy of the softmax of Q.
        weights = torch.ones(len(places), device=device)
        states = values.states[places]
        return loss + alpha * full_softmax_loss(states, values.outputs, items, weights, trained.tables.is_seen)


class Cql(ValueModel):
    """Double DQN with the conservative term of discrete CQL(H).

    ``score(u, j) = Q(s, j) = u · v_j``, with the loss of :class:`ValueModel`, the value of a state::

        V(s) = Q⁻(s, argmax_j Q(s, j))

    and for each decision, beside its temporal difference::

        α (log Σ_j exp Q(s, j) - Q(s, a))

    which lowers the values of all items against that of what was logged, so that the maximum is not where nothing is
    known. Shapes: item vectors ``(n_items, dim)``, user vectors ``(n_users, dim)``.

    References:
        Kumar et al., Conservative Q-Learning for Offline Reinforcement Learning, NeurIPS 2020, equation 4.
        van Hasselt et al., Deep Reinforcement Learning with Double Q-learning, AAAI 2016.
    """

    name = "cql"
    reads_weights = False
    Config = CqlConfig
    value_of = staticmethod(double_value)

    def new_loss(self, sequences: Sequences, counts: IntArray, trends: Trends | None) -> Any:
        """Both terms."""
        return CqlLoss(cast(CqlConfig, self.config), counts, self.value_of, self.negatives)
