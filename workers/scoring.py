"""Stage ``score``: what each model that is an active source says of every candidate, whichever source it came from.

Users are scored a range at a time: candidates are read ahead and what was scored is written behind, over another
connection, while this thread computes. No value becomes a Python object on its way.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import psycopg
from numpy.typing import NDArray

from recsql.errors import PipelineError
from recsql.queries import QUERIES
from recsql.settings import get_settings
from workers.binary import read_lists, read_vectors, within, write_lists
from workers.interactions import rows_of
from workers.models.base import FloatArray, Model, Sequences
from workers.parallel import WriteBehind, at_once, background, read_ahead
from workers.run import Progress, Run
from workers.versions import Version, find_version, histories_of, load_model, reads_weights

USERS_AT_ONCE = 250
"""Numbers of users in a range."""

_DENSE_FACTOR = 8
"""Up to so many items for each candidate all are multiplied, and then the candidates picked: fetching a vector for each
candidate takes longer than that many products."""

_NUMBERS_AT_ONCE = 2**22
_USERS_A_BLOCK = 64


@dataclass(frozen=True)
class Pairs:
    """Candidates of some users.

    Attributes:
        user_nos: ascending, shape ``(n_users,)``.
        lengths: how many each user has, at least 1, shape ``(n_users,)``.
        item_nos: user by user, ascending, shape ``(n_pairs,)``.
    """

    user_nos: NDArray[np.int64]
    lengths: NDArray[np.int64]
    item_nos: NDArray[np.int64]

    @property
    def owner(self) -> NDArray[np.int64]:
        """Place of each pair's user in ``user_nos``, shape ``(n_pairs,)``."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


class Scorer(Protocol):
    """Scores by one version of a model."""

    version_no: int

    def read(self, connection: psycopg.Connection[Any], first: int, last: int) -> Any:
        """What it needs of the users in a range of numbers, on whichever thread reads ahead."""
        ...

    def score(self, pairs: Pairs, found: Any) -> FloatArray:
        """Scores of pairs, shape ``(n_pairs,)``, NaN where user or item is unknown; ``found`` is what was read."""
        ...


def score(run: Run, progress: Progress) -> int:
    """Score all candidates by all models, in place of what an earlier attempt scored; the number of scores."""
    return score_by(run, [new_scorer(run, name) for name in run.models()], progress)


def score_by(run: Run, scorers: list[Scorer], progress: Progress) -> int:
    """The same by some models."""
    run.one("clear_scores")
    if not scorers:
        return 0
    chunks, written = run.user_chunks(USERS_AT_ONCE), 0
    with ExitStack() as stack:
        if len(chunks) > 1 and get_settings().connections > 1:
            reader, writer = (stack.enter_context(background(run.connection, own)) for own in (False, True))
        else:
            reader = writer = at_once(run.connection)
        write = WriteBehind(writer)
        read = partial(_read, run_no=run.run_no, scorers=scorers)
        for done, (pairs, found) in enumerate(read_ahead(reader, read, chunks), start=1):
            for scorer, state in zip(scorers, found, strict=True):
                user_nos, lengths, item_nos, scores = best_first(pairs, scorer.score(pairs, state))
                numbers = {"run_no": run.run_no, "version_no": scorer.version_no, "user_no": user_nos}
                lists = {"item_nos": item_nos.astype(np.int32), "scores": scores}
                write(write_lists, "score", numbers, lists, lengths)
                written += len(scores)
            progress(done, len(chunks), "")
        write.finish()
    return written


def _read(
    connection: psycopg.Connection[Any], chunk: tuple[int, int], *, run_no: int, scorers: list[Scorer]
) -> tuple[Pairs, list[Any]]:
    return read_pairs(connection, run_no, *chunk), [scorer.read(connection, *chunk) for scorer in scorers]


