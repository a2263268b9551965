"""The models by name, and how a trained one becomes bytes that a table can keep.

An artifact is one safetensors file: the arrays of :meth:`Model.state`, and in its metadata, as JSON, the model's name,
its configuration, the version of this format and a digest of them all. Nothing in it is ever executed. An artifact of
8 bits holds matrices as whole numbers, each beside the scales of its rows; see :mod:`workers.models.quantised`.
"""

import hashlib
import json
from importlib import import_module
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from recsql.errors import ModelError, NotFoundError
from workers.models.base import Model

FORMAT_VERSION = 1
INT8_FORMAT_VERSION = 2

MODELS: dict[str, str] = {
    "als": "workers.models.als:Als",
    "bert4rec": "workers.models.bert4rec:Bert4Rec",
    "bpr": "workers.models.bpr:Bpr",
    "cql": "workers.models.cql:Cql",
    "ease": "workers.models.ease:Ease",
    "ease_whole": "workers.models.ease:EaseWhole",
    "gru4rec": "workers.models.gru4rec:Gru4Rec",
    "joint": "workers.models.joint:Joint",
    "neumf": "workers.models.neumf:NeuMf",
    "nextitnet": "workers.models.nextitnet:NextItNet",
    "q_learning": "workers.models.q_learning:QLearning",
    "reinforce": "workers.models.reinforce:Reinforce",
    "sarsa": "workers.models.sarsa:Sarsa",
    "slate_q": "workers.models.slate_q:SlateQ",
    "slit": "workers.models.slit:Slit",
    "sqn": "workers.models.sqn:Sqn",
    "transformer": "workers.models.transformer:Transformer",
    "two_tower": "workers.models.two_tower:TwoTower",
}
"""Where each model is; as text, so that torch is imported only with a model that needs it."""


def get_model(name: str) -> type[Model]:
    """Import and return the model of this name.

    Raises:
        NotFoundError: if there is none.
    """
    if name not in MODELS:
        raise NotFoundError(f"there is no model {name!r}; known are {', '.join(sorted(MODELS))}")
    module, _, class_name = MODELS[name].partition(":")
    return getattr(import_module(module), class_name)


def save_artifact(model: Model) -> bytes:
    """Serialise a trained model."""
    return _pack(FORMAT_VERSION, model.name, model)


def save_int8_artifact(model: Model) -> bytes:
    """Serialise a trained model in 8 bits a number.

    Raises:
        ModelError: if it is not one network over item vectors.
    """
    from workers.models.inner_product import InnerProductModel
    from workers.models.quantised import Quantised

    if not isinstance(model, InnerProductModel):
        raise ModelError(f"{model.name} has no form of 8 bits: only models of one network over item vectors do")
    return _pack(INT8_FORMAT_VERSION, model.name, Quantised(model))


def _pack(version: int, name: str, model: Model) -> bytes:
    arrays = {name: np.ascontiguousarray(array) for name, array in model.state().items()}
    header: dict[str, Any] = {"format": version, "model": name, "config": model.describe()}
    header["sha256"] = digest_of(header, arrays)
    return save(arrays, metadata={"recsql": json.dumps(header)})


def load_artifact(blob: bytes) -> Model:
    """Restore the model that :func:`save_artifact` serialised, or the :class:`Quantised` of :func:`save_int8_artifact`.

    Raises:
        ModelError: if the bytes are damaged, of a newer format, or of a model that this release does not have.
    """
    try:
        arrays = {name: np.array(array) for name, array in load(blob).items()}
        length = int.from_bytes(blob[:8], "little")
        header = json.loads(json.loads(blob[8 : 8 + length])["__metadata__"]["recsql"])
        version, claimed = header["format"], header.pop("sha256")
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError("this is no model artifact, or it is damaged; train the model again") from error
    if version not in (FORMAT_VERSION, INT8_FORMAT_VERSION):
        raise ModelError(
            f"the artifact has format {version}, this release reads {FORMAT_VERSION} and {INT8_FORMAT_VERSION}; "
            "upgrade recsql or train again"
        )
    if claimed != digest_of(header, arrays):
        raise ModelError("the artifact is damaged: its content does not match its digest; train the model again")
    try:
        model_class = get_model(header["model"])
        model = model_class(model_class.Config.model_validate(header["config"]))
    except (NotFoundError, ValidationError) as error:
        raise ModelError(f"this release cannot use the artifact: {error}; train the model again") from error
    if version == INT8_FORMAT_VERSION:
        model = _quantised(model)
    model.restore(arrays)
    return model


def _quantised(model: Model) -> Model:
    from workers.models.inner_product import InnerProductModel
    from workers.models.quantised import Quantised

    if not isinstance(model, InnerProductModel):
        raise ModelError(f"this is no artifact of {model.name}, which has no form of 8 bits; export it again")
    return Quantised(model)


def digest_of(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of an artifact's header and its arrays by name, which tells a damaged one."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
