"""Unified: what an item's vectors in several spaces are in the one that unites these."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from recsql.errors import ContentError, ModelError
from recsql.queries import QUERIES
from workers.encoders.base import Decoded, Encoder
from workers.unified.artifact import Projection, Source, load_projection

_SHOWN = 16
"""Digits of the artifact's digest that tell one revision from another."""


class UnifiedEncoder(Encoder):
    """A trained projection; vectors have length 1.

    Args:
        name: of the model.
        artifact: what ``workers.unified.artifact.save_projection`` gave.
        source_nos: numbers of the spaces that it projects, in the order of its sources.

    Raises:
        ModelError: the artifact cannot be used, or is of another number of spaces.
    """

    modality = "unified"

    def __init__(self, name: str, artifact: bytes, source_nos: Sequence[int]) -> None:
        self._projection: Projection = load_projection(artifact)
        if len(source_nos) != len(self._projection.sources):
            raise ModelError(
                f"the artifact projects {len(self._projection.sources)} spaces, not {len(source_nos)}; unify them again"
            )
        self.name = name
        self.revision = revision_of(artifact)
        self.dim = self._projection.model.dim
        self._places = {space_no: place for place, space_no in enumerate(source_nos)}

    @property
    def sources(self) -> tuple[Source, ...]:
        """What it projects, in the order of ``source_nos``."""
        return self._projection.sources

    def decode(self, content: Mapping[int, Any]) -> Decoded:
        """An item's vectors, by the number of their space; any of them may be missing.

        Raises:
            ContentError: there is none, or one has another length than its space.
        """
        vectors = {self._places[no]: _array(vector) for no, vector in content.items() if no in self._places}
        if not vectors:
            raise ContentError("it has no vector in the spaces that are united")
        for place, vector in vectors.items():
            source = self._projection.sources[place]
            if vector.shape != (source.dim,):
                raise ContentError(f"its vector of {source.model} has {len(vector)} dimensions, not {source.dim}")
        return Decoded(vectors, len(vectors))

    def encode(self, decoded: Sequence[Decoded]) -> NDArray[np.float32]:
        """Unit vectors, shape ``(n_items, dim)``."""
        inputs = [np.full((len(decoded), source.dim), np.nan, np.float32) for source in self._projection.sources]
        for row, item in enumerate(decoded):
            for place, vector in item.value.items():
                inputs[place][row] = vector
        return self._projection.project(inputs)


def revision_of(artifact: bytes) -> str:
    """What tells a projection from another one."""
    return sha256(artifact).hexdigest()[:_SHOWN]


def load_unified(connection: psycopg.Connection[Any], space_no: int) -> UnifiedEncoder:
    """The encoder of a unified space.

    Raises:
        ModelError: the space has no model version, its artifact is gone or damaged, or a space that it projects is of
            another model than the one that it was trained on.
    """
    row = connection.execute(QUERIES["unified_artifact"], {"space_no": space_no}).fetchone()
    if row is None or row[1] is None:
        raise ModelError(
            f"space {space_no} has no projection (any more): unify its spaces again (recsql space unify), and switch"
        )
    name, artifact, digest, source_nos = row[0], bytes(row[1]), bytes(row[2]), row[3]
    if sha256(artifact).digest() != digest:
        raise ModelError("the artifact is damaged: it does not match its digest; unify the spaces again")
    encoder = UnifiedEncoder(name, artifact, source_nos)
    rows = connection.execute(QUERIES["unified_sources"], {"space_no": space_no}).fetchall()
    found = [Source(model, revision, dim) for _, model, revision, dim in rows]
    if found != list(encoder.sources):
        raise ModelError(
            "the spaces that are united are not those that the projection was trained on; unify them again"
        )
    return encoder


def _array(vector: Any) -> NDArray[np.float32]:
    """A vector as the driver gives it, or an array."""
    return np.asarray(vector.to_numpy() if hasattr(vector, "to_numpy") else vector, dtype=np.float32)
