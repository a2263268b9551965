"""What the projections learn from: the modalities of an item, and what is consumed together."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models.bags import places_to_predict, recent_bags, sum_bags
from workers.models.base import IntArray, Sequences
from workers.unified.inputs import Inputs
from workers.unified.network import Network, UnifiedConfig


@dataclass(frozen=True)
class Step:
    """A batch: events to predict, and items with several modalities.

    Attributes:
        places: of events in the sequences, shape ``(n_events,)``.
        users: user row of each.
        items: item rows, ascending, shape ``(n_items,)``.
    """

    places: IntArray
    users: IntArray
    items: IntArray

    def share(self, rank: int, n_shares: int) -> "Step":
        """One of ``n_shares`` parts, which together are all of it; may be empty."""
        part = slice(rank, None, n_shares)
        return Step(self.places[part], self.users[part], self.items[part])


def steps(sequences: Sequences, several: IntArray, config: UnifiedConfig, rng: np.random.Generator) -> Iterator[Step]:
    """The batches of an epoch: each event that is drawn once, each item with several modalities at least once.

    Args:
        sequences: what users did.
        several: rows of the items that have several modalities.
        config: says how large a batch is.
        rng: decides the draw and the order.
    """
    places, users = places_to_predict(sequences, config.targets_per_user, rng)
    size = config.batch_size
    n_aligned = len(several) if config.aligned else 0
    n_steps = max(-(-len(places) // size), -(-n_aligned // size))
    n_rounds = -(-n_steps * size // n_aligned) if n_aligned else 0
    items = np.concatenate([np.empty(0, dtype=np.int64), *(rng.permutation(several) for _ in range(n_rounds))])
    for step in range(n_steps):
        part = slice(step * size, (step + 1) * size)
        # Twice the same item in a batch would be its own negative.
        yield Step(places[part], users[part], np.unique(items[part]))


class Loss:
    """The loss of a step, as ``workers.models.training.Task`` asks for it.

    Args:
        reduced: what the items have, as principal components.
        sequences: what users did.
        config: the hyperparameters.
    """

    def __init__(self, reduced: Inputs, sequences: Sequences, config: UnifiedConfig) -> None:
        self._reduced, self._sequences, self._config = reduced, sequences, config
        counts = np.bincount(sequences.items, minlength=len(reduced.is_there))
        shares = np.clip(counts / max(counts.sum(), 1), 1e-12, 1 - 1e-6)
        # By how much the batch of a step favours an item: the chance that it has it.
        log_expected = np.log(-np.expm1(config.batch_size * np.log1p(-shares)))
        self._log_expected = torch.from_numpy(log_expected.astype(np.float32)).to(reduced.is_there.device)

    def __call__(self, module: nn.Module, step: Step, rng: np.random.Generator) -> tuple[Tensor, float]:
        """The sum of both contrasts, each a mean over the batch, so that a step counts 1."""
        network = cast(Network, module)
        total = torch.zeros((), device=self._log_expected.device)
        if len(step.places):
            total = total + self._consumed(network, step)
        if len(step.items) > 1:
            chosen = self._reduced.take(step.items)
            contrast = aligned_loss(network.parts(chosen), chosen.is_there, self._config.temperature)
            total = total + self._config.aligned * contrast
        return total, 1.0

    def _consumed(self, network: Network, step: Step) -> Tensor:
        """Cross-entropy of what came next among all that came next for somebody in the batch."""
        sequences = self._sequences
        bags = recent_bags(sequences, sequences.offsets[step.users], step.places, self._config.history, 1.0)
        rows, where = np.unique(np.concatenate([bags.items, sequences.items[step.places]]), return_inverse=True)
        vectors = network(self._reduced.take(rows))
        users = functional.normalize(sum_bags(vectors, replace(bags, items=where[: len(bags.items)])), dim=1)
        candidates, own = np.unique(where[len(bags.items) :], return_inverse=True)
        device = vectors.device
        logits = network.scale() * users @ vectors[torch.from_numpy(candidates).to(device)].T
        logits = logits - self._log_expected[torch.from_numpy(rows[candidates]).to(device)]
        return functional.cross_entropy(logits, torch.from_numpy(own).to(device))


def aligned_loss(parts: Tensor, is_there: Tensor, temperature: float) -> Tensor:
    """InfoNCE between each two modalities of the same items, both ways, with the batch's other items as negatives.

    Args:
        parts: unit vectors, shape ``(n_items, n_towers, dim)``.
        is_there: which of them there are, shape ``(n_items, n_towers)``.
        temperature: that cosines are divided by.
    """
    losses = []
    for one in range(parts.shape[1]):
        for other in range(one):
            both = is_there[:, one] & is_there[:, other]
            if int(both.sum()) > 1:
                logits = parts[both, one] @ parts[both, other].T / temperature
                own = torch.arange(len(logits), device=logits.device)
                losses.append((functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2)
    return torch.stack(losses).mean() if losses else parts.sum() * 0
