"""Scores of all users from table to table, beside the model in memory: ``python -m benchmarks.scoring --json``.

Works on the newest test run of ``loo`` that has the model and its candidates, which is made if there is none. From
table to table: user vectors are computed from histories and written, candidates are read, scored and written. Bare:
user vectors of the same users by the same model, their products with the whole catalogue, and the best of those,
nothing read or written. Both begin with histories in memory, and take turns. ``stage``: what is left where stage
``train`` has left user vectors, as it does in every run.
"""

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from benchmarks.quality import DATASETS
from benchmarks.report import Report, make_parser
from recsql import db, ingest, migrate
from recsql.cli.output import progress_bars
from recsql.readers.factory import open_reader
from workers.binary import write_vectors
from workers.commands import embed_backlog, stage_bars
from workers.models.registry import MODELS
from workers.pipeline import Pipeline, PipelineConfig
from workers.run import Run
from workers.scoring import score
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
    url = db.database_url()
    migrate.upgrade(url)
    source, config = DATASETS[options.dataset]
    with db.connect(url) as connection, progress_bars() as progress:
        ingest.load(connection, open_reader(source))
        bars = stage_bars(progress)
        pipeline = Pipeline(connection, PipelineConfig(seed=options.seed, **config), bars)
        run = Run(connection, _find_run(pipeline, options.model), "test", pipeline.config)
        only = {name: kind for name, kind in run.models().items() if name == options.model}
        if not only:
            raise SystemExit(f"Source {options.model} is not active: 'recsql source enable {options.model}'.")
        run.models = lambda: only
        bench = _Bench(run, options.model)
        bare, whole, stage = [], [], []
        bar = bars(f"{options.model}: {run.run_no}")
        for turn in range(options.repeats):
            bare.append(_timed(bench.in_memory))
            vectors, scored = _timed(bench.write_user_vectors), _timed(bench.score)
            whole.append(vectors + scored)
            stage.append(scored)
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
    embed_backlog(pipeline.connection, pipeline.bar)
    return pipeline.run("test", until="candidates")


class _Bench:
    """Both sides of the comparison, on one run and model."""

    def __init__(self, run: Run, name: str) -> None:
        version = find_version(run, name)
        assert version is not None
        self.run, self.version_no = run, version.version_no
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

    def write_user_vectors(self) -> None:
        """What stage ``train`` does of users; nothing for a model without vectors."""
        vectors = self.model.user_vectors(self.histories)
        if vectors is None:
            return
        connection = self.run.connection
        with connection.transaction():
            connection.execute(f"truncate recsql.user_vector_{self.version_no}")  # type: ignore[arg-type]
            write_vectors(connection, "user_vector", "user_no", self.version_no, self.run.data.user_nos, vectors)

    def score(self) -> None:
        """Stage ``score``."""
        self.n_scores = score(self.run, lambda done, total, note: None)


def _timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
