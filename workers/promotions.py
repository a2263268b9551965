"""Promoted versions: the configurations that runs use in place of the defaults."""

from dataclasses import replace
from typing import Any

import psycopg
from pydantic import ValidationError

from recsql.errors import ConfigurationError, ModelError, NotFoundError
from recsql.queries import QUERIES
from workers.model_options import first_problem
from workers.models.registry import get_model
from workers.run import PipelineConfig


def promotable(version: int, model: str, config: dict[str, Any]) -> dict[str, Any]:
    """The part of a version's configuration that runs take over.

    The number of epochs is not: validation chooses it anew for every run.

    Raises:
        ModelError: this release does not accept it.
    """
    taken = {name: value for name, value in config.items() if name != "epochs"}
    try:
        get_model(model).Config(**taken)
    except NotFoundError:
        raise ModelError(
            f"This release has no model {model}, so the configuration of version {version} cannot be used: "
            f"promote another version, or 'recsql model rollback {model}'."
        ) from None
    except ValidationError as error:
        raise ModelError(
            f"This release does not accept the configuration of version {version}: {model} {first_problem(error)}. "
            f"Promote another version, or 'recsql model rollback {model}'."
        ) from None
    return taken


def with_promoted(connection: psycopg.Connection[Any], config: PipelineConfig) -> PipelineConfig:
    """What runs do: the configuration, with promoted options where it says nothing of its own.

    Raises:
        ConfigurationError: an option of ours does not go with a promoted one.
        ModelError: this release does not accept a promoted configuration.
    """
    models = dict(config.models)
    for model, version, promoted in connection.execute(QUERIES["promoted_models"]).fetchall():
        options = promotable(version, model, promoted) | config.models.get(model, {})
        try:
            get_model(model).Config(**options)
        except ValidationError as error:
            raise ConfigurationError(
                f"RECSQL_MODEL_OPTIONS does not go with the promoted version {version}: {model} {first_problem(error)}."
            ) from None
        models[model] = options
    return replace(config, models=models)
