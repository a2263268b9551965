"""Quality of every source and of their fusion on an offline protocol: ``python -m benchmarks.quality --json``.

Runs the product's own pipeline on the configured database: validation chooses epochs and weights, test is read once.
"""

from benchmarks.peers import measure_peers
from benchmarks.report import Report, make_parser
from recsql import db, ingest, migrate
from recsql.cli.output import progress_bars
from recsql.queries import QUERIES
from recsql.readers.factory import open_reader
from workers.commands import embed_backlog, stage_bars
from workers.pipeline import Pipeline, PipelineConfig

DATASETS = {
    "ml-100k": ("movielens-100k", {}),
    "ml-1m": (
        "movielens-1m",
        {
            "reverse": 0.15,
            "models": {
                **{name: {"max_length": 200} for name in ("transformer", "joint", "gru4rec", "nextitnet", "bert4rec")},
                "slit": {"reverse": 0.15},
                "ease_whole": {"lambda_": 3000.0},
            },
        },
    ),
}


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    parser.add_argument("--peers", action="store_true", help="also measure iALS of implicit (extra 'bench')")
    parser.add_argument("--publish", action="store_true", help="also make the run on everything and serve it")
    options = parser.parse_args()
    source, config = DATASETS[options.dataset]
    report = Report("quality", options.dataset, options.protocol, options.seed)
    url = db.database_url()
    migrate.upgrade(url)
    with db.connect(url) as connection, progress_bars() as progress:
        ingest.load(connection, open_reader(source))
        bars = stage_bars(progress)
        embed_backlog(connection, bars)
        pipeline = Pipeline(connection, PipelineConfig(protocol=options.protocol, seed=options.seed, **config), bars)
        validation, test = pipeline.measure()
        if options.publish:
            pipeline.publish()
        rows = connection.execute(QUERIES["quality"], {"run_no": test}).fetchall()
        results = measure_peers(connection, validation, test, options.seed) if options.peers else {}
    for method, metric, segment, value, lo, hi, _ in rows:
        name = f"{method}.{metric}" if segment == "all" else f"{method}.{segment}.{metric}"
        results |= {name: value} if lo is None else {name: value, f"{name}.lo": lo, f"{name}.hi": hi}
    stages = {name: round(seconds, 1) for name, seconds in pipeline.seconds.items()}
    report.publish(results, options.save, stages=stages)


if __name__ == "__main__":
    main()
