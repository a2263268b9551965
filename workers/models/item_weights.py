"""What linear models from item to item share: weighted joins over a user's history, one a list of weights."""

import time
from abc import abstractmethod
from typing import Literal, cast

import numpy as np
from pydantic import Field
from scipy.sparse import csr_array

from recsql.errors import ModelError
from workers.models.base import FloatArray, IntArray, Model, ModelConfig, Sequences, TrainingData, TrainingOptions
from workers.models.batching import known_histories
from workers.models.validation import ndcg_at_10

_USERS_AT_ONCE = 256


class History(ModelConfig):
    """How far back a list of weights reads, and how much a step back counts: what a row of ``recsql.source`` says."""

    decay: Literal["harmonic", "geometric"]
    """harmonic: 1 / (1 + rate · step); geometric: rate ^ step."""
    rate: float = Field(ge=0)
    """0 counts all of a history alike if the decay is harmonic, 1 if it is geometric."""
    length: int = Field(ge=1)
    """How many of the newest items are read."""

    def weights(self, steps: IntArray) -> FloatArray:
        """Weight of items so many steps back (0: the newest), of the shape of ``steps``; 0 where none is read."""
        decayed = 1 / (1 + self.rate * steps) if self.decay == "harmonic" else np.power(self.rate, steps)
        return np.where(steps < self.length, decayed, 0).astype(np.float32)


class ItemWeightsConfig(ModelConfig):
    """What all of these models have to be told."""

    histories: tuple[History, ...]
    """One a list of weights. The pipeline takes them from ``recsql.source``, which is what SQL reads when it serves."""
    max_items: int = Field(20_000, ge=1)
    """Largest catalogue to train on: memory grows with its square, time with its cube."""


class ItemWeights(Model):
    """A model that is one matrix ``B`` of weights, or several, from items that a user had to items to recommend.

    The score of item ``j`` sums, over the lists and over the user's items, ``weight of the step · weight of the event
    · B[item, j]``, where step counts back from the newest (0). The matrices have shape ``(n_lists, n_items,
    n_items)``, float32, and diagonals of 0. A subclass has ``learn``, and ``sources`` names its lists.
    """

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config)
        self._weights: FloatArray = np.zeros((len(self.sources), 0, 0), dtype=np.float32)

    @abstractmethod
    def learn(self, sequences: Sequences, n_items: int) -> FloatArray:
        """The matrices, shape ``(n_lists, n_items, n_items)``, from sequences without unknown items."""

    def fit(self, data: TrainingData, options: TrainingOptions | None = None) -> dict[str, float]:
        """Learn the weights; content is not used, ``ndcg@10`` is measured if there are targets.

        Raises:
            ModelError: if the catalogue is larger than the configuration's ``max_items``.
        """
        started = time.perf_counter()
        most = cast(ItemWeightsConfig, self.config).max_items
        if data.n_items > most:
            # The system to solve, its right side and a copy on the way, in single precision.
            n_bytes = 12 * (len(self.sources) * data.n_items) ** 2
            raise ModelError(
                f"{self.name} would invert an items by items matrix for {data.n_items} items; raise max_items (now "
                f"{most}) if there are {n_bytes / 2**30:.1f} GiB of memory, or leave it out"
            )
        sequences = known_histories(data.sequences, data.n_items)
        self._weights = self.learn(sequences, data.n_items) if data.n_items else self._weights
        measured = {"epochs": 1.0}
        if data.targets is not None:
            measured["ndcg@10"] = ndcg_at_10(
                lambda rows: self._score_all(sequences, rows.min(), rows.max() + 1)[rows - rows.min()],
                sequences,
                data.targets,
            )
        if options is not None:
            options.progress(1, 1, ", ".join(f"{name} {value:.4f}" for name, value in measured.items()))
        return {**measured, "seconds": time.perf_counter() - started}

    def score(self, histories: Sequences, items: IntArray) -> FloatArray:
        """Weighted sums over each user's history, shape ``(n_users, n_candidates)``; see :meth:`Model.score`."""
        n_items = self._weights.shape[1]
        known = known_histories(histories, n_items)
        scores = np.full(items.shape, np.nan, dtype=np.float32)
        if not n_items:
            return scores
        for begin in range(0, histories.n_users, _USERS_AT_ONCE):
            end = min(begin + _USERS_AT_ONCE, histories.n_users)
            wanted = items[begin:end]
            is_known = (wanted >= 0) & (wanted < n_items) & (np.diff(known.offsets[begin : end + 1]) > 0)[:, None]
            everything = self._score_all(known, begin, end)
            chosen = np.take_along_axis(everything, np.where(is_known, wanted, 0), axis=1)
            scores[begin:end] = np.where(is_known, chosen, np.nan)
        return scores

    def state(self) -> dict[str, np.ndarray]:
        """``weights``: the matrices, shape ``(n_lists, n_items, n_items)``."""
        return {"weights": self._weights}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` gave.

        Raises:
            ModelError: if the matrices are missing, too many or too few, or not square.
        """
        weights = state.get("weights")
        n_lists = len(self.sources)
        if weights is None or weights.ndim != 3 or weights.shape != (n_lists, weights.shape[1], weights.shape[1]):
            raise ModelError("the artifact's weights are missing or not square; train this model again")
        self._weights = np.array(weights, dtype=np.float32)

    def neighbours(self, n: int, nth: int = 0) -> tuple[IntArray, FloatArray]:
        """The ``n`` weights of each row that are furthest from 0, negative ones too; see :meth:`Model.neighbours`.

        What speaks against an item is kept, since a list of the positive ones alone ranks worse.
        """
        n_items = self._weights.shape[1]
        items = np.full((n_items, n), -1, dtype=np.int64)
        weights = np.full((n_items, n), np.nan, dtype=np.float32)
        for item, row in enumerate(self._weights[nth]):
            strongest = np.argsort(-np.abs(row), kind="stable")[:n]
            strongest = strongest[row[strongest] != 0]
            strongest = strongest[np.argsort(-row[strongest], kind="stable")]
            items[item, : len(strongest)] = strongest
            weights[item, : len(strongest)] = row[strongest]
        return items, weights

    def _score_all(self, histories: Sequences, begin: int, end: int) -> FloatArray:
        """Scores of all items for users ``begin`` … ``end - 1``."""
        offsets = histories.offsets[begin : end + 1]
        lengths = np.diff(offsets)
        users = np.repeat(np.arange(end - begin), lengths)
        steps = np.repeat(offsets[1:], lengths) - 1 - np.arange(offsets[0], offsets[-1])
        items = histories.items[offsets[0] : offsets[-1]]
        counted = histories.weight_of_each()[offsets[0] : offsets[-1]]
        scores = np.zeros((end - begin, self._weights.shape[1]), dtype=np.float32)
        for history, weights in zip(cast(ItemWeightsConfig, self.config).histories, self._weights, strict=True):
            profile = csr_array((history.weights(steps) * counted, (users, items)), shape=scores.shape)
            scores += profile @ weights
        return scores
