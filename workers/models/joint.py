"""One representation of users and items, learnt by collaborative filtering and by a deep model at once."""

import math
from dataclasses import replace
from typing import ClassVar, Self, cast

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from workers.models.base import IntArray, Sequences
from workers.models.batching import Batch, NegativeSampler
from workers.models.decisions import check_decisions, counts_with_offers, derived_decisions, places_per_decision
from workers.models.inner_product import Trained
from workers.models.learner import Values
from workers.models.losses import full_softmax_loss, gbce_loss, sampled_softmax_loss
from workers.models.search import Range, Search
from workers.models.sequence import SequenceLoss
from workers.models.softmax_policy import importance, log_probabilities
from workers.models.transformer import Transformer, TransformerConfig
from workers.models.trends import Prior, Trends


class JointConfig(TransformerConfig):
    """Hyperparameters of the joint model."""

    collaborative: float = Field(0.01, ge=0)
    """w_C, the weight of L_C."""
    deep: float = Field(1.0, ge=0)
    """w_D, the weight of L_D."""
    policy: float = Field(0.1, ge=0)
    """w_S, the weight of L_S where decisions are known."""
    policy_cap: float = Field(10.0, gt=0)
    """The most that L_S weighs a decision for having been improbable."""
    is_policy_derived: bool = False
    """Whether L_S is also learnt where no decisions are known, from what users did: with rewards of 1 it is L_D once
    more, so only weights or ``value_weight`` give it something to say."""

    @model_validator(mode="after")
    def _check_loss(self) -> Self:
        if self.loss != "softmax":
            raise ValueError(
                "loss must be softmax, which is L_D; L_C is binary cross-entropy, weighed by collaborative"
            )
        return self


class JointLoss(SequenceLoss):
    """The weighted sum of the terms of :class:`Joint`, which share states, item vectors and negatives.

    Args:
        config: with the weights.
        counts: how often training sees each item, shape ``(n_items,)``.
        trends: what was in demand when, if that is part of the scores.
        per_decision: places with a target for each decision, so that w_S does not depend on their numbers.
    """

    def __init__(
        self, config: JointConfig, counts: IntArray, trends: Trends | None = None, per_decision: float = 0.0
    ) -> None:
        super().__init__(config, counts, trends)
        self.weights = (config.collaborative, config.deep)
        self.policy = config.policy
        self.cap = config.policy_cap
        self.per_decision = per_decision
        self.is_whole = len(counts) <= config.full_softmax_items
        # Both terms read them; those of L_C are drawn alike, for σ to be a probability and not a ratio to popularity.
        self.draw = NegativeSampler(counts, config.n_negatives, power=0)

    def of_places(
        self,
        states: Tensor,
        outputs: Tensor,
        targets: Tensor,
        weights: Tensor,
        is_seen: Tensor,
        drawn: tuple[Tensor, ...] | None,
        prior: Prior | None,
    ) -> Tensor:
        """The sum of ``w_C L_C + w_D L_D`` over some places; arguments as of :class:`SequenceLoss`."""
        assert drawn is not None
        negatives, log_expected = drawn
        total, places = torch.zeros((), device=states.device), (states, outputs, targets, weights)
        collaborative, deep = self.weights
        if collaborative:
            # Uncalibrated, gBCE is plain binary cross-entropy.
            total = total + collaborative * gbce_loss(*places, negatives, self.share, calibration=0)
        if deep and self.is_whole:
            total = total + deep * full_softmax_loss(*places, is_seen, prior)
        elif deep:
            total = total + deep * sampled_softmax_loss(*places, negatives, log_expected, prior)
        return total

    def of_decisions(self, trained: Trained, states: Tensor, outputs: Tensor, batch: Batch) -> Tensor:
        """``w_S L_S`` over the decisions, brought to the size of the other terms; as of :class:`SequenceLoss`."""
        if batch.decisions is None or not len(batch.decisions.places):
            return torch.zeros((), device=states.device)
        named = vars(batch.decisions)
        places, items, rewards, propensities = (
            torch.from_numpy(named[name]).to(states.device) for name in ("places", "items", "rewards", "propensities")
        )
        values, is_seen = Values(states.flatten(0, 1), outputs), trained.tables.is_seen
        log_policy = log_probabilities(values, places, items, is_seen)
        # Of harm whose propensity is not known the loss would have no end: it counts as if it had been sure.
        propensities = torch.where(propensities.isnan() & (rewards < 0), 1.0, propensities)
        weights = rewards * importance(log_policy, propensities.log(), self.cap)
        loss = full_softmax_loss(values.states[places], outputs, items, weights, is_seen)
        return self.policy * self.per_decision * loss


class Joint(Transformer):
    """``L = w_C L_C + w_D L_D + w_S L_S`` over one representation of users and items.

    With the user vector ``u_i`` and the item vectors ``F(x_j)`` of :class:`Transformer`, where ``x_j`` is an item's id
    and content, ``s_ij = ⟨u_i, F(x_j)⟩`` and ``r_ij`` 1 for the item that user i turned to next and 0 for the negatives
    drawn::

        L_C = - Σ_j r_ij log σ(s_ij) + (1 - r_ij) log(1 - σ(s_ij))
        L_D = - log P(r_ij = 1 | u_i, x_j) = - log (exp s_ij / Σ_k exp s_ik)
        L_S = - Σ_(s, a) min(c, π(a | s) / β(a | s)) r(s, a) log π(a | s)        π(a | s) = exp s_sa / Σ_k exp s_sk

    L_C says for each item by itself whether the user takes it, L_D which one among all; a trend is part of L_D alone.
    L_S is the cross-entropy of a policy on reward, over what was offered in states s of users, whatever came of it;
    the ratio, which is not differentiated, is 1 where the propensity β is not known, for harm π. Data without decisions
    have no L_S, so what is learnt of them does not depend on w_S, unless ``is_policy_derived``.
    ``score(i, j) = s_ij``, so it is served by inner product.
    """

    name = "joint"
    Config = JointConfig
    search: ClassVar[Search] = {**Transformer.search, "collaborative": Range(0.001, 1.0, log=True)}

    def prepared(self, sequences: Sequences, n_items: int) -> Sequences:
        """With the decisions that L_S reads, each by itself.

        Raises:
            ModelError: they cannot be learnt from.
        """
        c, decisions = cast(JointConfig, self.config), sequences.decisions
        if not c.policy or (decisions is None and not c.is_policy_derived):
            return replace(sequences, decisions=None)
        if decisions is None:
            decisions = derived_decisions(sequences, math.inf, c.value_weight)
        else:
            check_decisions(decisions, len(sequences.items), n_items)
        alone = np.full_like(decisions.next_places, -1)
        return replace(sequences, decisions=replace(decisions, next_places=alone, next_items=alone))

    def counts_of(self, sequences: Sequences, n_items: int) -> IntArray:
        """How often users had each item or were offered it, shape ``(n_items,)``."""
        return counts_with_offers(super().counts_of(sequences, n_items), sequences.decisions)

    def reads_decisions(self, sequences: Sequences) -> bool:
        """Whether there are any that L_S is to read."""
        return sequences.decisions is not None

    def new_loss(self, sequences: Sequences, counts: IntArray, trends: Trends | None) -> JointLoss:
        """All three terms."""
        per_decision = places_per_decision(sequences)
        return JointLoss(cast(JointConfig, self.config), counts, trends, per_decision)
