"""A run in the making: what it is to do, what it may know, and what its stages share."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import psycopg

from recsql.errors import ModelError, PipelineError
from recsql.queries import QUERIES
from workers.interactions import RunData, read_run
from workers.model_options import read_model_options
from workers.models.base import Model
from workers.models.registry import load_artifact
from workers.tables import read_columns

logger = logging.getLogger(__name__)

Part = Literal["validation", "test", "production"]
Progress = Callable[[int, int, str], None]

SEQUENCE_MODEL = "transformer"
USERS_A_CHUNK = 500


@dataclass(frozen=True)
class PipelineConfig:
    """What a refresh does.

    Attributes:
        protocol: offline protocol that chooses and measures.
        candidates: candidates of each source a user.
        candidates_of: candidates of a source of which there are more or fewer, by its name.
        reverse: how much a pair counts in the direction in which it did not happen, in the sequential similarity.
        models: hyperparameters that differ from the defaults, by name of the model; those of ``RECSQL_MODEL_OPTIONS``.
        seed: of training.
        incremental: whether training goes on from the version before, on new events, where there is one to go on from.
    """

    protocol: str = "loo"
    candidates: int = 150
    candidates_of: dict[str, int] = field(default_factory=dict)
    reverse: float = 0.4
    models: dict[str, dict[str, Any]] = field(default_factory=read_model_options)
    seed: int = 0
    incremental: bool = False

    def n_candidates(self, source: str) -> int:
        """Candidates of a source a user."""
        return self.candidates_of.get(source, self.candidates)


@dataclass
class Run:
    """A run in the making.

    Attributes:
        connection: in autocommit mode, with pgvector registered.
        run_no: its number.
        part: which events it may see.
        config: what to do.
        policy_no: how to fuse; in a validation run None until its weights are fitted.
        epochs: passes over the data that validation chose; None to use the configuration's.
        notice: told what whoever waits for the run should know.
        processes: by how many of them models are trained that learn by gradients.
    """

    connection: psycopg.Connection[Any]
    run_no: int
    part: Part
    config: PipelineConfig
    policy_no: int | None = None
    epochs: int | None = None
    notice: Callable[[str], None] = logger.info
    processes: int = 1

    @cached_property
    def data(self) -> RunData:
        """What the run may know.

        Raises:
            PipelineError: nobody has a positive event, or too few for the protocol to ask for the next.
        """
        data = read_run(self.connection, self.run_no)
        if not len(data.user_nos) and self.part != "production":
            raise PipelineError(
                f"No user has enough positive events for the {self.part} part of protocol {self.config.protocol}: load "
                "more events (recsql load), or serve what there is without measuring it (recsql publish)."
            )
        if not len(data.user_nos):
            raise PipelineError(
                "No user has a positive event, so there is nothing to learn from: load events first (recsql load)."
            )
        return data

    @cached_property
    def sequence_model(self) -> tuple[int, Model]:
        """Version and model that stage ``train`` made, from the database."""
        row = self.connection.execute(
            QUERIES["run_artifact"], {"run_no": self.run_no, "model": SEQUENCE_MODEL}
        ).fetchone()
        if row is None:
            raise PipelineError(f"Run {self.run_no} has no trained {SEQUENCE_MODEL}: train it first (recsql train).")
        try:
            return row[0], load_artifact(row[1])
        except ModelError as error:
            # Else the run would meet it again whenever it is gone on with.
            self.connection.execute(QUERIES["forget_training"], self.parameters(version=row[0]))
            raise ModelError(f"Version {row[0]} cannot be used: {error}. Run again: it is trained anew.") from error

    def parameters(self, **others: Any) -> dict[str, Any]:
        """What a named statement is given: the run and whatever else it takes."""
        return {"run_no": self.run_no, **others}

    def one(self, query: str, **parameters: Any) -> Any:
        """First column of the first row of a named statement."""
        row = self.connection.execute(QUERIES[query], self.parameters(**parameters)).fetchone()
        assert row is not None
        return row[0]

    def columns(self, query: str, types: dict[str, Any], **parameters: Any) -> list[Any]:
        """Columns of a named statement as arrays."""
        return read_columns(self.connection, QUERIES[query], self.parameters(**parameters), types)

    def history(self, source: str) -> dict[str, Any]:
        """How far back a source reads, and how much each step counts."""
        row = self.connection.execute(QUERIES["source_history"], {"source": source}).fetchone()
        assert row is not None
        return dict(zip(("decay", "rate", "length"), row, strict=True))

    def sources(self) -> list[tuple[int, str]]:
        """Numbers and names of the active sources."""
        return self.connection.execute(QUERIES["sources"]).fetchall()

    def user_chunks(self) -> list[tuple[int, int]]:
        """Ranges of user numbers, both ends included."""
        first, last = self.connection.execute(QUERIES["user_range"], {"run_no": self.run_no}).fetchone() or (0, -1)
        return [(start, min(start + USERS_A_CHUNK - 1, last)) for start in range(first, last + 1, USERS_A_CHUNK)]
