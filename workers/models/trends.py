"""What was in demand of late, at any moment of the past: a prior of what anybody turns to."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from recsql.errors import ModelError
from workers.models.base import FloatArray, IntArray, Sequences

_STEPS_OF_HALF_LIFE = 7
_MOST_NUMBERS = 2**24
_DAY = 86_400


class Prior(NamedTuple):
    """What is added to the scores of all items at some places."""

    table: Tensor
    """Shape ``(n_steps, n_items)``."""
    rows: Tensor
    """Row of the table for each place, shape ``(n_places,)``."""


@dataclass(frozen=True)
class Trends:
    """How much each item was in demand before each step of time.

    Attributes:
        table: ``log(1 + Σ 0.5 ^ (age / half-life))`` over the interactions with an item in earlier steps, age in steps,
            shape ``(n_steps + 1, n_items)``; the last row is of the time behind the newest interaction.
        begin: when the first step begins, in seconds.
        length: of a step, in seconds.
    """

    table: Tensor
    begin: int
    length: float

    @classmethod
    def of(cls, sequences: Sequences, n_items: int, half_life: float) -> Self:
        """Count what users did.

        Args:
            sequences: with times.
            n_items: size of the catalogue.
            half_life: in days. A step is a seventh of it, longer where the table would grow beyond 64 MiB.

        Raises:
            ModelError: the times are not known.
        """
        if sequences.times is None:
            raise ModelError("a trend needs to know when things happened; leave trend at 0")
        times = sequences.times
        begin, end = (int(times.min()), int(times.max())) if len(times) else (0, 0)
        most = max(1, _MOST_NUMBERS // max(1, n_items))
        length = max(half_life * _DAY / _STEPS_OF_HALF_LIFE, (end - begin + 1) / most)
        steps = ((times - begin) // length).astype(np.int64)
        n_steps = int((end - begin) // length) + 1
        counts = np.bincount(steps * n_items + sequences.items, minlength=n_steps * n_items)
        table = np.zeros((n_steps + 1, n_items), dtype=np.float32)
        kept = 0.5 ** (length / (half_life * _DAY))
        for step, of_step in enumerate(counts.reshape(n_steps, n_items)):
            table[step + 1] = (table[step] + of_step) * kept
        return cls(torch.from_numpy(np.log1p(table)), begin, length)

    def prior(self, times: IntArray, device: torch.device) -> Prior:
        """What was known at some moments: what happened in earlier steps than theirs, shape ``(n_places,)``."""
        steps = ((times - self.begin) // self.length).astype(np.int64)
        used, rows = np.unique(np.clip(steps, 0, len(self.table) - 1), return_inverse=True)
        return Prior(self.table[used].to(device), torch.from_numpy(rows).to(device))

    def newest(self) -> FloatArray:
        """What is known now, shape ``(n_items,)``."""
        return self.table[-1].numpy().copy()
