"""A recurrent network over what a user did, served by inner product."""

from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from workers.models.dropout import Dropout
from workers.models.events import EventInputs, Events, Reads
from workers.models.search import Choice, Range, Search
from workers.models.sequence import SequenceConfig, SequenceModel


class Gru4RecConfig(SequenceConfig):
    """Hyperparameters of GRU4Rec."""

    n_layers: int = Field(1, ge=1)
    """Recurrent layers."""
    hidden_dim: int = Field(128, ge=1)
    """Width of the recurrent state."""


class RecurrentNetwork(nn.Module):
    """Gated recurrent units, whose states are projected to the width of the item vectors.

    Args:
        dim: width of the item vectors.
        hidden_dim: width of the recurrent state.
        n_layers: recurrent layers.
        dropout: probability, on inputs, between layers and before the projection.
        reads: as of :class:`EventInputs`.
    """

    def __init__(self, *, dim: int, hidden_dim: int, n_layers: int, dropout: float, reads: Reads = ()) -> None:
        super().__init__()
        self.inputs = EventInputs(dim, reads)
        self.dropout = Dropout(dropout)
        self.recurrent = nn.GRU(dim, hidden_dim, n_layers, batch_first=True, dropout=dropout if n_layers > 1 else 0)
        self.project = nn.Linear(hidden_dim, dim)
        self.final_norm = nn.LayerNorm(dim)

    def forward(self, events: Events, item_inputs: Tensor) -> Tensor:
        """The state after each place, shape ``(n_rows, length, dim)``; see :class:`SequenceModel`."""
        inputs = self.dropout(self.inputs(events, item_inputs))
        # Mixed precision of recurrent layers is float16 on a GPU, whose gradients vanish without scaling.
        with torch.autocast(inputs.device.type, enabled=False):
            states, _ = self.recurrent(inputs.float())
        return self.final_norm(self.project(self.dropout(states)))


class Gru4Rec(SequenceModel):
    """Next-item prediction by a recurrent network.

    ``h_t = GRU(e[i_t], h_{t-1})``, ``u = LayerNorm(W h_n + b)``, ``score(u, j) = u · v_j``, with the item vectors of
    :class:`SequenceModel`. The paper's ranking losses and negatives from the batch gave way to the softmax over the
    catalogue.

    References:
        Hidasi and Karatzoglou, Recurrent Neural Networks with Top-k Gains for Session-based Recommendations, CIKM 2018.
    """

    name = "gru4rec"
    reads_weights = False
    Config = Gru4RecConfig
    search: ClassVar[Search] = {**SequenceModel.search, "n_layers": Range(1, 2), "hidden_dim": Choice((64, 128, 256))}

    def new_network(self) -> RecurrentNetwork:
        """Recurrent layers with fresh weights."""
        c = cast(Gru4RecConfig, self.config)
        return RecurrentNetwork(
            dim=c.dim, hidden_dim=c.hidden_dim, n_layers=c.n_layers, dropout=c.dropout, reads=c.reads
        )
