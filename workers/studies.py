"""Studies of Optuna's, whose tables lie in schema ``recsql_optuna`` of the database: it makes them itself."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import psycopg
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial
from psycopg.conninfo import conninfo_to_dict

from recsql import db
from recsql.errors import RecsqlError, SchemaError
from recsql.queries import QUERIES

_SCHEMA = "recsql_optuna"
_HEARTBEAT_S = 30
"""Seconds between signs of life of a trial; after twice as many without one it counts as failed."""


class TrialSampler(BaseSampler):
    """Tree-structured Parzen estimators whose randomness depends on the seed and the number of the trial alone.

    So processes that share a study do not try the same, and a study that was resumed is one that was not interrupted.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sampler = TPESampler(seed=seed)

    def before_trial(self, study: Any, trial: FrozenTrial) -> None:
        """Begin anew for each trial."""
        self._sampler = TPESampler(seed=(self._seed * 1_000_003 + trial.number) % 2**32)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> dict[str, Any]:
        """As TPE does."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        """As TPE does."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Any, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        """As TPE does."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)


def open_study(connection: psycopg.Connection[Any], name: str, seed: int, first: dict[str, Any] | None) -> optuna.Study:
    """The study of this name; where there is none it is made, and its tables with it.

    Args:
        connection: to the configured database, in autocommit mode; it keeps others from making the same.
        name: of the study.
        seed: of the sampler.
        first: parameters that a new study tries first, if any.

    Raises:
        SchemaError: the tables are those of an Optuna that this one does not understand.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = db.database_url()
    # What a connection is told at its start replaces what the URL says, so that is repeated.
    before = conninfo_to_dict(url).get("options") or os.environ.get("PGOPTIONS", "")
    told = f"{before} -c search_path={_SCHEMA}".strip()
    connection.execute(QUERIES["lock_studies"])
    try:
        connection.execute(QUERIES["create_study_schema"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                db.sqlalchemy_url(url).render_as_string(hide_password=False),
                # A trial may take longer than a connection lasts.
                engine_kwargs={"connect_args": {"options": told}, "pool_pre_ping": True},
                heartbeat_interval=_HEARTBEAT_S,
            )
        study = optuna.create_study(
            storage=storage,
            sampler=TrialSampler(seed),
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=3),
            study_name=name,
            direction="maximize",
            load_if_exists=True,
        )
        if first is not None and not study.get_trials(deepcopy=False):
            study.enqueue_trial(first)
    except RuntimeError as error:
        raise SchemaError(
            f"{' '.join(str(error).split())} Or drop schema {_SCHEMA}, which holds studies and nothing else."
        ) from error
    finally:
        connection.execute(QUERIES["unlock_studies"])
    return study


@contextmanager
def storage_explained() -> Iterator[None]:
    """Turn what the database says through Optuna into our errors.

    Raises:
        DatabaseError: the tables of studies cannot be read or written.
    """
    try:
        yield
    except RecsqlError:
        raise
    except Exception as error:
        # Where a trial cannot be written down Optuna fails of that, too, and of not having expected it.
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(original := getattr(cause, "orig", cause), psycopg.Error):
                raise db.explain(original) from error
            cause = cause.__cause__ or cause.__context__
        raise
