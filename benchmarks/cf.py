"""Collaborative filtering against its peers: ``python -m benchmarks.cf --dataset ml-1m --json --save``.

Makes (or finds) the validation and the test run up to their item similarities, without encoders or the transformer,
and measures each method as the product serves it: a weighted join over the history in SQL. ``cf`` is the weighted
fusion of six of them, fitted on validation. Peers choose their settings on the same validation run. Test is read
once a method.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg

from benchmarks.data import DATASETS, pipeline_on
from benchmarks.peers import PEERS, measure_peers
from benchmarks.report import Report, make_parser
from recsql import db
from recsql.queries import QUERIES
from workers.evaluate import interval
from workers.ranker.learned import read_choices
from workers.run import Part, Run
from workers.stages import item_weights, similarity

FUSED = ("sequential", "ease", "cosine", "slit", "ease_whole", "cosine_whole")
COMPARED = ("jaccard", "conditional", "llr", "pearson")
METRICS = ("ndcg", "recall")
RETRIEVED = """
    select s.source from recsql.candidate as c inner join recsql.source as s using (source_no)
    where c.run_no = %(run_no)s
    group by s.source
    having count(*) = (select count(distinct i.user_no) from recsql.interaction as i where i.run_no = %(run_no)s)
"""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    parser.add_argument(
        "--peers", nargs="*", choices=PEERS, default=list(PEERS), help="which to measure; all by default"
    )
    options = parser.parse_args()
    report = Report("cf", options.dataset, options.protocol, options.seed)
    results: dict[str, float] = {}
    with pipeline_on(options.dataset, content=False, protocol=options.protocol, seed=options.seed) as pipeline:
        connection, bars = pipeline.connection, pipeline.bar
        runs: dict[Part, Run] = {
            part: Run(connection, pipeline.run(part, until="slit"), part, pipeline.config)
            for part in ("validation", "test")
        }
        validation_no, test_no = (run.run_no for run in runs.values())
        # Both runs and the peers at once: nothing here is timed, and each is at work in a process of its own.
        with ThreadPoolExecutor(3) as threads, db.connect() as other, db.connect() as third:
            peers = threads.submit(
                measure_peers, third, validation_no, test_no, options.seed, tuple(options.peers), bars("peers")
            )
            retrieving = [
                threads.submit(_retrieve, replace(run, connection=own), bars(f"{part}: candidates"))
                for (part, run), own in zip(runs.items(), (connection, other), strict=True)
            ]
            for done in retrieving:
                done.result()
            policy = f"cf-{validation_no}"
            numbered = [(runs["validation"].one("source_no", source=method), method) for method in FUSED]
            choices = read_choices(runs["validation"], sorted(numbered), options.seed)
            choices.write(policy, "weighted", choices.weights())
            for part, run in runs.items():
                for method in (*FUSED, *COMPARED, "cf"):
                    results |= _quality(connection, run.run_no, part, method, policy, options.seed)
            results |= peers.result()
        weights = connection.execute(
            "select w.key, w.value::double precision from recsql.fusion_policy as p "
            "cross join jsonb_each_text(p.weights) as w where p.policy = %s",
            (policy,),
        ).fetchall()
        results |= {f"cf.weight.{method}": weight for method, weight in weights}
    best = {
        side: max(names, key=lambda name: results[f"{name}.validation.ndcg@10"])
        for side, names in (("ours", (*FUSED, *COMPARED, "cf")), ("peer", options.peers))
        if names
    }
    if len(best) == 2:
        results["ratio"] = results[f"{best['ours']}.ndcg@10"] / results[f"{best['peer']}.ndcg@10"]
    stages = {name: round(seconds, 1) for name, seconds in pipeline.seconds.items()}
    report.publish(results, options.save, best_on_validation=best, stages=stages)


def _retrieve(run: Run, progress: Callable[[int, int, str], None]) -> None:
    """Candidates of every method; the similarities that no stage of the pipeline makes come first.

    What an earlier attempt has of the same run is left, so that a benchmark that was stopped goes on.
    """
    have = {source for (source,) in run.connection.execute(RETRIEVED, {"run_no": run.run_no}).fetchall()}
    if have >= {*FUSED, *COMPARED}:
        return
    for method in COMPARED:
        similarity(method)(run, progress)
    item_weights("ease_whole")(run, progress)
    methods, chunks = (*FUSED, *COMPARED), run.user_chunks()
    for nth, method in enumerate(methods):
        for number, (first, last) in enumerate(chunks):
            run.one("refresh_candidates", source=method, first=first, last=last, n=run.config.candidates)
            progress(nth * len(chunks) + number + 1, len(methods) * len(chunks), method)
    run.connection.execute(QUERIES["analyze_candidates"])


def _quality(
    connection: psycopg.Connection[Any], run_no: int, part: Part, method: str, policy: str, seed: int
) -> dict[str, float]:
    """Figures of one method by the product's own metric; intervals on the test part."""
    parameters = {"run_no": run_no, "method": policy if method == "cf" else method, "k": 10}
    rows = np.array(connection.execute(QUERIES["user_metric"], parameters).fetchall(), dtype=np.float64)
    found: dict[str, float] = {}
    for column, metric in enumerate(METRICS):
        value, lo, hi, _ = interval(rows.reshape(-1, 5)[:, 1 + column], seed)
        if value is None or lo is None or hi is None:
            continue
        if part == "validation":
            found[f"{method}.validation.{metric}@10"] = value
        else:
            name = f"{method}.{metric}@10"
            found |= {name: value, f"{name}.lo": lo, f"{name}.hi": hi}
    return found


if __name__ == "__main__":
    main()
