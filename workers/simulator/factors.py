"""Topics out of what real users liked."""

import numpy as np
from numpy.typing import NDArray

_STEPS = 100
_TINY = 1e-9


def factorise(matrix: NDArray[np.float64], n_topics: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two matrices without negative numbers whose product is near the given one, in squares.

    ``H ← H ∘ (Wᵀ A) / (Wᵀ W H)``, ``W ← W ∘ (A Hᵀ) / (W H Hᵀ)``, 100 times from uniform numbers.

    Args:
        matrix: no number below 0, shape ``(n_rows, n_columns)``.
        n_topics: columns of the one and of the other.
        seed: of the numbers that it starts from.

    Returns:
        Shapes ``(n_rows, n_topics)`` and ``(n_columns, n_topics)``.

    References:
        Lee and Seung, Algorithms for Non-negative Matrix Factorization, NIPS 2000.
    """
    rng = np.random.default_rng(seed)
    rows = rng.uniform(0.1, 1.0, (matrix.shape[0], n_topics))
    columns = rng.uniform(0.1, 1.0, (n_topics, matrix.shape[1]))
    for _ in range(_STEPS):
        columns *= (rows.T @ matrix) / (rows.T @ rows @ columns + _TINY)
        rows *= (matrix @ columns.T) / (rows @ (columns @ columns.T) + _TINY)
    return rows, columns.T
