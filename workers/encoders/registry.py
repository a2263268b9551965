"""Encoders by modality and name; what they need is imported when they are asked for."""

from importlib import import_module

from recsql.errors import ModelError
from workers.encoders.base import Encoder

_HASHING = ("workers.encoders.hashing", "HashingEncoder")
_PACKAGED = {
    ("image", "efficientnet-lite0"): ("workers.encoders.image", "ImageEncoder"),
    ("audio", "aisfx"): ("workers.encoders.audio", "AudioEncoder"),
}
"""By modality and name, models that are no sentence-transformers models."""
_DEFAULT = {"image": "efficientnet-lite0", "audio": "aisfx"}
_BY_NAME = {
    "text": ("workers.encoders.text", "TextEncoder"),
    "image": ("workers.encoders.joint", "JointImageEncoder"),
}
"""By modality, what loads any sentence-transformers model by name or path."""


def get_encoder(modality: str, model: str | None = None) -> Encoder:
    """Load a model.

    Args:
        modality: text, image or audio.
        model: ``efficientnet-lite0`` (image), ``aisfx`` (audio), ``hashing:DIM`` (any modality, for tests), else the
            name or path of a sentence-transformers model (text and image); the packaged one of the modality when None.

    Raises:
        ModelError: it cannot be loaded; the message says which path or package would serve.
    """
    name = model or _DEFAULT.get(modality)
    if name is not None and name.startswith("hashing:"):
        found = _HASHING
    elif (modality, name) in _PACKAGED:
        found = _PACKAGED[modality, name or ""]
    elif modality in _BY_NAME:
        found = _BY_NAME[modality]
    else:
        serve = ", ".join(sorted(packaged for of, packaged in _PACKAGED if of == modality)) or "none"
        raise ModelError(f"There is no {modality} model '{name}'; those that would serve: {serve}.")
    module, encoder = found
    return getattr(import_module(module), encoder)(modality, name)
