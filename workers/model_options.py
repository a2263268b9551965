"""Hyperparameters that differ from the defaults wherever models are trained: the file ``RECSQL_MODEL_OPTIONS``."""

import json
from typing import Any

from pydantic import ValidationError

from recsql.errors import ConfigurationError, NotFoundError
from recsql.settings import get_settings
from workers.models.registry import get_model


def read_model_options() -> dict[str, dict[str, Any]]:
    """Options by name of the model, as ``PipelineConfig.models`` takes them; none where no file is set.

    Raises:
        ConfigurationError: the file cannot be read, or names a model or an option that there is not.
    """
    path = get_settings().model_options
    if path is None:
        return {}
    where = f"RECSQL_MODEL_OPTIONS ({path})"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{where} cannot be read: {error.strerror}. Name a JSON file, or unset it.") from None
    except ValueError as error:
        raise ConfigurationError(f"{where} is no JSON: {error}.") from None
    if not isinstance(found, dict) or not all(isinstance(options, dict) for options in found.values()):
        raise ConfigurationError(f'{where} must hold options by model, like {{"ease": {{"lambda_": 500}}}}.')
    for name, options in found.items():
        try:
            model = get_model(name)
        except NotFoundError as error:
            raise ConfigurationError(f"{where}: {error}.") from None
        if unknown := sorted(options.keys() - model.Config.model_fields.keys()):
            known = ", ".join(model.Config.model_fields)
            raise ConfigurationError(f"{where}: {name} has no option {', '.join(unknown)}; it has {known}.")
        try:
            model.Config(**options)
        except ValidationError as error:
            raise ConfigurationError(f"{where}: {name} {first_problem(error)}.") from None
    return found


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong with a configuration, in a few words."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    told = first["msg"].removeprefix("Value error, ")
    return f"{field}: {told}" if field else told
