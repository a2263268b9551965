"""SLIT: what comes next as a ridge regression on what came before, served as two weighted joins over the history."""

from typing import ClassVar, cast

import numpy as np
from pydantic import Field
from scipy.linalg import cho_factor, cho_solve

from workers.models.base import FloatArray, Sequences
from workers.models.item_weights import History, ItemWeights, ItemWeightsConfig
from workers.models.search import Range, Search


class SlitConfig(ItemWeightsConfig):
    """Hyperparameters of SLIT."""

    histories: tuple[History, History] = (
        History(decay="harmonic", rate=1.0, length=50),
        History(decay="harmonic", rate=0.05, length=100),
    )
    """The near past, whose weights fall steeply, and the long one: what a user likes besides what is on now."""
    ridge: tuple[float, float] = (300.0, 3000.0)
    """Penalty on the weights of either: the greater, the closer to plain ordered co-occurrence."""
    future_length: int = Field(10, ge=1)
    """How many of the items that follow count as what comes next, the g-th with weight 1 / g."""
    reverse: float = Field(0.4, ge=0, le=1)
    """How much a pair counts in the direction in which it did not happen."""
    popularity_power: float = Field(0.2, ge=0, le=1)
    """Weights are divided by users(item) to this power."""
    max_items: int = Field(10_000, ge=1)
    """Largest catalogue to train on: memory grows with its square, time with its cube."""


class Slit(ItemWeights):
    """A linear model from the decayed past, read at two rates, to the decayed future.

    Each place ``t`` of each user's sequence is a row. ``X₁[t]`` and ``X₂[t]`` hold the items up to ``t``, the s-th back
    with its weight in the near and in the long history, ``Y[t]`` those after it, the g-th with weight ``1 / g``; all of
    them times the weight of the event in units of the mean. With ``X = [X₁ X₂]``, ``Cₖ = Xₖᵀ Y`` and ``L`` the
    penalties on a diagonal::

        [B₁ B₂] = (XᵀX + L)⁻¹ [C₁ + reverse C₁ᵀ  C₂ + reverse C₂ᵀ] / users(item) ^ popularity_power,   Bₖ[j, j] = 0
        score(u, j) = Σₖ Σ_steps historyₖ(step) · Bₖ[item of step, j]

    ``C`` alone would be ordered co-occurrence; the inverse takes out what is explained by items that the past has in
    common. The second rate, the reverse direction and the damping of popularity are additions to the paper. ``B`` has
    shape ``(2, n_items, n_items)``, float32. Nothing is random.

    Reference:
        Choi et al., Session-aware Linear Item-Item Models for Session-based Recommendation, WWW 2021.
    """

    name = "slit"
    sources = ("slit", "slit_long")
    Config = SlitConfig
    search: ClassVar[Search] = {
        "ridge": (Range(10.0, 10_000.0, log=True), Range(100.0, 100_000.0, log=True)),
        "future_length": Range(1, 30),
        "reverse": Range(0.0, 1.0),
        "popularity_power": Range(0.0, 0.8),
    }

    def learn(self, sequences: Sequences, n_items: int) -> FloatArray:
        """Sum up both products over pairs of places, then solve.

        A pair adds to ``XᵀX`` by how far it is apart and how many places follow it, and to ``C`` by how far it is
        apart: so all pairs of one distance are done at once.
        """
        options = cast(SlitConfig, self.config)
        # Flat, since that is the one form that numpy adds to quickly.
        gram = np.zeros(4 * n_items**2, dtype=np.float32)
        ordered = np.zeros(2 * n_items**2, dtype=np.float32)
        lengths = np.diff(sequences.offsets)
        # How many places each user has after each place.
        left = np.repeat(sequences.offsets[1:], lengths) - 1 - np.arange(len(sequences.items))
        weights = sequences.weight_of_each()
        weights = weights / weights.mean() if len(weights) else weights
        common, following = _kernels(options)
        for gap in range(min(common.shape[2], lengths.max(initial=0))):
            older = np.flatnonzero(left >= gap)
            newer = older + gap
            both = weights[older] * weights[newer]
            rows, columns = sequences.items[older], sequences.items[newer]
            n_left = np.minimum(left[newer], common.shape[3] - 1)
            for k, other in np.argwhere(common[:, :, gap].any(axis=2)):
                # The transpose is added below, so that a place paired with itself counts half here.
                added = common[k, other, gap][n_left] * (both if gap else both / 2)
                np.add.at(gram, ((k * n_items + rows) * 2 + other) * n_items + columns, added)
            for k in np.flatnonzero(following[:, gap]):
                np.add.at(ordered, (k * n_items + rows) * n_items + columns, following[k, gap] * both)
        gram = gram.reshape(2 * n_items, 2 * n_items)
        gram += gram.T.copy()
        gram[np.diag_indices(2 * n_items)] += np.repeat(np.array(options.ridge, dtype=np.float32), n_items)
        ordered = ordered.reshape(2, n_items, n_items)
        ordered = ordered + options.reverse * ordered.transpose(0, 2, 1)
        factor = cho_factor(gram, overwrite_a=True, check_finite=False)
        learned = cho_solve(factor, ordered.reshape(2 * n_items, n_items), overwrite_b=True, check_finite=False)
        n_users = np.bincount(sequences.items, minlength=n_items)
        learned = learned / np.maximum(n_users, 1).astype(np.float32) ** options.popularity_power
        learned = np.ascontiguousarray(learned.reshape(2, n_items, n_items), dtype=np.float32)
        learned[:, np.arange(n_items), np.arange(n_items)] = 0
        return learned


def _kernels(options: SlitConfig) -> tuple[FloatArray, FloatArray]:
    """What a pair of places adds to the products.

    Returns:
        To ``XₖᵀXₗ``, k for the older of the two: ``Σ_s historyₖ(gap + s) historyₗ(s)`` over the places that both are
        in the past of, s up to how many follow the newer, shape ``(2, 2, n_gaps, n_left)``. To ``Cₖ``: ``Σ_s
        historyₖ(s) / (gap - s)``, shape ``(2, n_gaps)``.
    """
    longest = max(history.length for history in options.histories)
    n_gaps = longest + options.future_length
    steps = np.arange(n_gaps)
    shifted = steps[:, None] + np.arange(longest)
    past = [history.weights(np.arange(n_gaps + longest)) for history in options.histories]
    common = np.array([[np.cumsum(k[shifted] * other[:longest], axis=1) for other in past] for k in past], np.float32)
    distances = steps[:, None] - steps
    is_future = (distances >= 1) & (distances <= options.future_length)
    future = np.where(is_future, 1 / np.maximum(distances, 1), 0)
    return common, np.array([future @ k[:n_gaps] for k in past], dtype=np.float32)
