"""One representation of users and items, learnt by collaborative filtering and by a deep model at once."""

from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor

from workers.models.base import IntArray, Sequences
from workers.models.batching import NegativeSampler
from workers.models.losses import full_softmax_loss, gbce_loss, sampled_softmax_loss
from workers.models.search import Range, Search
from workers.models.sequence import SequenceLoss
from workers.models.transformer import Transformer, TransformerConfig
from workers.models.trends import Prior, Trends


class JointConfig(TransformerConfig):
    """Hyperparameters of the joint model."""

    collaborative: float = Field(0.01, ge=0)
    """w_C, the weight of L_C."""
    deep: float = Field(1.0, ge=0)
    """w_D, the weight of L_D."""


class JointLoss(SequenceLoss):
    """The weighted sum of the terms of :class:`Joint`, which share states, item vectors and negatives."""

    def __init__(self, config: JointConfig, counts: IntArray, trends: Trends | None = None) -> None:
        super().__init__(config, counts, trends)
        self.weights = (config.collaborative, config.deep)
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


class Joint(Transformer):
    """``L = w_C L_C + w_D L_D + w_S L_S`` over one representation of users and items.

    With the user vector ``u_i`` and the item vectors ``F(x_j)`` of :class:`Transformer`, where ``x_j`` is an item's id
    and content, ``s_ij = ⟨u_i, F(x_j)⟩`` and ``r_ij`` 1 for the item that user i turned to next and 0 for the negatives
    drawn::

        L_C = - Σ_j r_ij log σ(s_ij) + (1 - r_ij) log(1 - σ(s_ij))
        L_D = - log P(r_ij = 1 | u_i, x_j) = - log (exp s_ij / Σ_k exp s_ik)

    L_C says for each item by itself whether the user takes it, L_D which one among all; a trend is part of L_D alone.
    L_S, the cross-entropy of a policy on reward, needs rewards, which a batch does not carry; a term is one more line
    of :class:`JointLoss`.
    ``score(i, j) = s_ij``, so it is served by inner product.
    """

    name = "joint"
    Config = JointConfig
    search: ClassVar[Search] = {**Transformer.search, "collaborative": Range(0.001, 1.0, log=True)}

    def new_loss(self, sequences: Sequences, counts: IntArray, trends: Trends | None) -> JointLoss:
        """Both terms."""
        return JointLoss(cast(JointConfig, self.config), counts, trends)
