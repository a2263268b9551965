"""EASE: item weights in closed form, served as one weighted join over a user's history."""

import time
from typing import cast

import numpy as np
from pydantic import Field
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from recsql.errors import ModelError
from workers.models.base import FloatArray, IntArray, Model, ModelConfig, Sequences, TrainingData, TrainingOptions
from workers.models.batching import known_histories
from workers.models.validation import ndcg_at_10

_USERS_AT_ONCE = 256


class EaseConfig(ModelConfig):
    """Hyperparameters of EASE."""

    lambda_: float = Field(1000.0, gt=0)
    """Added to the diagonal of the Gram matrix: the greater, the closer to plain co-occurrence."""
    decay: float = Field(0.7, gt=0, le=1)
    """Weight of a history item relative to the one that came after it."""
    max_items: int = Field(20_000, ge=1)
    """Largest catalogue to train on: memory grows with its square, time with its cube."""


class Ease(Model):
    """An item-to-item regression without self-similarity.

    With ``X`` the users × items matrix of zeros and ones and ``P = (XᵀX + lambda I)⁻¹``::

        B[i, j] = -P[i, j] / P[j, j],  B[j, j] = 0        score(u, j) = Σ_steps decay ^ step · B[item of step, j]

    where step counts back from the user's newest item (0). The weighting by recency is an addition to the paper.
    ``B`` has shape ``(n_items, n_items)``, float32; an item without events scores 0. Nothing is random.

    Reference:
        Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019.
    """

    name = "ease"
    Config = EaseConfig

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config)
        self._options = cast(EaseConfig, self.config)
        self._weights: FloatArray = np.zeros((0, 0), dtype=np.float32)

    def fit(self, data: TrainingData, options: TrainingOptions | None = None) -> dict[str, float]:
        """Invert the Gram matrix; content is not used, ``ndcg@10`` is measured if there are targets.

        Raises:
            ModelError: if the catalogue is larger than ``max_items``.
        """
        started = time.perf_counter()
        n_items = data.n_items
        if n_items > self._options.max_items:
            raise ModelError(
                f"EASE would invert an items by items matrix for {n_items} items; raise max_items (now "
                f"{self._options.max_items}) if there are {12 * n_items**2 / 2**30:.1f} GiB of memory, or leave it out"
            )
        sequences = known_histories(data.sequences, n_items)
        users = np.repeat(np.arange(sequences.n_users), np.diff(sequences.offsets))
        ones = np.ones(len(users), dtype=np.float32)
        interactions = csr_array((ones, (users, sequences.items)), shape=(sequences.n_users, n_items))
        interactions.data[:] = 1  # an item that somebody had twice counts once
        gram = (interactions.T @ interactions).toarray()
        gram[np.diag_indices(n_items)] += self._options.lambda_
        self._weights = _regression_weights(gram)
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
        n_items = len(self._weights)
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
        """``weights``: B, shape ``(n_items, n_items)``."""
        return {"weights": self._weights}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` gave.

        Raises:
            ModelError: if the matrix is missing or not square.
        """
        weights = state.get("weights")
        if weights is None or weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
            raise ModelError("the artifact's EASE weights are missing or not square; train this model again")
        self._weights = np.array(weights, dtype=np.float32)

    def neighbours(self, n: int) -> tuple[IntArray, FloatArray]:
        """The ``n`` greatest positive weights of each row of B; see :meth:`Model.neighbours`."""
        n_items = len(self._weights)
        items = np.full((n_items, n), -1, dtype=np.int64)
        weights = np.full((n_items, n), np.nan, dtype=np.float32)
        for item, row in enumerate(self._weights):
            strongest = np.argsort(-row, kind="stable")[:n]
            strongest = strongest[row[strongest] > 0]
            items[item, : len(strongest)] = strongest
            weights[item, : len(strongest)] = row[strongest]
        return items, weights

    def _score_all(self, histories: Sequences, begin: int, end: int) -> FloatArray:
        """Scores of all items for users ``begin`` … ``end - 1``."""
        offsets = histories.offsets[begin : end + 1]
        lengths = np.diff(offsets)
        users = np.repeat(np.arange(end - begin), lengths)
        steps = np.repeat(offsets[1:], lengths) - 1 - np.arange(offsets[0], offsets[-1])
        recency = np.power(self._options.decay, steps).astype(np.float32)
        items = histories.items[offsets[0] : offsets[-1]]
        profile = csr_array((recency, (users, items)), shape=(end - begin, len(self._weights)))
        return profile @ self._weights


def _regression_weights(gram: FloatArray) -> FloatArray:
    """B of a regularised Gram matrix; both of shape ``(n_items, n_items)``."""
    if not len(gram):
        return gram
    inverse = cho_solve(cho_factor(gram, overwrite_a=True), np.eye(len(gram), dtype=np.float32), overwrite_b=True)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return np.ascontiguousarray(weights, dtype=np.float32)
