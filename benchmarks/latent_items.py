"""A catalogue of any size for benchmarks of vector search, in a database of its own on the configured server.

Its vectors have a latent structure: a random map takes ``N_LATENT`` normal coordinates to ``dim`` dimensions, with a
little noise. Independent random vectors would have no neighbours that are worth finding. ``attributes`` holds values to
filter by: ``percent`` (0 to 99) and ``decile`` (0 to 9) know nothing of the vectors, ``side`` is "far" for the tenth of
the items with the greatest first latent coordinate, so that a filter by it leaves whole neighbourhoods empty.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql
from psycopg.conninfo import make_conninfo

from recsql import db, migrate

logger = logging.getLogger(__name__)

N_LATENT = 32
NOISE = 0.05
FAR = 1.2815515655446004
"""The 90 % quantile of a standard normal variable: who is beyond it belongs to ``side`` "far"."""
ROWS_A_BLOCK = 20_000
SPACE = "benchmark"

_ITEMS = """
    insert into recsql.item (item_no, item_id, domain, title, attributes)
    select n, 'i' || n, 'benchmark', 'Item ' || n,
        jsonb_build_object('percent', n % 100, 'decile', n / 100 % 10, 'serial', n)
    from generate_series(1, {}) as n
"""


@dataclass(frozen=True)
class LatentItems:
    """What the catalogue holds; equal descriptions give equal vectors.

    Attributes:
        n_items: items, with ``item_id`` i1, i2, …
        dim: dimensions.
        seed: of the vectors.
    """

    n_items: int
    dim: int
    seed: int

    @property
    def database(self) -> str:
        """Name of its database."""
        return f"recsql_vectors_{self.n_items}_{self.dim}_{self.seed}"

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.bool_]]]:
        """Number of the first item, vectors of shape ``(n_rows, dim)``, and who is on the far side ``(n_rows,)``."""
        generator = np.random.default_rng(self.seed)
        directions = generator.standard_normal((N_LATENT, self.dim)).astype(np.float32)
        for first in range(0, self.n_items, ROWS_A_BLOCK):
            n_rows = min(ROWS_A_BLOCK, self.n_items - first)
            latent = generator.standard_normal((n_rows, N_LATENT), dtype=np.float32)
            vectors = latent @ directions + NOISE * generator.standard_normal((n_rows, self.dim), dtype=np.float32)
            yield first + 1, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), latent[:, 0] > FAR


def copy_rows(space_no: int, first: int, vectors: NDArray[np.float32]) -> bytes:
    """Rows of ``item_embedding`` as a binary COPY takes them, without head and end."""
    n_rows, dim = vectors.shape
    rows = np.zeros(
        n_rows,
        dtype=[
            ("fields", ">i2"), ("space_size", ">i4"), ("space_no", ">i4"), ("item_size", ">i4"), ("item_no", ">i4"),
            ("hash_size", ">i4"), ("vector_size", ">i4"), ("dim", ">i2"), ("unused", ">i2"), ("vector", ">f4", (dim,)),
        ],
    )  # fmt: skip
    rows["fields"], rows["space_size"], rows["item_size"], rows["vector_size"] = 4, 4, 4, 4 + 4 * dim
    rows["space_no"], rows["dim"], rows["vector"] = space_no, dim, vectors
    rows["item_no"] = np.arange(first, first + n_rows)
    return rows.tobytes()


def load(connection: psycopg.Connection[Any], items: LatentItems) -> None:
    """Fill an empty database with the items and their vectors, all or nothing; their space has no index yet."""
    with connection.transaction():
        connection.execute("insert into recsql.domain (domain) values ('benchmark')")
        connection.execute(sql.SQL(_ITEMS).format(items.n_items))
        row = connection.execute(
            "select recsql.add_embedding_space(%s, 'text', 'latent', '1', %s, '{title}')", (SPACE, items.dim)
        ).fetchone()
        assert row is not None
        connection.execute("truncate recsql.embedding_task")  # what it asks for is copied in
        connection.execute("select recsql.drop_vector_index(%s)", (f"item_embedding_{row[0]}",))
        statement = "copy recsql.item_embedding (space_no, item_no, content_hash, embedding) from stdin (format binary)"
        far: list[int] = []
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for first, vectors, is_far in items.blocks():
                copy.write(copy_rows(row[0], first, vectors))
                far += (first + np.flatnonzero(is_far)).tolist()
            copy.write(b"\xff\xff")
        connection.execute(
            'update recsql.item set attributes = attributes || \'{"side": "far"}\' where item_no = any (%s)', (far,)
        )
    connection.execute("vacuum analyze recsql.item, recsql.item_embedding")


@contextmanager
def loaded(items: LatentItems, keep: bool) -> Iterator[psycopg.Connection[Any]]:
    """Connection to the database of the items, which is made and filled where it is missing.

    Args:
        items: what it holds.
        keep: leave it there for another time; else it is dropped.
    """
    server = db.database_url()
    url = make_conninfo(server, dbname=items.database)
    with psycopg.connect(server, autocommit=True) as admin:
        is_there = admin.execute("select 1 from pg_database where datname = %s", (items.database,)).fetchone()
        if not is_there:
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(items.database)))
    try:
        migrate.upgrade(url)
        with db.connect(url) as connection:
            if not connection.execute("select 1 from recsql.item limit 1").fetchone():
                logger.info("loading %s items", f"{items.n_items:,}")
                load(connection, items)
            yield connection
    finally:
        if not keep:
            with psycopg.connect(server, autocommit=True) as admin:
                admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(items.database)))
