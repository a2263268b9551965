"""Dropout whose random numbers cost next to nothing on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Dropout(nn.Module):
    """As :class:`torch.nn.Dropout`, with one random byte an element in place of one random number on a CPU.

    There torch draws them one by one on a single thread, which shows in a training. The probability is rounded to the
    nearest 1/256, and what is kept is scaled by the rounded one, so the mean is right.

    Args:
        probability: of an element to become 0; 0 to 1, exclusive.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, states: Tensor) -> Tensor:
        """Some elements 0 and the others scaled up while training, all as they are otherwise."""
        if not self.training or not self.probability:
            return states
        if states.device.type != "cpu":
            return functional.dropout(states, self.probability)
        n_dropped = min(255, max(1, round(256 * self.probability)))
        n = states.numel()
        words = torch.empty((n + 7) // 8, dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
        kept = (words.view(torch.uint8)[:n] >= n_dropped).view(states.shape)
        return states * kept.to(states.dtype).mul_(256 / (256 - n_dropped))
