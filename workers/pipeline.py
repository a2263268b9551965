"""The pipeline: every stage of a run, each a function that writes its table and returns its number of rows.

A whole refresh is three runs: on the validation cut (it chooses the number of epochs and the fusion weights),
on the test cut (it is measured once), and on everything (it is published). A run whose input has not changed is not
made again.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

import numpy as np
import psycopg

from recsql.errors import PipelineError
from recsql.queries import QUERIES
from workers.evaluate import evaluate
from workers.fusion_weights import fit_weights
from workers.interactions import RunData, read_run
from workers.models.base import Model, TrainingData, TrainingOptions
from workers.models.registry import get_model, save_artifact

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
MODEL = "transformer"
USERS_A_CHUNK = 500


@dataclass(frozen=True)
class PipelineConfig:
    """What a refresh does.

    Attributes:
        protocol: offline protocol that chooses and measures.
        candidates: candidates of each source a user.
        reverse: how much a pair counts in the direction in which it did not happen, in the sequential similarity.
        model: hyperparameters of the transformer that differ from its defaults.
        seed: of training.
    """

    protocol: str = "loo"
    candidates: int = 150
    reverse: float = 0.4
    model: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


@dataclass
class Refresh:
    """What a whole refresh made: the numbers of its runs and policy, and seconds by stage."""

    validation_run_no: int
    test_run_no: int
    run_no: int
    policy_no: int
    seconds: dict[str, float] = field(default_factory=dict)
    is_new: bool = True


class Pipeline:
    """Makes runs.

    Args:
        connection: in autocommit mode, with pgvector registered.
        config: what to do.
        bar: called for each stage with its name, returns the stage's progress callback.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        config: PipelineConfig | None = None,
        bar: Callable[[str], Progress] = lambda stage: lambda done, total, note: None,
    ) -> None:
        self.connection = connection
        self.config = config or PipelineConfig()
        self._bar = bar
        self.seconds: dict[str, float] = {}

    def refresh(self) -> Refresh:
        """Choose on validation, measure on test, publish on everything; what is done already is left as it is."""
        validation, _ = self.run("validation")
        # Not "if the run is new": a refresh may have been stopped between the run and the fitting of its policy.
        fitted = self.connection.execute(QUERIES["latest_policy"], {"run_no": validation}).fetchone()
        policy_no = fitted[0] if fitted else self._policy(validation)
        test, _ = self.run("test", validation, policy_no)
        production, is_new = self.run("production", validation, policy_no)
        if is_new:
            self.connection.execute(QUERIES["publish"], {"run_no": production, "policy_no": policy_no})
        return Refresh(validation, test, production, policy_no, self.seconds, is_new)

    def run(
        self,
        part: Literal["validation", "test", "production"],
        chosen_by: int | None = None,
        policy_no: int | None = None,
    ) -> tuple[int, bool]:
        """Make one run, or find it.

        Args:
            part: which events it may see.
            chosen_by: the validation run whose number of epochs is taken over.
            policy_no: how to fuse; without it nothing is fused.

        Returns:
            Number of the run, and whether it was made now.
        """
        config = json.dumps(vars(self.config), sort_keys=True)
        state = self._one("input_state")
        fingerprint = sha256(f"{part} {state} {config}".encode()).hexdigest()
        done = self.connection.execute(QUERIES["complete_run"], {"fingerprint": fingerprint}).fetchone()
        if done:
            return done[0], False
        split_no = None if part == "production" else self._one("make_split", protocol=self.config.protocol, part=part)
        run_no = self._one("begin_run", split_no=split_no, fingerprint=fingerprint, config=config)
        try:
            self._stages(part, run_no, chosen_by, policy_no)
        except BaseException as error:
            if not self.connection.closed:
                self._end(run_no, "failed", f"{type(error).__name__}: {error}"[:1000])
            raise
        self._end(run_no, "complete", None)
        return run_no, True

    def _stages(self, part: str, run_no: int, chosen_by: int | None, policy_no: int | None) -> None:
        stage = lambda name, work: self._stage(part, run_no, name, work)  # noqa: E731
        stage("interactions", lambda bar: self._one("refresh_interaction", run_no=run_no))
        stage("popularity", lambda bar: self._one("refresh_item_popularity", run_no=run_no))
        data = read_run(self.connection, run_no)
        if not len(data.user_nos):
            raise PipelineError(
                "No user has a positive event, so there is nothing to learn from: load events first (recsql load)."
            )
        stage(
            "sequential",
            lambda bar: self._one("refresh_similarity_sequential", run_no=run_no, reverse=self.config.reverse),
        )
        stage("cosine", lambda bar: self._one("refresh_similarity_cosine", run_no=run_no))
        stage("ease", lambda bar: self._ease(run_no, data))
        trained: list[tuple[int, Model]] = []
        stage(
            "train", lambda bar: trained.append(self._train(run_no, data, part, chosen_by, bar)) or len(data.user_nos)
        )
        stage("candidates", lambda bar: self._candidates(run_no, bar))
        stage("score", lambda bar: self._score(run_no, data, *trained[0]))
        if policy_no is not None:
            stage("fuse", lambda bar: self._fuse(run_no, policy_no, bar))
        if part != "production":
            stage("evaluate", lambda bar: evaluate(self.connection, run_no))

    def _stage(self, part: str, run_no: int, name: str, work: Callable[[Progress], int]) -> None:
        bar = self._bar(f"{part}: {name}")
        bar(0, 1, "")
        began = time.monotonic()
        n_rows = work(bar)
        seconds = time.monotonic() - began
        bar(1, 1, f"{n_rows:,} rows")
        self.seconds[f"{part}: {name}"] = seconds
        self.connection.execute(
            QUERIES["record_stage"], {"run_no": run_no, "stage": name, "n_rows": n_rows, "seconds": seconds}
        )
        logger.info("stage done", extra={"run_no": run_no, "stage": name, "n_rows": n_rows, "seconds": seconds})

    def _ease(self, run_no: int, data: RunData) -> int:
        model = get_model("ease")()
        model.fit(TrainingData(data.sequences, len(data.item_nos)))
        found = model.neighbours(200)
        assert found is not None
        neighbours, weights = found
        source_no = self._one("source_no", source="ease")
        items, ranks = np.nonzero(neighbours >= 0)
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.execute(QUERIES["clear_similarity"], {"run_no": run_no, "source": "ease"})
            copy_to = (
                "copy recsql.item_similarity (run_no, source_no, item_no, rank, neighbour_no, similarity) from stdin"
            )
            with cursor.copy(copy_to) as copy:
                for item, rank in zip(items.tolist(), ranks.tolist(), strict=True):
                    neighbour_no = int(data.item_nos[neighbours[item, rank]])
                    row = (
                        run_no,
                        source_no,
                        int(data.item_nos[item]),
                        rank + 1,
                        neighbour_no,
                        float(weights[item, rank]),
                    )
                    copy.write_row(row)
        return len(items)

    def _train(self, run_no: int, data: RunData, part: str, chosen_by: int | None, bar: Progress) -> tuple[int, Model]:
        import torch

        kind = get_model(MODEL)
        options = dict(self.config.model)
        if part != "validation" and chosen_by is not None:
            options["epochs"] = self._one("chosen_epochs", run_no=chosen_by)
        model = kind(kind.Config(**options))
        targets = data.targets if part == "validation" else None
        device = "cuda" if torch.cuda.is_available() else "cpu"
        training = TrainingOptions(seed=self.config.seed, device=device, progress=bar)
        metrics = model.fit(TrainingData(data.sequences, len(data.item_nos), data.content, targets), training)
        version_no = self._one(
            "add_model_version",
            model=MODEL,
            run_no=run_no,
            config=json.dumps(model.describe()),
            metrics=json.dumps(metrics),
            artifact=save_artifact(model),
        )
        items, users = model.item_vectors(), model.user_vectors(data.sequences)
        assert items is not None
        assert users is not None
        self._one("add_model_vectors", version_no=version_no, dim=items.shape[1])
        self._copy_vectors(
            "copy recsql.item_vector (version_no, item_no, embedding) from stdin", version_no, data.item_nos, items
        )
        self._copy_vectors(
            "copy recsql.user_vector (version_no, user_no, embedding) from stdin", version_no, data.user_nos, users
        )
        return version_no, model

    def _copy_vectors(self, statement: Any, version_no: int, keys: Any, vectors: Any) -> None:
        with self.connection.transaction(), self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            for key, vector in zip(keys.tolist(), vectors, strict=True):
                if not np.isnan(vector).any():
                    copy.write_row((version_no, key, "[" + ",".join(map(repr, vector.tolist())) + "]"))

    def _candidates(self, run_no: int, bar: Progress) -> int:
        written = 0
        sources = [source for _, source in self.connection.execute(QUERIES["sources"]).fetchall()]
        chunks = self._chunks(run_no)
        for index, source in enumerate(sources):
            for chunk, (first, last) in enumerate(chunks):
                written += self._one(
                    "refresh_candidates", run_no=run_no, source=source, first=first, last=last, n=self.config.candidates
                )
                bar(index * len(chunks) + chunk + 1, len(sources) * len(chunks), source)
        self.connection.execute(QUERIES["analyze_candidates"])
        return written

    def _score(self, run_no: int, data: RunData, version_no: int, model: Model) -> int:
        pairs = np.array(
            self.connection.execute(QUERIES["candidate_pairs"], {"run_no": run_no}).fetchall(), dtype=np.int64
        )
        users = np.searchsorted(data.user_nos, pairs[:, 0])
        items = np.searchsorted(data.item_nos, pairs[:, 1])
        counts = np.bincount(users, minlength=len(data.user_nos))
        columns = np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts)
        padded = np.full((len(data.user_nos), max(1, counts.max())), -1, dtype=np.int64)
        padded[users, columns] = items
        scores = model.score(data.sequences, padded)[users, columns]
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.execute(QUERIES["clear_scores"], {"run_no": run_no})
            with cursor.copy("copy recsql.score (run_no, user_no, item_no, version_no, score) from stdin") as copy:
                for (user_no, item_no), score in zip(pairs.tolist(), scores.tolist(), strict=True):
                    if score == score:  # NaN: the model does not know the item
                        copy.write_row((run_no, user_no, item_no, version_no, score))
        return len(pairs)

    def _policy(self, run_no: int) -> int:
        """Fit the weights of the sources on a validation run."""
        sources = self.connection.execute(QUERIES["sources"]).fetchall()
        rows = np.array(
            self.connection.execute(QUERIES["fusion_parts"], {"run_no": run_no}).fetchall(), dtype=np.float64
        ).reshape(-1, 5)
        pairs, row_of = np.unique(rows[:, :2].astype(np.int64), axis=0, return_inverse=True)
        column_of = {source_no: column for column, (source_no, _) in enumerate(sources)}
        parts = np.zeros((len(pairs), len(sources)))
        parts[row_of, [column_of[int(number)] for number in rows[:, 2]]] = rows[:, 3]
        is_target = np.zeros(len(pairs), dtype=bool)
        is_target[row_of] = rows[:, 4] > 0
        users, owner = np.unique(pairs[:, 0], return_inverse=True)
        weights, ndcg = fit_weights(parts, owner, is_target, len(users))
        named = {source: round(float(weight), 6) for (_, source), weight in zip(sources, weights, strict=True)}
        return self._one(
            "write_policy", policy=f"weighted-{run_no}", kind="weighted", weights=json.dumps(named), run_no=run_no,
            metrics=json.dumps({"ndcg@10": ndcg}),
        )  # fmt: skip

    def _fuse(self, run_no: int, policy_no: int, bar: Progress) -> int:
        chunks, written = self._chunks(run_no), 0
        for index, (first, last) in enumerate(chunks):
            written += self._one("fuse", run_no=run_no, policy_no=policy_no, first=first, last=last)
            bar(index + 1, len(chunks), "")
        return written

    def _chunks(self, run_no: int) -> list[tuple[int, int]]:
        row = self.connection.execute(QUERIES["user_range"], {"run_no": run_no}).fetchone()
        assert row is not None
        return [(first, min(first + USERS_A_CHUNK - 1, row[1])) for first in range(row[0], row[1] + 1, USERS_A_CHUNK)]

    def _end(self, run_no: int, state: str, error: str | None) -> None:
        self.connection.execute(QUERIES["end_run"], {"run_no": run_no, "state": state, "error": error})

    def _one(self, query: str, **parameters: Any) -> Any:
        row = self.connection.execute(QUERIES[query], parameters or None).fetchone()
        assert row is not None
        return row[0]
