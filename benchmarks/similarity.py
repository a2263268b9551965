"""Similarity methods, table to table, beside ``implicit`` in memory: ``python -m benchmarks.similarity --json``.

Each method is refreshed on the test run of ``loo``, timed, and measured as a recommender by itself: one weighted join
over the recent history. ``implicit``'s cosine recommender is fitted on the same interactions, in turns. Then 1,000
events are taken away and come back, to compare following them with a full refresh, in one session, and pairs are
counted in no more than the newest 50, 100 … items of each user. ``--growth`` also refreshes simulated histories of 10⁵,
10⁶ … interactions, in a database of its own.
"""

import time
from importlib import import_module
from math import log10
from statistics import median
from typing import Any

import numpy as np
import psycopg
from psycopg.conninfo import make_conninfo
from scipy.sparse import csr_matrix

from benchmarks.data import DATASETS, pipeline_on
from benchmarks.report import Report, make_parser
from recsql import db, migrate
from recsql.queries import QUERIES
from workers.evaluate import interval
from workers.interactions import RunData
from workers.pipeline import PipelineConfig
from workers.run import Run
from workers.stages import item_weights, similarity

IN_SQL = ("sequential", "cosine", "jaccard", "conditional", "llr", "pearson")
IN_WORKER = ("ease", "slit")
N_LATE = 1_000
CAPS = (50, 100, 200, 640)
GROWTH_DATABASE = "recsql_growth"
SIMULATED = """
    insert into recsql.interaction (run_no, user_no, item_no, step, weight, n_events, at, event_no)
    select %s, c.user_no, c.item_no, row_number() over (partition by c.user_no order by c.n) - 1, 1, 1, now(), c.n
    from (
        select distinct on (d.user_no, d.item_no) d.user_no, d.item_no, d.n
        from (
            select
                1 + floor(%s * random() ^ 1.5)::integer as user_no, 1 + floor(%s * random() ^ 2)::integer as item_no, n
            from generate_series(1, %s) as n
        ) as d
        order by d.user_no, d.item_no
    ) as c
"""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--growth", type=int, choices=(6, 7, 8), help="refresh simulated histories of 10^5 … 10^GROWTH interactions too"
    )
    options = parser.parse_args()
    report = Report("similarity", options.dataset, "loo", options.seed)
    results: dict[str, float] = {}
    with pipeline_on(options.dataset, content=False) as pipeline:
        connection, bars = pipeline.connection, pipeline.bar
        run_no = pipeline.run("test", until="popularity")
        run, bar = Run(connection, run_no, "test", pipeline.config), bars("similarity")
        refresh = {method: similarity(method) for method in IN_SQL} | {name: item_weights(name) for name in IN_WORKER}
        seconds: dict[str, list[float]] = {method: [] for method in (*refresh, "implicit")}
        data = run.data  # read once, so that it is not part of the first worker method's time
        for turn in range(options.repeats):
            for index, (method, stage) in enumerate(refresh.items()):
                began = time.monotonic()
                stage(run, lambda done, total, note: None)
                seconds[method].append(time.monotonic() - began)
                bar(turn * len(refresh) + index + 1, options.repeats * len(refresh), method)
            seconds["implicit"].append(_fit_implicit(data))
        results |= {f"{method}.seconds": median(times) for method, times in seconds.items()}
        results["ratio"] = results["cosine.seconds"] / results["implicit.seconds"]
        for method in refresh:
            value, lo, hi, _ = interval(measure_quality(connection, run_no, method), options.seed)
            if value is not None and lo is not None and hi is not None:
                results |= {f"{method}.ndcg@10": value, f"{method}.ndcg@10.lo": lo, f"{method}.ndcg@10.hi": hi}
        results |= measure_incremental(connection, pipeline.config.reverse)
        results |= measure_caps(connection, run_no, pipeline.config.reverse)
        if options.growth:
            results |= measure_growth(db.database_url(), options.growth, bars("growth"))
    report.publish(results, options.save)


def measure_quality(connection: psycopg.Connection[Any], run_no: int, method: str) -> np.ndarray:
    """NDCG@10 of each user, of one weighted join over the recent history, shape ``(n_users,)``."""
    parameters = {"run_no": run_no, "source": method, "first": 0, "last": 2**31 - 1, "n": 100}
    connection.execute(QUERIES["refresh_candidates"], parameters)
    rows = connection.execute(QUERIES["user_metric"], {"run_no": run_no, "method": method, "k": 10}).fetchall()
    return np.array([row[1] for row in rows], dtype=np.float64)


def measure_caps(connection: psycopg.Connection[Any], run_no: int, reverse: float) -> dict[str, float]:
    """Seconds in one session, and quality, of counting pairs in the newest items of each user; nothing is kept."""
    results = {}
    for cap in CAPS:
        with connection.transaction(force_rollback=True):
            connection.execute("select recsql.refresh_user_sequence(%s::integer, %s)", (run_no, cap))
            for method, options in (("sequential", f"p_reverse => {reverse}::real"), ("cosine", f"p_history => {cap}")):
                began = time.monotonic()
                statement = f"select recsql.refresh_similarity_{method}(%s::integer, {options})"
                connection.execute(statement.encode(), (run_no,))
                results[f"cap.{method}.{cap}.seconds"] = time.monotonic() - began
                results[f"cap.{method}.{cap}.ndcg@10"] = float(measure_quality(connection, run_no, method).mean())
    return results


