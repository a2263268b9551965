"""Decision processes over what users did: checked, derived where none was logged, and summed up to returns."""

import numpy as np

from recsql.errors import ModelError
from workers.models.base import Decisions, FloatArray, IntArray, Sequences


def check_decisions(decisions: Decisions, n_interactions: int, n_items: int) -> None:
    """Refuse what no policy could be learnt from.

    Raises:
        ModelError: places or items that there are not, rewards that are no numbers, or propensities that are no
            probabilities.
    """
    places, after = decisions.places, decisions.next_places
    is_last = after < 0
    if len(places) and (places.min() < 0 or max(places.max(), after.max()) >= n_interactions):
        raise ModelError("a decision stands at an interaction that there is not: read the decisions again")
    if (np.diff(places) < 0).any() or (after < places)[~is_last].any():
        raise ModelError("the decisions are not in the order of their interactions: read the decisions again")
    for items in (decisions.items, decisions.next_items[~is_last]):
        if len(items) and not 0 <= items.min() <= items.max() < n_items:
            raise ModelError("a decision is for an item that is not of the catalogue: leave it out, or add the item")
    if not np.isfinite(decisions.rewards).all():
        raise ModelError("the reward of a decision is no finite number: see the rows of recsql.reward")
    if (decisions.propensities <= 0).any() or (decisions.propensities > 1).any():
        raise ModelError("the propensity of a decision is no probability above 0: leave it unknown (NaN), or log it")


def derived_decisions(sequences: Sequences, session_gap: float, value_weight: float = 0.0) -> Decisions:
    """A decision before each interaction but a user's first: as if what came next had been offered, and taken.

    The action at a place is the next item, its reward the weight of that interaction, and the next state the place of
    it. A session ends with the user's last interaction, and with one that nothing followed for longer than the gap.

    Args:
        sequences: what users did; where times are not known, a session ends with the user's last interaction alone.
        session_gap: in seconds.
        value_weight: as of :meth:`Sequences.weight_of_each`.
    """
    is_taken = np.ones(len(sequences.items), dtype=bool)
    lengths = np.diff(sequences.offsets)
    is_taken[sequences.offsets[:-1][lengths > 0]] = False
    taken = np.flatnonzero(is_taken)
    is_last = np.ones(len(sequences.items), dtype=bool)
    is_last[:-1] = ~is_taken[1:]
    if sequences.times is not None:
        is_last[:-1] |= np.diff(sequences.times) > session_gap
    is_last = is_last[taken]
    return Decisions(
        places=taken - 1,
        items=sequences.items[taken],
        rewards=sequences.weight_of_each(value_weight)[taken],
        next_places=np.where(is_last, -1, taken),
        next_items=np.where(is_last, -1, sequences.items[np.minimum(taken + 1, len(sequences.items) - 1)]),
        propensities=np.full(len(taken), np.nan, dtype=np.float32),
    )


def counts_with_offers(counts: IntArray, decisions: Decisions | None) -> IntArray:
    """How often each item occurs or was offered, of the shape of ``counts``: what was offered only has a value, too."""
    return counts if decisions is None else counts + np.bincount(decisions.items, minlength=len(counts))


def places_per_decision(sequences: Sequences) -> float:
    """Interactions that followed another one, for each decision; 0 where there are no decisions."""
    n_places = int(np.maximum(np.diff(sequences.offsets) - 1, 0).sum())
    n_decisions = 0 if sequences.decisions is None else len(sequences.decisions.places)
    return n_places / n_decisions if n_decisions else 0.0


def returns_of(decisions: Decisions, discount: float) -> FloatArray:
    """``R_t = r_t + γ R_{t+1}``, the discounted rewards of the rest of the session, shape ``(n,)``.

    The next decision must be the first behind each of its place and item, as it is where every decision counts as a
    step of its session (``recsql.transition``).
    """
    total = decisions.rewards.astype(np.float64)
    ahead = _next_of(decisions)
    factor = np.where(ahead < 0, 0.0, discount)
    # Each round doubles how many steps ahead are summed up.
    while (ahead >= 0).any():
        total = total + factor * total[ahead]
        factor = factor * factor[ahead]
        ahead = np.where(ahead < 0, -1, ahead[ahead])
    return total.astype(np.float32)


def steps_of(decisions: Decisions) -> IntArray:
    """How many decisions of its session came before each, shape ``(n,)``."""
    ahead = _next_of(decisions)
    behind = np.full(len(ahead), -1)
    behind[ahead[ahead >= 0]] = np.flatnonzero(ahead >= 0)
    steps = (behind >= 0).astype(np.int64)
    # Each round doubles how many steps back are counted.
    while (behind >= 0).any():
        steps = steps + np.where(behind < 0, 0, steps[behind])
        behind = np.where(behind < 0, -1, behind[behind])
    return steps


def _next_of(decisions: Decisions) -> IntArray:
    """Index of each decision's next one: the first behind it of that place and item; -1 where the session ended."""
    n = len(decisions.places)
    pairs = np.stack(
        [
            np.concatenate([decisions.places, decisions.next_places]),
            np.concatenate([decisions.items, decisions.next_items]),
        ]
    )
    _, key = np.unique(pairs, axis=1, return_inverse=True)
    key = key.reshape(-1)
    own = key[:n] * (n + 1) + np.arange(n)
    order = np.argsort(own)
    at = np.searchsorted(own[order], key[n:] * (n + 1) + np.arange(n) + 1)
    found = order[np.minimum(at, n - 1)] if n else order
    is_found = (decisions.next_places >= 0) & (at < n)
    is_found &= key[found] == key[n:] if n else is_found
    return np.where(is_found, found, -1)
