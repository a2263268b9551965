"""The films of MovieLens 1M: what they are about, what their posters look like, and who had them."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.posters import load_posters
from recsql.queries import QUERIES
from workers.binary import read_keyed_vectors
from workers.commands import embed_backlog
from workers.interactions import rows_of
from workers.models.base import FloatArray, IntArray, Sequences
from workers.spaces import Space, add_space, read_spaces
from workers.unified.artifact import Source

SPACES = {"text": "text", "posters": "image"}


@dataclass(frozen=True)
class Films:
    """What is known of films, one row each.

    Attributes:
        item_nos: database keys, ascending.
        sources: the spaces of text and image.
        text: vectors, shape ``(n_items, dim)``.
        image: vectors, rows of NaN where there is no poster.
        genres: shape ``(n_items, n_genres)``.
        years: of release.
        series: number of the film series that each belongs to, -1 for none.
        sequences: all that users did.
    """

    item_nos: IntArray
    sources: list[Source]
    text: FloatArray
    image: FloatArray
    genres: NDArray[np.bool_]
    years: IntArray
    series: IntArray
    sequences: Sequences

    @property
    def has_poster(self) -> NDArray[np.bool_]:
        """Which films have a poster."""
        return ~np.isnan(self.image[:, 0])


def read_films(connection: psycopg.Connection[Any], bars: Any) -> Films:
    """Add posters and spaces where they are missing, embed, and read; ``bars`` is what ``stage_bars`` gives."""
    load_posters(connection)
    for space, modality in SPACES.items():
        add_space(connection, space, modality)
    embed_backlog(connection, bars)
    rows = connection.execute("select item_no, title, tags from recsql.item order by item_no").fetchall()
    item_nos = np.array([row[0] for row in rows], dtype=np.int64)
    known = {space.space: space for space in read_spaces(connection)}
    spaces = [known[name] for name in SPACES]
    text, image = (_vectors(connection, space, item_nos) for space in spaces)
    names = sorted({tag for row in rows for tag in row[2]})
    events = connection.execute("select user_no, item_no from recsql.event order by user_no, at, event_no").fetchall()
    users, items = np.array(events, dtype=np.int64).T
    return Films(
        item_nos,
        [Source(space.model, space.revision, space.dim) for space in spaces],
        text,
        image,
        np.array([[name in row[2] for name in names] for row in rows]),
        np.array([_year(row[1]) for row in rows]),
        _series([row[1] for row in rows]),
        Sequences(rows_of(item_nos, items), np.concatenate([[0], np.cumsum(np.unique(users, return_counts=True)[1])])),
    )


def _vectors(connection: psycopg.Connection[Any], space: Space, item_nos: IntArray) -> FloatArray:
    array = np.full((len(item_nos), space.dim), np.nan, dtype=np.float32)
    asked = {"space_no": space.space_no, "item_nos": item_nos.tolist()}
    keys, found = read_keyed_vectors(connection, QUERIES["space_vectors"], asked)
    array[rows_of(item_nos, keys)] = found
    return array


def _year(title: str) -> int:
    found = re.search(r"\((\d{4})\)", title)
    return int(found.group(1)) if found else 0


def _series(titles: list[str]) -> IntArray:
    """Films whose titles are the same but for the number, what follows a colon, and the year."""
    keys = []
    for title in titles:
        key = re.sub(r"\(.*?\)", "", title).split(":")[0].strip().lower()
        key = re.sub(r",? (the|a|an)$", "", key)
        keys.append(re.sub(r"( part)? ([0-9]+|[ivx]+)$", "", re.sub(r",? (the|a|an)$", "", key)).strip())
    _, numbers, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return np.where(counts[numbers] > 1, numbers, -1)
