"""What controls of exposure and calibration bring, and cost: ``python -m benchmarks.fairness --json --save``.

Makes the runs on the configured database with the sources that are active there, or takes those that are given. Of each
control, validation chooses the largest strength that costs no more than 3 % of NDCG@10; test is read once without and
once with it.
"""

from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.data import DATASETS, pipeline_on
from benchmarks.report import Report, make_parser
from recsql.queries import QUERIES
from workers.fairness import GAP, Measured, divergence, group_figures, mean_interval, measure
from workers.fairness_report import controlled_method, relative_change

STRENGTHS: dict[str, tuple[float, ...]] = {
    "exposure": (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07),
    "calibration": (0.1, 0.15, 0.2, 0.25, 0.3),
}
LARGEST_LOSS = 0.03
CATEGORIES = "genres"
USER_KEY = "gender"


@dataclass(frozen=True)
class Part:
    """A run, and what was fused in it.

    Attributes:
        connection: in autocommit mode.
        run_no: its number.
        seed: of the bootstrap.
        before: without controls.
        divergence: of the genres, without controls.
    """

    connection: psycopg.Connection[Any]
    run_no: int
    seed: int
    before: Measured
    divergence: float

    @classmethod
    def of(cls, connection: psycopg.Connection[Any], run_no: int, seed: int) -> "Part":
        """Measure a run without controls."""
        found = divergence(connection, run_no, "fused", CATEGORIES)
        assert found is not None
        return cls(connection, run_no, seed, measure(connection, run_no, "fused"), found)

    def effect(self, control: str, strength: float) -> tuple[dict[str, float], Measured]:
        """What a control changes, as shares of what was; of NDCG with its interval over users."""
        controls: dict[str, Any] = {control: strength}
        if control == "calibration":
            controls["calibration_key"] = CATEGORIES
        method = controlled_method(controls)
        after = measure(self.connection, self.run_no, method)
        price = relative_change(self.before.ndcg, after.ndcg, self.seed)
        kl = divergence(self.connection, self.run_no, method, CATEGORIES)
        assert kl is not None
        popularity, former = after.popularity.mean(axis=0), self.before.popularity.mean(axis=0)
        return {
            "ndcg": price["relative"],
            "ndcg.lo": price["lo"],
            "ndcg.hi": price["hi"],
            "gini": after.gini / self.before.gini - 1,
            "kl": kl / self.divergence - 1,
            "coverage": after.coverage / self.before.coverage - 1,
            "arp": popularity[0] / former[0] - 1,
            "aplt": popularity[1] / former[1] - 1,
        }, after


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    parser.add_argument(
        "--runs",
        type=int,
        nargs=2,
        metavar=("VALIDATION", "TEST"),
        help="complete runs to measure, in place of new ones",
    )
    options = parser.parse_args()
    report = Report("fairness", options.dataset, options.protocol, options.seed)
    results: dict[str, float] = {}
    with pipeline_on(options.dataset, content=False, protocol=options.protocol, seed=options.seed) as pipeline:
        run_nos = options.runs or pipeline.measure()
        validation, test = (Part.of(pipeline.connection, run_no, options.seed) for run_no in run_nos)
        told = pipeline.bar("controls")
        n_done, n_asked = 0, sum(map(len, STRENGTHS.values())) + len(STRENGTHS)
        results |= _gap(test.before, "before", options.seed) | _whole(test)
        for control, strengths in STRENGTHS.items():
            chosen = 0.0
            for strength in strengths:
                found, _ = validation.effect(control, strength)
                results |= {f"validation.{control}.{strength}.{name}": value for name, value in found.items()}
                if found["ndcg"] >= -LARGEST_LOSS:
                    chosen = strength
                told(n_done := n_done + 1, n_asked, f"{control} {strength}")
            found, after = test.effect(control, chosen)
            results |= {f"test.{control}.{chosen}.{name}": value for name, value in found.items()}
            results |= _gap(after, control, options.seed)
            told(n_done := n_done + 1, n_asked, f"{control} on test")
        sources = [name for _, name in pipeline.connection.execute(QUERIES["sources"]).fetchall()]
    report.publish(results, options.save, sources=sources)


def _whole(part: Part) -> dict[str, float]:
    value, lo, hi = mean_interval(part.before.ndcg, part.seed)
    popularity = part.before.popularity.mean(axis=0)
    return {
        "before.ndcg@10": value,
        "before.ndcg@10.lo": lo,
        "before.ndcg@10.hi": hi,
        "before.gini": part.before.gini,
        "before.kl": part.divergence,
        "before.coverage": part.before.coverage,
        "before.arp": float(popularity[0]),
        "before.aplt": float(popularity[1]),
    }


def _gap(measured: Measured, name: str, seed: int) -> dict[str, float]:
    """The difference in NDCG@10 between women and men, with its interval."""
    found = {figure.user_group: figure for figure in group_figures(measured, USER_KEY, seed) if "ndcg" in figure.metric}
    gap = found[GAP]
    return {
        f"gap.{name}": gap.value,
        f"gap.{name}.lo": gap.lo,
        f"gap.{name}.hi": gap.hi,
        **{f"gap.{name}.{group}": found[group].value for group in ("F", "M")},
    }


if __name__ == "__main__":
    main()
