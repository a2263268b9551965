"""Fitting the ranker on what users of a validation run went on to."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.binary import within
from workers.ranker.candidates import Candidates, Floats
from workers.ranker.features import has_history
from workers.ranker.model import Ranker

N_FOLDS = 5

_N_UNITS = 16
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 1e-2
_DROPOUT = 0.2
_USERS_A_BATCH = 64
_MOST_EPOCHS = 40
_PATIENCE = 4
_NOWHERE = -1e9
_SMALLEST_DEVIATION = 1e-6


def fit_ranker(
    sources: list[str],
    near: Candidates,
    features: Floats,
    is_hit: NDArray[np.bool_],
    weights: list[Floats],
    seed: int = 0,
) -> tuple[Ranker, Floats]:
    """Fit a network without each fold of users, stopped early by those users; the mean is the ranker.

    Each network ``g`` minimises the cross-entropy of the relevant ones among the candidates of each user, all of a
    user's together counting as one::

        -Σ_users mean_t log( exp(w · x_t + g(f_t)) / Σ_i exp(w · x_i + g(f_i)) )

    and begins at ``g = 0``, so that a network that learns nothing leaves the weighted sum as it is. Users without a
    history teach it nothing; see :class:`Ranker`. Deterministic under a seed.

    Args:
        sources: names, in the order of the columns of ``near.parts``.
        near: the best candidates of users of a validation run.
        features: of the candidates, shape ``(n_pairs, n_features)``.
        is_hit: whether a candidate is relevant, shape ``(n_pairs,)``.
        weights: of the weighted sum, shape ``(n_sources,)``: fitted on all users, and then without each fold of
            :func:`folds_of`.
        seed: of the folds, the networks and the batches.

    Returns:
        The ranker, and the score of each candidate by the network and the weights that were fitted without its user,
        who only had a say in when the network stopped, shape ``(n_pairs,)``.

    References:
        Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, ICML 2007.
        Breiman, Bagging Predictors, Machine Learning 1996.
    """
    is_known = has_history(features)
    blank = _blank(sources, weights[0], features[is_known])
    read = blank.standardised(features)
    folds, crossed, networks = folds_of(near, seed)[near.owner], np.zeros(len(read)), []
    for fold, own in enumerate(weights[1:]):
        is_held, sums = folds == fold, near.parts @ own
        fitted_on, held = (
            _lists(near.take(rows), read[rows], sums[rows], is_hit[rows])
            for rows in (is_known & ~is_held, is_known & is_held)
        )
        networks.append(_train(fitted_on, held, seed + fold))
        one = _with_units(replace(blank, weights=own), networks[-1:])
        crossed[is_held] = one.scores(near.take(is_held), features[is_held])
    return _with_units(blank, networks), crossed


def folds_of(found: Candidates, seed: int) -> NDArray[np.int64]:
    """The fold of each user, drawn, shape ``(n_users,)``."""
    return np.random.default_rng(seed).permutation(len(found.user_nos)) % N_FOLDS


def _blank(sources: list[str], weights: Floats, features: Floats) -> Ranker:
    """The ranker that adds nothing."""
    n_features = features.shape[1]
    with warnings.catch_warnings():
        # Of features that are never known, and of no users, the mean is NaN.
        warnings.simplefilter("ignore", RuntimeWarning)
        means, deviations = np.nan_to_num(np.nanmean(features, axis=0)), np.nanstd(features, axis=0)
    deviations = np.where(deviations > _SMALLEST_DEVIATION, deviations, np.inf)
    return Ranker(sources, weights, means, deviations, np.zeros((0, n_features)), np.zeros(0), np.zeros(0))


def _with_units(ranker: Ranker, networks: list[tuple[Floats, Floats, Floats]]) -> Ranker:
    """The ranker with the mean of some networks, which is a network as well."""
    hidden, biases, outputs = (np.concatenate(arrays) for arrays in zip(*networks, strict=True))
    return replace(ranker, hidden=hidden, biases=biases, outputs=outputs / len(networks))


@dataclass(frozen=True)
class _Lists:
    """Candidates of users who have a relevant one, each user's behind each other in a row of tensors.

    Attributes:
        features: standardised, shape ``(n_users, n_most, n_features)``.
        sums: weighted sums, where there is no candidate far below all, shape ``(n_users, n_most)``.
        targets: of each user summing to 1, of the same shape.
    """

    features: Tensor
    sums: Tensor
    targets: Tensor


def _lists(found: Candidates, read: Floats, sums: Floats, is_hit: NDArray[np.bool_]) -> _Lists:
    rows, places = found.owner, within(found.lengths)
    shape = len(found.lengths), int(found.lengths.max(initial=0))
    features = np.zeros((*shape, read.shape[1]), dtype=np.float32)
    features[rows, places] = read
    padded, targets = np.full(shape, _NOWHERE, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    padded[rows, places], targets[rows, places] = sums, is_hit
    has_hit = targets.any(axis=1)
    targets = targets[has_hit] / targets[has_hit].sum(axis=1, keepdims=True)
    return _Lists(*(torch.from_numpy(array) for array in (features[has_hit], padded[has_hit], targets)))


def _train(lists: _Lists, held: _Lists, seed: int) -> tuple[Floats, Floats, Floats]:
    """Hidden weights, biases and outputs of a network, as they were when they did best on the held-out users."""
    draw = torch.Generator().manual_seed(seed)
    n_features = lists.features.shape[2]
    hidden, output, dropout = nn.Linear(n_features, _N_UNITS), nn.Linear(_N_UNITS, 1, bias=False), nn.Dropout(_DROPOUT)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        nn.init.normal_(hidden.weight, std=n_features**-0.5)
        nn.init.zeros_(hidden.bias)
        nn.init.zeros_(output.weight)
        network = nn.Sequential(hidden, nn.Tanh(), dropout, output)
        optimiser = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        best, best_units, waited = np.inf, _units(hidden, output), 0
        for _ in range(_MOST_EPOCHS):
            network.eval()
            with torch.no_grad():
                lost = float(_loss(network, held, slice(None))) if len(held.sums) else np.inf
            waited += 1
            if lost < best:
                best, best_units, waited = lost, _units(hidden, output), 0
            if waited > _PATIENCE:
                break
            network.train()
            for batch in torch.randperm(len(lists.sums), generator=draw).split(_USERS_A_BATCH):
                optimiser.zero_grad()
                _loss(network, lists, batch).backward()
                optimiser.step()
    return best_units


def _loss(network: nn.Module, lists: _Lists, users: Tensor | slice) -> Tensor:
    scores = lists.sums[users] + network(lists.features[users]).squeeze(-1)
    return -(lists.targets[users] * torch.log_softmax(scores, dim=1)).sum(dim=1).mean()


def _units(hidden: nn.Linear, output: nn.Linear) -> tuple[Floats, Floats, Floats]:
    arrays = (hidden.weight, hidden.bias, output.weight[0])
    a, b, v = (array.detach().numpy().copy() for array in arrays)
    return a, b, v
