"""Sequences as bags: what a user had before some moment, summed up with the newest items weighing most."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from workers.models.base import IntArray, Sequences
from workers.models.item_weights import History


@dataclass(frozen=True)
class Places:
    """Events to predict, each from what the same user had before it.

    Attributes:
        places: in ``Sequences.items``, shape ``(n_places,)``.
        users: user row of each, of the same shape.
        negatives: items that it is told from, shape ``(n_places, n_negatives)``; None where the batch shares some.
        stops: the place that the history ends before which it is predicted from, of the same shape; itself when None.
    """

    places: IntArray
    users: IntArray
    negatives: IntArray | None = None
    stops: IntArray | None = None

    def share(self, rank: int, n_shares: int) -> "Places":
        """One of ``n_shares`` parts, which together are all of them; may be empty."""
        part = slice(rank, None, n_shares)
        parts: dict[str, Any] = {name: None if array is None else array[part] for name, array in vars(self).items()}
        return Places(**parts)


def place_batches(
    sequences: Sequences, size: int, per_user: int | None, rng: np.random.Generator, horizon: int = 1
) -> Iterator[Places]:
    """What :func:`places_to_predict` gives, so many at once.

    Args:
        sequences: what users did.
        size: of a batch.
        per_user: most events of a user; all of them when None.
        rng: decides the draw, the order and the histories.
        horizon: an event is one of so many that follow the history that it is predicted from, the next one if 1.
    """
    places, users = places_to_predict(sequences, per_user, rng)
    # At least one event is left.
    back = 0 if horizon == 1 else rng.integers(0, horizon, len(places))
    stops = np.maximum(places - back, sequences.offsets[users] + 1)
    for begin in range(0, len(places), size):
        batch = slice(begin, begin + size)
        yield Places(places[batch], users[batch], stops=stops[batch])


def places_to_predict(
    sequences: Sequences, per_user: int | None, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Events that have another of the same user before them, in random order.

    Args:
        sequences: what users did.
        per_user: most events of a user, drawn anew at each call; all of them when None.
        rng: decides the draw and the order.

    Returns:
        Places in ``sequences.items`` and the user row of each, both of shape ``(n_places,)``.
    """
    lengths = np.diff(sequences.offsets)
    users = np.repeat(np.arange(sequences.n_users), lengths)
    places = np.flatnonzero(np.arange(len(users)) > sequences.offsets[:-1][users])
    places = rng.permutation(places)
    if per_user is not None:
        # A stable sort by user leaves each user's places in random order: the first ones are a sample.
        places = places[np.argsort(users[places], kind="stable")]
        counts = np.maximum(lengths - 1, 0)
        nth = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        places = rng.permutation(places[nth < per_user])
    return places, users[places]


def recent_bags(sequences: Sequences, starts: IntArray, stops: IntArray, history: History, power: float) -> Sequences:
    """Ranges of events as bags.

    An event counts its own weight times that of its age: the last one of a range is 0 steps back. The weights of a bag
    are divided by their sum to the given power: 1 makes a mean of a sum, 0.5 the sum over √n of FISM.

    Args:
        sequences: what users did.
        starts: place in ``sequences.items`` where each range begins, shape ``(n_bags,)``.
        stops: where it ends (exclusive), of the same shape; not before its start.
        history: how far back to read, and how much a step back counts.
        power: of the sum that weights are divided by.

    Returns:
        One bag for each range, empty where the range is.
    """
    starts = np.maximum(starts, stops - history.length)
    lengths = stops - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    owners = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(offsets[-1]) - offsets[:-1][owners] + starts[owners]
    weights = history.weights(stops[owners] - 1 - places) * sequences.weight_of_each()[places]
    totals = np.bincount(owners, weights=weights, minlength=len(lengths))
    return Sequences(sequences.items[places], offsets, (weights / totals[owners] ** power).astype(np.float32))


def sum_bags(table: Tensor, bags: Sequences) -> Tensor:
    """Weighted sums of a table's rows.

    Args:
        table: a vector for each item, shape ``(n_items, dim)``.
        bags: with weights.

    Returns:
        Shape ``(n_bags, dim)``, 0 for an empty bag.
    """
    items, offsets, weights = (
        torch.from_numpy(array).to(table.device) for array in (bags.items, bags.offsets[:-1], bags.weight_of_each())
    )
    # In mixed precision a table that is a product, as of content alone, has 16 bits, which weights must have as well.
    return functional.embedding_bag(items, table.float(), offsets, mode="sum", per_sample_weights=weights)
