"""What similar_items() finds in a big catalogue: ``python -m benchmarks.vector_search --items 1000000 --json``.

The catalogue of :mod:`benchmarks.latent_items` is copied into the product's tables, in a database of its own, and its
index is built by the product. One client then asks ``recsql_api.similar_items`` for what is like some items by content,
without a filter and with filters that leave 1 %, 10 %, and 10 % of which most items have none in their neighbourhood.
recall@10 is against NumPy's exact answer; ``exact`` is the same search by comparing all vectors in SQL.

``--keep`` leaves the database there, and a later call with the same items, dimensions and seed measures it at once.
"""

import logging
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from benchmarks.latent_items import LatentItems, loaded
from benchmarks.report import Report, make_parser

logger = logging.getLogger(__name__)

N_NEAREST = 10
N_EXACT = 10
"""Searches that are also timed as a comparison with all vectors: each of them takes long."""

BUILD_MEMORY = "2GB"
"""``maintenance_work_mem`` of the build: room for the graph of a million vectors of 384 dimensions."""

FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "filter_1%": {"percent": 7},
    "filter_10%": {"decile": 3},
    "filter_far_10%": {"side": "far"},
}


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--keep", action="store_true", help="leave the database there for another time")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logging.getLogger("benchmarks").setLevel(logging.INFO)
    items = LatentItems(options.items, options.dim, options.seed)
    report = Report("vector_search", f"latent-{options.items}-{options.dim}", seed=options.seed)
    with loaded(items, options.keep) as connection:
        results = build(connection)
        queries = Queries(items, options.queries)
        for name, wanted in FILTERS.items():
            results |= measure(connection, queries, name, wanted)
            logger.info("%s: %s", name, {key: value for key, value in results.items() if key.startswith(f"{name}.")})
    report.publish({name: round(value, 4) for name, value in results.items()}, options.save)


def content_set(connection: psycopg.Connection[Any]) -> str:
    """Name of the set of vectors that similar_items() searches."""
    row = connection.execute("select 'item_embedding_' || space_no from recsql.content_space").fetchone()
    assert row is not None
    return row[0]


def build(connection: psycopg.Connection[Any]) -> dict[str, float]:
    """Seconds of building the index where it is missing, and its size."""
    vector_set = content_set(connection)
    results: dict[str, float] = {}
    if connection.execute(
        "select 1 from recsql.vector_set where vector_set = %s and index_type is null", (vector_set,)
    ).fetchone():
        logger.info("building the index")
        # Once a graph has outgrown this, the rest of it takes several times as long.
        connection.execute("select set_config('maintenance_work_mem', %s, false)", (BUILD_MEMORY,))
        began = time.monotonic()
        connection.execute("select recsql.add_vector_index(%s)", (vector_set,))
        results["build_s"] = time.monotonic() - began
        connection.execute("analyze recsql.item, recsql.item_embedding")
    row = connection.execute(
        "select pg_relation_size(to_regclass('recsql.' || %s || '_hnsw'))", (vector_set,)
    ).fetchone()
    return results | {"index_mib": row[0] / 2**20 if row else 0}


@dataclass(frozen=True)
class Kept:
    """The best ten of those that match, of each query: cosines and item numbers, shape ``(n_queries, 10)``."""

    cosines: NDArray[np.float32]
    item_nos: NDArray[np.int64]


