"""Sequences as padded batches: windows of a user's history, grouped by length."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workers.models.base import Decisions, Dislikes, FloatArray, IntArray, Sequences


@dataclass(frozen=True)
class Batch:
    """Some rows of padded sequences; padding is at the end, so that causal attention never sees it.

    Attributes:
        rows: which users these are, shape ``(n_rows,)``.
        inputs: item rows, oldest first, shape ``(n_rows, length)``, 0 as padding.
        targets: the item that came next at each place, shape ``(n_rows, length)``, -1 as padding.
        lengths: how long each row is without its padding, shape ``(n_rows,)``.
        weights: how much each target counts, of the shape of ``targets``; None counts all alike.
        kinds: kind of each input, of the shape of ``inputs``, -1 for none; None if not known.
        values: rating of each input, of the shape of ``inputs``; None if not known.
        gaps: seconds from the input before to each input, of the shape of ``inputs``, -1 where nothing was before; None
            if not known.
        times: when each input was, in seconds, of the shape of ``inputs``; None if not known.
        dislikes: what was turned down, ``places`` then being indices into the places of ``inputs``; None if not known.
        decisions: what was offered and what came of it, its places likewise; None if not known or not asked for.
    """

    rows: IntArray
    inputs: IntArray
    targets: IntArray
    lengths: IntArray
    weights: FloatArray | None = None
    kinds: IntArray | None = None
    values: FloatArray | None = None
    gaps: IntArray | None = None
    times: IntArray | None = None
    dislikes: Dislikes | None = None
    decisions: Decisions | None = None

    def share(self, rank: int, n_shares: int) -> "Batch":
        """One of ``n_shares`` parts of the rows, which together are all of them; may be empty."""
        if n_shares == 1:
            return self
        part = slice(rank, None, n_shares)
        arrays: dict[str, Any] = {n: a if a is None else a[part] for n, a in vars(self).items() if n not in _FLAT}
        length = self.inputs.shape[1]

        def ours(places: IntArray) -> IntArray:
            # Of the rows rank, rank + n_shares, …
            row, column = np.divmod(places, length)
            return np.where(places < 0, -1, np.where(row % n_shares == rank, row // n_shares * length + column, -2))

        for name in _FLAT:
            held = getattr(self, name)
            if held is not None:
                moved = {n: ours(a) if n.endswith("places") else a for n, a in vars(held).items()}
                held = type(held)(**{n: a[moved["places"] >= 0] for n, a in moved.items()})
            arrays[name] = held
        return Batch(**arrays)


# What a batch has as flat arrays with places, not as a row of each sequence.
_FLAT = ("dislikes", "decisions")


def training_batches(
    sequences: Sequences,
    max_length: int,
    batch_tokens: int,
    rng: np.random.Generator,
    horizon: int = 1,
    *,
    with_decisions: bool = False,
) -> Iterator[Batch]:
    """Every place of every user that something followed once, in random order.

    A history longer than ``max_length`` transitions is cut into windows, elsewhere at each call.

    Args:
        sequences: what users did.
        max_length: most transitions in a window.
        batch_tokens: most places in a batch, padding included (a single window may have more).
        rng: decides the cuts, the order, and the targets.
        horizon: a place's target is drawn from so many interactions that follow it in its window, the next one if 1.
        with_decisions: whether batches carry decisions; then a user's last interaction is a place, too, without target.

    Yields:
        Batches with ``targets``.
    """
    users, starts, stops = _windows(sequences, max_length, rng, n_left=0 if with_decisions else 1)
    lengths = stops - starts
    # Windows of about the same length share a batch; the jitter keeps the same ones from always meeting.
    order = np.argsort(-(lengths + rng.uniform(0, 8, len(lengths))), kind="stable")
    groups = list(_groups(order, lengths, batch_tokens))
    for at in rng.permutation(len(groups)):
        group = groups[at]
        batch = _pad(sequences, users[group], starts[group], lengths[group])
        batch = _with_targets(batch, sequences, starts[group], rng, horizon)
        if with_decisions and sequences.decisions is not None:
            origins = np.arange(len(group)) * batch.inputs.shape[1]
            decisions = sequences.decisions.of_pieces(starts[group], lengths[group], origins)
            batch = replace(batch, decisions=decisions)
        yield batch


def history_batches(histories: Sequences, max_length: int, batch_tokens: int) -> Iterator[Batch]:
    """The last ``max_length`` items of each user who has any, users of similar length together; no targets."""
    stops = histories.offsets[1:]
    lengths = np.minimum(np.diff(histories.offsets), max_length)
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    for group in _groups(order, lengths, batch_tokens):
        yield _pad(histories, group, stops[group] - lengths[group], lengths[group])


def known_histories(histories: Sequences, n_items: int) -> Sequences:
    """Histories without items that a catalogue of ``n_items`` lacks; then also without dislikes and decisions."""
    known = (histories.items >= 0) & (histories.items < n_items)
    if known.all():
        return histories
    before = np.concatenate([[0], np.cumsum(known)])
    return histories.pick(np.flatnonzero(known), before[histories.offsets])


class NegativeSampler:
    """Draws items in proportion to a power of their popularity.

    Args:
        counts: how often each item occurs, shape ``(n_items,)``; items that never do are never drawn.
        n_negatives: how many to draw, with replacement.
        power: of the popularity; 0 draws all alike.
    """

    def __init__(self, counts: IntArray, n_negatives: int, power: float = 0.75) -> None:
        self._items = np.flatnonzero(counts)
        weights = counts[self._items].astype(np.float64) ** power
        self._cumulative = np.cumsum(weights / weights.sum())
        self._log_expected = np.log(n_negatives * weights / weights.sum()).astype(np.float32)
        self._n_negatives = n_negatives

    def __call__(self, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        """Item rows, and the log of how often each is expected among them, both of shape ``(n_negatives,)``."""
        drawn = np.searchsorted(self._cumulative, rng.random(self._n_negatives))
        drawn = np.minimum(drawn, len(self._items) - 1)
        return self._items[drawn], self._log_expected[drawn]


def _windows(
    sequences: Sequences, max_length: int, rng: np.random.Generator, n_left: int
) -> tuple[IntArray, IntArray, IntArray]:
    """User, first and last input (exclusive) of each window; the last ``n_left`` of a user are in none."""
    transitions = np.maximum(np.diff(sequences.offsets) - n_left, 0)
    # The first window of a long history is of random length, all others full.
    first = np.where(transitions > max_length, rng.integers(1, max_length + 1, len(transitions)), max_length)
    n_windows = np.where(transitions > 0, 1 + np.maximum(-(-(transitions - first) // max_length), 0), 0)
    users = np.repeat(np.arange(len(transitions)), n_windows)
    nth = np.arange(len(users)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    begins = np.where(nth == 0, 0, first[users] + (nth - 1) * max_length)
    ends = np.minimum(first[users] + nth * max_length, transitions[users])
    return users, sequences.offsets[users] + begins, sequences.offsets[users] + ends


def _groups(order: IntArray, lengths: IntArray, batch_tokens: int) -> Iterator[IntArray]:
    """Cut ``order``, which is by falling length, into groups that fill a batch each."""
    begin = 0
    while begin < len(order):
        size = max(1, batch_tokens // max(1, int(lengths[order[begin]])))
        yield order[begin : begin + size]
        begin += size


def _pad(sequences: Sequences, rows: IntArray, starts: IntArray, lengths: IntArray) -> Batch:
    places = np.arange(int(lengths.max()))
    inside = places < lengths[:, None]
    at = np.where(inside, starts[:, None] + places, 0)
    return Batch(
        rows,
        np.where(inside, sequences.items[at], 0),
        np.full(at.shape, -1),
        lengths,
        kinds=None if sequences.kinds is None else np.where(inside, sequences.kinds[at], -1),
        values=None if sequences.values is None else np.where(inside, sequences.values[at], 0),
        gaps=None if sequences.times is None else _gaps(sequences, rows, at),
        times=None if sequences.times is None else sequences.times[at],
    )


def _with_targets(
    batch: Batch, sequences: Sequences, starts: IntArray, rng: np.random.Generator, horizon: int
) -> Batch:
    """The batch with what followed each place, and what was turned down there."""
    places = np.arange(batch.inputs.shape[1])
    inside = places < batch.lengths[:, None]
    steps = 1 if horizon == 1 else 1 + rng.integers(0, horizon, batch.inputs.shape)
    # A window's last target is the interaction behind it, if the user has one.
    after = starts[:, None] + np.minimum(places + steps, batch.lengths[:, None])
    inside = inside & (after < sequences.offsets[batch.rows + 1][:, None])
    after = np.where(inside, after, 0)
    return replace(
        batch,
        targets=np.where(inside, sequences.items[after], -1),
        weights=None if sequences.weights is None else np.where(inside, sequences.weights[after], 0),
        dislikes=sequences.dislikes
        and sequences.dislikes.of_pieces(starts, batch.lengths, np.arange(len(starts)) * len(places)),
    )


def _gaps(sequences: Sequences, rows: IntArray, at: IntArray) -> IntArray:
    """Seconds since the same user's interaction before, of the shape of ``at``; -1 for a user's first."""
    assert sequences.times is not None
    gaps = sequences.times[at] - sequences.times[np.maximum(at - 1, 0)]
    return np.where(at > sequences.offsets[rows][:, None], np.maximum(gaps, 0), -1)
