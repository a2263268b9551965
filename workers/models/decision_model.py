"""What policies learnt from feedback share: a decision process over sequences, and the network that makes states."""

from dataclasses import replace
from typing import ClassVar, Literal, Self, cast

from pydantic import Field, model_validator
from torch import nn

from workers.models.attention import CausalNetwork
from workers.models.base import IntArray, Sequences
from workers.models.decisions import check_decisions, counts_with_offers, derived_decisions
from workers.models.gru4rec import RecurrentNetwork
from workers.models.search import Choice, Range, Search
from workers.models.sequence import SequenceConfig, SequenceModel


class DecisionConfig(SequenceConfig):
    """Hyperparameters that all of these models have."""

    network: Literal["transformer", "gru"] = "transformer"
    """What makes a state of a history: causal self-attention, or gated recurrent units."""
    n_layers: int = Field(1, ge=1)
    """Layers of the network."""
    hidden_dim: int = Field(64, ge=1)
    """Width of the recurrent state; a transformer has none."""
    n_heads: int = Field(2, ge=1)
    """Attention heads of a transformer, which divide ``dim``."""
    discount: float = Field(0.9, ge=0, lt=1)
    """What the next step of a session is worth beside this one; 0 learns the reward of this one alone."""
    session_gap: float = Field(1800.0, gt=0)
    """Seconds without an event after which a session has ended, where decisions are derived from what users did."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability with which inputs and layer outputs are dropped in training; values are told apart by little."""
    weight_decay: float = Field(0.01, ge=0)
    """Decoupled weight decay of all matrices; it draws values towards 0."""
    batch_tokens: int = Field(1024, ge=1)
    """Interactions in one step, padding included."""

    @model_validator(mode="after")
    def _check_decisions(self) -> Self:
        if self.network == "transformer" and self.dim % self.n_heads:
            raise ValueError(f"dim ({self.dim}) must be a multiple of n_heads ({self.n_heads})")
        if self.trend or self.horizon > 1 or self.dislikes or self.loss != "softmax":
            raise ValueError(
                "trend, horizon, dislikes and loss are of models that say what comes next; leave them at their defaults"
            )
        return self


class DecisionModel(SequenceModel):
    """A policy learnt from decisions and their rewards: the state is the user vector, actions are items.

    Decisions are those of the sequences, or, where they have none, derived: each interaction but a user's first is an
    action taken at the state before it, and its weight the reward.
    """

    Config = DecisionConfig
    search: ClassVar[Search] = {
        **{name: at for name, at in SequenceModel.search.items() if name not in ("weight_decay", "batch_tokens")},
        "weight_decay": Range(0.0001, 0.1, log=True),
        "batch_tokens": Choice((512, 1024, 2048)),
        "network": Choice(("transformer", "gru")),
        "n_layers": Range(1, 2),
    }
    is_derived = False
    """Whether the decisions of the last training were derived."""

    def new_network(self) -> nn.Module:
        """The network of the configuration with fresh weights."""
        c = cast(DecisionConfig, self.config)
        if c.network == "gru":
            return RecurrentNetwork(
                dim=c.dim, hidden_dim=c.hidden_dim, n_layers=c.n_layers, dropout=c.dropout, reads=c.reads
            )
        return CausalNetwork(
            dim=c.dim,
            n_layers=c.n_layers,
            n_heads=c.n_heads,
            max_length=c.max_length,
            dropout=c.dropout,
            reads=c.reads,
        )

    def prepared(self, sequences: Sequences, n_items: int) -> Sequences:
        """With decisions, checked where they are given.

        Raises:
            ModelError: they cannot be learnt from.
        """
        c, decisions = cast(DecisionConfig, self.config), sequences.decisions
        self.is_derived = decisions is None
        if decisions is None:
            return replace(sequences, decisions=derived_decisions(sequences, c.session_gap, c.value_weight))
        check_decisions(decisions, len(sequences.items), n_items)
        return sequences

    def counts_of(self, sequences: Sequences, n_items: int) -> IntArray:
        """How often users had each item or were offered it, shape ``(n_items,)``."""
        counts = super().counts_of(sequences, n_items)
        return counts_with_offers(counts, None if self.is_derived else sequences.decisions)

    def reads_decisions(self, sequences: Sequences) -> bool:
        """It does."""
        return True
