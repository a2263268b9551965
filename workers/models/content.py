"""Content vectors as the item towers of models take them."""

import numpy as np

from recsql.errors import ModelError
from workers.models.base import FloatArray, TrainingData


def clean_content(data: TrainingData) -> FloatArray:
    """Content less its mean, of norm 1 on average; 0 for items without. Width 0 if there is no content at all.

    Raises:
        ModelError: if there are not as many vectors as items.
    """
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
