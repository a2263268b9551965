"""EASE: item weights in closed form, served as one weighted join over a user's history."""

from typing import cast

import numpy as np
from pydantic import Field
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from workers.models.base import FloatArray, IntArray, ModelConfig, Sequences
from workers.models.item_weights import ItemWeights


class EaseConfig(ModelConfig):
    """Hyperparameters of EASE."""

    lambda_: float = Field(1000.0, gt=0)
    """Added to the diagonal of the Gram matrix: the greater, the closer to plain co-occurrence."""
    decay: float = Field(0.7, gt=0, le=1)
    """Weight of a history item relative to the one that came after it."""
    max_items: int = Field(20_000, ge=1)
    """Largest catalogue to train on: memory grows with its square, time with its cube."""


class Ease(ItemWeights):
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

    def learn(self, sequences: Sequences, n_items: int) -> FloatArray:
        """Invert the regularised Gram matrix."""
        options = cast(EaseConfig, self.config)
        users = np.repeat(np.arange(sequences.n_users), np.diff(sequences.offsets))
        ones = np.ones(len(users), dtype=np.float32)
        interactions = csr_array((ones, (users, sequences.items)), shape=(sequences.n_users, n_items))
        interactions.data[:] = 1  # an item that somebody had twice counts once
        gram = (interactions.T @ interactions).toarray()
        gram[np.diag_indices(n_items)] += options.lambda_
        inverse = cho_solve(cho_factor(gram, overwrite_a=True), np.eye(n_items, dtype=np.float32), overwrite_b=True)
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0)
        return np.ascontiguousarray(weights, dtype=np.float32)

    def recency(self, steps: IntArray) -> FloatArray:
        """``decay ^ step``."""
        return np.power(cast(EaseConfig, self.config).decay, steps).astype(np.float32)
