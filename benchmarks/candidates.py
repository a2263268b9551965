"""Candidates of all users from several sources, and live for one user: ``python -m benchmarks.candidates --json``.

Works on the newest test run of ``loo`` that has a trained model, which is made if there is none, and puts the run's
candidates back afterwards. Live candidates are those of the released run. The same candidates are computed by numpy on
dense arrays, without reading or writing a table, in turns.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import numpy as np
import psycopg

from benchmarks.candidates_numpy import DenseSources
from benchmarks.data import DATASETS, pipeline_on
from benchmarks.report import Report, make_parser
from benchmarks.similarity import IN_WORKER
from recsql.queries import QUERIES
from workers.pipeline import Pipeline
from workers.run import Progress, Run
from workers.stages import item_weights, similarity, write_candidates

SOURCES = "sequential=250,transformer=300,trending=150,popularity=150"
N_UNION = 500

TRAINED_RUN = """
    select r.run_no
    from recsql.run as r
    inner join recsql.split as s on s.split_no = r.split_no and s.protocol = 'loo' and s.part = 'test'
    inner join recsql.run_stage as g on g.run_no = r.run_no and g.stage = 'train' and g.state = 'complete'
    where r.state <> 'pruned'
    order by r.run_no desc
    limit 1
"""
HAS_NEIGHBOURS = """
    select exists (
        select from recsql.item_similarity as n inner join recsql.source as s using (source_no)
        where n.run_no = %s and s.source = %s
    )
"""
LISTS = """
    select c.user_no, c.item_nos from recsql.candidate as c inner join recsql.source as s using (source_no)
    where c.run_no = %s and s.source = %s
"""
LIVE = "select item_no, score from recsql.live_candidates(%s::integer, %s, %s::integer)"


@dataclass
class Found:
    """What a run's candidates are worth, measured on what users turned to next.

    Attributes:
        recalls: share of users whose next item is among a source's candidates, by source.
        recall: the same of the ``N_UNION`` candidates that stand highest in some list.
        n_distinct: distinct candidates of each user, shape ``(n_users,)``.
    """

    recalls: dict[str, float]
    recall: float
    n_distinct: np.ndarray


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--sources", default=SOURCES, help="candidates a user of each source: NAME=N,…")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--requests", type=int, default=500, help="live requests to each source")
    options = parser.parse_args()
    numbers = {name: int(number) for name, _, number in (part.partition("=") for part in options.sources.split(","))}
    report = Report("candidates", options.dataset, "loo", options.seed)
    with pipeline_on(options.dataset, candidates_of=numbers) as pipeline:
        connection, bars = pipeline.connection, pipeline.bar
        run = Run(connection, _find_run(pipeline), "test", pipeline.config)
        _prepare(run, numbers)
        dense = DenseSources(run, numbers)
        seconds: dict[str, list[float]] = {"sql": [], "numpy": []}
        with _kept(run):
            for turn in range(options.repeats):
                seconds["sql"].append(
                    _timed(lambda bar: write_candidates(run, list(numbers), bar), bars(f"sql {turn}"))
                )
                if dense.is_complete:
                    seconds["numpy"].append(_timed(dense.candidates, bars(f"numpy {turn}")))
            found = _judge(run, numbers)
        live = _measure_live(connection, numbers, options.requests, options.seed, bars("live"))
    n_users = len(found.n_distinct)
    results = {
        "users_per_s": n_users / median(seconds["sql"]),
        f"recall@{N_UNION}": found.recall,
        "distinct.mean": float(found.n_distinct.mean()),
        "distinct.min": int(found.n_distinct.min()),
    }
    results |= {f"{name}.recall@{numbers[name]}": recall for name, recall in found.recalls.items()}
    if seconds["numpy"]:
        results["numpy.users_per_s"] = n_users / median(seconds["numpy"])
        results["ratio"] = results["users_per_s"] / results["numpy.users_per_s"]
    if live:
        together = [milliseconds for times in live.values() for milliseconds in times]
        results |= {"live_p50_ms": median(together), "live_p99_ms": _p99(together)}
        results |= {f"{name}.live_p99_ms": _p99(times) for name, times in live.items()}
    report.publish({name: round(value, 4) for name, value in results.items()}, options.save)


def _find_run(pipeline: Pipeline) -> int:
    """The newest test run with a model, or a new one."""
    row = pipeline.connection.execute(TRAINED_RUN).fetchone()
    if row is not None:
        return row[0]
    return pipeline.run("test", until="train")


def _prepare(run: Run, numbers: Mapping[str, int]) -> None:
    """Compute what the sources read and the run has not."""

    def quiet(done: int, total: int, note: str) -> None: ...

    kinds = dict(run.connection.execute("select source, kind from recsql.source").fetchall())
    for name in numbers:
        if name not in kinds:
            raise SystemExit(f"There is no source {name}: use {', '.join(sorted(kinds))}.")
        row = run.connection.execute(HAS_NEIGHBOURS, (run.run_no, name)).fetchone()
        if kinds[name] == "similarity" and row == (False,):
            (item_weights if name in IN_WORKER else similarity)(name)(run, quiet)
        if kinds[name] == "user":
            run.one("refresh_user_similarity_cosine", source=name)
        if kinds[name] == "segment":
            run.one("refresh_segment_popularity", source=name)


@contextmanager
def _kept(run: Run) -> Iterator[None]:
    """Put the run's candidates back at the end."""
    connection, parameters = run.connection, (run.run_no,)
    connection.execute("create temporary table kept as select * from recsql.candidate where run_no = %s", parameters)
    try:
        yield
    finally:
        with connection.transaction():
            connection.execute("delete from recsql.candidate where run_no = %s", parameters)
            connection.execute("insert into recsql.candidate select * from kept")
        connection.execute("drop table kept")


