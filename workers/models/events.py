"""What networks of sequences read of an event: its item, and where they are told to also kind, rating and time."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models.batching import Batch

Reads = tuple[Literal["kind", "value", "gap"], ...]
"""What is read beside the item: the kind of the event, the rating, the time since the event before."""

_N_KINDS = 32
_N_GAPS = 32


@dataclass(frozen=True)
class Events:
    """Events as tensors, all of shape ``(n_rows, length)``; what they mean says :class:`Batch`."""

    items: Tensor
    kinds: Tensor | None = None
    values: Tensor | None = None
    gaps: Tensor | None = None

    @classmethod
    def of(cls, batch: Batch, device: torch.device) -> "Events":
        """The inputs of a batch."""
        arrays = (batch.kinds, batch.values, batch.gaps)
        kinds, values, gaps = (None if array is None else torch.from_numpy(array).to(device) for array in arrays)
        return cls(torch.from_numpy(batch.inputs).to(device), kinds, values, gaps)


class EventInputs(nn.Module):
    """``e[item] + k[kind] + rating · r + g[⌊log₂(1 + seconds)⌋]``, of which the last three only if asked for.

    Kinds beyond the first 31 share the last vector, as do gaps of more than 68 years.

    Args:
        dim: width of the vectors.
        reads: the terms beside the first; data that do not have one leave it out.
    """

    def __init__(self, dim: int, reads: Reads = ()) -> None:
        super().__init__()
        # Row 0 stands for none; the others begin at 0, so that they change nothing until they have learnt something.
        self.kinds = nn.Parameter(torch.zeros(_N_KINDS + 1, dim)) if "kind" in reads else None
        self.value = nn.Parameter(torch.zeros(dim)) if "value" in reads else None
        self.gaps = nn.Parameter(torch.zeros(_N_GAPS + 1, dim)) if "gap" in reads else None

    def forward(self, events: Events, item_inputs: Tensor) -> Tensor:
        """Vectors of shape ``(n_rows, length, dim)``.

        Args:
            events: item rows below 0 are read as 0; the caller hides them.
            item_inputs: input vectors of all items, shape ``(n_items, dim)``.
        """
        states = functional.embedding(events.items.clamp(min=0), item_inputs)
        if self.kinds is not None and events.kinds is not None:
            states = states + functional.embedding((events.kinds + 1).clamp(0, _N_KINDS), self.kinds)
        if self.value is not None and events.values is not None:
            states = states + events.values.unsqueeze(2) * self.value
        if self.gaps is not None and events.gaps is not None:
            octave = (events.gaps.clamp(min=0) + 1).double().log2().floor().long() + 1
            rows = torch.where(events.gaps < 0, 0, octave.clamp(max=_N_GAPS))
            states = states + functional.embedding(rows, self.gaps)
        return states
