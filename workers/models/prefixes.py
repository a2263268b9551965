"""Histories up to each of many interactions, read in as few passes as their length allows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workers.models.base import IntArray, Sequences
from workers.models.batching import Batch, known_histories, piece_batches


@dataclass(frozen=True)
class Pieces:
    """Pieces of histories, and in which of them each of some prefixes ends, and where.

    Attributes:
        histories: what the pieces are of.
        users: whose each piece is, shape ``(n_pieces,)``.
        starts: index of its first interaction, shape ``(n_pieces,)``.
        lengths: how many it has, shape ``(n_pieces,)``.
        asked: which prefixes have anything to read, shape ``(n_asked,)``.
        piece: the piece of each, shape ``(n_asked,)``.
        column: its last place in the piece, shape ``(n_asked,)``.
    """

    histories: Sequences
    users: IntArray
    starts: IntArray
    lengths: IntArray
    asked: IntArray
    piece: IntArray
    column: IntArray

    def batches(self, batch_tokens: int) -> Iterator[tuple[Batch, IntArray, IntArray, IntArray]]:
        """Batches, the prefixes that end in each, and the row and column where they do."""
        order = np.argsort(self.piece, kind="stable")
        ends = np.searchsorted(self.piece[order], np.arange(len(self.users) + 1))
        for group, batch in piece_batches(self.histories, self.users, self.starts, self.lengths, batch_tokens):
            within = [order[ends[piece] : ends[piece + 1]] for piece in group]
            rows = np.repeat(np.arange(len(group)), [len(part) for part in within])
            mine = np.concatenate(within)
            yield batch, self.asked[mine], rows, self.column[mine]


def prefix_pieces(histories: Sequences, places: IntArray, n_items: int, max_length: int, is_causal: bool) -> Pieces:
    """The pieces that a network has to read to know the state after some interactions.

    Where a state depends on no later place, prefixes no longer than what is read share the piece that begins with the
    history; each longer one is a piece of its last ``max_length`` interactions.

    Args:
        histories: one sequence a user; items that a catalogue of ``n_items`` lacks are left out.
        places: indices into the interactions, shape ``(n_places,)``.
        n_items: size of the catalogue.
        max_length: how many interactions are read.
        is_causal: whether prefixes can share a piece.
    """
    is_known = (histories.items >= 0) & (histories.items < n_items)
    before = np.concatenate([[0], np.cumsum(is_known)])
    known = known_histories(histories, n_items)
    owners = np.searchsorted(histories.offsets, places, side="right") - 1
    begins, stops = known.offsets[owners], before[places + 1]
    asked = np.flatnonzero(stops > begins)
    owners, stops = owners[asked], stops[asked]
    begins = np.maximum(begins[asked], stops - max_length)
    # Prefixes that begin at the same interaction are of the same user.
    keys = begins if is_causal else begins * (len(known.items) + 1) + stops
    _, first, piece = np.unique(keys, return_index=True, return_inverse=True)
    lengths = np.zeros(len(first), dtype=np.int64)
    np.maximum.at(lengths, piece, stops - begins)
    return Pieces(known, owners[first], begins[first], lengths, asked, piece, stops - begins - 1)
