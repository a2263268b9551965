"""Every way of fusing on an offline protocol: ``python -m benchmarks.fusion --dataset ml-100k --protocol loo --json``.

Validation chooses the best single source and, on users that it was not fitted on, the policy that is proposed; test is
read once. ``ratio``: NDCG@10 of a policy over that of the single source that is best on validation, with the interval
of 2,000 resamples of users, both resampled together; ``ratio_to_test_best``: over the source that turned out best on
test.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import DATASETS, pipeline_on
from benchmarks.report import Report, make_parser
from recsql import db
from recsql.queries import QUERIES
from workers.evaluate import N_RESAMPLES, interval
from workers.pipeline import PipelineConfig
from workers.ranker.candidates import among_best
from workers.ranker.comparison import RANKER, WEIGHTED, Learned, compare
from workers.ranker.features import FeatureReader
from workers.ranker.model import N_RERANKED
from workers.ranker.quality import Asked, Metrics, read_asked
from workers.run import Run


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    parser.add_argument("--sources", nargs="+", help="active sources; as they are in the database when left out")
    parser.add_argument("--no-content", action="store_true", help="leave items without content vectors")
    parser.add_argument("--by", nargs="+", default=[], metavar="ATTRIBUTE", help="of users, to fit weights by too")
    parser.add_argument("--runs", nargs=2, type=int, metavar=("VALIDATION", "TEST"), help="complete runs to read")
    options = parser.parse_args()
    report = Report("fusion", options.dataset, options.protocol, options.seed)
    with _runs(options) as (validation, test):
        compared = compare(validation, options.seed, options.by)
        assert compared.learned is not None
        names = list(compared.singles)
        everybody = Asked.of(test)
        found = {name: _by_sql(test, name) for name in [*names, "rrf"]}
        found |= _learned(compared.learned, test, everybody)
        results: dict[str, float] = {"n_users": len(everybody.user_nos)}
        chosen = {name: metrics[0].mean() for name, metrics in (compared.singles | compared.policies).items()}
        best, test_best = compared.best_single, max(names, key=lambda name: found[name][0].mean())
        told = {"rrf": "rrf", "weighted": WEIGHTED, "ranker": RANKER}
        told |= {_by_key(name): name for name in compared.learned.by_segment}
        for name, (ndcg, recall) in found.items():
            results[f"{name}.validation"] = float(chosen[told.get(name, name)])
            results |= _with_interval(f"{name}.ndcg@10", ndcg, options.seed)
            results |= _with_interval(f"{name}.recall@10", recall, options.seed)
            if name in told:
                results |= _ratio(f"{name}.ratio", ndcg, found[best][0], options.seed)
                results |= _ratio(f"{name}.ratio_to_test_best", ndcg, found[test_best][0], options.seed)
        chosen_policies = {"best_single": best, "test_best_single": test_best, "proposed": compared.proposed}
    report.publish(results, options.save, **chosen_policies)


@contextmanager
def _runs(options: argparse.Namespace) -> Iterator[tuple[Run, Run]]:
    """The validation and the test run, made where no numbers are given."""
    config = PipelineConfig(options.protocol, seed=options.seed)
    if options.runs:
        with db.connect() as connection:
            yield (
                Run(connection, options.runs[0], "validation", config),
                Run(connection, options.runs[1], "test", config),
            )
        return
    with pipeline_on(
        options.dataset, content=not options.no_content, protocol=options.protocol, seed=options.seed
    ) as pipeline:
        if options.sources:
            statement = "update recsql.source set is_active = source = any(%s)"
            pipeline.connection.execute(statement, (options.sources,))
        validation, test = pipeline.measure()
        yield Run(pipeline.connection, validation, "validation", config), Run(pipeline.connection, test, "test", config)


def _learned(learned: Learned, run: Run, asked: Asked) -> dict[str, Metrics]:
    """What was learnt on validation, measured on test."""
    found, reader = read_asked(run, learned.choices.sources, asked, only_hit=True), FeatureReader(run)
    sums = found.parts @ learned.weights
    near = found.take(among_best(found, sums, N_RERANKED))
    return {
        "weighted": asked.quality(found, sums),
        **{_by_key(name): asked.quality(found, by.sums(found, run)) for name, by in learned.by_segment.items()},
        "ranker": asked.quality(near, learned.ranker.ranker.scores(near, reader.of(near))),
    }


def _by_key(name: str) -> str:
    """``by_gender`` of ``weighted by gender``."""
    return name.removeprefix(f"{WEIGHTED} ").replace(" ", "_")


def _by_sql(run: Run, method: str) -> Metrics:
    rows = run.connection.execute(QUERIES["user_metric"], run.parameters(method=method, k=10)).fetchall()
    _, ndcg, recall, *_ = np.array(rows, dtype=np.float64).T
    return ndcg, recall


def _with_interval(name: str, values: NDArray[np.float64], seed: int) -> dict[str, float]:
    value, lo, hi, _ = interval(values, seed)
    return {f"{name}{end}": x for end, x in (("", value), (".lo", lo), (".hi", hi)) if x is not None}


def _ratio(name: str, ours: NDArray[np.float64], theirs: NDArray[np.float64], seed: int) -> dict[str, float]:
    rows = np.random.default_rng(seed).integers(0, len(ours), (N_RESAMPLES, len(ours)))
    lo, hi = np.percentile(ours[rows].mean(axis=1) / theirs[rows].mean(axis=1), (2.5, 97.5))
    return {name: float(ours.mean() / theirs.mean()), f"{name}.lo": float(lo), f"{name}.hi": float(hi)}


if __name__ == "__main__":
    main()
