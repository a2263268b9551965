"""Spaces of vectors and the models behind them."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import psycopg

from recsql.errors import InputError, ModelError
from recsql.queries import QUERIES
from recsql.settings import get_settings

if TYPE_CHECKING:
    from workers.encoders.base import Encoder

TEXT_SPACE = "text"
TEXT_TEMPLATE = "{title}. {tags}. {body}"


@dataclass(frozen=True)
class Space:
    """A row of ``recsql.embedding_space``.

    Attributes:
        space_no: its number.
        space: its name.
        modality: text, image, audio or unified.
        model: name or path of its model.
        revision: which weights of it.
        dim: length of its vectors.
        template: of text, what is embedded of an item.
        status: active, building or retired.
        version_no: of modality unified, the model version that projects into it.
        source_nos: of modality unified, the spaces that it projects.
    """

    space_no: int
    space: str
    modality: str
    model: str
    revision: str
    dim: int
    template: str
    status: str
    version_no: int | None = None
    source_nos: list[int] | None = None


def read_spaces(connection: psycopg.Connection[Any]) -> list[Space]:
    """The spaces that are embedded, those that unite others last."""
    return [Space(*row) for row in connection.execute(QUERIES["embedding_spaces"])]


def add_space(
    connection: psycopg.Connection[Any],
    space: str,
    modality: str,
    model: str | None = None,
    template: str = TEXT_TEMPLATE,
) -> int:
    """Give a model a space and queue all items for it; idempotent.

    Args:
        connection: in autocommit mode.
        space: name of the space.
        modality: text, image or audio.
        model: name or path; the packaged one of the modality when None.
        template: of text, what is embedded of an item: ``{title}``, ``{tags}`` and ``{body}`` are filled in.

    Returns:
        The number of the space.

    Raises:
        InputError: the template names no part of an item.
        ModelError: the model cannot be loaded.
        DatabaseError: the space is another model's.
    """
    if modality == "text" and not any(part in template for part in ("{title}", "{tags}", "{body}")):
        raise InputError(f"Template '{template}' reads nothing of an item: use {{title}}, {{tags}} and {{body}} in it.")
    encoder = _encoder(modality, model)
    parameters = {
        "space": space,
        "modality": modality,
        "model": encoder.name,
        "revision": encoder.revision,
        "dim": encoder.dim,
        "template": template if modality == "text" else "",
        "version_no": None,
        "source_nos": None,
    }
    row = connection.execute(QUERIES["add_embedding_space"], parameters).fetchone()
    assert row is not None
    return row[0]


def add_text_space(connection: psycopg.Connection[Any]) -> int:
    """The space of ``RECSQL_TEXT_MODEL``, else of the packaged text model, that a database has from the start."""
    return add_space(connection, TEXT_SPACE, "text", get_settings().text_model)


def encoder_of(connection: psycopg.Connection[Any], space: Space) -> "Encoder":
    """The model of a space; a pretrained one stays loaded.

    Args:
        connection: where the projections of a unified space are read from.
        space: any.

    Raises:
        ModelError: it cannot be loaded, or is not what the space was made by.
    """
    if space.modality == "unified":
        from workers.encoders.unified import load_unified

        return load_unified(connection, space.space_no)
    encoder = _encoder(space.modality, space.model)
    if (encoder.revision, encoder.dim) != (space.revision, space.dim):
        raise ModelError(
            f"model '{space.model}' is revision {encoder.revision} of {encoder.dim} dimensions here, the space was "
            f"made by revision {space.revision} of {space.dim}: give it a space of its own (recsql space add)."
        )
    return encoder


def text_encoder_of(connection: psycopg.Connection[Any], space: Space) -> "Encoder":
    """The model that makes vectors of a space out of texts: the space's own, or the other side of one that reads both.

    Raises:
        ModelError: there is none, it cannot be loaded, or it is not what the space was made by.
    """
    if space.modality == "text":
        return encoder_of(connection, space)
    try:
        encoder = _encoder("text", space.model)
    except ModelError as error:
        raise ModelError(
            f"Model '{space.model}' of space {space.space} reads no texts: search another space."
        ) from error
    if (encoder.revision, encoder.dim) != (space.revision, space.dim):
        raise ModelError(f"Model '{space.model}' of space {space.space} reads no texts: search another space.")
    return encoder


@lru_cache(maxsize=8)
def _encoder(modality: str, model: str | None) -> "Encoder":
    from workers.encoders.registry import get_encoder

    return get_encoder(modality, model)
