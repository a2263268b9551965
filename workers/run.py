"""A run in the making: what it is to do, what it may know, and what its stages share."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import psycopg
from numpy.typing import NDArray

from recsql.errors import PipelineError
from recsql.queries import QUERIES
from workers.interactions import RunData, read_run
from workers.model_options import read_model_options
from workers.models.base import Model
from workers.models.registry import MODELS
from workers.tables import read_columns

logger = logging.getLogger(__name__)

PROTOCOLS = ("loo", "global")
Part = Literal["validation", "test", "production"]
Progress = Callable[[int, int, str], None]

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
        epochs: passes over the data that validation chose, by model; of others the configuration's are used.
        notice: told what whoever waits for the run should know.
        processes: by how many of them models are trained that learn by gradients.
        since_no: the run whose models are kept; None to train.
        since_models: hyperparameters of that run, as in the configuration.
        trained: models that this process has at hand, by name.
        details: what the stage that runs has to tell, by whatever it is about.
    """

    connection: psycopg.Connection[Any]
    run_no: int
    part: Part
    config: PipelineConfig
    policy_no: int | None = None
    epochs: dict[str, int] = field(default_factory=dict)
    notice: Callable[[str], None] = logger.info
    processes: int = 1
    since_no: int | None = None
    since_models: dict[str, dict[str, Any]] = field(default_factory=dict)
    trained: dict[str, Model] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    _unchanged: dict[bool, NDArray[np.int64]] = field(default_factory=dict, init=False, repr=False)

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

    def models(self) -> dict[str, str]:
        """The active sources that are trained models, in the order of their numbers: their kind by name."""
        found = self.connection.execute(QUERIES["model_sources"]).fetchall()
        return {source: kind for source, kind in found if source in MODELS}

    def unchanged_users(self, with_weights: bool) -> NDArray[np.int64]:
        """Numbers of the users of whom nothing has changed since run ``since_no``, ascending.

        Args:
            with_weights: whether a change of an event's weight is one.
        """
        if with_weights not in self._unchanged:
            self._unchanged[with_weights] = self.columns(
                "unchanged_users", {"user_no": np.int64}, since_no=self.since_no, with_weights=with_weights
            )[0]
        return self._unchanged[with_weights]

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

    def user_chunks(self, size: int = USERS_A_CHUNK) -> list[tuple[int, int]]:
        """Ranges of user numbers, both ends included."""
        first, last = self.connection.execute(QUERIES["user_range"], {"run_no": self.run_no}).fetchone() or (0, -1)
        return [(start, min(start + size - 1, last)) for start in range(first, last + 1, size)]
