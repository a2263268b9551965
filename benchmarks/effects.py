"""What the controls of lists do at each strength: ``python -m benchmarks.effects --json``.

Measures the newest whole runs of the configured database on both parts of the protocol, which ``recsql run`` makes:
the lists as they were fused, and in the order that diversity (MMR, the sum of distances, DPP) and novelty give them
(``recsql.controlled``), by the product's own metrics. ``ndcg_change`` is the relative change of NDCG@10 to the lists
without controls, with its interval over users, who are paired; ``diversity_change``, ``novelty_change`` and
``coverage_change`` likewise, without. ``METHOD.chosen`` is the least strength that on validation makes lists a fifth
more diverse by the mean distance within them at a cost of no more than 3 % of NDCG, else the greatest that costs no
more than that; what it does on the test part stands in ``METHOD.chosen.…``.
"""

import logging
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.report import Report, make_parser
from recsql import db
from recsql.queries import QUERIES
from workers.evaluate import resampled_means
from workers.fairness_report import controlled_method

logger = logging.getLogger(__name__)

STRENGTHS = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
CONTROLS: dict[str, dict[str, Any]] = {
    "mmr": {"control": "diversity", "fixed": {"diversity_method": "mmr"}},
    "msd": {"control": "diversity", "fixed": {"diversity_method": "msd"}},
    "dpp": {"control": "diversity", "fixed": {"diversity_method": "dpp"}},
    "novelty": {"control": "novelty", "fixed": {}},
}
GAIN, COST = 0.2, 0.03
NEWEST = """
    select max(r.run_no) from recsql.run as r inner join recsql.split as s on s.split_no = r.split_no
    where r.state = 'complete' and s.protocol = %s and s.part = %s
"""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--dataset", choices=("ml-100k", "ml-1m"), default="ml-100k", help="what the database must hold"
    )
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    report = Report("effects", options.dataset, options.protocol, options.seed)
    results: dict[str, float] = {}
    with db.connect() as connection:
        found = {
            part: Lists(connection, _run_no(connection, options.protocol, part), options.seed)
            for part in ("validation", "test")
        }
        results |= found["test"].figures("plain", "fused")
        for name in CONTROLS:
            validation: dict[float, dict[str, float]] = {}
            for strength in STRENGTHS:
                method = controlled_method({CONTROLS[name]["control"]: strength, **CONTROLS[name]["fixed"]})
                if name != "novelty":
                    validation[strength] = found["validation"].figures("v", method)
                results |= found["test"].figures(f"{name}.{strength}", method)
                logger.info("%s %s", name, strength)
            if validation:
                chosen = _chosen(validation)
                results[f"{name}.chosen"] = chosen
                for figure in ("ndcg_change", "ndcg_change.lo", "ndcg_change.hi", "diversity_change"):
                    results[f"{name}.chosen.{figure}"] = results[f"{name}.{chosen}.{figure}"]
    report.publish({name: round(value, 6) for name, value in results.items()}, options.save)


class Lists:
    """The lists of a run by any method, measured against those without controls.

    Args:
        connection: any.
        run_no: an offline run.
        seed: of the resampling of users.
    """

    def __init__(self, connection: psycopg.Connection[Any], run_no: int, seed: int) -> None:
        self._connection, self._run_no, self._seed = connection, run_no, seed
        self._plain = self._measure("fused")

    def figures(self, name: str, method: str) -> dict[str, float]:
        """The figures of a method, and their changes, under keys that begin with a name."""
        ndcg, of_lists = self._measure(method)
        plain, plain_means = self._plain
        means = resampled_means(np.stack([ndcg, plain], axis=1), np.random.default_rng(self._seed))
        resampled, plain_resampled = means.T
        lo, hi = np.percentile(resampled, [2.5, 97.5])
        result = {
            f"{name}.ndcg@10": float(ndcg.mean()),
            f"{name}.ndcg@10.lo": float(lo),
            f"{name}.ndcg@10.hi": float(hi),
        }
        result |= {f"{name}.{metric}@10": value for metric, value in of_lists.items()}
        if method != "fused":
            lo, hi = np.percentile(resampled / plain_resampled - 1, [2.5, 97.5])
            result |= {
                f"{name}.ndcg_change": float(ndcg.mean() / plain.mean() - 1),
                f"{name}.ndcg_change.lo": float(lo),
                f"{name}.ndcg_change.hi": float(hi),
            }
            result |= {f"{name}.{metric}_change": value / plain_means[metric] - 1 for metric, value in of_lists.items()}
        return result

    def _measure(self, method: str) -> tuple[NDArray[np.float64], dict[str, float]]:
        """NDCG of each user, in a fixed order, and what lists are like in the mean."""
        asked = {"run_no": self._run_no, "method": method, "k": 10}
        rows = self._connection.execute(
            "select ndcg from recsql.user_metric(%(run_no)s::integer, %(method)s, %(k)s::integer) order by user_no",
            asked,
        ).fetchall()
        lists = np.array(self._connection.execute(QUERIES["list_metric"], asked).fetchall(), dtype=np.float64)
        ((coverage,),) = self._connection.execute(QUERIES["coverage"], asked).fetchall()
        novelty, _, diversity = np.nanmean(lists, axis=0)
        return np.array(rows)[:, 0], {"diversity": float(diversity), "novelty": float(novelty), "coverage": coverage}


def _chosen(found: dict[float, dict[str, float]]) -> float:
    enough = [strength for strength, figures in found.items() if figures["v.diversity_change"] >= GAIN]
    cheap = [strength for strength, figures in found.items() if figures["v.ndcg_change"] >= -COST]
    both = [strength for strength in enough if strength in cheap]
    return min(both) if both else max(cheap, default=min(found))


def _run_no(connection: psycopg.Connection[Any], protocol: str, part: str) -> int:
    """The newest whole run, or an exit that says what to do."""
    ((run_no,),) = connection.execute(NEWEST, (protocol, part)).fetchall()
    if run_no is None:
        raise SystemExit(f"The database has no complete {part} run by {protocol}: run 'recsql run' first.")
    return run_no


if __name__ == "__main__":
    main()
