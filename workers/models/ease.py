"""EASE: item weights in closed form, served as one weighted join over a user's history."""

from typing import ClassVar, cast

import numpy as np
from pydantic import Field
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from workers.models.base import FloatArray, Sequences
from workers.models.item_weights import History, ItemWeights, ItemWeightsConfig
from workers.models.search import Range, Search


class EaseConfig(ItemWeightsConfig):
    """Hyperparameters of EASE."""

    histories: tuple[History] = (History(decay="geometric", rate=0.7, length=50),)
    """Weight of a history item relative to the one that came after it."""
    lambda_: float = Field(1000.0, gt=0)
    """Added to the diagonal of the Gram matrix: the greater, the closer to plain co-occurrence."""


class Ease(ItemWeights):
    """An item-to-item regression without self-similarity.

    With ``X`` the users × items matrix of zeros and ones and ``P = (XᵀX + lambda I)⁻¹``::

        B[i, j] = -P[i, j] / P[j, j],  B[j, j] = 0        score(u, j) = Σ_steps history(step) · B[item of step, j]

    where step counts back from the user's newest item (0). The weighting by recency is an addition to the paper.
    ``B`` has shape ``(1, n_items, n_items)``, float32; an item without events scores 0. Nothing is random.

    Reference:
        Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019.
    """

    name = "ease"
    sources = ("ease",)
    Config = EaseConfig
    search: ClassVar[Search] = {"lambda_": Range(10.0, 10_000.0, log=True)}

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
        return np.ascontiguousarray(weights[None], dtype=np.float32)


class EaseWholeConfig(EaseConfig):
    """Hyperparameters of EASE without regard to order."""

    lambda_: float = Field(300.0, gt=0)
    """Added to the diagonal of the Gram matrix: the greater, the closer to plain co-occurrence."""
    histories: tuple[History] = (History(decay="harmonic", rate=0.0, length=5000),)
    """A whole history, all of it alike, as in the paper."""


class EaseWhole(Ease):
    """EASE as it was published: :class:`Ease` read over the whole history, of which all counts alike.

    For taste in the long run, where what comes next is not asked; the weights are those of a smaller lambda.
    """

    name = "ease_whole"
    sources = ("ease_whole",)
    Config = EaseWholeConfig