def read_pairs(connection: psycopg.Connection[Any], run_no: int, first: int, last: int) -> Pairs:
    """Candidates of the users in a range of numbers, each once whatever sources propose it."""
    parameters = {"run_no": run_no, "first": first, "last": last}
    keys, lengths, (item_nos,) = read_lists(connection, QUERIES["candidate_lists"], parameters, {"item_nos": np.int32})
    both = np.sort(np.repeat(keys, lengths) << 32 | item_nos)
    both = both[np.diff(both, prepend=-1) != 0]
    owners = both >> 32
    begins = np.flatnonzero(np.diff(owners, prepend=-1))
    return Pairs(owners[begins], np.diff(begins, append=len(both)), both & 0xFFFFFFFF)


def best_first(
    pairs: Pairs, scores: FloatArray
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Lists of each user's scored items, the best first, of equal ones the lower number.

    Returns:
        Users who have any and how many, shape ``(n_lists,)``; items and scores, list by list.
    """
    owner = pairs.owner
    is_scored = ~np.isnan(scores)
    owner, item_nos, scores = owner[is_scored], pairs.item_nos[is_scored], scores[is_scored]
    # As one number, whose order is that of users and of falling scores: sorting by two keys takes many times as long.
    falling = (-scores + np.float32(0)).view(np.uint32)
    falling ^= np.where(falling >> 31, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
    order = np.argsort(owner << 32 | falling, kind="stable")
    counts = np.bincount(owner, minlength=len(pairs.user_nos))
    has_any = counts > 0
    return pairs.user_nos[has_any], counts[has_any], item_nos[order], scores[order]


def new_scorer(run: Run, name: str) -> Scorer:
    """What scores by the version that the run has of a model.

    Raises:
        PipelineError: it has none.
    """
    version = find_version(run, name)
    if version is None:
        raise PipelineError(f"Run {run.run_no} has no trained {name}: train it first (recsql train).")
    if run.one("version_dim", version_no=version.version_no) is not None:
        return VectorScorer(run.connection, version.version_no)
    return ModelScorer(run, name, version)


class VectorScorer:
    """Inner products of the vectors that stage ``train`` wrote; neither the model nor the histories are needed."""

    def __init__(self, connection: psycopg.Connection[Any], version_no: int) -> None:
        self.version_no = version_no
        self._item_nos, self._items = read_vectors(connection, "item_vector", "item_no", version_no)

    def read(self, connection: psycopg.Connection[Any], first: int, last: int) -> tuple[NDArray[np.int64], FloatArray]:
        """The vectors of the users."""
        return read_vectors(connection, "user_vector", "user_no", self.version_no, (first, last))

    def score(self, pairs: Pairs, found: tuple[NDArray[np.int64], FloatArray]) -> FloatArray:
        """Inner products of pairs, shape ``(n_pairs,)``; see :class:`Scorer`."""
        users = rows_of(found[0], pairs.user_nos)
        items = rows_of(self._item_nos, pairs.item_nos)
        rows = np.repeat(users, pairs.lengths)
        scores = np.full(len(rows), np.nan, dtype=np.float32)
        known = np.flatnonzero((rows >= 0) & (items >= 0))
        if len(known):
            scores[known] = pair_products(found[1], self._items, rows[known], items[known])
        return scores


def pair_products(
    users: FloatArray, items: FloatArray, user_rows: NDArray[np.int64], item_rows: NDArray[np.int64]
) -> FloatArray:
    """Inner products of rows of two matrices.

    Args:
        users: shape ``(n_users, dim)``.
        items: shape ``(n_items, dim)``.
        user_rows: shape ``(n_pairs,)``.
        item_rows: shape ``(n_pairs,)``.

    Returns:
        Shape ``(n_pairs,)``.
    """
    if len(items) * len(users) <= _DENSE_FACTOR * len(user_rows):
        return (users @ items.T)[user_rows, item_rows]
    products = np.empty(len(user_rows), dtype=np.float32)
    at_once = max(1, _NUMBERS_AT_ONCE // users.shape[1])
    for begin in range(0, len(products), at_once):
        part = slice(begin, begin + at_once)
        products[part] = np.einsum("pd,pd->p", users[user_rows[part]], items[item_rows[part]])
    return products


class ModelScorer:
    """Scores by a model whose vectors are not in tables; of users of whom nothing has changed, only of new pairs.

    Where the version is one that the run took over, what that said in the earlier run of a pair holds as long as
    nothing of the user has changed, for a score depends on the version, the history and the item alone.
    """

    def __init__(self, run: Run, name: str, version: Version) -> None:
        self.version_no = version.version_no
        self._run = run
        self._model: Callable[[], Model] = partial(load_model, run, name, version)
        self._histories: Sequences = histories_of(run.data, version)
        self._item_nos = run.data.item_nos if version.item_nos is None else version.item_nos
        kept = find_version(run, name, run.since_no) if version.reused_no and run.since_no is not None else None
        self._kept: tuple[int, NDArray[np.int64]] | None = None
        if kept is not None and version.reused_no in (kept.reused_no, kept.version_no):
            self._kept = kept.version_no, run.unchanged_users(reads_weights(run, name))

    def read(self, connection: psycopg.Connection[Any], first: int, last: int) -> Any:
        """What the version said of the users' candidates in the earlier run, if it did."""
        if self._kept is None:
            return None
        parameters = {"run_no": self._run.since_no, "version_no": self._kept[0], "first": first, "last": last}
        types = {"item_nos": np.int32, "scores": np.float32}
        return read_lists(connection, QUERIES["score_lists"], parameters, types)

    def score(self, pairs: Pairs, found: Any) -> FloatArray:
        """Scores of pairs, shape ``(n_pairs,)``; see :class:`Scorer`."""
        scores = np.full(len(pairs.item_nos), np.nan, dtype=np.float32)
        is_open = np.ones(len(scores), dtype=bool)
        if found is not None and self._kept is not None:
            keys, lengths, (item_nos, known) = found
            is_same = np.repeat(np.isin(keys, self._kept[1]), lengths)
            earlier = (np.repeat(keys, lengths) << 32 | item_nos)[is_same]
            order = np.argsort(earlier)
            places = rows_of(earlier[order], np.repeat(pairs.user_nos, pairs.lengths) << 32 | pairs.item_nos)
            is_open = places < 0
            scores[~is_open] = known[is_same][order][places[~is_open]]
        users = rows_of(self._run.data.user_nos, pairs.user_nos)
        items = rows_of(self._item_nos, pairs.item_nos)
        is_open &= (items >= 0) & (users >= 0)[pairs.owner]
        if is_open.any():
            owner = pairs.owner[is_open]
            scores[is_open] = self._scores(users, owner, items[is_open])
        return scores

    def _scores(self, users: NDArray[np.int64], owner: NDArray[np.int64], items: NDArray[np.int64]) -> FloatArray:
        """Scores of pairs: products of vectors, or by the model itself, which pads users to the most that one has."""
        counts = np.bincount(owner, minlength=len(users))
        vectors = self._model().item_vectors()
        if vectors is not None:
            is_asked = counts > 0
            found = self._model().user_vectors(self._histories.take(users[is_asked]))
            assert found is not None
            return pair_products(found, vectors, (np.cumsum(is_asked) - 1)[owner], items)
        # Users with about as many of them together.
        starts = np.cumsum(counts) - counts
        scores = np.empty(len(items), dtype=np.float32)
        by_count = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        for begin in range(0, len(by_count), _USERS_A_BLOCK):
            block = by_count[begin : begin + _USERS_A_BLOCK]
            inside = np.repeat(np.arange(len(block)), counts[block]), within(counts[block])
            places = np.repeat(starts[block], counts[block]) + inside[1]
            padded = np.full((len(block), counts[block[0]]), -1, dtype=np.int64)
            padded[inside] = items[places]
            scores[places] = self._model().score(self._histories.take(users[block]), padded)[inside]
        return scores
