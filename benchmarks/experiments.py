"""How often experiments find what is not there, and what is: ``python -m benchmarks.experiments --json``.

``NAME.aa.…``: share of 1,000 A/A experiments, looked at every day for four weeks, in which the two arms are told apart:
``peeking`` by the usual 95 % interval on any of the days, ``one_look`` by the same on the last day alone,
``always_valid`` and ``cuped`` by the interval that the verdict of ``experiment_result`` is formed by, without and with
the covariate; ``split_alarm``: share in which the split is called wrong on any day. The scenarios:

* ``arriving``: new users every day, each with one visit; ``tenth``: the same, a tenth of them in the variant
* ``returning``: new users every day, who come back every day after, so that their rewards grow
* ``at_once``: all users come on the first day, and every day after

``power.…``: rewards of the variant are 5 % higher, and ``users`` are as many as ``recsql experiment power`` asks for;
``found``: by the last day; ``users_read``: median share of them that had come when it was found; ``width_ratio``: of
the intervals with CUPED to those without. ``database.…``: experiments whose users went through ``recommend()`` and
``record_event()``; ``largest_error``: between what the view says and what NumPy says of the same users.

Rewards are skewed: activity is gamma distributed with shape 1/2 and mean 1; a user clicks (1) a Poisson number of
times, and buys (5 more) at a tenth of the clicks: 58 % of the users have no reward, and the standard deviation is
twice the mean. The covariate is a Poisson number of earlier events with twice his activity.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiment_statistics import WRONG_SPLIT, Arm, Array, Comparison, compare
from benchmarks.experiments_database import measure_database
from benchmarks.report import Report, make_parser
from recsql.cli.output import progress_bars
from recsql.sequential import needed_users

N_DAYS = 28
SHAPE = 0.5
MEAN, SD = 1.5, 3.0
"""Of the reward of one visit."""
CORRELATION = sqrt(0.4)
"""Of the reward of one visit and the covariate."""
LIFT = 0.05

Bar = Callable[[int, int, str], None]
Arms = tuple[Arm, Arm]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Scenario:
    """Who comes when.

    Attributes:
        n_users: of an experiment.
        comes_back: whether users come every day after their first.
        at_once: whether all come on the first day.
        share: of the users that are in the variant.
        lift: of the variant's rewards.
    """

    n_users: int
    comes_back: bool = False
    at_once: bool = False
    share: float = 0.5
    lift: float = 0.0

    def arms(self, rng: np.random.Generator) -> Arms:
        """Draw one experiment: control and variant as they were at the end of each day."""
        activity = rng.gamma(SHAPE, 1 / SHAPE, self.n_users)
        is_variant = rng.random(self.n_users) < self.share
        covariate = rng.poisson(2 * activity).astype(np.float64)
        rate = activity * np.where(is_variant, 1 + self.lift, 1.0)
        days = np.zeros(self.n_users, np.int64) if self.at_once else np.arange(self.n_users) * N_DAYS // self.n_users
        if not self.comes_back:
            return _one_visit(days, is_variant, _visit(rng, rate), covariate)
        rewards = _visit(rng, np.repeat(rate[:, None], N_DAYS, axis=1))
        has_come = np.arange(N_DAYS) >= days[:, None]
        return _visits(has_come, is_variant, np.cumsum(rewards * has_come, axis=1), covariate)


def _visit(rng: np.random.Generator, rate: Array) -> Array:
    """Rewards of visits: clicks, a tenth of which buy."""
    return rng.poisson(0.9 * rate) + 6.0 * rng.poisson(0.1 * rate)


def _one_visit(days: NDArray[np.int64], is_variant: Flags, outcome: Array, covariate: Array) -> Arms:
    columns = (np.ones_like(outcome), outcome, outcome**2, covariate, covariate**2, outcome * covariate)
    found = [
        Arm(*(np.bincount(days, column * is_in, N_DAYS).cumsum(dtype=np.float64) for column in columns))
        for is_in in (~is_variant, is_variant)
    ]
    return found[0], found[1]


def _visits(has_come: Flags, is_variant: Flags, outcome: Array, covariate: Array) -> Arms:
    found = []
    for is_in in (~is_variant, is_variant):
        came, y, x = has_come[is_in].astype(np.float64), outcome[is_in], covariate[is_in]
        found.append(Arm(came.sum(0), y.sum(0), (y**2).sum(0), x @ came, x**2 @ came, x @ y))
    return found[0], found[1]


def simulate(scenario: Scenario, n: int, seed: int, bar: Bar) -> Comparison:
    """Draw experiments; arrays have shape ``(n, N_DAYS)``."""
    arms = []
    for nth in range(n):
        arms.append(scenario.arms(np.random.default_rng([seed, nth])))
        bar(nth + 1, n, "")
    fields = Arm.__dataclass_fields__
    control, variant = (
        Arm(*(np.stack([getattr(pair[k], field) for pair in arms]) for field in fields)) for k in (0, 1)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return compare(control, variant, scenario.n_users, share=scenario.share)


def measure_errors(scenario: Scenario, n: int, seed: int, bar: Bar) -> dict[str, float]:
    """False positives of A/A experiments."""
    drawn = simulate(scenario, n, seed, bar)
    usual = drawn.found(drawn.difference, drawn.error, drawn.fixed)
    return (
        _share("peeking", usual.any(1))
        | _share("one_look", usual[:, -1])
        | _share("always_valid", drawn.found(drawn.difference, drawn.error, drawn.bound).any(1))
        | _share("cuped", drawn.found(drawn.cuped_difference, drawn.cuped_error, drawn.bound).any(1))
        | _share("split_alarm", (drawn.split_p < WRONG_SPLIT).any(1))
    )


def measure_power(n: int, seed: int, bar: Bar) -> dict[str, float]:
    """How often a true lift is found by the users that were promised to be enough, without and with CUPED."""
    results: dict[str, float] = {}
    for name, correlation in (("always_valid", 0.0), ("cuped", CORRELATION)):
        users = needed_users(MEAN, SD, LIFT, correlation=correlation)
        drawn = simulate(Scenario(users, lift=LIFT), n, seed + 1, bar)
        difference, error = (
            (drawn.cuped_difference, drawn.cuped_error) if correlation else (drawn.difference, drawn.error)
        )
        found = drawn.found(difference, error, drawn.bound) & (difference > 0)
        by_the_end = found.any(1)
        results |= {f"{name}.users": float(users)} | _share(f"{name}.found", by_the_end)
        results[f"{name}.users_read"] = float(np.median((found.argmax(1)[by_the_end] + 1) / N_DAYS))
        results[f"{name}.width_ratio"] = float(np.median(drawn.cuped_error[:, -1] / drawn.error[:, -1]))
    results["one_look.users"] = float(needed_users(MEAN, SD, LIFT, is_sequential=False))
    return results


def _share(name: str, hits: Any) -> dict[str, float]:
    """Share of the true ones of ``hits``, shape ``(n,)``, with its 95 % interval (Wilson)."""
    n, p, z2 = len(hits), float(hits.mean()), 1.959964**2
    middle, half = (p + z2 / (2 * n)) / (1 + z2 / n), sqrt(z2 * p * (1 - p) / n + (z2 / (2 * n)) ** 2) / (1 + z2 / n)
    return {name: p, f"{name}.lo": middle - half, f"{name}.hi": middle + half}


SCENARIOS = {
    "arriving": Scenario(10_080),
    "tenth": Scenario(10_080, share=0.1),
    "returning": Scenario(2_016, comes_back=True),
    "at_once": Scenario(2_016, comes_back=True, at_once=True),
}


def main() -> None:
    """Simulate, then send users through a database of its own beside the configured one."""
    parser = make_parser(__doc__)
    parser.add_argument("--experiments", type=int, default=1000, help="simulated ones of each scenario")
    parser.add_argument("--database-experiments", type=int, default=20, help="of users who go through a database")
    options = parser.parse_args()
    report = Report("experiments", "simulated", seed=options.seed)
    results: dict[str, float] = {}
    with progress_bars() as progress:

        def bar(name: str) -> Bar:
            task = progress.add_task(name)
            return lambda done, total, note: progress.update(task, completed=done, total=total, note=note)

        for name, scenario in SCENARIOS.items():
            found = measure_errors(scenario, options.experiments, options.seed, bar(name))
            results |= {f"{name}.aa.{key}": value for key, value in found.items()}
        found = measure_power(options.experiments, options.seed, bar("power"))
        results |= {f"power.{key}": value for key, value in found.items()}
        found = measure_database(options.database_experiments, options.seed, bar("database"))
        results |= {f"database.{key}": value for key, value in found.items()}
    report.publish(results, options.save)


if __name__ == "__main__":
    main()
