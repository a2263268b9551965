"""Where training begins: the closed form of aligning modalities.

A contrast of few thousand pairs in hundreds of dimensions is soon learnt by heart. Canonical correlations, held back by
a ridge, are the best linear maps for the same pairs, and what gradients then change of them is little.
"""

from itertools import accumulate

import torch
from torch import Tensor

from workers.unified.inputs import Inputs


def principal_components(vectors: Tensor, n_components: int) -> tuple[Tensor, Tensor]:
    """The first principal components, scaled so that the mean squared length of what they give is 1.

    Args:
        vectors: shape ``(n_items, width)``, at least one item.
        n_components: at most ``width``.

    Returns:
        Mean, shape ``(width,)``, and components, shape ``(width, n_components)``.
    """
    mean = vectors.mean(dim=0)
    centred = (vectors - mean).double()
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(vectors))
    variances, directions = variances.flip(0)[:n_components], directions.flip(1)[:, :n_components]
    return mean, (directions / variances.clamp(min=0).sum().clamp(min=1e-12).sqrt()).to(vectors.dtype)


def canonical_maps(inputs: Inputs, dim: int, ridge: float) -> list[Tensor]:
    """Linear maps under which the modalities of an item are alike.

    With ``C`` the covariances between the modalities, over the items that have both, and ``S_m`` those within one, the
    maps are the eigenvectors of ``C w = λ (S + ridge · mean variance · I) w`` with the largest ``λ``, each times its
    ``λ``: canonical correlation analysis, for any number of modalities.

    Reference:
        Kettenring, Canonical Analysis of Several Sets of Variables, Biometrika 1971.

    Args:
        inputs: centred vectors.
        dim: width of the space; what there is no correlation for is 0.
        ridge: how far directions of little variance are held back.

    Returns:
        Of each modality, shape ``(width, dim)``; all of its own directions where no item has two modalities.
    """
    widths = [vectors.shape[1] for vectors in inputs.vectors]
    stops = list(accumulate(widths))
    blocks = [slice(stop - width, stop) for stop, width in zip(stops, widths, strict=True)]
    between = torch.zeros(stops[-1], stops[-1], dtype=torch.float64, device=inputs.is_there.device)
    within = torch.eye(stops[-1], dtype=torch.float64, device=between.device)
    for one, block in enumerate(blocks):
        own, _ = inputs.of_both(one, one)
        if len(own):
            variances = own.double().T @ own.double() / len(own)
            within[block, block] *= ridge * variances.trace() / widths[one] + 1e-9
            within[block, block] += variances
        for other in range(one):
            left, right = inputs.of_both(one, other)
            if len(left):
                between[block, blocks[other]] = left.double().T @ right.double() / len(left)
                between[blocks[other], block] = between[block, blocks[other]].T
    maps = torch.zeros(stops[-1], dim, dtype=torch.float64, device=between.device)
    if not between.any():
        for block, width in zip(blocks, widths, strict=True):
            maps[block, : min(width, dim)] = torch.eye(width, device=between.device)[:, :dim].double()
        return [maps[block].float() for block in blocks]
    inverse = torch.linalg.inv(torch.linalg.cholesky(within))
    correlations, vectors = torch.linalg.eigh(inverse @ between @ inverse.T)
    correlations, vectors = correlations.flip(0).clamp(min=0)[:dim], (inverse.T @ vectors).flip(1)[:, :dim]
    # The sign of an eigenvector is arbitrary: the largest number is to be above 0.
    signs = torch.gather(vectors, 0, vectors.abs().argmax(dim=0, keepdim=True)).sign()
    maps[:, : len(correlations)] = vectors * signs * correlations
    return [maps[block].float() for block in blocks]
