"""Embedding: the backlog of a text space in batches; no transaction is open while the model computes."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg

from recsql.errors import ModelError
from recsql.queries import QUERIES
from workers.encoders.text import TextEncoder

logger = logging.getLogger(__name__)

SPACE = "text"
TEMPLATE = "{title}. {tags}. {body}"


def embed(
    connection: psycopg.Connection[Any],
    encoder: TextEncoder,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
    batch_size: int = 128,
) -> int:
    """Embed every item whose content has changed; returns the number of vectors written.

    A batch that fails is halved until the item at fault stands alone; it is kept in ``embedding_failure`` with
    its error.

    Args:
        connection: in autocommit mode.
        encoder: the model; its space is made where it is missing.
        progress: called after each batch.
        batch_size: items a batch.

    Raises:
        ModelError: the space belongs to another model.
    """
    space = {
        "space": SPACE,
        "model": encoder.name,
        "revision": encoder.revision,
        "dim": encoder.dim,
        "template": TEMPLATE,
    }
    row = connection.execute(QUERIES["add_text_space"], space).fetchone()
    space_no = row[0] if row else 0
    backlog = connection.execute(QUERIES["embedding_backlog"], {"space_no": space_no}).fetchall()
    backlog.sort(key=lambda entry: len(entry[1]))  # texts of like length share a batch without padding
    written = 0
    for start in range(0, len(backlog), batch_size):
        written += _write(connection, encoder, space_no, backlog[start : start + batch_size])
        progress(min(start + batch_size, len(backlog)), len(backlog), "")
    return written


def _write(connection: psycopg.Connection[Any], encoder: TextEncoder, space_no: int, batch: list[Any]) -> int:
    try:
        vectors = encoder.encode([content for _, content, _ in batch])
        if vectors.shape != (len(batch), encoder.dim) or not np.isfinite(vectors).all():
            raise ModelError(
                f"Model '{encoder.name}' gave vectors of shape {vectors.shape} or with NaN, not {encoder.dim} "
                "finite numbers each: is it the model that the space was made for?"
            )
    except (RuntimeError, ValueError, ModelError) as error:
        if len(batch) > 1:
            middle = len(batch) // 2
            return _write(connection, encoder, space_no, batch[:middle]) + _write(
                connection, encoder, space_no, batch[middle:]
            )
        failed = {"space_no": space_no, "item_no": batch[0][0], "content_hash": batch[0][2], "error": str(error)[:1000]}
        connection.execute(QUERIES["record_embedding_failure"], failed)
        logger.warning("item could not be embedded", extra=failed)
        return 0
    rows = [
        {"space_no": space_no, "item_no": item_no, "content_hash": content_hash, "embedding": vector}
        for (item_no, _, content_hash), vector in zip(batch, vectors, strict=True)
    ]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(QUERIES["write_embedding"], rows)
    return len(rows)
