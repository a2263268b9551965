"""What a bandit knows of an item that may be shown: as ``recsql.bandit_feature``, which says it in SQL.

Of p projected dimensions there are 5 + 2 p features::

    1                                       bias
    1 / log2(1 + k)                         position k, 1 when items are scored
    (s - mean) / sd, within ±3              fused score s in its pool (standing); 0 where all are the same
    0.5 ** (days since the item came / 30)  how new it is
    cos(e, t)                               its content e and the user's taste t
    c = P e                                 its content, projected: p of them, of variance 1 / p over the catalogue
    √p c ∘ P t / |P t|                      by which parts of the user's taste it suits: p of them

where e is the content vector less the mean of the catalogue, and t the mean of the e of the items of the user's newest
20 events of positive weight, the one n-th from the end weighted by 1 / n. What has no content vector has zeros.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

POSITION = 1
"""Column of the position."""
FRESH_DAYS = 30.0
N_OWN = 5
"""Features before the projected ones."""
TASTE_LENGTH = 20


def standing(scores: Array) -> Array:
    """Where scores stand in their pool, shape ``(n_items,)``: deviations from the mean, at most 3."""
    deviation = scores.std()
    return np.zeros(len(scores)) if deviation == 0 else np.clip((scores - scores.mean()) / deviation, -3, 3)


def discount(positions: NDArray[np.int64]) -> Array:
    """The feature of positions from 1."""
    return 1 / np.log2(1 + positions)


def freshness(age_days: Array) -> Array:
    """The feature of ages; what comes later counts as new."""
    return 0.5 ** (np.maximum(age_days, 0) / FRESH_DAYS)


@dataclass(frozen=True)
class Projection:
    """The principal components of contents.

    Attributes:
        center: mean content, shape ``(dim,)``.
        directions: P, each scaled so that its product with contents has variance 1 / p, shape ``(p, dim)``.
    """

    center: Array
    directions: Array

    @classmethod
    def fit(cls, contents: Array, n_components: int) -> "Projection":
        """Find the components of contents, shape ``(n_items, dim)``; those that none differ in are zero."""
        center = contents.mean(axis=0)
        _, deviations, axes = np.linalg.svd(contents - center, full_matrices=False)
        deviations = deviations[:n_components] / np.sqrt(len(contents))
        differs = deviations > 1e-6
        directions = np.zeros((n_components, contents.shape[1]))
        directions[: len(deviations)][differs] = axes[: len(deviations)][differs] / deviations[differs, None]
        return cls(center, directions / np.sqrt(n_components))

    @property
    def n_features(self) -> int:
        """How many features there are."""
        return N_OWN + 2 * len(self.directions)

    def taste(self, contents: Array) -> Array | None:
        """A user's taste, shape ``(dim,)``.

        Args:
            contents: of what the user turned to, the newest first, shape ``(n, dim)``; NaN where there is none.

        Returns:
            None where there is no content; weighted sum less the center, by which only the direction is told.
        """
        newest = contents[:TASTE_LENGTH] - self.center
        known = np.flatnonzero(np.isfinite(newest[:, 0]))
        return (1 / (1 + known)) @ newest[known] if len(known) else None

    def features(self, standings: Array, fresh: Array, contents: Array, taste: Array | None) -> Array:
        """The features of a pool, shape ``(n_items, n_features)``.

        Args:
            standings: shape ``(n_items,)``.
            fresh: see ``freshness``.
            contents: shape ``(n_items, dim)``, NaN where an item has none.
            taste: of the user, None where nothing is known.
        """
        found = np.zeros((len(standings), self.n_features))
        found[:, :2], found[:, 2], found[:, 3] = 1, standings, fresh
        n = len(self.directions)
        centred = np.nan_to_num(contents - self.center)
        found[:, N_OWN : N_OWN + n] = centred @ self.directions.T
        if taste is not None:
            lengths = np.linalg.norm(centred, axis=1) * np.linalg.norm(taste)
            found[:, 4] = np.divide(centred @ taste, lengths, out=np.zeros(len(lengths)), where=lengths > 0)
            projected = self.directions @ taste
            length = np.linalg.norm(projected)
            if length > 0:
                found[:, N_OWN + n :] = np.sqrt(n) * found[:, N_OWN : N_OWN + n] * projected / length
        return found
