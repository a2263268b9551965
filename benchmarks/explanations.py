"""Whether explanations say what recommendations depend on: ``python -m benchmarks.explanations --json --save``.

Of what the configured database serves (made where nothing is served), 1,000 recommendations are drawn, one of the ten
best of every user before a second one of any. ``sum_error`` is the largest difference between the contributions of an
explanation and the score. Then one event is deleted and the user's list made anew (candidates, user vectors, scores,
fusion; nothing is trained), and ``worse`` is the share whose rank is worse: ``as_served`` in the new list as it is, in
which the deleted item may be recommended again, ``others`` among what the user had not had before either. The event is
what the explanation names ``first``, the one whose contributions ``sum`` to most, the one of the largest single
``row``, any other of the ten newest (``recent``), any other of the history (``random``); ``by.COMPONENT`` is of the
first row as served. Intervals are 95 % of Clopper and Pearson.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from scipy.stats import binomtest

from benchmarks.data import DATASETS, pipeline_on
from benchmarks.report import Report, make_parser
from benchmarks.shortened_lists import Deletion, Ranks, config_of, ranks_without
from workers.attributions import attribute
from workers.pipeline import Pipeline
from workers.run import Run

N_SAMPLES = 1000
N_RECENT = 10

SERVED = """
    select u.user_no, i.item_no, u.user_id, i.item_id, r.rank, r.score
    from (select distinct n.user_no from recsql.interaction as n where n.run_no = %s and n.step is not null) as n
    inner join recsql.app_user as u on u.user_no = n.user_no
    cross join lateral recsql_api.recommend(u.user_id, 10) as r
    inner join recsql.item as i on i.item_id = r.item_id
    order by u.user_no, r.rank
"""
EXPLAINED = """
    select e.component, i.item_no, e.contribution
    from recsql_api.explain_recommendation(%s, %s) with ordinality as e
    left join recsql.item as i on i.item_id = e.evidence_item_id
    order by e.ordinality
"""
HISTORY = """
    select n.item_no from recsql.interaction as n
    where n.run_no = %s and n.user_no = %s and n.step is not null
    order by n.step
"""


@dataclass(frozen=True)
class Sample:
    """A recommendation and its explanation: components, items of the user (None where there is none), contributions."""

    user_no: int
    item_no: int
    rank: int
    score: float
    rows: list[tuple[str, int | None, float]]
    history: list[int]

    def totals(self) -> dict[int, float]:
        """What each of the user's items adds, over all components."""
        found: dict[int, float] = {}
        for _, item_no, contribution in self.rows:
            if item_no is not None:
                found[item_no] = found.get(item_no, 0.0) + contribution
        return found

    def top_row(self) -> tuple[str, int]:
        """Component and item of the largest contribution that has an item."""
        component, item_no, _ = max(
            ((c, i, x) for c, i, x in self.rows if i is not None), key=lambda row: (row[2], -row[1])
        )
        return component, item_no

    def first(self) -> tuple[str, int]:
        """Component and item of the first row that has an item."""
        return next((component, item_no) for component, item_no, _ in self.rows if item_no is not None)

    def heaviest(self) -> int:
        """The item that adds most."""
        totals = self.totals()
        return max(totals, key=lambda item_no: (totals[item_no], -item_no))


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    options = parser.parse_args()
    report = Report("explanations", options.dataset, seed=options.seed)
    with pipeline_on(options.dataset) as pipeline:
        connection = pipeline.connection
        run_no, policy_no = served(pipeline)
        results = attribution_times(connection, run_no, policy_no)
        samples = drawn(connection, run_no, options.seed)
        explained = [sample for sample in samples if sample.totals()]
        results |= {
            "samples": len(samples),
            "samples.with_evidence": len(explained),
            "sum_error": max(abs(sum(x for _, _, x in sample.rows) - sample.score) for sample in samples),
        }
        chance = random.Random(options.seed)  # noqa: S311 - not for secrets
        ways: dict[str, Callable[[Sample], int]] = {
            "first": lambda sample: sample.first()[1],
            "sum": Sample.heaviest,
            "row": lambda sample: sample.top_row()[1],
            "random": lambda sample: other(sample, chance, len(sample.history)),
            "recent": lambda sample: other(sample, chance, N_RECENT),
        }
        for way, event_of in ways.items():
            asked = [sample for sample in explained if len(sample.history) > 1]
            ranks = after(connection, run_no, policy_no, [(sample, event_of(sample)) for sample in asked])
            results |= {f"{way}.{name}": value for name, value in shares(asked, ranks).items()}
            if way == "first":
                results |= by_component(asked, ranks)
    report.publish(results, options.save)


