"""Fairness of one method of an offline run: quality by groups of users, and what its lists do to the exposure of items.

Metrics are in SQL, for each user or item; means over groups and their bootstrap intervals are here.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from recsql.errors import PipelineError
from recsql.queries import QUERIES
from workers.evaluate import interval, resampled_means

METRICS = ("ndcg", "recall")
GAP = "best - worst"
"""Group under which the gap of a key stands."""


@dataclass(frozen=True)
class GroupFigure:
    """A metric of one group of users, or the gap between the best group and the worst.

    Attributes:
        key: attribute of users.
        user_group: value of it, or ``GAP``.
        metric: ``ndcg`` or ``recall``, of a gap followed by ``_gap``.
        value: mean over the group's users.
        lo: lower end of the 95 % interval.
        hi: upper end.
        n_users: users of the group; of a gap, of both groups.
    """

    key: str
    user_group: str
    metric: str
    value: float
    lo: float
    hi: float
    n_users: int


@dataclass(frozen=True)
class Measured:
    """What one method does, user by user; all arrays have one element per user who has relevant items unless told.

    Attributes:
        method: its name.
        user_nos: ascending.
        quality: NDCG@k and recall@k, shape ``(n_users, 2)``.
        attributes: of the users.
        popularity: list popularity, share of the tail and profile popularity of users with a list, NaN where a user had
            nothing, shape ``(n_lists, 3)``.
        gini: Gini index of the exposure of items.
        coverage: share of the catalogue that is on any list.
    """

    method: str
    user_nos: NDArray[np.int64]
    quality: NDArray[np.float64]
    attributes: list[dict[str, Any]]
    popularity: NDArray[np.float64]
    gini: float
    coverage: float

    @cached_property
    def ndcg(self) -> NDArray[np.float64]:
        """NDCG@k of each user."""
        return self.quality[:, 0]

    def groups(self, key: str, least: int = 2) -> dict[str, NDArray[np.bool_]]:
        """Which users are in which group, by its name; those of fewer than ``least`` users are left out."""
        values = np.array(
            [str(user[key]) if user.get(key) is not None else "" for user in self.attributes], dtype=object
        )
        found = {name: values == name for name in sorted(set(values) - {""})}
        return {name: is_in for name, is_in in found.items() if is_in.sum() >= least}

    def lift(self, seed: int = 0) -> tuple[float, float, float]:
        """Popularity lift, mean popularity of lists over that of profiles less 1, with its 95 % interval over users."""
        known = self.popularity[~np.isnan(self.popularity[:, 2])]
        if not len(known):
            return float("nan"), float("nan"), float("nan")
        means = resampled_means(known, np.random.default_rng(seed))
        lifts = means[:, 0] / means[:, 2] - 1
        lo, hi = np.percentile(lifts, [2.5, 97.5])
        return float(known[:, 0].mean() / known[:, 2].mean() - 1), float(lo), float(hi)


def measure(connection: psycopg.Connection[Any], run_no: int, method: str, k: int = 10) -> Measured:
    """Measure one method of an offline run.

    Args:
        connection: in autocommit mode.
        run_no: the run.
        method: as ``recsql.ranked`` has it: ``fused``, ``fused {"exposure": 0.1}``, a source or a fusion policy.
        k: cut-off of the lists.
    """
    asked = {"run_no": run_no, "method": method, "k": k}
    users = connection.execute(QUERIES["quality_of_users"], asked).fetchall()
    lists = connection.execute(QUERIES["popularity_of_lists"], asked).fetchall()
    gini, coverage = connection.execute(QUERIES["exposure_of_items"], asked).fetchone() or (None, None)
    return Measured(
        method,
        np.array([row[0] for row in users], dtype=np.int64),
        np.array([row[1:3] for row in users], dtype=np.float64).reshape(-1, 2),
        [row[3] for row in users],
        np.array([row[1:] for row in lists], dtype=np.float64).reshape(-1, 3),
        float("nan") if gini is None else gini,
        coverage or 0.0,
    )


def divergence(connection: psycopg.Connection[Any], run_no: int, method: str, key: str, k: int = 10) -> float | None:
    """Mean over users of how far the categories of their lists are from their own histories, in nats.

    Args:
        connection: in autocommit mode.
        run_no: the run.
        method: as ``recsql.ranked`` has it.
        key: of the categories, as ``recsql.item_categories`` has it.
        k: cut-off of the lists.

    Returns:
        None where no history has categories.
    """
    asked = {"run_no": run_no, "method": method, "key": key, "k": k}
    found = connection.execute(QUERIES["miscalibration"], asked).fetchall()
    return float(np.mean([value for _, value in found])) if found else None


def group_figures(measured: Measured, key: str, seed: int = 0) -> list[GroupFigure]:
    """Quality of each group of users by one attribute, and the gap between the best group and the worst.

    The interval of a gap is that of the difference between these two groups, whose users are drawn anew within each;
    of two groups, one that contains 0 is no evidence of a difference. Of more than two, the best and the worst are
    picked for being so, and the gap is above 0 by chance alone.
    """
    groups = measured.groups(key)
    found: list[GroupFigure] = []
    for column, metric in enumerate(METRICS):
        values = {name: measured.quality[is_in, column] for name, is_in in groups.items()}
        for name, ours in values.items():
            found.append(GroupFigure(key, name, metric, *mean_interval(ours, seed), len(ours)))
        if len(values) > 1:
            best, worst = (pick(values, key=lambda name: values[name].mean()) for pick in (max, min))
            gap, lo, hi = difference(values[best], values[worst], seed)
            n = len(values[best]) + len(values[worst])
            found.append(GroupFigure(key, GAP, f"{metric}_gap", gap, lo, hi, n))
    return found


def mean_interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float, float]:
    """Mean over users and its 95 % bootstrap interval.

    Raises:
        PipelineError: there is no user.
    """
    value, lo, hi, _ = interval(values, seed)
    if value is None or lo is None or hi is None:
        raise PipelineError("Nobody has a list that could be measured: 'recsql status' shows what the run made.")
    return value, lo, hi


def difference(one: NDArray[np.float64], other: NDArray[np.float64], seed: int = 0) -> tuple[float, float, float]:
    """Mean of one group less mean of another, with its 95 % interval; users are drawn anew within each group."""
    random = np.random.default_rng(seed)
    means = [resampled_means(values, random) for values in (one, other)]
    lo, hi = np.percentile(means[0] - means[1], [2.5, 97.5])
    return float(one.mean() - other.mean()), float(lo), float(hi)


def keys(connection: psycopg.Connection[Any], side: str) -> list[str]:
    """Attributes by which fairness is measured: of ``user`` or of ``item``."""
    return [key for (key,) in connection.execute(QUERIES["fairness_keys"], {"side": side}).fetchall()]


def evaluate_fairness(
    connection: psycopg.Connection[Any], run_no: int, method: str = "fused", k: int = 10, seed: int = 0
) -> int:
    """Measure one method of an offline run and keep the figures; their number.

    By groups of users (``user_group_fairness``) and of items (``item_group_fairness``) and, of whole lists, beside the
    other figures of the run (``evaluation``): gini, arp, aplt and popularity_lift.
    """
    measured = measure(connection, run_no, method, k)
    if not len(measured.popularity):
        return 0
    asked = {"run_no": run_no, "method": method, "k": k}
    figures = [figure for key in keys(connection, "user") for figure in group_figures(measured, key, seed)]
    whole = {
        "gini": (measured.gini, None, None, len(measured.popularity)),
        "arp": interval(measured.popularity[:, 0], seed),
        "aplt": interval(measured.popularity[:, 1], seed),
        "popularity_lift": (*measured.lift(seed), int((~np.isnan(measured.popularity[:, 2])).sum())),
    }
    with connection.transaction():
        connection.execute(QUERIES["clear_user_group_fairness"], asked)
        connection.execute(QUERIES["clear_item_group_fairness"], asked)
        for figure in figures:
            connection.execute(QUERIES["write_user_group_fairness"], asked | vars(figure))
        n_shares = connection.execute(QUERIES["write_item_group_fairness"], asked).rowcount
        for metric, (value, lo, hi, n_users) in whole.items():
            if value is not None and not np.isnan(value):
                told = {"segment": "all", "metric": metric, "value": value, "lo": lo, "hi": hi, "n_users": n_users}
                connection.execute(QUERIES["write_evaluation"], asked | told)
    return len(figures) + n_shares + len(whole)
