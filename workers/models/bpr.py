"""Matrix factorisation by Bayesian personalised ranking."""

from typing import ClassVar, cast

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix

from workers.models.base import FloatArray, TrainingOptions
from workers.models.factors import Factors, FactorsConfig, factorise
from workers.models.search import Range, Search


class BprConfig(FactorsConfig):
    """Hyperparameters of Bayesian personalised ranking."""

    epochs: int = Field(100, ge=1)
    """Passes over the data, always as many: nothing stops them early."""
    learning_rate: float = Field(0.05, gt=0)
    """Step of stochastic gradient descent."""
    regularization: float = Field(0.01, ge=0)
    """Penalty on the squared length of each vector, and on the biases, at each step."""


class Bpr(Factors):
    """Matrix factorisation that ranks what a user had above what they had not.

    Over random triples of a user ``u``, an item ``i`` that they had and an item ``j`` that they had not, drawn by
    popularity, training descends on::

        -ln σ(s_ui - s_uj) + regularization (|x_u|² + |y_i|² + |y_j|² + b_i² + b_j²) / 2        s_uj = x_u · y_j + b_j

    Of a user who is given by a history, ``x`` is the mean of the ``y`` of what they had, by the weights of the events.
    On the validation part of MovieLens 100K that ranked better than the sum over √n, than least squares, than a linear
    map from the mean to what training had as ``x``, and than that itself (docs/decisions/recommender-models.md).

    Item vectors are ``[y_j, b_j]`` and user vectors ``[x_u, 1]``, shapes ``(n_items, factors + 1)`` and ``(n_users,
    factors + 1)``, so that their inner product is the score. Training draws events whatever their weights are; it runs
    on one thread, so that the seed decides it.

    Reference:
        Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009. Trained by the library
        ``implicit`` (extra ``factors``), which is not needed to score.
    """

    name = "bpr"
    Config = BprConfig
    search: ClassVar[Search] = {
        "factors": Range(8, 256, log=True),
        "epochs": Range(20, 200),
        "learning_rate": Range(0.005, 0.2, log=True),
        "regularization": Range(0.001, 0.1, log=True),
    }

    @property
    def width(self) -> int:
        """Dimensions of a vector, the bias among them."""
        return super().width + 1

    def learn(self, interactions: csr_matrix, options: TrainingOptions) -> FloatArray:
        """Factorise by ``implicit``."""
        config = cast(BprConfig, self.config)
        return factorise(
            "bpr.BayesianPersonalizedRanking",
            interactions,
            config.epochs,
            options,
            factors=config.factors,
            learning_rate=config.learning_rate,
            regularization=config.regularization,
            # Several threads update the same factors without a lock, so that the seed would not decide the outcome.
            num_threads=1,
        )

    def fold_in(self, interactions: csr_matrix) -> FloatArray:
        """Means of item vectors by the weights of events, with 1 for the bias."""
        means = (interactions @ np.nan_to_num(self._items)) / np.asarray(interactions.sum(axis=1)).reshape(-1, 1)
        means[:, -1] = 1
        return means.astype(np.float32)
