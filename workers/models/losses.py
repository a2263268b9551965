"""Losses of models that rank a catalogue by inner products."""

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from workers.models.trends import Prior

# Logits that are worked on at once: on a CPU what its cache holds, on a GPU what keeps it busy.
_CHUNK_LOGITS = 1 << 20
_GPU_CHUNK_LOGITS = 1 << 26


def full_softmax_loss(
    states: Tensor, outputs: Tensor, targets: Tensor, weights: Tensor, is_seen: Tensor, prior: Prior | None = None
) -> Tensor:
    """Weighted sum of the cross-entropies over the whole catalogue less the items that training never sees.

    Args:
        states: shape ``(n_places, dim)``.
        outputs: output vectors, shape ``(n_items, dim)``.
        targets: item rows, shape ``(n_places,)``.
        weights: how much each place counts, shape ``(n_places,)``.
        is_seen: whether training sees the item, shape ``(n_items,)``: a new item is no negative, or it would be
            pushed away from everybody.
        prior: added to the logits, if any.
    """
    table = torch.zeros(1, len(outputs), device=outputs.device) if prior is None else prior.table
    rows = None if prior is None else prior.rows
    return cast(
        Tensor, _FullSoftmax.apply(states, outputs, targets, weights, table.masked_fill(~is_seen, -torch.inf), rows)
    )


class _FullSoftmax(torch.autograd.Function):
    """Logits, losses and gradients of some places at a time, so that all of them stay in the processor's cache.

    The logits of a step are by far the largest thing in it. As operations of their own, masking, softmax, loss and
    their gradients would each read and write all of them.
    """

    @staticmethod
    def forward(ctx: Any, *tensors: Any) -> Tensor:
        states, outputs, targets, weights, table, table_rows = tensors
        states, outputs = states.detach(), outputs.detach()
        state_gradients = torch.empty_like(states)
        output_gradients = torch.zeros_like(outputs)
        total = torch.zeros((), device=states.device)
        places = max(1, (_CHUNK_LOGITS if states.device.type == "cpu" else _GPU_CHUNK_LOGITS) // len(outputs))
        for begin in range(0, len(states), places):
            chunk = slice(begin, begin + places)
            added = table if table_rows is None else table[table_rows[chunk]]
            if torch.is_autocast_enabled(states.device.type):
                # The product alone is one of 16 bits: what is added, as a trend, would lose most of its digits.
                logits = (states[chunk] @ outputs.T).float() + added
            else:
                logits = torch.addmm(added, states[chunk], outputs.T)
            logits -= logits.amax(dim=1, keepdim=True)
            rows = torch.arange(len(logits), device=states.device)
            at_target = logits[rows, targets[chunk]]
            sums = logits.exp_().sum(dim=1)
            total += ((sums.log() - at_target) * weights[chunk]).sum()
            # From here on the gradient of the sum by the logits: weight × (probability - 1 at the target).
            logits *= (weights[chunk] / sums).unsqueeze(1)
            logits[rows, targets[chunk]] -= weights[chunk]
            state_gradients[chunk] = logits @ outputs
            output_gradients += logits.T @ states[chunk]
        ctx.save_for_backward(state_gradients, output_gradients)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        state_gradients, output_gradients = ctx.saved_tensors
        return gradients[0] * state_gradients, gradients[0] * output_gradients, None, None, None, None


def sampled_softmax_loss(
    states: Tensor,
    outputs: Tensor,
    targets: Tensor,
    weights: Tensor,
    negatives: Tensor,
    log_expected: Tensor,
    prior: Prior | None = None,
) -> Tensor:
    """Weighted sum of the cross-entropies against negatives that the whole batch shares, with the logQ correction.

    The correction makes up for popular items being drawn more often (Yi et al., RecSys 2019). The target itself is
    always there, hence not corrected.

    Args:
        states: shape ``(n_places, dim)``.
        outputs: output vectors, shape ``(n_items, dim)``.
        targets: item rows, shape ``(n_places,)``.
        weights: how much each place counts, shape ``(n_places,)``.
        negatives: drawn item rows, shape ``(n_negatives,)``.
        log_expected: log of how often each of them is expected among the negatives, shape ``(n_negatives,)``.
        prior: added to the logits, if any.
    """
    positive = (states * outputs[targets]).sum(1, keepdim=True)
    negative = states @ outputs[negatives].T - log_expected
    if prior is not None:
        positive = positive + prior.table[prior.rows, targets].unsqueeze(1)
        negative = negative + prior.table[:, negatives][prior.rows]
    negative = negative.masked_fill(negatives == targets.unsqueeze(1), -torch.inf)
    logits = torch.cat([positive, negative], dim=1)
    return (functional.cross_entropy(logits, torch.zeros_like(targets), reduction="none") * weights).sum()


def gbce_loss(
    states: Tensor,
    outputs: Tensor,
    targets: Tensor,
    weights: Tensor,
    negatives: Tensor,
    share: float,
    calibration: float,
) -> Tensor:
    """Weighted sum of the binary cross-entropies whose positive probability is raised to a power.

    With ``a`` the share of items that are drawn as negatives and ``t`` the calibration, ``-β log σ(s⁺) - Σ log(1 -
    σ(s⁻))`` where ``β = a (t (1 - 1/a) + 1/a)``: t = 0 is plain binary cross-entropy (β = 1), whose probabilities are
    too high when negatives are sampled, t = 1 undoes that (β = a).

    Reference:
        Petrov and Macdonald, gSASRec, RecSys 2023, equations 11 and 12.

    Args:
        states: shape ``(n_places, dim)``.
        outputs: output vectors, shape ``(n_items, dim)``.
        targets: item rows, shape ``(n_places,)``.
        weights: how much each place counts, shape ``(n_places,)``.
        negatives: drawn item rows, shape ``(n_negatives,)``, shared by the batch.
        share: ``a``, above 0, at most 1.
        calibration: ``t``, 0 to 1.
    """
    beta = share * (calibration * (1 - 1 / share) + 1 / share)
    positive = (states * outputs[targets]).sum(1)
    negative = states @ outputs[negatives].T
    negative = negative.masked_fill(negatives == targets.unsqueeze(1), -torch.inf)
    return ((functional.softplus(negative).sum(1) - beta * functional.logsigmoid(positive)) * weights).sum()
