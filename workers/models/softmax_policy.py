"""Softmax policies over items: what models that learn one share."""

import torch
from torch import Tensor

from workers.models.learner import Values

# Logits that are worked on at once: what a processor's cache holds.
_CHUNK_LOGITS = 1 << 20


@torch.no_grad()
def log_probabilities(values: Values, places: Tensor, items: Tensor, is_seen: Tensor) -> Tensor:
    """``log π(a | s)`` of a softmax over the items that training sees, of one action a state, shape ``(n,)``.

    Args:
        values: whose inner products are the logits.
        places: the states, shape ``(n,)``.
        items: the actions, shape ``(n,)``.
        is_seen: whether training sees the item, shape ``(n_items,)``.
    """
    distinct, row = torch.unique(places, return_inverse=True)
    sums = torch.empty(len(distinct), device=places.device)
    size = max(1, _CHUNK_LOGITS // len(values.outputs))
    for begin in range(0, len(distinct), size):
        chunk = slice(begin, begin + size)
        logits = (values.states[distinct[chunk]] @ values.outputs.T).float()
        sums[chunk] = logits.masked_fill(~is_seen, -torch.inf).logsumexp(dim=1)
    return values.of(places, items).float() - sums[row]


def importance(log_policy: Tensor, log_logging: Tensor, cap: float) -> Tensor:
    """``min(cap, π / β)``, shape ``(n,)``; 1 where β is not known (NaN)."""
    return torch.where(log_logging.isnan(), 1.0, (log_policy - log_logging).exp().clamp(max=cap))
