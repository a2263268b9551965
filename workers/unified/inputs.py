"""What items have, as tensors, and sequences less some of their events."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.models.base import FloatArray, IntArray, Sequences


@dataclass(frozen=True)
class Inputs:
    """Vectors of items, one array a tower.

    Attributes:
        vectors: of each tower, shape ``(n_items, its width)``, 0 where an item has none.
        is_there: which of them each item has, shape ``(n_items, n_towers)``.
    """

    vectors: list[Tensor]
    is_there: Tensor

    @classmethod
    def of(cls, arrays: list[FloatArray], device: str = "cpu") -> "Inputs":
        """From arrays of shape ``(n_items, width)`` with rows of NaN where an item has none."""
        is_there = np.stack([np.isfinite(array).all(axis=1) for array in arrays], axis=1)
        filled = [np.where(is_there[:, [n]], array, 0).astype(np.float32) for n, array in enumerate(arrays)]
        return cls([torch.from_numpy(array).to(device) for array in filled], torch.from_numpy(is_there).to(device))

    def take(self, rows: IntArray) -> "Inputs":
        """Some items."""
        places = torch.from_numpy(rows).to(self.is_there.device)
        return Inputs([vectors[places] for vectors in self.vectors], self.is_there[places])

    def n_modalities(self) -> IntArray:
        """How many vectors each item has, shape ``(n_items,)``."""
        return self.is_there.sum(dim=1).cpu().numpy()

    def of_both(self, one: int, other: int) -> tuple[Tensor, Tensor]:
        """The vectors of two towers, of the items that have both."""
        both = self.is_there[:, one] & self.is_there[:, other]
        return self.vectors[one][both], self.vectors[other][both]


def without(sequences: Sequences, events: NDArray[np.bool_]) -> Sequences:
    """The sequences without some of their events, given as a mask of shape ``(n_interactions,)``."""
    return sequences.pick(np.flatnonzero(~events), np.concatenate([[0], np.cumsum(~events)])[sequences.offsets])