class Queries:
    """Items drawn at random, and the items nearest to them by comparing all in NumPy.

    Args:
        items: the catalogue.
        n_queries: how many are drawn.
    """

    def __init__(self, items: LatentItems, n_queries: int) -> None:
        generator = np.random.default_rng(items.seed + 1)
        n_queries = min(n_queries, items.n_items)
        self.item_nos = 1 + generator.choice(items.n_items, n_queries, replace=False)
        vectors = np.empty((n_queries, items.dim), dtype=np.float32)
        for first, block, _ in items.blocks():
            is_here = (self.item_nos >= first) & (self.item_nos < first + len(block))
            vectors[is_here] = block[self.item_nos[is_here] - first]
        nothing = Kept(np.full((n_queries, 0), -np.inf, np.float32), np.zeros((n_queries, 0), np.int64))
        self.nearest = dict.fromkeys(FILTERS, nothing)
        for first, block, is_far in items.blocks():
            numbers = np.arange(first, first + len(block))
            cosines = vectors @ block.T
            cosines[self.item_nos[:, None] == numbers] = -np.inf
            matches = {
                "all": np.ones(len(block), dtype=bool),
                "filter_1%": numbers % 100 == FILTERS["filter_1%"]["percent"],
                "filter_10%": numbers // 100 % 10 == FILTERS["filter_10%"]["decile"],
                "filter_far_10%": is_far,
            }
            for name, is_match in matches.items():
                self.nearest[name] = _merge(self.nearest[name], cosines[:, is_match], numbers[is_match])


def _merge(kept: Kept, cosines: NDArray[np.float32], numbers: NDArray[np.int64]) -> Kept:
    cosines = np.hstack([kept.cosines, cosines])
    numbers = np.hstack([kept.item_nos, np.broadcast_to(numbers, (len(cosines), len(numbers)))])
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :N_NEAREST]
    return Kept(np.take_along_axis(cosines, best, axis=1), np.take_along_axis(numbers, best, axis=1))


def measure(
    connection: psycopg.Connection[Any], queries: Queries, name: str, wanted: dict[str, Any]
) -> dict[str, float]:
    """recall@10, times in ms of one client, and how it was searched."""
    ask = "select item_id from recsql_api.similar_items(%s, %s, 'content', null, %s)"
    asked = [(f"i{item_no}", N_NEAREST, Jsonb(wanted)) for item_no in queries.item_nos.tolist()]
    for parameters in asked[: len(asked) // 10]:  # fills caches
        connection.execute(ask, parameters, prepare=True).fetchall()
    milliseconds, n_right, n_found = [], 0, 0
    for parameters, nearest in zip(asked, queries.nearest[name].item_nos.tolist(), strict=True):
        began = time.perf_counter()
        rows = connection.execute(ask, parameters, prepare=True).fetchall()
        milliseconds.append(1000 * (time.perf_counter() - began))
        n_right += len({int(row[0][1:]) for row in rows} & set(nearest))
        n_found += len(rows)
    vector_set = content_set(connection)
    strategies = connection.execute(
        "select n.strategy from recsql.item_embedding as e cross join lateral recsql.nearest_items("
        "%s, e.embedding, %s, null, %s, array[e.item_no]) as n "
        "where e.space_no = (select space_no from recsql.content_space) and e.item_no = any (%s)",
        (vector_set, N_NEAREST, Jsonb(wanted), queries.item_nos[:50].tolist()),
    ).fetchall()
    exact = []
    for item_no in queries.item_nos[:N_EXACT].tolist():
        began = time.perf_counter()
        connection.execute(
            "select n.* from recsql.item_embedding as e cross join lateral recsql.nearest_exact("
            "%s, e.embedding, %s, null, %s, array[e.item_no]) as n "
            "where e.space_no = (select space_no from recsql.content_space) and e.item_no = %s",
            (vector_set, N_NEAREST, Jsonb(wanted), item_no),
        ).fetchall()
        exact.append(1000 * (time.perf_counter() - began))
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {
        f"{name}.recall@10": n_right / queries.nearest[name].item_nos.size,
        f"{name}.rows": n_found / len(asked),
        f"{name}.p50_ms": cuts[49],
        f"{name}.p99_ms": cuts[98],
        f"{name}.exact_p50_ms": statistics.median(exact),
        **{
            f"{name}.{strategy}": sum(row[0] == strategy for row in strategies) / max(1, len(strategies))
            for strategy in ("index", "completed", "exact")
        },
    }


if __name__ == "__main__":
    main()
