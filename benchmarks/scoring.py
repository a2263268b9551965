"""Scores of all users from table to table, beside the model in memory: ``python -m benchmarks.scoring --json``.

Works on the newest test run of ``loo`` that has the model and its candidates, which is made if there is none. From
table to table: candidates are read, the users' vectors are computed from their histories and multiplied with those of
their candidates, and the scores are written. Bare: vectors of the same users by the same model, their products with the
whole catalogue, and the best of those, nothing read or written. Both begin with histories in memory, and take turns.
``stage``: as a run does it, where stage ``train`` has left the users' vectors, so that none are computed.
"""

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from benchmarks.data import DATASETS, pipeline_on
from benchmarks.report import Report, make_parser
from workers.models.registry import MODELS
from workers.pipeline import Pipeline
from workers.run import Run
from workers.scoring import ModelScorer, score, score_by
from workers.versions import find_version, histories_of, load_model

K = 100
USERS_AT_ONCE = 500

SCORED_RUN = """
    select r.run_no
    from recsql.run as r
    inner join recsql.split as s on s.split_no = r.split_no and s.protocol = 'loo' and s.part = 'test'
    inner join recsql.run_stage as g on g.run_no = r.run_no and g.stage = 'candidates' and g.state = 'complete'
    inner join recsql.model_version as v on v.run_no = r.run_no and v.artifact is not null
    inner join recsql.model as m on m.model_no = v.model_no and m.model = %s
    where r.state <> 'pruned'
    order by r.run_no desc
    limit 1
"""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--model", choices=sorted(MODELS), default="transformer")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    label = options.dataset if options.model == "transformer" else f"{options.dataset}-{options.model}"
    report = Report("scoring", label, "loo", options.seed)
    with pipeline_on(options.dataset, seed=options.seed) as pipeline:
        run = Run(pipeline.connection, _find_run(pipeline, options.model), "test", pipeline.config)
        only = {name: kind for name, kind in run.models().items() if name == options.model}
        if not only:
            raise SystemExit(f"Source {options.model} is not active: 'recsql source enable {options.model}'.")
        run.models = lambda: only
        bench = _Bench(run, options.model)
        bare, whole, stage = [], [], []
        bar = pipeline.bar(f"{options.model}: {run.run_no}")
        for turn in range(options.repeats):
            bare.append(_timed(bench.in_memory))
            whole.append(_timed(bench.by_model))
            stage.append(_timed(bench.by_stage))
            bar(turn + 1, options.repeats, "")
    n_users = len(run.data.user_nos)
    results = {
        "users_per_s": n_users / median(whole),
        "bare_users_per_s": n_users / median(bare),
        "ratio": median(bare) / median(whole),
        "stage_users_per_s": n_users / median(stage),
        "scores_per_s": bench.n_scores / median(stage),
        "n_users": n_users,
        "n_scores": bench.n_scores,
    }
    report.publish({name: round(value, 3) for name, value in results.items()}, options.save)


def _find_run(pipeline: Pipeline, name: str) -> int:
    """The newest test run that has the model and candidates, or a new one."""
    row = pipeline.connection.execute(SCORED_RUN, (name,)).fetchone()
    if row is not None:
        return row[0]
    return pipeline.run("test", until="candidates")


class _Bench:
    """Both sides of the comparison, on one run and model."""

    def __init__(self, run: Run, name: str) -> None:
        version = find_version(run, name)
        assert version is not None
        self.run, self.name, self.version = run, name, version
        self.model = load_model(run, name, version)
        self.histories = histories_of(run.data, version)
        self.n_scores = 0

    def in_memory(self) -> None:
        """The best items of every user, of the whole catalogue."""
        users, items = self.model.user_vectors(self.histories), self.model.item_vectors()
        everything = np.arange(len(self.run.data.item_nos))
        for begin in range(0, self.histories.n_users, USERS_AT_ONCE):
            rows = np.arange(begin, min(begin + USERS_AT_ONCE, self.histories.n_users))
            if users is None or items is None:
                scores = self.model.score(self.histories.take(rows), np.tile(everything, (len(rows), 1)))
            else:
                scores = users[rows] @ items.T
            scores = np.nan_to_num(scores, nan=-np.inf)
            k = min(K, scores.shape[1])
            best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1), axis=1)

    def by_model(self) -> None:
        """Scores from histories, table to table."""
        score_by(self.run, [ModelScorer(self.run, self.name, self.version)], _quiet)

    def by_stage(self) -> None:
        """Stage ``score``."""
        self.n_scores = score(self.run, _quiet)


def _quiet(done: int, total: int, note: str) -> None: ...


def _timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
