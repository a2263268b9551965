"""Search by text: the model of a space makes a vector of it, the database finds what is near."""

from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.rows import dict_row

from recsql.errors import ContentError, InputError, ModelError, NotFoundError
from recsql.queries import QUERIES
from workers.spaces import Space, encoder_of, read_spaces, text_encoder_of


def search(
    connection: psycopg.Connection[Any],
    text: str,
    n: int = 10,
    *,
    space: str | None = None,
    domain: str | None = None,
    wanted: str = "{}",
) -> list[dict[str, Any]]:
    """Find the items whose content is nearest to a text, by ``recsql_api.similar_to_vector``.

    Args:
        connection: in autocommit mode.
        text: what is looked for.
        n: how many items, 1 to 1000.
        space: name of the space; the one in which contents are compared when None.
        domain: only items of this domain.
        wanted: JSON object that the items' attributes must contain.

    Returns:
        Rows of rank, item_id, title and similarity, the nearest first.

    Raises:
        InputError: there is nothing in the text that could be looked for.
        NotFoundError: there is no such space, or none at all.
        ModelError: texts cannot be compared with the space.
    """
    # What needs no model is refused before one is loaded.
    connection.execute(QUERIES["check_n"], {"n": n})
    if not text.strip():
        raise InputError("Nothing can be looked for by an empty text.")
    spaces = read_spaces(connection)
    chosen = _choose(spaces, space)
    try:
        vector = text_vector(connection, spaces, chosen, text)
    except ContentError as error:
        raise InputError(f"Nothing can be looked for by '{text[:80]}': {error}.") from None
    parameters = {"vector": vector, "n": n, "space": chosen.space, "domain": domain, "filter": wanted}
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(QUERIES["api_similar_to_vector"], parameters).fetchall()


def _choose(spaces: list[Space], name: str | None) -> Space:
    if name is None:
        active = {s.modality: s for s in spaces if s.status == "active"}
        if found := active.get("unified") or active.get("text"):
            return found
        raise NotFoundError("No item is embedded yet: 'recsql embed' does that.")
    for space in spaces:
        if space.space == name:
            return space
    raise NotFoundError(f"There is no space '{name}': 'recsql space list' shows them.")


def text_vector(
    connection: psycopg.Connection[Any], spaces: list[Space], space: Space, text: str
) -> NDArray[np.float32]:
    """What the model of a space makes of a text, shape ``(dim,)``.

    Args:
        connection: in autocommit mode.
        spaces: all of them.
        space: of texts; one that unites others, with one of texts among them; or of images, by a model that reads both.
        text: any.

    Raises:
        ContentError: there is nothing in it.
        ModelError: the space has no model that reads texts.
    """
    if space.modality == "unified":
        for part in spaces:
            if part.modality == "text" and part.space_no in (space.source_nos or ()):
                encoder = encoder_of(connection, space)
                return encoder.encode([encoder.decode({part.space_no: text_vector(connection, spaces, part, text)})])[0]
        raise ModelError(f"Space {space.space} unites none of texts: search one of texts (recsql space list).")
    encoder = text_encoder_of(connection, space)
    return encoder.encode([encoder.decode(text)])[0]
