"""Training that goes on from a former version: what it had learnt, and which events are new to it."""

from dataclasses import dataclass, replace

import numpy as np

from workers.models.base import IntArray, Sequences


@dataclass(frozen=True)
class Start:
    """A former version, and what it knew of the data that training goes on with.

    Attributes:
        state: its arrays, as :meth:`Model.state` gave them.
        item_rows: row of each item in those arrays, shape ``(n_items,)``, -1 for items that it did not have.
        n_known: how many of each user's interactions stand before the first that it has not seen, shape
            ``(n_users,)``; all of them where none is new.
    """

    state: dict[str, np.ndarray]
    item_rows: IntArray
    n_known: IntArray

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it by name, as a digest reads it."""
        return {
            "start.item_rows": self.item_rows,
            "start.n_known": self.n_known,
            **{f"start.{name}": array for name, array in self.state.items()},
        }


def fresh_windows(
    sequences: Sequences, n_known: IntArray, reach: int, replay: float, rng: np.random.Generator
) -> Sequences:
    """Pieces of histories to go on learning from: those with new interactions, and a sample of older ones.

    Args:
        sequences: what users did, all of it.
        n_known: as of :class:`Start`.
        reach: interactions that a piece holds before its last one; more where all of them are new.
        replay: pieces of known interactions for each piece with new ones, so that what was learnt is not forgotten.
        rng: draws them; they end at any known interaction alike.

    Returns:
        One sequence a piece: first those with new interactions in the order of users, then the others.
    """
    lengths = np.diff(sequences.offsets)
    users = np.flatnonzero(n_known < lengths)
    # A piece that ends with the user's last interaction and holds all new ones: where these fill it, they alone and the
    # one before the first of them, from which it is predicted.
    starts = np.maximum(0, np.minimum(n_known[users] - 1, lengths[users] - reach - 1))
    begins, ends = sequences.offsets[users] + starts, sequences.offsets[users + 1]
    owners = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(len(owners)) - sequences.offsets[owners]
    known = np.flatnonzero((within > 0) & (within < n_known[owners]))
    n_pieces = int(np.ceil((lengths[users] - starts - 1) / reach).sum())
    drawn = rng.choice(known, min(len(known), round(replay * n_pieces)), replace=False)
    begins = np.concatenate([begins, np.maximum(sequences.offsets[owners[drawn]], drawn - reach)])
    ends = np.concatenate([ends, drawn + 1])
    offsets = np.concatenate([[0], np.cumsum(ends - begins)])
    places = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - begins, ends - begins)
    pieces = begins, ends - begins, offsets[:-1]
    dislikes = sequences.dislikes and sequences.dislikes.of_pieces(*pieces)
    decisions = sequences.decisions and sequences.decisions.of_pieces(*pieces)
    return replace(sequences.pick(places, offsets), dislikes=dislikes, decisions=decisions)
