"""A causal transformer over what a user did, served by inner product."""

from typing import ClassVar, Literal, cast

from pydantic import Field, model_validator

from workers.models.attention import CausalNetwork
from workers.models.search import Choice, Range, Search
from workers.models.sequence import SequenceConfig, SequenceModel


class TransformerConfig(SequenceConfig):
    """Hyperparameters of the transformer."""

    n_layers: int = Field(2, ge=1)
    """Number of attention blocks."""
    n_heads: int = Field(2, ge=1)
    """Attention heads in each block; ``dim`` is a multiple of it."""
    feed_forward: Literal["gelu", "swiglu"] = "gelu"
    """The layer after attention: one hidden layer, or one that is gated."""

    @model_validator(mode="after")
    def _check(self) -> "TransformerConfig":
        if self.dim % self.n_heads:
            raise ValueError(f"dim ({self.dim}) must be a multiple of n_heads ({self.n_heads})")
        return self


class Transformer(SequenceModel):
    """Next-item prediction by causal self-attention.

    With ``e`` the input and ``v`` the output vectors of the items, both ``id + content W`` with an id of their own on
    top, and a user who had the items ``i_1 … i_n``::

        u = LayerNorm(blocks(e[i_1], …, e[i_n]))[n]        score(u, j) = u · v_j

    A block is pre-norm attention, whose logits have a learned bias per head and distance, and a feed-forward layer.
    The loss is the cross-entropy of every next item against the catalogue (or sampled negatives with logQ correction).
    Items that training does not see have no id part, so their content alone places them, and are no negatives.

    References:
        Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018.
        Petrov and Macdonald, gSASRec, RecSys 2023 (why a full softmax). Raffel et al., T5, JMLR 2020 (distance bias).
        Yi et al., Sampling-Bias-Corrected Neural Modeling, RecSys 2019 (logQ).
    """

    name = "transformer"
    reads_weights = False
    Config = TransformerConfig
    search: ClassVar[Search] = {**SequenceModel.search, "n_layers": Range(1, 3), "n_heads": Choice((1, 2, 4))}

    def new_network(self) -> CausalNetwork:
        """Attention blocks with fresh weights."""
        c = cast(TransformerConfig, self.config)
        return CausalNetwork(
            dim=c.dim,
            n_layers=c.n_layers,
            n_heads=c.n_heads,
            max_length=c.max_length,
            dropout=c.dropout,
            is_gated=c.feed_forward == "swiglu",
            reads=c.reads,
        )
