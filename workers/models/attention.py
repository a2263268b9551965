"""The network of the transformer: causal self-attention over item vectors."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ItemTables(nn.Module):
    """Input and output vector of every item.

    ``input = id + content W``, ``output = input + id'``: an item that nobody has had yet keeps its content alone.

    Args:
        content: content vector of each item, shape ``(n_items, content_dim)``, 0 where an item has none.
        is_seen: whether training sees the item, shape ``(n_items,)``.
        dim: width of the vectors.
    """

    def __init__(self, content: Tensor, is_seen: Tensor, dim: int) -> None:
        super().__init__()
        n_items, content_dim = content.shape
        self.content: Tensor
        self.is_seen: Tensor
        self.register_buffer("content", content)
        self.register_buffer("is_seen", is_seen)
        self.input_id = nn.Parameter(torch.randn(n_items, dim) * 0.02)
        self.output_id = nn.Parameter(torch.randn(n_items, dim) * 0.02)
        self.projection = nn.Parameter(torch.randn(content_dim, dim) * 0.02)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Input and output vectors, both of shape ``(n_items, dim)``."""
        seen = self.is_seen.unsqueeze(1)
        inputs = self.input_id * seen + self.content @ self.projection
        return inputs, inputs + self.output_id * seen


class Block(nn.Module):
    """Pre-norm attention with a learned bias per head and distance, then a feed-forward layer."""

    def __init__(self, dim: int, n_heads: int, max_length: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.distance_bias = nn.Parameter(torch.zeros(n_heads, max_length))
        self.attention_out = nn.Linear(dim, dim)
        self.feed_norm = nn.LayerNorm(dim)
        self.feed_in = nn.Linear(dim, 2 * dim)
        self.feed_out = nn.Linear(2 * dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, distance: Tensor) -> Tensor:
        """States of shape ``(n_rows, length, dim)``; ``distance[i, j] = i - j``, shape ``(length, length)``."""
        n_rows, length, dim = states.shape
        projected = self.query_key_value(self.attention_norm(states))
        query, key, value = projected.view(n_rows, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.distance_bias[:, distance.clamp(min=0)].masked_fill(distance < 0, -torch.inf)
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.expand(n_rows, -1, -1, -1))
        states = states + self.dropout(self.attention_out(attended.transpose(1, 2).reshape(n_rows, length, dim)))
        return states + self.dropout(self.feed_out(functional.gelu(self.feed_in(self.feed_norm(states)))))


class Network(nn.Module):
    """User states from item sequences.

    Args:
        dim: width of all states.
        n_layers: number of blocks.
        n_heads: attention heads a block.
        max_length: longest sequence.
        dropout: probability, on inputs and after each layer.
    """

    def __init__(self, *, dim: int, n_layers: int, n_heads: int, max_length: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim, n_heads, max_length, dropout) for _ in range(n_layers))
        self.final_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, item_inputs: Tensor) -> Tensor:
        """The state after each place.

        Args:
            inputs: item rows, shape ``(n_rows, length)``.
            item_inputs: input vectors of all items, shape ``(n_items, dim)``.

        Returns:
            States, shape ``(n_rows, length, dim)``; their inner product with an output vector is the logit.
        """
        places = torch.arange(inputs.shape[1], device=inputs.device)
        distance = places.unsqueeze(1) - places
        states = self.dropout(functional.embedding(inputs, item_inputs))
        for block in self.blocks:
            states = block(states, distance)
        return self.final_norm(states)


def full_softmax_loss(states: Tensor, outputs: Tensor, targets: Tensor, is_seen: Tensor) -> Tensor:
    """Cross-entropy over the whole catalogue less the items that training never sees.

    Args:
        states: shape ``(n_places, dim)``.
        outputs: output vectors, shape ``(n_items, dim)``.
        targets: item rows, shape ``(n_places,)``.
        is_seen: whether training sees the item, shape ``(n_items,)``: a new item is no negative, or it would be
            pushed away from everybody.
    """
    logits = states @ outputs.T
    return functional.cross_entropy(logits.masked_fill(~is_seen, -torch.inf), targets)


def sampled_softmax_loss(
    states: Tensor, outputs: Tensor, targets: Tensor, negatives: Tensor, log_expected: Tensor
) -> Tensor:
    """Cross-entropy against negatives that the whole batch shares, with the logQ correction.

    The correction makes up for popular items being drawn more often (Yi et al., RecSys 2019). The target itself is
    always there, hence not corrected.

    Args:
        states: shape ``(n_places, dim)``.
        outputs: output vectors, shape ``(n_items, dim)``.
        targets: item rows, shape ``(n_places,)``.
        negatives: drawn item rows, shape ``(n_negatives,)``.
        log_expected: log of how often each of them is expected among the negatives, shape ``(n_negatives,)``.
    """
    positive = (states * outputs[targets]).sum(1, keepdim=True)
    negative = states @ outputs[negatives].T - log_expected
    negative = negative.masked_fill(negatives == targets.unsqueeze(1), -torch.inf)
    return functional.cross_entropy(torch.cat([positive, negative], dim=1), torch.zeros_like(targets))