def served(pipeline: Pipeline) -> tuple[int, int]:
    """Run and policy that are served; made where nothing is."""
    query = "select run_no, policy_no from recsql.release where slot = 'default'"
    found = pipeline.connection.execute(query).fetchone()
    if found is None:
        pipeline.run("validation")
        pipeline.publish()
        found = pipeline.connection.execute(query).fetchone()
        assert found is not None
    return found


def attribution_times(connection: psycopg.Connection[Any], run_no: int, policy_no: int) -> dict[str, float]:
    """Seconds of stage attributions, made anew, beside those that training and scoring took in the run."""
    run = Run(connection, run_no, "production", config_of(connection, run_no), policy_no)
    began = time.monotonic()
    n_rows = attribute(run, lambda done, total, note: None)
    seconds = time.monotonic() - began
    stages = dict(
        connection.execute(
            "select stage, extract(epoch from finished_at - started_at)::double precision from recsql.run_stage "
            "where run_no = %s and stage in ('train', 'score')",
            (run_no,),
        ).fetchall()
    )
    return {
        "attributions": n_rows,
        "attributions.seconds": seconds,
        "attributions.ratio": seconds / (stages["train"] + stages["score"]),
    }


def drawn(connection: psycopg.Connection[Any], run_no: int, seed: int) -> list[Sample]:
    """Recommendations, one of every user before a second one of any, in random order, with their explanations."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    by_user: dict[int, list[Any]] = {}
    for row in connection.execute(SERVED, (run_no,)).fetchall():
        by_user.setdefault(row[0], []).append(row)
    orders = [chance.sample(rows, len(rows)) for rows in by_user.values()]
    chance.shuffle(orders)
    chosen = [rows[nth] for nth in range(10) for rows in orders if nth < len(rows)][:N_SAMPLES]
    samples = []
    for user_no, item_no, user_id, item_id, rank, score in chosen:
        rows = connection.execute(EXPLAINED, (user_id, item_id)).fetchall()
        history = [item for (item,) in connection.execute(HISTORY, (run_no, user_no))]
        samples.append(Sample(user_no, item_no, rank, score, rows, history))
    return samples


def other(sample: Sample, chance: random.Random, n: int) -> int:
    """One of the newest ``n`` items that is not the one that is named first."""
    return chance.choice([item_no for item_no in sample.history[: n + 1] if item_no != sample.first()[1]][:n])


def after(
    connection: psycopg.Connection[Any], run_no: int, policy_no: int, deleted: list[tuple[Sample, int]]
) -> list[Ranks]:
    """Where each sample's item stands without an event; a second sample of a user is of another list than the first."""
    found: dict[int, Ranks] = {}
    left = list(enumerate(deleted))
    while left:
        now: dict[int, tuple[int, Deletion]] = {}
        for place, (sample, event) in left:
            now.setdefault(sample.user_no, (place, Deletion(sample.user_no, event, sample.item_no)))
        places = [place for place, _ in now.values()]
        ranks = ranks_without(connection, run_no, policy_no, [deletion for _, deletion in now.values()])
        found |= dict(zip(places, ranks, strict=True))
        left = [(place, pair) for place, pair in left if place not in found]
    return [found[place] for place in range(len(deleted))]


def shares(samples: list[Sample], ranks: list[Ranks]) -> dict[str, float]:
    """Shares of the samples whose rank is worse, the same and better."""
    found: dict[str, float] = {}
    for among in ("as_served", "others"):
        changes = [_change(sample, getattr(rank, among)) for sample, rank in zip(samples, ranks, strict=True)]
        n_worse, n = sum(change > 0 for change in changes), len(changes)
        interval = binomtest(n_worse, n).proportion_ci()
        found |= {
            f"{among}.worse": n_worse / n,
            f"{among}.worse.lo": interval.low,
            f"{among}.worse.hi": interval.high,
            f"{among}.same": sum(change == 0 for change in changes) / n,
            f"{among}.better": sum(change < 0 for change in changes) / n,
            f"{among}.median_change": sorted(changes)[n // 2],
        }
    return found


def by_component(samples: list[Sample], ranks: list[Ranks]) -> dict[str, float]:
    """Shares whose rank is worse, by the component of the first row."""
    parted: dict[str, list[bool]] = {}
    for sample, rank in zip(samples, ranks, strict=True):
        parted.setdefault(sample.first()[0], []).append(_change(sample, rank.as_served) > 0)
    return {
        f"by.{component}.{name}": value
        for component, worse in sorted(parted.items())
        for name, value in (("n", len(worse)), ("worse", sum(worse) / len(worse)))
    }


def _change(sample: Sample, rank: int | None) -> int:
    """By how many ranks worse; more than there are where the item is no candidate any more."""
    return 10**6 if rank is None else rank - sample.rank


if __name__ == "__main__":
    main()
