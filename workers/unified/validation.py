"""When to stop: how well items that training never sees are found."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from workers.models.bags import recent_bags, sum_bags
from workers.models.base import IntArray, Sequences
from workers.unified.inputs import Inputs, without
from workers.unified.network import Network, UnifiedConfig

_K = 10
_MAX_EVENTS = 10_000
_LEAST_HELD_OUT = 20
_ITEMS_AT_ONCE = 8192


@dataclass(frozen=True)
class HeldOut:
    """Items that are kept out of training, and what is asked about them.

    Attributes:
        rows: the items, ascending, shape ``(n_held_out,)``.
        bags: what the same user had before each event on one of them, as many as ``targets``.
        targets: place in ``rows`` of the item of each event, shape ``(n_events,)``.
    """

    rows: IntArray
    bags: Sequences
    targets: IntArray

    @classmethod
    def draw(
        cls, inputs: Inputs, sequences: Sequences, config: UnifiedConfig, rng: np.random.Generator
    ) -> "tuple[HeldOut, Sequences] | None":
        """Draw items among those with a vector, and take them out of the sequences; None where they are too few."""
        with_vectors = np.flatnonzero(inputs.n_modalities())
        n = int(config.validation_share * len(with_vectors))
        if n < _LEAST_HELD_OUT:
            return None
        rows = np.sort(rng.choice(with_vectors, n, replace=False))
        events = np.isin(sequences.items, rows)
        kept = without(sequences, events)
        places = np.flatnonzero(events)
        n_before = np.concatenate([[0], np.cumsum(~events)])
        users = np.repeat(np.arange(sequences.n_users), np.diff(sequences.offsets))[places]
        starts, stops = kept.offsets[users], n_before[places]
        asked = np.flatnonzero(stops > starts)
        asked = np.sort(rng.choice(asked, min(_MAX_EVENTS, len(asked)), replace=False))
        bags = recent_bags(kept, starts[asked], stops[asked], config.history, 1.0)
        return cls(rows, bags, np.searchsorted(rows, sequences.items[places[asked]])), kept


def measure(network: Network, reduced: Inputs, held_out: HeldOut) -> float:
    """NDCG@10 among the held-out items: of each by its other modality, and by what was had before it; their mean."""
    network.eval()
    with torch.no_grad():
        found = _by_modalities(network, reduced.take(held_out.rows))
        if len(held_out.targets):
            vectors = all_vectors(network, reduced)
            users = functional.normalize(sum_bags(vectors, held_out.bags), dim=1)
            candidates = vectors[torch.from_numpy(held_out.rows).to(vectors.device)]
            found.append(_ndcg(users @ candidates.T, torch.from_numpy(held_out.targets).to(vectors.device)))
    return float(np.mean(found)) if found else 0.0


def _by_modalities(network: Network, items: Inputs) -> list[float]:
    """NDCG@10 of finding an item's vector of one modality by that of another, averaged over all pairs of modalities."""
    parts, found = network.parts(items), []
    for one in range(parts.shape[1]):
        for other in range(one):
            both = items.is_there[:, one] & items.is_there[:, other]
            if int(both.sum()) > 1:
                cosines = parts[both, one] @ parts[both, other].T
                own = torch.arange(len(cosines), device=cosines.device)
                found.append((_ndcg(cosines, own) + _ndcg(cosines.T, own)) / 2)
    return [float(np.mean(found))] if found else []


def _ndcg(scores: Tensor, targets: Tensor) -> float:
    """Mean NDCG@10 with one target a row; ties count against it."""
    ranks = (scores >= scores.gather(1, targets.unsqueeze(1))).sum(dim=1)
    return float(torch.where(ranks <= _K, 1 / torch.log2(1 + ranks.double()), 0).mean())


def all_vectors(network: Network, reduced: Inputs) -> Tensor:
    """Unit vectors of all items, shape ``(n_items, dim)``, 0 for those that have nothing."""
    rows = torch.arange(len(reduced.is_there)).split(_ITEMS_AT_ONCE)
    return torch.cat([network(reduced.take(chunk.numpy())) for chunk in rows])
