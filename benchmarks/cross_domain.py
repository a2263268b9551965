"""A domain that users have nothing in: ``python -m benchmarks.cross_domain --json``.

Of users with purchases in two Amazon shops or more, half are drawn and have all purchases in one of their shops, drawn
as well, hidden. One half of these is for validation, one for test. ``recommend(user, 20, p_domain)`` is asked for the
hidden shop, of a run that has never seen what is hidden. ``recall@20``: share of what was hidden that is among the
twenty, mean over users; ``popularity``: what most users of the shop bought; ``als``: iALS of ``implicit`` on the same
events, under the setting that is best on validation. ``ratio``: served over popularity, with its interval.
"""

import logging
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.amazon import Shops, domain_of, load_shops, read_shops
from benchmarks.data import fresh_database
from benchmarks.report import Report, make_parser
from recsql import db
from recsql.queries import QUERIES
from workers.evaluate import interval
from workers.pipeline import Pipeline, PipelineConfig

logger = logging.getLogger(__name__)

K = 20
INACTIVE = ["ease", "slit", "transformer", "content"]
"""Sources that are left out: two that would invert a matrix of 42,000 items, one that is trained, one that asks for
content."""
ALS_GRID = tuple((factors, penalty, alpha) for factors in (32, 64) for penalty, alpha in ((1.0, 5.0), (10.0, 1.0)))

Ranked = Callable[[str, str], list[str]]
"""The items that a method gives a user in a domain, the best first."""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--peers", action="store_true", help="beside iALS of implicit (extra: bench)")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    report = Report("cross_domain", "amazon2014", seed=options.seed)
    shops = read_shops()
    validation, test = draw_users(shops, options.seed)
    hidden = validation | test
    with fresh_database(db.database_url()) as url, db.connect(url) as connection:
        load_shops(connection, shops, hidden)
        connection.execute(QUERIES["switch_sources"], {"sources": INACTIVE, "is_active": False})
        pipeline = Pipeline(connection, PipelineConfig())
        pipeline.publish()
        logger.info("published")
        methods: dict[str, Ranked] = {
            "recommend": lambda user, domain: _recommend(connection, user, domain),
            "popularity": popularity(shops, hidden),
        }
        if options.peers:
            fitted = als(shops, hidden, options.seed)
            best = max(fitted, key=lambda name: measure(fitted[name], shops, validation).mean())
            logger.info("of iALS %s is best on validation", best)
            methods["als"] = fitted[best]
        results: dict[str, float] = {"n_users": len(test)}
        values = {}
        for name, ranked in methods.items():
            results[f"{name}.validation.recall@{K}"] = float(measure(ranked, shops, validation).mean())
            values[name] = measure(ranked, shops, test)
            results |= _with_interval(f"{name}.recall@{K}", values[name], options.seed)
            for domain in sorted(set(test.values())):
                chosen = np.array([domain == hidden_one for hidden_one in test.values()])
                results[f"{name}.{domain}.recall@{K}"] = float(values[name][chosen].mean())
        results |= _ratio(values["recommend"], values["popularity"], options.seed)
    report.publish(results, options.save)


def draw_users(shops: Shops, seed: int) -> tuple[dict[str, str], dict[str, str]]:
    """The hidden domain by user: of those for validation, and of those for test."""
    draw = random.Random(seed)  # noqa: S311
    several = sorted(user for user, of_user in shops.sequences.items() if len(of_user) > 1)
    draw.shuffle(several)
    chosen = [(user, draw.choice(sorted(shops.sequences[user]))) for user in several[: len(several) // 2]]
    middle = len(chosen) // 2
    return dict(chosen[:middle]), dict(chosen[middle:])


def measure(ranked: Ranked, shops: Shops, hidden: dict[str, str]) -> NDArray[np.float64]:
    """Recall of each user, shape ``(n_users,)``."""
    found = np.zeros(len(hidden))
    for row, (user, domain) in enumerate(hidden.items()):
        wanted = set(shops.sequences[user][domain])
        found[row] = len(wanted.intersection(ranked(user, domain)[:K])) / len(wanted)
    return found


def _recommend(connection: psycopg.Connection[Any], user: str, domain: str) -> list[str]:
    rows = connection.execute(
        "select item_id from recsql_api.recommend(%s, %s, %s) order by rank", (user, K, domain)
    ).fetchall()
    return [item for (item,) in rows]


def popularity(shops: Shops, hidden: dict[str, str]) -> Ranked:
    """The items of a domain that most users have who hide nothing of it."""
    counts: dict[str, dict[str, int]] = {}
    for user, of_user in shops.sequences.items():
        for domain, items in of_user.items():
            if hidden.get(user) != domain:
                for item in set(items):
                    of_domain = counts.setdefault(domain, {})
                    of_domain[item] = of_domain.get(item, 0) + 1
    best = {domain: sorted(found, key=lambda item: (-found[item], item))[:K] for domain, found in counts.items()}
    return lambda user, domain: best[domain]


def als(shops: Shops, hidden: dict[str, str], seed: int) -> dict[str, Ranked]:
    """What iALS ranks of a domain, by setting."""
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    users = {user: row for row, user in enumerate(shops.sequences)}
    seen = [
        (users[user], item)
        for user, of_user in shops.sequences.items()
        for domain, items in of_user.items()
        if hidden.get(user) != domain
        for item in items
    ]
    items = sorted({item for _, item in seen})
    column = {item: place for place, item in enumerate(items)}
    rows, columns = np.array([(row, column[item]) for row, item in seen]).T
    matrix = csr_matrix((np.ones(len(seen), dtype=np.float32), (rows, columns)), shape=(len(users), len(items)))
    domains = np.array([domain_of(item) for item in items])

    def fit(factors: int, penalty: float, alpha: float) -> Ranked:
        model = AlternatingLeastSquares(
            factors=factors, regularization=penalty, alpha=alpha, iterations=15, random_state=seed
        )
        model.fit(matrix, show_progress=False)

        def ranked(user: str, domain: str) -> list[str]:
            scores = np.where(domains == domain, model.item_factors @ model.user_factors[users[user]], -np.inf)
            best = np.argpartition(-scores, K)[:K]
            return [items[place] for place in best[np.argsort(-scores[best])]]

        return ranked

    return {
        f"{factors} factors, {penalty}, {alpha}": fit(factors, penalty, alpha) for factors, penalty, alpha in ALS_GRID
    }


def _with_interval(name: str, values: NDArray[np.float64], seed: int) -> dict[str, float]:
    value, lo, hi, _ = interval(values, seed)
    return {f"{name}{end}": x for end, x in (("", value), (".lo", lo), (".hi", hi)) if x is not None}


def _ratio(ours: NDArray[np.float64], theirs: NDArray[np.float64], seed: int) -> dict[str, float]:
    """Ratio of the means, with the 95 % interval of 2,000 resamples of users."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(ours), (2000, len(ours)))
    lo, hi = np.percentile(ours[rows].mean(axis=1) / theirs[rows].mean(axis=1), (2.5, 97.5))
    return {"ratio": float(ours.mean() / theirs.mean()), "ratio.lo": float(lo), "ratio.hi": float(hi)}


if __name__ == "__main__":
    main()
