"""A unified space's model as bytes that a table can keep: one safetensors file, as of the other models.

In the metadata, as JSON: the configuration, the spaces whose vectors the model projects, in their order, the version of
this format, and a digest of it all. Nothing in it is ever executed.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from recsql.errors import ContentError, ModelError
from workers.models.base import FloatArray
from workers.models.registry import digest_of
from workers.unified.model import Unified, unit
from workers.unified.network import UnifiedConfig

MODEL = "unified"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Source:
    """A space whose vectors are projected.

    Attributes:
        model: its model.
        revision: which weights of it.
        dim: length of its vectors.
    """

    model: str
    revision: str
    dim: int


@dataclass(frozen=True)
class Projection:
    """The model and what it reads.

    Attributes:
        sources: the spaces that it projects, in order.
        model: has one input for each group of sources that share a model, a revision and a dimension: they are one
            space already, whose vectors are averaged.
    """

    sources: tuple[Source, ...]
    model: Unified

    @classmethod
    def new(cls, sources: Sequence[Source], config: UnifiedConfig | None = None) -> "Projection":
        """An untrained one."""
        groups = list(dict.fromkeys(sources))
        is_joint = len(groups) == 1 and len(sources) > 1
        return cls(tuple(sources), Unified([group.dim for group in groups], config, is_joint=is_joint))

    def inputs(self, vectors: Sequence[FloatArray]) -> list[FloatArray]:
        """The model's inputs.

        Args:
            vectors: of each source, shape ``(n_items, its dim)``, rows of NaN where an item has none.

        Raises:
            ContentError: vectors of a source have another length.
        """
        for source, given in zip(self.sources, vectors, strict=True):
            if given.shape[1] != source.dim:
                raise ContentError(f"a vector of {source.model} has {given.shape[1]} dimensions, not {source.dim}")
        return [
            _average([given for source, given in zip(self.sources, vectors, strict=True) if source == group])
            for group in dict.fromkeys(self.sources)
        ]

    def project(self, vectors: Sequence[FloatArray]) -> FloatArray:
        """Unit vectors, shape ``(n_items, dim)``, NaN for items that have nothing; arguments as of :meth:`inputs`."""
        return self.model.project(self.inputs(vectors))


def _average(vectors: list[FloatArray]) -> FloatArray:
    """The mean direction of those that there are, NaN where there is none; what stands alone stays as it is."""
    if len(vectors) == 1:
        return vectors[0]
    units = np.stack([unit(given) for given in vectors])
    is_there = np.isfinite(units).all(axis=2, keepdims=True)
    total = np.where(is_there, units, 0).sum(axis=0)
    return np.where(is_there.any(axis=0), total, np.nan).astype(np.float32)


def save_projection(projection: Projection) -> bytes:
    """Serialise it."""
    arrays = {name: np.ascontiguousarray(array) for name, array in projection.model.state().items()}
    header: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "model": MODEL,
        "config": projection.model.describe(),
        "sources": [asdict(source) for source in projection.sources],
    }
    header["sha256"] = digest_of(header, arrays)
    return save(arrays, metadata={"recsql": json.dumps(header)})


def load_projection(blob: bytes) -> Projection:
    """Restore what :func:`save_projection` gave.

    Raises:
        ModelError: the bytes are damaged, of a newer format, or of another model.
    """
    try:
        arrays = {name: np.array(array) for name, array in load(blob).items()}
        length = int.from_bytes(blob[:8], "little")
        header = json.loads(json.loads(blob[8 : 8 + length])["__metadata__"]["recsql"])
        version, model, claimed = header["format"], header["model"], header.pop("sha256")
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError("this is no model artifact, or it is damaged; unify the spaces again") from error
    if model != MODEL:
        raise ModelError(f"this is an artifact of {model}, not of a unified space")
    if version != FORMAT_VERSION:
        raise ModelError(
            f"the artifact has format {version}, this release reads {FORMAT_VERSION}; upgrade recsql or unify again"
        )
    if claimed != digest_of(header, arrays):
        raise ModelError("the artifact is damaged: its content does not match its digest; unify the spaces again")
    try:
        sources = [Source(**source) for source in header["sources"]]
        projection = Projection.new(sources, UnifiedConfig.model_validate(header["config"]))
    except (ValidationError, TypeError) as error:
        raise ModelError(f"this release cannot use the artifact: {error}; unify the spaces again") from error
    projection.model.restore(arrays)
    return projection
