"""Kinds of HNSW index side by side on the same vectors: ``python -m benchmarks.vector_index --items 100000 --json``.

For each kind: seconds to build, MiB, and of the ten nearest of each of the sampled items recall@10 against the exact
answer and the times of one client. ``vector``: full precision; ``halfvec``: half precision in the index, ranked again
by the full vectors; ``careful``: the same, neighbours chosen out of 200 in place of 64; ``bit``: signs in the index,
the nearest ``REFINED`` of them ranked again by the full vectors; ``partial``: halfvec over the tenth of the items that
a filter asks for, beside ``iterative``, which finds them through the index over all items, and ``exact``, which
compares them all.
"""

import logging
import statistics
import time
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.latent_items import SPACE, LatentItems, loaded
from benchmarks.report import Report, make_parser

logger = logging.getLogger(__name__)

N_NEAREST = 10
REFINED = 200
EF_SEARCH = (40, 100, 200)

INDEXES = {
    "vector": "(embedding::vector({dim})) vector_cosine_ops",
    "halfvec": "(embedding::halfvec({dim})) halfvec_cosine_ops",
    "careful": "(embedding::halfvec({dim})) halfvec_cosine_ops) with (ef_construction = 200",
    "bit": "(binary_quantize(embedding::vector({dim}))::bit({dim})) bit_hamming_ops",
    "partial": "(embedding::halfvec({dim})) halfvec_cosine_ops) where (item_no / 100 % 10 = 3",
}
_NEAR = {
    "vector": "embedding::vector({dim}) <=> {query}::vector({dim})",
    "halfvec": "embedding::halfvec({dim}) <=> {query}::halfvec({dim})",
    "bit": "binary_quantize(embedding::vector({dim}))::bit({dim})"
    " <~> binary_quantize({query}::vector({dim}))::bit({dim})",
}
_FETCHED = {"vector": N_NEAREST, "halfvec": 2 * N_NEAREST, "bit": REFINED}
_TENTH = "item_no / 100 % 10 = 3"

_SEARCH = """
    select n.item_no
    from (
        select v.item_no, v.embedding from {table} as v
        where {condition}
        order by {near}
        limit {fetched}
    ) as n
    order by n.embedding <=> {query}::vector({dim}), n.item_no
    limit {n}
"""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--keep", action="store_true", help="leave the database there for another time")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    items = LatentItems(options.items, options.dim, options.seed)
    report = Report("vector_index", f"latent-{options.items}-{options.dim}", seed=options.seed)
    with loaded(items, options.keep) as connection:
        results = compare(connection, items, options.queries)
    report.publish({name: round(value, 4) for name, value in results.items()}, options.save)


def compare(connection: psycopg.Connection[Any], items: LatentItems, n_queries: int) -> dict[str, float]:
    """Build each kind of index in turn and search it."""
    space_no, *_ = connection.execute(
        "select space_no from recsql.embedding_space where space = %s", (SPACE,)
    ).fetchone() or (0,)
    table = f"recsql.item_embedding_{space_no}"
    queries = connection.execute(
        sql.SQL("select item_no, embedding::text from {} where mod(item_no * 7919, {}) < %s").format(
            sql.Identifier(*table.split(".")), items.n_items
        ),
        (n_queries,),
    ).fetchall()
    connection.execute("select recsql.drop_vector_index(%s)", (f"item_embedding_{space_no}",))
    search = Searches(connection, table, items.dim, queries)
    exact = {condition: search.answers("vector", condition) for condition in ("true", _TENTH)}
    results = {"exact.p50_ms": statistics.median(exact["true"].milliseconds)}
    results["tenth.exact.p50_ms"] = statistics.median(exact[_TENTH].milliseconds)
    for kind, definition in INDEXES.items():
        began = time.monotonic()
        connection.execute(f"create index benchmark_hnsw on {table} using hnsw ({definition})".format(dim=items.dim))  # type: ignore[arg-type]
        results[f"{kind}.build_s"] = time.monotonic() - began
        size = connection.execute("select pg_relation_size('recsql.benchmark_hnsw')").fetchone()
        results[f"{kind}.mib"] = size[0] / 2**20 if size else 0
        for ef_search in EF_SEARCH if kind != "bit" else (REFINED,):
            connection.execute(sql.SQL("set hnsw.ef_search = {}").format(ef_search))
            if kind != "partial":
                found = search.answers("halfvec" if kind == "careful" else kind, "true", is_indexed=True)
                results |= found.figures(f"{kind}.ef_{ef_search}", exact["true"])
            if kind in ("halfvec", "partial"):
                name = "tenth.iterative" if kind == "halfvec" else "tenth.partial"
                found = search.answers("halfvec", _TENTH, is_indexed=True)
                results |= found.figures(f"{name}.ef_{ef_search}", exact[_TENTH])
        connection.execute("drop index recsql.benchmark_hnsw")
        logger.info("%s: %s", kind, {name: round(value, 3) for name, value in results.items() if name.startswith(kind)})
    return results


class Answers:
    """Items found for each query, and the milliseconds of each."""

    def __init__(self) -> None:
        self.found: list[set[int]] = []
        self.milliseconds: list[float] = []

    def figures(self, name: str, exact: "Answers") -> dict[str, float]:
        """recall@10 against the exact answers, and quantiles of the times."""
        n_right = sum(len(ours & theirs) for ours, theirs in zip(self.found, exact.found, strict=True))
        cuts = statistics.quantiles(self.milliseconds, n=100, method="inclusive")
        return {
            f"{name}.recall@10": n_right / sum(map(len, exact.found)),
            f"{name}.p50_ms": cuts[49],
            f"{name}.p99_ms": cuts[98],
        }


class Searches:
    """The same queries by different means."""

    def __init__(
        self, connection: psycopg.Connection[Any], table: str, dim: int, queries: list[tuple[int, str]]
    ) -> None:
        self._connection = connection
        self._table = table
        self._dim = dim
        self._queries = queries

    def answers(self, kind: str, condition: str, is_indexed: bool = False) -> Answers:
        """Ask all queries, after a tenth of them untimed."""
        settings = {"hnsw.iterative_scan": "relaxed_order", "enable_sort": "off" if is_indexed else "on"}
        result = Answers()
        with self._connection.transaction():
            for name, value in settings.items():
                self._connection.execute("select set_config(%s, %s, true)", (name, value))
            for _, query in self._queries[: len(self._queries) // 10]:
                self._connection.execute(self._statement(kind, condition, query))
            for _, query in self._queries:
                statement = self._statement(kind, condition, query)
                began = time.perf_counter()
                rows = self._connection.execute(statement).fetchall()
                result.milliseconds.append(1000 * (time.perf_counter() - began))
                result.found.append({row[0] for row in rows})
        return result

    def _statement(self, kind: str, condition: str, query: str) -> Any:
        names = {"dim": self._dim, "query": f"'{query}'"}
        return _SEARCH.format(
            table=self._table,
            condition=condition,
            near=_NEAR[kind].format(**names),
            fetched=_FETCHED[kind],
            n=N_NEAREST,
            **names,
        )


if __name__ == "__main__":
    main()
