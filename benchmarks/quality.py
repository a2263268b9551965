"""Quality of every source and of their fusion on an offline protocol: ``python -m benchmarks.quality --json``.

Runs the product's own pipeline on the configured database: validation chooses epochs and weights, test is read once.
"""

from benchmarks.data import DATASETS, pipeline_on
from benchmarks.peers import measure_peers
from benchmarks.report import Report, make_parser
from recsql.queries import QUERIES


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    parser.add_argument("--peers", action="store_true", help="also measure iALS of implicit (extra 'bench')")
    parser.add_argument("--publish", action="store_true", help="also make the run on everything and serve it")
    options = parser.parse_args()
    report = Report("quality", options.dataset, options.protocol, options.seed)
    with pipeline_on(options.dataset, protocol=options.protocol, seed=options.seed) as pipeline:
        connection = pipeline.connection
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
