"""REINFORCE from logged decisions, corrected for who chose them and for lists of more than one item."""

from dataclasses import replace
from typing import Any, ClassVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from workers.models.base import IntArray, Sequences
from workers.models.batching import Batch
from workers.models.decision_model import DecisionConfig, DecisionModel
from workers.models.decisions import returns_of
from workers.models.item_tables import ItemTables
from workers.models.learner import DecisionLoss, Learner, Values
from workers.models.losses import full_softmax_loss
from workers.models.search import Choice, Range, Search
from workers.models.softmax_policy import importance, log_probabilities
from workers.models.trends import Trends


class ReinforceConfig(DecisionConfig):
    """Hyperparameters of REINFORCE."""

    top_k: int = Field(10, ge=1)
    """K, the items of a list that are taken to be drawn independently; 1 learns a policy of one item."""
    cap: float = Field(20.0, gt=0)
    """The most that π / β may weigh a decision: a cap trades variance for bias."""


class ReinforceLoss(DecisionLoss):
    """The weighted cross-entropies of :class:`Reinforce`, and that of the behaviour where it is learnt."""

    def __init__(self, config: ReinforceConfig) -> None:
        super().__init__(target_rate=1.0)
        self.config = config

    def of_values(self, trained: Learner, values: Values, batch: Batch, drawn: Tensor | None) -> Tensor:
        """The sum over all decisions; arguments as of :class:`DecisionLoss`."""
        assert batch.decisions is not None
        device, is_seen, k = values.states.device, trained.tables.is_seen, self.config.top_k
        places, items, returns, propensities = (
            torch.from_numpy(array).to(device)
            for array in (
                batch.decisions.places,
                batch.decisions.items,
                batch.decisions.rewards,
                batch.decisions.propensities,
            )
        )
        loss, log_logging = torch.zeros((), device=device), propensities.log()
        if trained.head is not None:
            # The behaviour is read off the states, and does not change them.
            seen = Values(values.states.detach(), trained.head)
            log_learnt = log_probabilities(seen, places, items, is_seen)
            ones = torch.ones(len(places), device=device)
            loss = loss + full_softmax_loss(seen.states[places], seen.outputs, items, ones, is_seen)
            log_logging = torch.where(log_logging.isnan(), log_learnt, log_logging)
        log_policy = log_probabilities(values, places, items, is_seen)
        several = k * (1 - log_policy.exp()).clamp(min=0) ** (k - 1)
        weights = importance(log_policy, log_logging, self.config.cap) * several * returns
        return loss + full_softmax_loss(values.states[places], values.outputs, items, weights, is_seen)


class Reinforce(DecisionModel):
    """Top-K off-policy REINFORCE over user and item vectors.

    The policy is ``π(a | s) = softmax_a(u · v_a)`` over the items that training sees, ``score(u, j) = u · v_j``. With
    the return ``R_t = r_t + γ R_{t+1}`` of a decision's session from it on, a step minimises the sum of::

        - min(c, π(a | s) / β(a | s)) · λ_K(s, a) · R · log π(a | s)        λ_K(s, a) = K (1 - π(a | s))^(K - 1)

    of which only log π is differentiated. λ_K lets go of an item that a list of K draws holds anyway, so that others
    rise. β is the logged propensity where it is known, else ``softmax_a(u · b_a)``, learnt beside it by cross-entropy
    without moving u. A propensity at one position of a pool is taken for that among all items. Shapes: item vectors
    ``(n_items, dim)``, user vectors ``(n_users, dim)``.

    References:
        Chen et al., Top-K Off-Policy Correction for a REINFORCE Recommender System, WSDM 2019, equations 3, 5 and 8.
    """

    name = "reinforce"
    reads_weights = False
    Config = ReinforceConfig
    search: ClassVar[Search] = {
        **DecisionModel.search,
        "discount": Range(0.0, 0.95),
        "top_k": Choice((1, 5, 10, 20)),
        "cap": Range(1.0, 100.0, log=True),
    }
    is_logged = False
    """Whether all propensities of the last training are known."""

    def prepared(self, sequences: Sequences, n_items: int) -> Sequences:
        """With returns in place of rewards, so that decisions no longer need those that follow them."""
        sequences = super().prepared(sequences, n_items)
        decisions = sequences.decisions
        assert decisions is not None
        self.is_logged = not np.isnan(decisions.propensities).any()
        alone = np.full_like(decisions.next_places, -1)
        returns = returns_of(decisions, cast(ReinforceConfig, self.config).discount)
        return replace(sequences, decisions=replace(decisions, rewards=returns, next_places=alone, next_items=alone))

    def new_module(self, network: nn.Module, tables: ItemTables) -> Learner:
        """With vectors of the behaviour, unless all of it is known."""
        return Learner(network, tables, has_head=not self.is_logged)

    def new_loss(self, sequences: Sequences, counts: IntArray, trends: Trends | None) -> Any:
        """The loss of the policy; see :meth:`InnerProductModel.new_loss`."""
        return ReinforceLoss(cast(ReinforceConfig, self.config))
