"""Every way of fusing on an offline protocol: ``python -m benchmarks.fusion --dataset ml-100k --protocol loo --json``.

Validation chooses the best single source and, on users that it was not fitted on, the policy that is proposed; test is
read once, or not at all where ``--runs`` names a validation run alone: then all figures are of validation, those of
what is learnt by users that it was not fitted on. ``ratio``: NDCG@10 of a policy over that of the single source that is
best on validation, with the interval of 2,000 resamples of users, both resampled together; ``ratio_to_test_best``: over
the source that turned out best on test. ``gap.ATTRIBUTE``, for each attribute of users that ``--by`` names: NDCG@10 of
the group of users that a policy serves best less that of the one that it serves worst, whose users are drawn anew
within each.
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
from workers.evaluate import interval, resampled_means
from workers.fairness import difference
from workers.pipeline import PipelineConfig
from workers.ranker.candidates import among_best
from workers.ranker.comparison import RANKER, WEIGHTED, Learned, by_name, compare
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
    parser.add_argument("--runs", nargs="+", type=int, metavar="RUN", help="of validation, and of test, to read")
    options = parser.parse_args()
    is_tested = options.runs is None or len(options.runs) > 1
    dataset = options.dataset if is_tested else f"{options.dataset}-validation"
    report = Report("fusion", dataset, options.protocol, options.seed)
    with _runs(options) as (validation, test):
        compared = compare(validation, options.seed, options.by)
        assert compared.learned is not None
        names, on_validation = list(compared.singles), compared.singles | compared.policies
        told = {"rrf": "rrf", "weighted": WEIGHTED, "ranker": RANKER}
        told |= {_by_key(name): name for name in compared.learned.by_segment}
        if test is None:
            measured, everybody = validation, compared.learned.choices.asked
            found = {name: on_validation[told.get(name, name)] for name in [*names, *told]}
        else:
            measured, everybody = test, Asked.of(test)
            found = {name: _by_sql(test, name) for name in [*names, "rrf"]}
            found |= _learned(compared.learned, test, everybody)
        results: dict[str, float] = {"n_users": len(everybody.user_nos)}
        chosen = {name: metrics[0].mean() for name, metrics in on_validation.items()}
        best, test_best = compared.best_single, max(names, key=lambda name: found[name][0].mean())
        for name, (ndcg, recall) in found.items():
            results[f"{name}.validation"] = float(chosen[told.get(name, name)])
            results |= _with_interval(f"{name}.ndcg@10", ndcg, options.seed)
            results |= _with_interval(f"{name}.recall@10", recall, options.seed)
            if name in told:
                results |= _ratio(f"{name}.ratio", ndcg, found[best][0], options.seed)
                results |= _ratio(f"{name}.ratio_to_test_best", ndcg, found[test_best][0], options.seed)
        for attribute in options.by:
            by = compared.learned.by_segment[by_name(attribute)].by
            of_user = by.segments(measured, everybody.user_nos)
            for name, (ndcg, _) in found.items():
                groups = [ndcg[of_user == nth] for nth in range(len(by.conditions))]
                results |= _gap(f"{name}.gap.{attribute}", groups, options.seed)
        chosen_policies = {"best_single": best, "test_best_single": test_best, "proposed": compared.proposed}
    report.publish(results, options.save, **chosen_policies)


@contextmanager
def _runs(options: argparse.Namespace) -> Iterator[tuple[Run, Run | None]]:
    """The validation and the test run, made where no numbers are given; None for a test run that is not to be read."""
    config = PipelineConfig(options.protocol, seed=options.seed)
    if options.runs:
        with db.connect() as connection:
            validation, *tests = options.runs
            test = Run(connection, tests[0], "test", config) if tests else None
            yield Run(connection, validation, "validation", config), test
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


def _gap(name: str, groups: list[NDArray[np.float64]], seed: int) -> dict[str, float]:
    best, worst = (pick(groups, key=np.mean) for pick in (max, min))
    gap, lo, hi = difference(best, worst, seed)
    return {name: gap, f"{name}.lo": lo, f"{name}.hi": hi}


def _ratio(name: str, ours: NDArray[np.float64], theirs: NDArray[np.float64], seed: int) -> dict[str, float]:
    means = resampled_means(np.stack([ours, theirs], axis=1), np.random.default_rng(seed))
    lo, hi = np.percentile(means[:, 0] / means[:, 1], (2.5, 97.5))
    return {name: float(ours.mean() / theirs.mean()), f"{name}.lo": float(lo), f"{name}.hi": float(hi)}


if __name__ == "__main__":
    main()
