"""Self-attention over item vectors, causal or in both directions."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models.dropout import Dropout
from workers.models.events import EventInputs, Events, Reads


class Block(nn.Module):
    """Pre-norm attention with a learned bias per head and distance, then a feed-forward layer.

    Args:
        dim: width of the states.
        n_heads: attention heads.
        n_distances: different distances that have a bias.
        dropout: probability, after each layer.
        is_gated: SwiGLU (Shazeer, 2020) of the same number of weights in place of one hidden layer with GELU.
    """

    def __init__(self, dim: int, n_heads: int, n_distances: int, dropout: float, *, is_gated: bool = False) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.is_gated = is_gated
        hidden = 4 * dim // 3 if is_gated else 2 * dim
        self.attention_norm = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.distance_bias = nn.Parameter(torch.zeros(n_heads, n_distances))
        self.attention_out = nn.Linear(dim, dim)
        self.feed_norm = nn.LayerNorm(dim)
        self.feed_in = nn.Linear(dim, 2 * hidden if is_gated else hidden)
        self.feed_out = nn.Linear(hidden, dim)
        self.dropout = Dropout(dropout)

    def forward(self, states: Tensor, distances: Tensor, is_hidden: Tensor) -> Tensor:
        """One layer.

        Args:
            states: shape ``(n_rows, length, dim)``.
            distances: which bias each pair of places has, shape ``(length, length)``.
            is_hidden: whether the second place is hidden from the first, shape ``(length, length)`` for all rows alike
                or ``(n_rows, 1, 1, length)``.
        """
        n_rows, length, dim = states.shape
        projected = self.query_key_value(self.attention_norm(states))
        query, key, value = projected.view(n_rows, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.distance_bias[:, distances].masked_fill(is_hidden, -torch.inf)
        bias = bias.expand(n_rows, -1, -1, -1)
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        states = states + self.dropout(self.attention_out(attended.transpose(1, 2).reshape(n_rows, length, dim)))
        fed = self.feed_in(self.feed_norm(states))
        if self.is_gated:
            gate, fed = fed.chunk(2, dim=-1)
            fed = functional.silu(gate) * fed
        else:
            fed = functional.gelu(fed)
        return states + self.dropout(self.feed_out(fed))


class CausalNetwork(nn.Module):
    """States that know what came up to their place.

    Args:
        dim: width of all states.
        n_layers: number of blocks.
        n_heads: attention heads a block.
        max_length: longest sequence.
        dropout: probability, on inputs and after each layer.
        is_gated: as of :class:`Block`.
        reads: as of :class:`EventInputs`.
    """

    def __init__(
        self,
        *,
        dim: int,
        n_layers: int,
        n_heads: int,
        max_length: int,
        dropout: float,
        is_gated: bool = False,
        reads: Reads = (),
    ) -> None:
        super().__init__()
        self.inputs = EventInputs(dim, reads)
        self.blocks = nn.ModuleList(
            Block(dim, n_heads, max_length, dropout, is_gated=is_gated) for _ in range(n_layers)
        )
        self.final_norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, events: Events, item_inputs: Tensor) -> Tensor:
        """The state after each place.

        Args:
            events: of shape ``(n_rows, length)``.
            item_inputs: input vectors of all items, shape ``(n_items, dim)``.

        Returns:
            States, shape ``(n_rows, length, dim)``; their inner product with an output vector is the logit.
        """
        places = torch.arange(events.items.shape[1], device=events.items.device)
        distance = places.unsqueeze(1) - places
        states = self.dropout(self.inputs(events, item_inputs))
        for block in self.blocks:
            states = block(states, distance.clamp(min=0), distance < 0)
        return self.final_norm(states)


class BidirectionalNetwork(nn.Module):
    """States that know what stands on both sides of their place; item rows below 0 are a mask.

    Args:
        dim: width of all states.
        n_layers: number of blocks.
        n_heads: attention heads a block.
        max_length: longest sequence.
        dropout: probability, on inputs and after each layer.
        reads: as of :class:`EventInputs`.
    """

    def __init__(
        self, *, dim: int, n_layers: int, n_heads: int, max_length: int, dropout: float, reads: Reads = ()
    ) -> None:
        super().__init__()
        self.inputs = EventInputs(dim, reads)
        self.max_length = max_length
        self.mask = nn.Parameter(torch.randn(dim) * 0.02)
        self.blocks = nn.ModuleList(Block(dim, n_heads, 2 * max_length - 1, dropout) for _ in range(n_layers))
        self.final_norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, events: Events, item_inputs: Tensor) -> Tensor:
        """The state at each place.

        Args:
            events: of shape ``(n_rows, length)``, items ``MASKED`` for the mask and ``PADDING`` where there is none.
            item_inputs: input vectors of all items, shape ``(n_items, dim)``.

        Returns:
            States, shape ``(n_rows, length, dim)``; those of padding mean nothing.
        """
        places = torch.arange(events.items.shape[1], device=events.items.device)
        distances = places.unsqueeze(1) - places + self.max_length - 1
        is_padding = (events.items == PADDING)[:, None, None, :]
        states = torch.where((events.items < 0).unsqueeze(2), self.mask, self.inputs(events, item_inputs))
        states = self.dropout(states)
        for block in self.blocks:
            states = block(states, distances, is_padding)
        return self.final_norm(states)


MASKED = -1
PADDING = -2
