"""Weighted matrix factorisation for implicit feedback by alternating least squares."""

from typing import ClassVar, cast

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix

from workers.models.base import FloatArray, TrainingOptions
from workers.models.factors import Factors, FactorsConfig, factorise
from workers.models.search import Range, Search

_NUMBERS_AT_ONCE = 2**22


class AlsConfig(FactorsConfig):
    """Hyperparameters of alternating least squares."""

    alpha: float = Field(1.0, gt=0)
    """Confidence in an event of weight 1, where what did not happen has 1."""
    regularization: float = Field(0.01, gt=0)
    """Penalty on the squared length of each vector."""


class Als(Factors):
    """Matrix factorisation that fits every place of the matrix, what did not happen with little confidence.

    With ``w`` the summed weights of a user's events with an item, ``p`` 1 where there are any and else 0, and ``c =
    alpha · w`` where there are any and else 1, training minimises by turns over all ``x`` and all ``y``::

        Σ_u Σ_j c_uj (p_uj - x_u · y_j)² + regularization (Σ_u |x_u|² + Σ_j |y_j|²)        score(u, j) = x_u · y_j

    A user's vector is the minimum over ``x_u`` with the items as they are, in closed form. Item vectors have shape
    ``(n_items, factors)``, user vectors ``(n_users, factors)``. The seed decides where training begins.

    Reference:
        Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008. Trained by the
        library ``implicit`` (extra ``factors``), which is not needed to score.
    """

    name = "als"
    Config = AlsConfig
    search: ClassVar[Search] = {
        "factors": Range(8, 256, log=True),
        "alpha": Range(0.1, 100.0, log=True),
        "regularization": Range(0.001, 10.0, log=True),
    }

    def learn(self, interactions: csr_matrix, options: TrainingOptions) -> FloatArray:
        """Factorise by ``implicit``."""
        config = cast(AlsConfig, self.config)
        return factorise(
            "als.AlternatingLeastSquares",
            interactions,
            config.epochs,
            options,
            factors=config.factors,
            alpha=config.alpha,
            regularization=config.regularization,
        )

    def fold_in(self, interactions: csr_matrix) -> FloatArray:
        """The user's side of one more turn of training."""
        config = cast(AlsConfig, self.config)
        return least_squares(interactions * config.alpha, np.nan_to_num(self._items), config.regularization)


def least_squares(confidences: csr_matrix, items: FloatArray, regularization: float) -> FloatArray:
    """User vectors that fit what users had, against item vectors that stay as they are.

    With ``c`` the confidence where a user had an item and else 1, and ``p`` 1 where they had it and else 0::

        x_u = argmin_x Σ_j c_uj (p_uj - x · y_j)² + regularization |x|²
            = (Σ_j c_uj y_j y_jᵀ + regularization I)⁻¹ Σ_j c_uj p_uj y_j

    The sum of ``y_j y_jᵀ`` over all items is one matrix for all users; only what a user had is added for each.

    Args:
        confidences: shape ``(n_users, n_items)``, above 0 where a user had an item, no place twice.
        items: item vectors ``y``, shape ``(n_items, dim)``, 0 for items that take no part.
        regularization: above 0.

    Returns:
        Shape ``(n_users, dim)``; 0 for users without an item.
    """
    dim = items.shape[1]
    gram = (items.T @ items).astype(np.float64) + regularization * np.eye(dim)
    starts, lengths = confidences.indptr[:-1], np.diff(confidences.indptr)
    users = np.zeros((len(lengths), dim), dtype=np.float32)
    # Users of similar length together: they are padded to the longest.
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    begin = 0
    while begin < len(order):
        longest = int(lengths[order[begin]])
        group = order[begin : begin + max(1, _NUMBERS_AT_ONCE // (dim * max(dim, longest)))]
        begin += len(group)
        inside = np.arange(longest) < lengths[group, None]
        at = np.where(inside, starts[group, None] + np.arange(longest), 0)
        counts = np.where(inside, confidences.data[at], 0).astype(np.float64)
        had = items[confidences.indices[at]].astype(np.float64)
        more = np.where(inside, counts - 1, 0)[:, :, None]
        left = gram + (had * more).transpose(0, 2, 1) @ had
        right = np.einsum("ul,uld->ud", counts, had)
        users[group] = np.linalg.solve(left, right[:, :, None])[:, :, 0]
    return users
