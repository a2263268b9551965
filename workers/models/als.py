"""Weighted matrix factorisation for implicit feedback by alternating least squares."""

from typing import cast

from pydantic import Field
from scipy.sparse import csr_matrix

from workers.models.base import FloatArray, TrainingOptions
from workers.models.factors import Factors, FactorsConfig, least_squares, new_factorisation, run_factorisation


class AlsConfig(FactorsConfig):
    """Hyperparameters of alternating least squares."""

    alpha: float = Field(5.0, gt=0)
    """Confidence in an event of weight 1, where what did not happen has 1."""
    regularization: float = Field(0.01, gt=0)
    """Penalty on the squared length of each vector."""


class Als(Factors):
    """Matrix factorisation that fits every place of the matrix, what did not happen with little confidence.

    With ``w`` the summed weights of a user's events with an item, ``p`` 1 where there are any and else 0, and ``c =
    alpha · w`` where there are any and else 1, training minimises by turns over all ``x`` and all ``y``::

        Σ_u Σ_j c_uj (p_uj - x_u · y_j)² + regularization (Σ_u |x_u|² + Σ_j |y_j|²)        score(u, j) = x_u · y_j

    A user's vector is the minimum over ``x_u`` with the items as they are, in closed form (:func:`least_squares`). Item
    vectors have shape ``(n_items, factors)``, user vectors ``(n_users, factors)``. The seed decides the first factors.

    Reference:
        Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008. Trained by the
        library ``implicit`` (extra ``factors``), which is not needed to score.
    """

    name = "als"
    Config = AlsConfig

    def learn(self, interactions: csr_matrix, options: TrainingOptions) -> FloatArray:
        """Factorise by ``implicit``."""
        config = cast(AlsConfig, self.config)
        factorisation = new_factorisation(
            "als",
            "AlternatingLeastSquares",
            factors=config.factors,
            alpha=config.alpha,
            regularization=config.regularization,
            iterations=config.epochs,
            random_state=options.seed,
        )
        run_factorisation(factorisation, interactions, config.epochs, options)
        return factorisation.item_factors

    def fold_in(self, interactions: csr_matrix) -> FloatArray:
        """The user's side of one more turn of training."""
        config = cast(AlsConfig, self.config)
        return least_squares(interactions * config.alpha, self._items, config.regularization)
