"""Stage ``score``: what each model that is an active source says of every candidate, whichever source it came from.

Users are scored a range at a time: candidates are read ahead and what was scored is sorted and written behind, over
another connection, while this thread computes. No value becomes a Python object on its way.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol, TypeVar

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
from workers.versions import Version, find_version, histories_of, kept_version, load_model, reads_weights

T = TypeVar("T")

USERS_AT_ONCE = 250
"""Numbers of users in a range."""

RANGES_AT_ONCE = 4
"""Ranges that are prepared together, read ahead, and kept waiting to be written: histories of similar length are
computed together, of which many users have more."""

_DENSE_FACTOR = 8
"""Up to so many items for each candidate all are multiplied, and then the candidates picked: fetching a vector for each
candidate takes longer than that many products."""

_MARKED = 8
"""Up to so many places, of users times items, for each candidate, those are marked in an array of all places; beyond
that they are sorted."""

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

    def prepare(self, first: int, last: int) -> None:
        """Compute what does not depend on candidates, for a range of numbers of users who are scored next."""
        ...

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
    chunks = run.user_chunks(USERS_AT_ONCE) if scorers else []
    written = 0
    with ExitStack() as stack:
        if len(chunks) > 1 and get_settings().connections > 1:
            reader, writer = (stack.enter_context(background(run.connection, own)) for own in (False, True))
        else:
            reader = writer = at_once(run.connection)
        write = WriteBehind(writer, RANGES_AT_ONCE * max(1, len(scorers)))
        write(_clear, run.run_no)
        read = partial(_read, run_no=run.run_no, scorers=scorers)
        reads = read_ahead(reader, read, chunks, RANGES_AT_ONCE)
        for done, (pairs, found) in enumerate(_prepared(chunks, scorers, reads)):
            for scorer, state in zip(scorers, found, strict=True):
                scores = scorer.score(pairs, state)
                written += int(np.count_nonzero(~np.isnan(scores)))
                write(_write, run.run_no, scorer.version_no, pairs, scores)
            progress(done + 1, len(chunks), "")
        write.finish()
    return written


def _prepared(chunks: list[tuple[int, int]], scorers: list[Scorer], reads: Iterator[T]) -> Iterator[T]:
    for begin in range(0, len(chunks), RANGES_AT_ONCE):
        block = chunks[begin : begin + RANGES_AT_ONCE]
        for scorer in scorers:
            scorer.prepare(block[0][0], block[-1][1])
        yield from islice(reads, len(block))


def _clear(connection: psycopg.Connection[Any], run_no: int) -> None:
    connection.execute(QUERIES["clear_scores"], {"run_no": run_no})


def _write(connection: psycopg.Connection[Any], run_no: int, version_no: int, pairs: Pairs, scores: FloatArray) -> None:
    user_nos, lengths, item_nos, scores = best_first(pairs, scores)
    numbers = {"run_no": run_no, "version_no": version_no, "user_no": user_nos}
    write_lists(connection, "score", numbers, {"item_nos": item_nos.astype(np.int32), "scores": scores}, lengths)


def _read(
    connection: psycopg.Connection[Any], chunk: tuple[int, int], *, run_no: int, scorers: list[Scorer]
) -> tuple[Pairs, list[Any]]:
    return read_pairs(connection, run_no, *chunk), [scorer.read(connection, *chunk) for scorer in scorers]


def read_pairs(connection: psycopg.Connection[Any], run_no: int, first: int, last: int) -> Pairs:
    """Candidates of the users in a range of numbers, each once whatever sources propose it."""
    parameters = {"run_no": run_no, "first": first, "last": last}
    keys, lengths, (item_nos,) = read_lists(connection, QUERIES["candidate_lists"], parameters, {"item_nos": np.int32})
    if not len(item_nos):
        return Pairs(keys, lengths, item_nos.astype(np.int64))
    n_numbers = int(item_nos.max()) + 1
    both = np.repeat((keys - first) * n_numbers, lengths) + item_nos
    n_places = (int(keys.max()) - first + 1) * n_numbers
    if n_places <= _MARKED * len(both):
        is_there = np.zeros(n_places, dtype=bool)
        is_there[both] = True
        both = np.flatnonzero(is_there)
    else:
        both.sort()
        both = both[np.concatenate([[True], both[1:] != both[:-1]])]
    owners = both // n_numbers
    begins = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))
    return Pairs(owners[begins] + first, np.diff(begins, append=len(both)), both - owners * n_numbers)


def best_first(
    pairs: Pairs, scores: FloatArray
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Lists of each user's scored items, the best first, of equal ones the lower number.

    Returns:
        Users who have any and how many, shape ``(n_lists,)``; items and scores, list by list.
    """
    owner, item_nos = pairs.owner, pairs.item_nos
    is_scored = ~np.isnan(scores)
    if not is_scored.all():
        owner, item_nos, scores = owner[is_scored], item_nos[is_scored], scores[is_scored]
    counts = np.bincount(owner, minlength=len(pairs.user_nos))
    order, has_any = _falling(owner, scores), counts > 0
    return pairs.user_nos[has_any], counts[has_any], item_nos[order], scores[order]