def measure_incremental(connection: psycopg.Connection[Any], reverse: float) -> dict[str, float]:
    """Seconds of following the newest 1,000 events, and of a full refresh of what they change; nothing is kept."""
    seconds = {}

    def timed(name: str, statement: str, *parameters: object) -> Any:
        began = time.monotonic()
        row = connection.execute(statement.encode(), parameters).fetchone()
        seconds[name] = time.monotonic() - began
        return row[0] if row else None

    with connection.transaction(force_rollback=True):
        connection.execute(
            "create temporary table late on commit drop as "
            "select e.* from recsql.event as e order by e.at desc, e.event_no desc limit %s",
            (N_LATE,),
        )
        connection.execute(
            "delete from recsql.event as e using late as l where e.at = l.at and e.event_no = l.event_no"
        )
        run_no = timed("begin", "select recsql.begin_run(null, 'benchmark', '{}')")
        timed("interactions", "select recsql.refresh_interaction(%s::integer)", run_no)
        timed("popularity", "select recsql.refresh_item_popularity(%s::integer)", run_no)
        timed("track", "select recsql.track_similarity(%s::integer, p_reverse => %s::real)", run_no, reverse)
        full = "select recsql.refresh_similarity_sequential(%s::integer, p_reverse => %s::real)"
        timed("sequential", full, run_no, reverse)
        connection.execute("insert into recsql.event select l.* from late as l")
        n_pairs = timed("update", "select recsql.update_similarity(%s::integer)", run_no)
    whole = seconds["interactions"] + seconds["popularity"] + seconds["sequential"]
    return {
        "incremental.seconds": seconds["update"],
        "incremental.n_pairs": n_pairs,
        "incremental.full_seconds": whole,
        "incremental.track_seconds": seconds["track"],
        "incremental_ratio": seconds["update"] / whole,
    }


def measure_growth(url: str, largest: int, bar: Any) -> dict[str, float]:
    """Seconds of refreshing simulated histories of 10⁵ … 10^largest interactions, and the exponent of their growth."""
    results: dict[str, float] = {}
    exponents = range(5, largest + 1)
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"drop database if exists {GROWTH_DATABASE}")
        server.execute(f"create database {GROWTH_DATABASE}")
        try:
            scratch = make_conninfo(url, dbname=GROWTH_DATABASE)
            migrate.upgrade(scratch)
            with db.connect(scratch) as connection:
                for index, exponent in enumerate(exponents):
                    bar(index, len(exponents), f"10^{exponent} interactions")
                    run_no = _simulate(connection, 10**exponent)
                    run = Run(connection, run_no, "production", PipelineConfig())
                    for method in ("sequential", "cosine"):
                        began = time.monotonic()
                        similarity(method)(run, lambda done, total, note: None)
                        results[f"growth.{method}.1e{exponent}.seconds"] = time.monotonic() - began
            bar(len(exponents), len(exponents), "")
        finally:
            server.execute(f"drop database {GROWTH_DATABASE} with (force)")
    for method in ("sequential", "cosine"):
        smallest, most = (results[f"growth.{method}.1e{exponent}.seconds"] for exponent in (5, largest))
        results[f"growth.{method}.exponent"] = log10(most / smallest) / (largest - 5)
    results["growth_exponent"] = max(results[f"growth.{method}.exponent"] for method in ("sequential", "cosine"))
    return results


def _simulate(connection: psycopg.Connection[Any], n_interactions: int) -> int:
    """A run whose users chose popular items more often: 100 interactions on average, of some many times that."""
    row = connection.execute("select recsql.begin_run(null, 'growth', '{}')").fetchone()
    assert row is not None
    connection.execute("select setseed(0)")
    n_users, n_items = n_interactions // 100, round(10 * n_interactions**0.5)
    connection.execute(SIMULATED, (row[0], n_users, n_items, n_interactions))
    connection.execute("analyze recsql.interaction")
    connection.execute("select recsql.refresh_user_sequence(%s::integer)", row)
    connection.execute("select recsql.refresh_item_popularity(%s::integer)", row)
    return row[0]


def _fit_implicit(data: RunData) -> float:
    """Seconds of ``CosineRecommender.fit`` on the run's interactions."""
    recommender = import_module("implicit.nearest_neighbours").CosineRecommender(K=200)
    sequences, n_items = data.sequences, len(data.item_nos)
    matrix = csr_matrix(
        (np.ones(len(sequences.items), dtype=np.float32), sequences.items, sequences.offsets),
        shape=(sequences.n_users, n_items),
    )
    began = time.monotonic()
    recommender.fit(matrix, show_progress=False)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
