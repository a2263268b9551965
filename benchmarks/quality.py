"""Quality of every source and of their fusion on an offline protocol: ``python -m benchmarks.quality --json``.

Runs the product's own pipeline on the configured database: validation chooses epochs and weights, test is read once.
"""

import argparse
import json
import os
import platform
import resource
import time

from recsql import db, ingest, migrate
from recsql.cli.output import progress_bars
from recsql.queries import QUERIES
from recsql.readers.factory import open_reader
from workers.cli import embed_backlog, stage_bars
from workers.pipeline import Pipeline, PipelineConfig

DATASETS = {
    "ml-100k": ("movielens-100k", {}),
    "ml-1m": ("movielens-1m", {"reverse": 0.15, "model": {"max_length": 200}}),
}


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="accepted for uniformity: the output is always JSON")
    options = parser.parse_args()
    source, config = DATASETS[options.dataset]
    began = time.monotonic()
    url = db.database_url()
    migrate.upgrade(url)
    with db.connect(url) as connection, progress_bars() as progress:
        ingest.load(connection, open_reader(source))
        embed_backlog(connection, progress)
        pipeline = Pipeline(
            connection, PipelineConfig(protocol=options.protocol, seed=options.seed, **config), stage_bars(progress)
        )
        refresh = pipeline.refresh()
        rows = connection.execute(QUERIES["quality"], {"run_no": refresh.test_run_no}).fetchall()
    results = {}
    for method, metric, value, lo, hi, _ in rows:
        results |= {f"{method}.{metric}": value, f"{method}.{metric}.lo": lo, f"{method}.{metric}.hi": hi}
    report = {
        "name": "quality",
        "dataset": options.dataset,
        "protocol": options.protocol,
        "seed": options.seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "seconds": round(time.monotonic() - began, 1),
        "stages": {name: round(seconds, 1) for name, seconds in refresh.seconds.items()},
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "results": results,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