def _falling(owner: NDArray[np.int64], scores: FloatArray) -> NDArray[np.int64]:
    """Order by user, falling score and place, shape ``(n_scores,)``."""
    # As one number, whose order is that of users, falling scores and, if there is room, places: numbers are sorted
    # several times as fast as indices are by them.
    falling = (-scores + np.float32(0)).view(np.uint32)
    falling ^= np.where(falling >> 31, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
    n_bits = len(scores).bit_length()
    if n_bits + int(owner.max(initial=0)).bit_length() > 32:
        return np.argsort(owner << 32 | falling, kind="stable")
    numbers = (owner.astype(np.uint64) << 32 | falling) << n_bits | np.arange(len(scores), dtype=np.uint64)
    numbers.sort()
    return (numbers & ((1 << n_bits) - 1)).astype(np.int64)


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

    def prepare(self, first: int, last: int) -> None:
        """Nothing: the vectors are there."""

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
        return (users @ items.T).ravel().take(user_rows * len(items) + item_rows)
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
        # Now, since another thread reads over the run's connection once scoring has begun.
        self._model: Model = load_model(run, name, version)
        self._histories: Sequences = histories_of(run.data, version)
        self._item_nos = run.data.item_nos if version.item_nos is None else version.item_nos
        kept = kept_version(run, name, version)
        self._kept: tuple[int, NDArray[np.int64]] | None = None
        self._prepared: tuple[int, FloatArray] | None = None
        if kept is not None:
            self._kept = kept.version_no, run.unchanged_users(reads_weights(run, name))

    def prepare(self, first: int, last: int) -> None:
        """Compute the users' vectors, unless most of their scores are known from the earlier run."""
        if self._kept is None and self._model.item_vectors() is not None:
            begin, end = np.searchsorted(self._run.data.user_nos, [first, last + 1])
            self._prepared = int(begin), self._user_vectors(np.arange(begin, end))

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

    def _user_vectors(self, rows: NDArray[np.int64]) -> FloatArray:
        vectors = self._model.user_vectors(self._histories.take(rows))
        assert vectors is not None
        return vectors

    def _scores(self, users: NDArray[np.int64], owner: NDArray[np.int64], items: NDArray[np.int64]) -> FloatArray:
        """Scores of pairs: products of vectors, or by the model itself, which pads users to the most that one has."""
        counts = np.bincount(owner, minlength=len(users))
        vectors = self._model.item_vectors()
        if vectors is not None:
            is_asked = counts > 0
            asked = users[is_asked]
            if self._prepared is None:
                found = self._user_vectors(asked)
            else:
                found = self._prepared[1][asked - self._prepared[0]]
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
            scores[places] = self._model.score(self._histories.take(users[block]), padded)[inside]
        return scores
