"""SLIT: what comes next as a ridge regression on what came before, served as one weighted join over the history."""

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
from pydantic import Field
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from workers.models.base import FloatArray, IntArray, ModelConfig, Sequences
from workers.models.item_weights import ItemWeights

_PLACES_AT_ONCE = 50_000


class SlitConfig(ModelConfig):
    """Hyperparameters of SLIT."""

    lambda_: float = Field(300.0, gt=0)
    """Ridge penalty: the greater, the closer to plain ordered co-occurrence."""
    history_rate: float = Field(0.5, ge=0)
    """In training and scoring, an item that lies so many steps back weighs 1 / (1 + history_rate · step)."""
    history_length: int = Field(50, ge=1)
    """How many past items training and scoring read."""
    future_length: int = Field(30, ge=1)
    """How many of the items that follow count as what comes next, the g-th with weight 1 / g."""
    reverse: float = Field(0.4, ge=0, le=1)
    """How much a pair counts in the direction in which it did not happen."""
    popularity_power: float = Field(0.2, ge=0, le=1)
    """Weights are divided by users(item) to this power."""
    max_items: int = Field(20_000, ge=1)
    """Largest catalogue to train on: memory grows with its square, time with its cube."""


class Slit(ItemWeights):
    """A linear model from the decayed past to the decayed future.

    Each place ``t`` of each user's sequence is a row: ``X[t]`` holds the items up to ``t``, the s-th back with weight
    ``1 / (1 + history_rate · s)``, ``Y[t]`` those after it, the g-th with weight ``1 / g``. With ``C = XᵀY``::

        B = (XᵀX + lambda I)⁻¹ (C + reverse Cᵀ) / users(item) ^ popularity_power,   B[j, j] = 0
        score(u, j) = Σ_steps B[item of step, j] / (1 + history_rate · step)

    ``C`` alone would be ordered co-occurrence; the inverse takes out what is explained by items that the past has in
    common. The reverse direction and the damping of popularity are additions to the paper. Nothing is random.

    Reference:
        Choi et al., Session-aware Linear Item-Item Models for Session-based Recommendation, WWW 2021.
    """

    name = "slit"
    Config = SlitConfig

    def learn(self, sequences: Sequences, n_items: int) -> FloatArray:
        """Accumulate the two products over blocks of places, then solve."""
        options = cast(SlitConfig, self.config)
        gram = np.zeros((n_items, n_items), dtype=np.float32)
        ordered = np.zeros_like(gram)
        for past, future in self._blocks(sequences, n_items):
            gram += (past.T @ past).toarray()
            ordered += (past.T @ future).toarray()
        ordered += options.reverse * ordered.T
        gram[np.diag_indices(n_items)] += options.lambda_
        weights = cho_solve(cho_factor(gram, overwrite_a=True), ordered, overwrite_b=True)
        n_users = np.bincount(sequences.items, minlength=n_items)
        weights /= np.maximum(n_users, 1).astype(np.float32) ** options.popularity_power
        np.fill_diagonal(weights, 0)
        return np.ascontiguousarray(weights, dtype=np.float32)

    def recency(self, steps: IntArray) -> FloatArray:
        """``1 / (1 + history_rate · step)`` of the newest ``history_length`` items."""
        options = cast(SlitConfig, self.config)
        return np.where(steps < options.history_length, 1 / (1 + options.history_rate * steps), 0).astype(np.float32)

    def _blocks(self, sequences: Sequences, n_items: int) -> Iterator[tuple[csr_array, csr_array]]:
        """Past and future of some users' places at a time, both of shape ``(n_places, n_items)``."""
        options = cast(SlitConfig, self.config)
        first = 0
        while first < sequences.n_users:
            # At least one user, else as many as fill a block.
            last = int(np.searchsorted(sequences.offsets, sequences.offsets[first] + _PLACES_AT_ONCE, side="right")) - 1
            last = min(max(last, first + 1), sequences.n_users)
            part = sequences.take(np.arange(first, last))
            past = _neighbourhood(
                part, n_items, -1, 0, options.history_length, lambda s: 1 / (1 + options.history_rate * s)
            )
            future = _neighbourhood(part, n_items, 1, 1, options.future_length, lambda s: 1 / (1 + s))
            yield past, future
            first = last


def _neighbourhood(
    sequences: Sequences, n_items: int, direction: int, start: int, length: int, weight: Callable[[int], float]
) -> csr_array:
    """What lies ``start``, ``start + 1`` … places from each place, with a weight that depends on how many-th it is."""
    places = np.arange(len(sequences.items))
    user_of = np.repeat(np.arange(sequences.n_users), np.diff(sequences.offsets))
    rows, columns, values = [], [], []
    for nth in range(length):
        other = places + direction * (start + nth)
        inside = (other >= 0) & (other < len(places))
        inside[inside] = user_of[other[inside]] == user_of[inside]
        if not inside.any():
            break
        rows.append(places[inside])
        columns.append(sequences.items[other[inside]])
        values.append(np.full(int(inside.sum()), weight(nth), dtype=np.float32))
    if not rows:
        return csr_array((len(places), n_items), dtype=np.float32)
    return csr_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(len(places), n_items)
    )
