"""Embedding: workers claim what waits, compute with no transaction open, and write what is still asked for.

While a batch is computed, the one before it is written and the next one is read, fetched and decoded.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import psycopg

from recsql.errors import ContentError, ModelError, TemporaryError
from recsql.queries import QUERIES
from workers.encoders.base import Decoded, Encoder, Medium
from workers.spaces import Space, add_text_space, encoder_of, read_spaces

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]

CLAIMED_AT_ONCE = {"text": 1024, "unified": 4096}
"""Tasks that are claimed at once, by modality; of media, whose bytes are held, ``MEDIA_AT_ONCE``."""
MEDIA_AT_ONCE = 16
BATCH = {"text": 64, "unified": 1024}
"""Items that are computed together at first, by modality."""
MEDIA_BATCH = 16
DECODERS = 8
"""Threads that fetch and decode."""
_MANY = 4
"""So many items together have not come to fail by chance."""


@dataclass(frozen=True)
class Task:
    """An item that this worker has claimed, and its content as the model reads it."""

    item_no: int
    content_hash: bytes
    decoded: Decoded


@dataclass(frozen=True)
class Embedded:
    """What came of it.

    Attributes:
        written: vectors written.
        failed: items set aside for good or for a time.
    """

    written: int
    failed: int


def embed(
    connection: psycopg.Connection[Any],
    progress: Progress = lambda done, total, note: None,
    *,
    encoders: Callable[[Space], Encoder] | None = None,
    everything: bool = False,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Embedded:
    """Embed what is queued, in all spaces, until nothing is left that can be claimed.

    Args:
        connection: in autocommit mode; it becomes an embedding worker, whose claims end with it.
        progress: called after each batch.
        encoders: gives a space's model; :func:`workers.spaces.encoder_of` when None.
        everything: look through the catalogue for what is not queued although it should be.
        is_stopped: asked after each batch; what was claimed is given back then.

    Raises:
        ModelError: a space's model cannot be used; the other spaces are embedded first.
    """
    if not any(space.modality == "text" for space in read_spaces(connection)):
        add_text_space(connection)
    if everything:
        connection.execute(QUERIES["queue_embedding"])
    encoders = encoders or partial(encoder_of, connection)
    worker = _Worker(connection, progress, is_stopped)
    problems: dict[str, str] = {}
    try:
        while True:
            before = worker.written + worker.failed
            # Spaces that unite others come last: by then their items are queued.
            for space in read_spaces(connection):
                if space.space in problems or not worker.waiting(space):
                    continue
                try:
                    worker.embed(space, encoders(space))
                except ModelError as error:
                    problems[space.space] = str(error)
                    logger.error("space cannot be embedded", extra={"space": space.space, "error": str(error)})
            if worker.written + worker.failed == before:
                break
    finally:
        if not connection.closed and not connection.broken:
            connection.execute(QUERIES["release_embeddings"], {"worker_no": worker.number})
    if problems:
        raise ModelError(" ".join(f"Space {space}: {problem}" for space, problem in problems.items()))
    return Embedded(worker.written, worker.failed)


class _Worker:
    """A session that embeds."""

    def __init__(self, connection: psycopg.Connection[Any], progress: Progress, is_stopped: Callable[[], bool]) -> None:
        row = connection.execute(QUERIES["begin_embedding"]).fetchone()
        assert row is not None
        self.connection = connection
        self.number: int = row[0]
        self.progress = progress
        self.is_stopped = is_stopped
        self.written = self.failed = 0
        self.total = sum(self._counts().values())

    def _counts(self) -> dict[int, int]:
        return dict(self.connection.execute(QUERIES["embedding_task_counts"]).fetchall())

    def waiting(self, space: Space) -> int:
        """Tasks of a space, claimed ones included."""
        counts = self._counts()
        self.total = max(self.total, self.written + self.failed + sum(counts.values()))
        return counts.get(space.space_no, 0)

    def embed(self, space: Space, encoder: Encoder) -> None:
        """Embed what waits in a space."""
        batches = _Batches(space, encoder)
        with ThreadPoolExecutor(DECODERS, "decode") as decoders, ThreadPoolExecutor(1, "encode") as computer:
            running: Future[list[tuple[Task, Any]]] | None = None
            for batch in self._claimed(space, encoder, batches, decoders):
                following = computer.submit(batches.encode, batch)
                if running is not None:
                    self._write(space, running.result())
                running = following
            if running is not None:
                self._write(space, running.result())

    def _claimed(
        self, space: Space, encoder: Encoder, batches: "_Batches", decoders: ThreadPoolExecutor
    ) -> Iterator[list[Task]]:
        """Batches of tasks of about the same size, claimed and decoded."""
        n = CLAIMED_AT_ONCE.get(space.modality, MEDIA_AT_ONCE)
        while not self.is_stopped():
            parameters = {"space_no": space.space_no, "worker_no": self.number, "n": n}
            hashes = dict(self.connection.execute(QUERIES["claim_embeddings"], parameters).fetchall())
            if not hashes:
                return
            contents = self._contents(space, list(hashes))
            decoded = {no: decoders.submit(encoder.decode, content) for no, content in contents.items()}
            tasks = []
            for item_no, result in decoded.items():
                try:
                    tasks.append(Task(item_no, hashes[item_no], result.result()))
                except Exception as error:  # Of whatever a decoder may raise, only this item is at fault.
                    self._give_up(space, item_no, hashes[item_no], error)
            # Of like size, since the shorter ones of a batch are padded to the longest.
            tasks.sort(key=lambda task: task.decoded.size)
            while tasks and not self.is_stopped():
                batch, tasks = tasks[: batches.size], tasks[batches.size :]
                yield batch

    def _contents(self, space: Space, item_nos: list[int]) -> dict[int, Any]:
        """What is to be embedded of each item; read after the claim, so never older than the claimed hash."""
        if space.modality == "text":
            rows = self.connection.execute(
                QUERIES["item_texts"], {"item_nos": item_nos, "template": space.template}
            ).fetchall()
            return {item_no: text for item_no, text in rows if text is not None}
        if space.modality == "unified":
            rows = self.connection.execute(
                QUERIES["item_embeddings"], {"item_nos": item_nos, "space_nos": space.source_nos}
            ).fetchall()
            rows.sort(key=itemgetter(1))
            return {
                item_no: {space_no: vector for space_no, _, vector in group}
                for item_no, group in groupby(rows, key=itemgetter(1))
            }
        rows = self.connection.execute(
            QUERIES["item_media"], {"item_nos": item_nos, "modality": space.modality}
        ).fetchall()
        return {
            item_no: [Medium(bytes(sha256), mime, data and bytes(data), uri) for _, sha256, mime, data, uri in group]
            for item_no, group in groupby(rows, key=itemgetter(0))
        }

    def _write(self, space: Space, results: Sequence[tuple[Task, Any]]) -> None:
        good = [(task, vector) for task, vector in results if not isinstance(vector, Exception)]
        if good:
            parameters = {
                "space_no": space.space_no,
                "worker_no": self.number,
                "item_nos": [task.item_no for task, _ in good],
                "hashes": [task.content_hash for task, _ in good],
                "embeddings": [vector for _, vector in good],
            }
            row = self.connection.execute(QUERIES["write_embeddings"], parameters).fetchone()
            self.written += row[0] if row else 0
        for task, error in results:
            if isinstance(error, Exception):
                self._give_up(space, task.item_no, task.content_hash, error)
        self.progress(self.written + self.failed, max(self.total, self.written + self.failed), space.space)

    def _give_up(self, space: Space, item_no: int, content_hash: bytes, error: Exception) -> None:
        parameters = {
            "space_no": space.space_no,
            "worker_no": self.number,
            "item_no": item_no,
            "content_hash": content_hash,
            # PostgreSQL holds no NUL.
            "error": (str(error) or type(error).__name__).replace("\0", "")[:1000],
            "provider": error.provider if isinstance(error, TemporaryError) else None,
        }
        self.connection.execute(QUERIES["give_up_embedding"], parameters)
        self.failed += 1
        logger.info("item could not be embedded", extra=parameters)


class _Batches:
    """Computes batches, of a size that fits into memory."""

    def __init__(self, space: Space, encoder: Encoder) -> None:
        self.size = BATCH.get(space.modality, MEDIA_BATCH)
        self._space = space
        self._encoder = encoder
        self._works = False

    def encode(self, batch: Sequence[Task]) -> list[tuple[Task, Any]]:
        """The vector of each task, or the error that it alone gives.

        Raises:
            ModelError: it fails with every one of several, and has not worked before: then the items are not at fault.
        """
        results = self._halving(batch)
        failed = [result for _, result in results if isinstance(result, Exception)]
        self._works = self._works or len(failed) < len(batch)
        if not self._works and len(batch) >= _MANY:
            raise ModelError(f"model '{self._space.model}' fails with every item: {failed[0]}") from failed[0]
        return results

    def _halving(self, batch: Sequence[Task]) -> list[tuple[Task, Any]]:
        """A batch that fails is halved, until the item at fault stands alone."""
        try:
            vectors = self._encoder.encode([task.decoded for task in batch])
            if vectors.shape != (len(batch), self._space.dim):
                raise ModelError(
                    f"model '{self._space.model}' gives vectors of shape {vectors.shape}, the space has "
                    f"{self._space.dim} dimensions: give the model a space of its own (recsql space add)."
                )
            bad = np.isnan(vectors.sum(axis=1)) | np.isinf(vectors).any(axis=1)
            if len(batch) == 1 or not bad.any():
                error = ContentError("the model gives no finite numbers for it")
                return [(task, error if bad[row] else vectors[row]) for row, task in enumerate(batch)]
        except ModelError:
            raise
        except Exception as error:  # Whatever a model may raise, only the item that makes it do so is at fault.
            if _is_out_of_memory(error):
                if len(batch) > 1:
                    self.size = max(1, len(batch) // 2)
                    logger.warning("out of memory, batches are halved", extra={"size": self.size})
                _free_memory()
            if len(batch) == 1:
                return [(batch[0], error)]
        middle = len(batch) // 2
        return [*self._halving(batch[:middle]), *self._halving(batch[middle:])]


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate" in str(error)


def _free_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
