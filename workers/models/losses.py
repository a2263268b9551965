"""Losses of models that rank a catalogue by inner products."""

import torch
from torch import Tensor
from torch.nn import functional


def full_softmax_loss(states: Tensor, outputs: Tensor, targets: Tensor, is_seen: Tensor) -> Tensor:
    """Cross-entropy over the whole catalogue less the items that training never sees, shape ``(n_places,)``.

    Args:
        states: shape ``(n_places, dim)``.
        outputs: output vectors, shape ``(n_items, dim)``.
        targets: item rows, shape ``(n_places,)``.
        is_seen: whether training sees the item, shape ``(n_items,)``: a new item is no negative, or it would be
            pushed away from everybody.
    """
    logits = states @ outputs.T
    return functional.cross_entropy(logits.masked_fill(~is_seen, -torch.inf), targets, reduction="none")


def sampled_softmax_loss(
    states: Tensor, outputs: Tensor, targets: Tensor, negatives: Tensor, log_expected: Tensor
) -> Tensor:
    """Cross-entropy against negatives that the whole batch shares, with the logQ correction, shape ``(n_places,)``.

    The correction makes up for popular items being drawn more often (Yi et al., RecSys 2019). The target itself is
    always there, hence not corrected.

    Args:
        states: shape ``(n_places, dim)``.
        outputs: output vectors, shape ``(n_items, dim)``.
        targets: item rows, shape ``(n_places,)``.
        negatives: drawn item rows, shape ``(n_negatives,)``.
        log_expected: log of how often each of them is expected among the negatives, shape ``(n_negatives,)``.
    """
    positive = (states * outputs[targets]).sum(1, keepdim=True)
    negative = states @ outputs[negatives].T - log_expected
    negative = negative.masked_fill(negatives == targets.unsqueeze(1), -torch.inf)
    return functional.cross_entropy(torch.cat([positive, negative], dim=1), torch.zeros_like(targets), reduction="none")


def gbce_loss(
    states: Tensor, outputs: Tensor, targets: Tensor, negatives: Tensor, share: float, calibration: float
) -> Tensor:
    """Binary cross-entropy whose positive probability is raised to a power, shape ``(n_places,)``.

    With ``a`` the share of items that are drawn as negatives and ``t`` the calibration, ``-β log σ(s⁺) - Σ log(1 -
    σ(s⁻))`` where ``β = a (t (1 - 1/a) + 1/a)``: t = 0 is plain binary cross-entropy (β = 1), whose probabilities are
    too high when negatives are sampled, t = 1 undoes that (β = a).

    Reference:
        Petrov and Macdonald, gSASRec, RecSys 2023, equations 11 and 12.

    Args:
        states: shape ``(n_places, dim)``.
        outputs: output vectors, shape ``(n_items, dim)``.
        targets: item rows, shape ``(n_places,)``.
        negatives: drawn item rows, shape ``(n_negatives,)``, shared by the batch.
        share: ``a``, above 0, at most 1.
        calibration: ``t``, 0 to 1.
    """
    beta = share * (calibration * (1 - 1 / share) + 1 / share)
    positive = (states * outputs[targets]).sum(1)
    negative = states @ outputs[negatives].T
    negative = negative.masked_fill(negatives == targets.unsqueeze(1), -torch.inf)
    return -beta * functional.logsigmoid(positive) + functional.softplus(negative).sum(1)
