"""Similarity methods, table to table, beside ``implicit`` in memory: ``python -m benchmarks.similarity --json``.

Each method is refreshed on the test run of ``loo``, timed, and measured as a recommender by itself: one weighted join
over the recent history. ``implicit``'s cosine recommender is fitted on the same interactions, in turns.
"""

import time
from importlib import import_module
from statistics import median

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.quality import DATASETS
from benchmarks.report import Report, make_parser
from recsql import db, ingest, migrate
from recsql.cli.output import progress_bars
from recsql.queries import QUERIES
from recsql.readers.factory import open_reader
from workers.commands import stage_bars
from workers.evaluate import interval
from workers.interactions import RunData
from workers.pipeline import Pipeline, PipelineConfig
from workers.stages import Run, item_weights, similarity

IN_SQL = ("sequential", "cosine", "jaccard", "conditional", "llr", "pearson")
IN_WORKER = ("ease", "slit")


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    source, config = DATASETS[options.dataset]
    report = Report("similarity", options.dataset, "loo", options.seed)
    url = db.database_url()
    migrate.upgrade(url)
    results: dict[str, float] = {}
    with db.connect(url) as connection, progress_bars() as progress:
        ingest.load(connection, open_reader(source))
        bars = stage_bars(progress)
        pipeline = Pipeline(connection, PipelineConfig(**config), bars)
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
            parameters = {"run_no": run_no, "source": method, "first": 0, "last": 2**31 - 1, "n": 100}
            connection.execute(QUERIES["refresh_candidates"], parameters)
            rows = connection.execute(QUERIES["user_metric"], {"run_no": run_no, "method": method, "k": 10}).fetchall()
            value, lo, hi, _ = interval(np.array([row[1] for row in rows], dtype=np.float64), options.seed)
            if value is not None and lo is not None and hi is not None:
                results |= {f"{method}.ndcg@10": value, f"{method}.ndcg@10.lo": lo, f"{method}.ndcg@10.hi": hi}
    report.publish(results, options.save)


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
