"""The item side that all models with learned vectors share: an id of its own, and a projection of the content."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from recsql.errors import ModelError
from workers.models.base import FloatArray, TrainingData

ItemParts = Literal["both", "id", "content"]
"""What item vectors are made of."""


class ItemTables(nn.Module):
    """Input and output vector of every item.

    ``input = id + content W``, ``output = input + id'``: an item that nobody has had yet keeps its content alone.

    Args:
        content: content vector of each item, shape ``(n_items, content_dim)``, 0 where an item has none.
        is_seen: whether training sees the item, shape ``(n_items,)``.
        dim: width of the vectors.
        parts: which terms there are; without ids, items of the same content are one.
    """

    def __init__(self, content: Tensor, is_seen: Tensor, dim: int, parts: ItemParts = "both") -> None:
        super().__init__()
        n_items, content_dim = content.shape
        if parts == "id":
            content, content_dim = content[:, :0], 0
        if parts == "content" and not content_dim:
            raise ModelError("there are no content vectors to learn from: embed the items first, or use their ids")
        self.content: Tensor
        self.is_seen: Tensor
        # Read from the data at every training, so neither checkpoints nor artifacts need them.
        self.register_buffer("content", content, persistent=False)
        self.register_buffer("is_seen", is_seen, persistent=False)
        self.has_ids = parts != "content"
        if self.has_ids:
            self.input_id = nn.Parameter(torch.randn(n_items, dim) * 0.02)
            self.output_id = nn.Parameter(torch.randn(n_items, dim) * 0.02)
        self.projection = nn.Parameter(torch.randn(content_dim, dim) * 0.02)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Input and output vectors, both of shape ``(n_items, dim)``."""
        placed = self.content @ self.projection
        if not self.has_ids:
            return placed, placed
        seen = self.is_seen.unsqueeze(1)
        inputs = self.input_id * seen + placed
        return inputs, inputs + self.output_id * seen

    def arrays(self) -> tuple[FloatArray, FloatArray]:
        """Both tables as arrays; output vectors of items with neither content nor an event are rows of NaN."""
        with torch.no_grad():
            inputs, outputs = self()
            is_known = (self.content != 0).any(dim=1)
            if self.has_ids:
                is_known |= self.is_seen
            outputs = outputs.masked_fill(~is_known.unsqueeze(1), torch.nan)
        return inputs.cpu().numpy(), outputs.cpu().numpy()


def clean_content(data: TrainingData) -> FloatArray:
    """Content less its mean, of norm 1 on average; 0 for items without. Width 0 if there is no content at all."""
    if data.content is None:
        return np.zeros((data.n_items, 0), dtype=np.float32)
    if len(data.content) != data.n_items:
        raise ModelError(f"there are {len(data.content)} content vectors for {data.n_items} items; pass one an item")
    has_content = np.isfinite(data.content).all(axis=1)
    content = np.zeros(data.content.shape, dtype=np.float32)
    if has_content.any():
        present = data.content[has_content]
        centred = present - present.mean(axis=0)
        content[has_content] = centred / (np.sqrt((centred**2).sum(axis=1).mean()) or 1)
    return content
