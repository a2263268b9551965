"""A run that keeps an earlier run's models, beside one that trains: ``python -m benchmarks.since --json --save``.

In a database of its own, on whatever a validation run chose, a production run is made. Then a share of the users do
something new, and two runs follow, in turns: ``full`` trains and scores anew, ``since`` keeps the models of the first
run. Each turn has new events of other users, which the runs of the turns before have not seen. ``ratio`` is the seconds
of stages ``train`` and ``score`` of ``since`` beside those of ``full``, ``run_ratio`` of all stages.
"""

import random
from statistics import median

from benchmarks.data import DATASETS, fresh_database, pipeline_on
from benchmarks.report import Report, make_parser
from recsql import db
from workers.models.registry import MODELS
from workers.pipeline import Pipeline

OWN = ("train", "score")
N_EVENTS = 3
UNSEEN = """
    select i.item_id from recsql.item as i
    where
        i.item_no not in (
            select e.item_no from recsql.event as e
            inner join recsql.app_user as u on u.user_no = e.user_no and u.user_id = %s
        )
    order by md5(i.item_id || %s)
    limit %s
"""
RECORD = """
    select recsql_api.record_event(%s, %s, 'rating', 5, (select max(e.at) from recsql.event as e) + interval '1 second')
"""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=["transformer"], help="active ones")
    parser.add_argument("--share", type=float, default=0.01, help="of the users, who do something new")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    report = Report("since", options.dataset, "loo", options.seed)
    seconds: dict[str, list[dict[str, float]]] = {"full": [], "since": []}
    with (
        fresh_database(db.database_url()) as url,
        pipeline_on(options.dataset, url, seed=options.seed) as pipeline,
    ):
        pipeline.connection.execute(
            "update recsql.source set is_active = source = any(%s) where source = any(%s)",
            (options.models, list(MODELS)),
        )
        pipeline.run("validation")
        first = pipeline.run("production")
        users = [
            user for (user,) in pipeline.connection.execute("select user_id from recsql.app_user order by user_no")
        ]
        n_active = max(1, round(options.share * len(users)))
        chosen = random.Random(options.seed).sample(users, n_active * options.repeats)  # noqa: S311 (not for secrets)
        for turn in range(options.repeats):
            act(pipeline, chosen[turn * n_active : (turn + 1) * n_active])
            for side in ("full", "since") if turn % 2 == 0 else ("since", "full"):
                pipeline.seconds.clear()
                pipeline.run("production", since=first if side == "since" else None)
                seconds[side].append({name.split()[1]: took for name, took in pipeline.seconds.items()})
    results: dict[str, float] = {"n_users": len(users), "n_active": n_active, "n_events": n_active * N_EVENTS}
    for side, runs in seconds.items():
        results |= {f"{side}.{stage}.seconds": median(run[stage] for run in runs) for stage in OWN}
        results[f"{side}.seconds"] = median(sum(run[stage] for stage in OWN) for run in runs)
        results[f"{side}.run.seconds"] = median(sum(run.values()) for run in runs)
    results["ratio"] = results["since.seconds"] / results["full.seconds"]
    results["run_ratio"] = results["since.run.seconds"] / results["full.run.seconds"]
    report.publish({name: round(value, 4) for name, value in results.items()}, options.save)


def act(pipeline: Pipeline, users: list[str]) -> None:
    """Each of some users rates items that they have not had."""
    for user in users:
        items = pipeline.connection.execute(UNSEEN, (user, user, N_EVENTS)).fetchall()
        for (item,) in items:
            pipeline.connection.execute(RECORD, (user, item))


if __name__ == "__main__":
    main()
