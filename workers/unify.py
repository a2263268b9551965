"""Uniting spaces: projections are trained on what a database holds, and get a space of their own."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

from recsql.errors import InputError, ModelError, NotFoundError
from recsql.queries import QUERIES
from workers.binary import read_arrays, read_keyed_vectors
from workers.device import get_device
from workers.encoders.unified import revision_of
from workers.interactions import read_run, rows_of
from workers.models.base import FloatArray, IntArray, Progress, Sequences, TrainingOptions
from workers.spaces import Space, read_spaces
from workers.unified.artifact import MODEL, Projection, Source, save_projection
from workers.unified.inputs import without
from workers.unified.network import UnifiedConfig

_log = logging.getLogger(__name__)

_USERS_AT_ONCE = 20_000


@dataclass(frozen=True)
class UnifiedSpace:
    """A unified space as it was added.

    Attributes:
        space_no: its number.
        space: its name.
        version_no: the model version that projects into it.
        sources: names of the spaces that it unites.
        n_items: items that were learnt from.
        metrics: what training measured.
    """

    space_no: int
    space: str
    version_no: int
    sources: list[str]
    n_items: int
    metrics: dict[str, float]


def unify(
    connection: psycopg.Connection[Any],
    name: str | None = None,
    space_names: Sequence[str] | None = None,
    run_no: int | None = None,
    config: UnifiedConfig | None = None,
    *,
    seed: int = 0,
    progress: Progress = lambda done, total, note: None,
) -> UnifiedSpace:
    """Train projections of some spaces into one, and add the space, which is embedded like any other from then on.

    Vectors are read as they are, whenever their items came: content tells nothing of behaviour. What users did is read
    as far as the run may see it.

    Args:
        connection: in autocommit mode.
        name: of the new space; ``unified-VERSION`` when None.
        space_names: the spaces to unite, in this order; the active one of each modality when None.
        run_no: an offline run, whose interactions alone are learnt from; all that has happened when None.
        config: hyperparameters; the defaults when None.
        seed: of whatever is random.
        progress: called after each pass over the data.

    Returns:
        What was added: with status building, to be embedded, and then switched to.

    Raises:
        NotFoundError: there is no such space.
        InputError: there is none to unite, the name is taken, or what was learnt is another space already.
        ModelError: there is nothing to learn from, or training diverged.
    """
    config = config or UnifiedConfig.model_validate({})
    spaces = _chosen(connection, space_names)
    if name is not None and name in {space.space for space in read_spaces(connection)}:
        raise InputError(f"There is a space '{name}' already: a projection that is trained anew is another space.")
    item_nos, sequences = _read_behaviour(connection, run_no)
    item_nos, vectors, sequences = _read_vectors(connection, spaces, item_nos, sequences, config.max_items, seed)
    projection = Projection.new([Source(space.model, space.revision, space.dim) for space in spaces], config)
    options = TrainingOptions(seed=seed, device=get_device(), progress=progress)
    metrics = projection.model.fit(projection.inputs(vectors), sequences, options)
    return _add(connection, name, spaces, projection, metrics, run_no, len(item_nos))


def _chosen(connection: psycopg.Connection[Any], names: Sequence[str] | None) -> list[Space]:
    known = {space.space: space for space in read_spaces(connection) if space.modality != "unified"}
    if names is None:
        chosen = [space for space in known.values() if space.status == "active"]
        if not chosen:
            raise InputError(
                "There is no space to unite: add one first (recsql space add), and embed it (recsql embed)."
            )
        return chosen
    missing = [name for name in names if name not in known]
    if missing or not names:
        raise NotFoundError(
            f"There is no space {', '.join(missing) or 'named'} of texts, images or audio: see 'recsql space list'."
        )
    return [known[name] for name in dict.fromkeys(names)]


def _read_behaviour(connection: psycopg.Connection[Any], run_no: int | None) -> tuple[IntArray, Sequences]:
    """Item numbers, ascending, and what users did with these items, as rows of them."""
    if run_no is not None:
        data = read_run(connection, run_no)
        return data.item_nos, data.sequences
    (first, last), parts = connection.execute(QUERIES["event_users"]).fetchone() or (0, -1), []
    for begin in range(first, last + 1, _USERS_AT_ONCE):
        parameters = {"first": begin, "last": begin + _USERS_AT_ONCE - 1}
        users, items, steps = read_arrays(
            connection, QUERIES["user_items"], parameters, {"user_no": np.int32, "item_no": np.int32, "step": np.int32}
        )
        order = np.lexsort((steps, users))
        parts.append((users[order].astype(np.int64), items[order].astype(np.int64)))
    users = np.concatenate([np.empty(0, dtype=np.int64), *(part[0] for part in parts)])
    items = np.concatenate([np.empty(0, dtype=np.int64), *(part[1] for part in parts)])
    item_nos, rows = np.unique(items, return_inverse=True)
    _, counts = np.unique(users, return_counts=True)
    return item_nos, Sequences(rows, np.concatenate([[0], np.cumsum(counts)]))


def _read_vectors(
    connection: psycopg.Connection[Any],
    spaces: list[Space],
    item_nos: IntArray,
    sequences: Sequences,
    max_items: int,
    seed: int,
) -> tuple[IntArray, list[FloatArray], Sequences]:
    """Items with a vector, their vectors of each space, and the sequences as rows of these items."""
    numbers = np.array(
        [no for (no,) in connection.execute(QUERIES["described_items"], {"space_nos": [s.space_no for s in spaces]})],
        dtype=np.int64,
    )
    if not len(numbers):
        raise ModelError("no item has a vector in the spaces to unite: embed the items first (recsql embed)")
    if len(numbers) > max_items:
        numbers = np.sort(np.random.default_rng([seed, 2]).choice(numbers, max_items, replace=False))
    vectors = []
    for space in spaces:
        keys, found = read_keyed_vectors(
            connection, QUERIES["space_vectors"], {"space_no": space.space_no, "item_nos": numbers.tolist()}
        )
        if not len(keys):
            raise ModelError(f"space {space.space} has no vectors to learn from: embed its items first (recsql embed)")
        array = np.full((len(numbers), space.dim), np.nan, dtype=np.float32)
        array[rows_of(numbers, keys)] = found
        vectors.append(array)
    rows = rows_of(numbers, item_nos)[sequences.items]
    kept = without(sequences, rows < 0)
    return numbers, vectors, Sequences(rows[rows >= 0], kept.offsets)


def _add(
    connection: psycopg.Connection[Any],
    name: str | None,
    spaces: list[Space],
    projection: Projection,
    metrics: dict[str, float],
    run_no: int | None,
    n_items: int,
) -> UnifiedSpace:
    """Version and space, both or none."""
    artifact = save_projection(projection)
    revision = revision_of(artifact)
    same = connection.execute(QUERIES["space_of_revision"], {"modality": "unified", "revision": revision}).fetchone()
    if same is not None:
        raise InputError(f"Space {same[0]} is that very projection already: nothing has changed since it was learnt.")
    version = {
        "model": MODEL,
        "run_no": run_no,
        "config": json.dumps(projection.model.describe()),
        "metrics": json.dumps(metrics),
        "artifact": artifact,
        "item_nos": None,
        "parent": None,
    }
    with connection.transaction():
        version_no = _one(connection, "add_model_version", version)
        named = name or f"{MODEL}-{version_no}"
        space = {
            "space": named,
            "modality": "unified",
            "model": MODEL,
            "revision": revision,
            "dim": projection.model.dim,
            "template": "",
            "version_no": version_no,
            "source_nos": [space.space_no for space in spaces],
        }
        space_no = _one(connection, "add_embedding_space", space)
    _log.info("spaces united", extra={"space": named, "items": n_items, **metrics})
    return UnifiedSpace(space_no, named, version_no, [space.space for space in spaces], n_items, metrics)


def _one(connection: psycopg.Connection[Any], query: str, parameters: dict[str, Any]) -> int:
    row = connection.execute(QUERIES[query], parameters).fetchone()
    assert row is not None
    return row[0]
