"""HNSW indexes of vectors, built anew beside the old ones while those serve."""

import logging
import time
from typing import Any, cast

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from recsql.queries import QUERIES

logger = logging.getLogger(__name__)

INDEX_TYPE = "halfvec"
"""What ``recsql.vector_index_definition`` builds; see docs/decisions/vector-search.md."""


def reindex(connection: psycopg.Connection[Any], everything: bool = False) -> list[dict[str, Any]]:
    """Replace indexes that are missing or of another type, whose readers and writers wait only for the exchange.

    What a build that was broken off left is removed first, so it can be repeated at any time.

    Args:
        connection: in autocommit mode, since PostgreSQL builds concurrently in no transaction.
        everything: whether to replace those of the right type, too.

    Returns:
        One row per index: ``vectors``, ``vector_set``, ``before`` (type, or None), ``seconds``.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(QUERIES["vector_indexes"]).fetchall()
    done = []
    for row in found:
        old, new = (sql.Identifier("recsql", row["vector_set"] + ending) for ending in ("_hnsw", "_hnsw_new"))
        if row["is_broken_off"]:
            connection.execute(sql.SQL("drop index concurrently if exists {}").format(new))
        if row["index_type"] == INDEX_TYPE and not everything:
            continue
        began = time.monotonic()
        connection.execute(cast(Any, row["definition"]))
        with connection.transaction():
            connection.execute(sql.SQL("drop index if exists {}").format(old))
            connection.execute(
                sql.SQL("alter index {} rename to {}").format(new, sql.Identifier(row["vector_set"] + "_hnsw"))
            )
        seconds = time.monotonic() - began
        logger.info("index built", extra={"vector_set": row["vector_set"], "seconds": seconds})
        done.append(
            {
                "vectors": row["label"],
                "vector_set": row["vector_set"],
                "before": row["index_type"],
                "seconds": round(seconds, 1),
            }
        )
    return done