def _timed(work: Any, bar: Progress) -> float:
    began = time.monotonic()
    work(bar)
    return time.monotonic() - began


def _judge(run: Run, numbers: Mapping[str, int]) -> Found:
    targets: dict[int, set[int]] = {}
    for user, item in run.connection.execute(QUERIES["run_targets"], {"run_no": run.run_no}).fetchall():
        targets.setdefault(user, set()).add(item)
    best: dict[int, dict[int, int]] = {}
    recalls = {}
    for name in numbers:
        lists = run.connection.execute(LISTS, (run.run_no, name)).fetchall()
        recalls[name] = _recall(targets, dict(lists))
        for user, items in lists:
            ranks = best.setdefault(user, {})
            for rank, item in enumerate(items):
                ranks[item] = min(rank, ranks.get(item, rank))
    unions = {user: sorted(ranks, key=ranks.__getitem__)[:N_UNION] for user, ranks in best.items()}
    return Found(recalls, _recall(targets, unions), np.array([len(ranks) for ranks in best.values()]))


def _recall(targets: Mapping[int, set[int]], lists: Mapping[int, Sequence[int]]) -> float:
    """Mean share of users' relevant items that their lists hold."""
    found = (len(wanted.intersection(lists.get(user, ()))) / len(wanted) for user, wanted in targets.items())
    return sum(found) / len(targets)


def _measure_live(
    connection: psycopg.Connection[Any], numbers: Mapping[str, int], n_requests: int, seed: int, bar: Progress
) -> dict[str, list[float]]:
    """Milliseconds of each request, by source; nothing where no run is released."""
    if connection.execute("select from recsql.release where slot = 'default'").fetchone() is None:
        return {}
    users = [row[0] for row in connection.execute("select user_no from recsql.app_user order by user_no").fetchall()]
    chooser = random.Random(seed)  # noqa: S311 (not for secrets)
    times: dict[str, list[float]] = {name: [] for name in numbers}
    for name, number in numbers.items():
        connection.execute(LIVE, (users[0], name, number), prepare=True)
    for turn in range(n_requests):
        for name, number in numbers.items():
            user = chooser.choice(users)
            began = time.perf_counter()
            connection.execute(LIVE, (user, name, number)).fetchall()
            times[name].append(1000 * (time.perf_counter() - began))
        bar(turn + 1, n_requests, "")
    return times


def _p99(times: list[float]) -> float:
    return quantiles(times, n=100, method="inclusive")[98]


if __name__ == "__main__":
    main()
