"""A simulated log as rows of the database."""

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

from recsql import ingest
from recsql.errors import InputError
from recsql.queries import QUERIES
from recsql.readers.base import REQUEST_EVENT_SCHEMA, Batch
from recsql.readers.mapped import entity_batch, fingerprint
from recsql.readers.table import TextRows
from workers.simulator.config import SimulatorConfig
from workers.simulator.rollout import Log
from workers.simulator.world import World

_AT_ONCE = 20_000
_NAMESPACE = uuid.UUID("6a2f0c1e-6f0b-4a53-9a0e-0d6b3a7c5b11")


@dataclass(frozen=True)
class Simulation:
    """A log with all that made it.

    Attributes:
        config: of the environment.
        world: items and users.
        seed: of the environment.
        policy: name of the policy that logged.
        explore: its probability of exploring at a position.
        log: what it left.
    """

    config: SimulatorConfig
    world: World
    seed: int
    policy: str
    explore: float
    log: Log

    def digest(self) -> str:
        """SHA-256 over everything that the log follows from."""
        log, source = self.log, self.world.reader.fingerprint() if self.world.reader else ""
        sizes = f"{self.world.n_users} {self.world.n_items} {int(log.sessions.max(initial=-1)) + 1}"
        return fingerprint("simulation", self.config.model_dump_json(), source, sizes, str(self.seed), self.policy,
                           str(self.explore))  # fmt: skip

    def request_ids(self) -> list[str]:
        """Of each request the same whenever it is simulated, shape ``(n_requests,)``."""
        space, log = uuid.uuid5(_NAMESPACE, self.digest()), self.log
        keys = zip(log.users.tolist(), log.sessions.tolist(), log.steps.tolist(), strict=True)
        return [str(uuid.uuid5(space, f"{user} {session} {step}")) for user, session, step in keys]


class SimulationReader:
    """The items, the users and what they did as a source that :func:`recsql.ingest.load` takes.

    Args:
        simulation: what is to be loaded.
    """

    name = "simulation"
    total_bytes = None

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.request_ids = simulation.request_ids()

    def fingerprint(self) -> str:
        """That of the simulation."""
        return self._simulation.digest()

    def entities(self) -> Iterator[Batch]:
        """The items as their source has them, then the simulated users."""
        world = self._simulation.world
        assert world.reader is not None
        for batch in world.reader.entities():
            is_item = pa.array([entity == "item" for entity in batch.rows.column("entity").to_pylist()], pa.bool_())
            yield Batch(batch.rows.filter(is_item), batch.malformed, batch.bytes_read)
        payload = json.dumps({"attributes": {"simulated": True, "simulation": self._simulation.digest()}})
        line_nos = pa.array(range(1, world.n_users + 1), pa.int64())
        ids = pa.array(world.user_ids, pa.string())
        yield entity_batch("user", line_nos, ids, [payload] * world.n_users, TextRows({}, line_nos))

    def events(self) -> Iterator[Batch]:
        """Views of what users found for themselves, and clicks with their requests, in the order of time."""
        log, world = self._simulation.log, self._simulation.world
        rows, positions = np.nonzero(log.clicks)
        users = np.concatenate([log.organic_users, log.users[rows]])
        items = np.concatenate([log.organic_items, log.slates.items[rows, positions]])
        seconds = np.concatenate([log.organic_seconds, log.seconds[rows] + positions])
        requests = np.concatenate([np.full(len(log.organic_users), -1), rows])
        order = np.lexsort((users, seconds))
        user_ids, item_ids = np.array(world.user_ids), np.array(world.item_ids)
        for first in range(0, len(order), _AT_ONCE):
            part = order[first : first + _AT_ONCE]
            request = [None if row < 0 else self.request_ids[row] for row in requests[part].tolist()]
            at = np.datetime_as_string(seconds[part].astype("datetime64[s]"), unit="s")
            arrays = [
                pa.array(range(first + 1, first + 1 + len(part)), pa.int64()).cast(pa.string()),
                pa.array(user_ids[users[part]].tolist(), pa.string()),
                pa.array(item_ids[items[part]].tolist(), pa.string()),
                pa.array(["view" if name is None else "click" for name in request], pa.string()),
                pa.nulls(len(part), pa.string()),
                pa.array([f"{moment}Z" for moment in at.tolist()], pa.string()),
                pa.array(request, pa.string()),
            ]
            yield Batch(pa.record_batch(arrays, schema=REQUEST_EVENT_SCHEMA))


@dataclass(frozen=True)
class Loaded:
    """What was written, in rows; 0 of what was there before.

    Attributes:
        is_new: whether this simulation had not been loaded before.
        n_items: items added or changed.
        n_users: users added.
        n_events: views and clicks.
        n_requests: requests.
        n_impressions: items shown.
    """

    is_new: bool
    n_items: int
    n_users: int
    n_events: int
    n_requests: int
    n_impressions: int


def load(connection: psycopg.Connection[Any], simulation: Simulation) -> Loaded:
    """Write items, users, events, requests and impressions; doing it again changes nothing.

    Args:
        connection: in autocommit mode, to a migrated database.
        simulation: with a world of :func:`simulated_world` or :func:`movielens_world`.

    Raises:
        InputError: the database has users that are not simulated or of another simulation, items that are others by
            the same ids, or the log goes on beyond now.
    """
    if int(simulation.log.seconds.max(initial=0)) > datetime.now(UTC).timestamp():
        raise InputError("the sessions go on beyond today; take fewer sessions, or a shorter session_gap")
    _check_alone(connection, simulation)
    reader = SimulationReader(simulation)
    _check_items(connection, reader)
    result = ingest.load(connection, reader, ingest.LoadOptions(max_per_minute=0))
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(QUERIES["simulated_requests"])
        with cursor.copy("copy simulated_request from stdin") as copy:
            for row in _request_rows(simulation, reader.request_ids):
                copy.write_row(row)
        n_requests, n_impressions = cursor.execute(QUERIES["put_simulated_requests"]).fetchone() or (0, 0)
    added = (result.n_items, result.n_users, result.n_events) if result.is_new else (0, 0, 0)
    return Loaded(result.is_new, *added, n_requests, n_impressions)


def _check_alone(connection: psycopg.Connection[Any], simulation: Simulation) -> None:
    row = connection.execute(QUERIES["other_user"], {"simulation": simulation.digest()}).fetchone()
    if row is None:
        return
    user_id, is_simulated = row
    if is_simulated:
        raise InputError(
            "this database has a log of other options, of which the same users would be; the options of then complete "
            "it, others take a database of their own (another RECSQL_HOME, or 'recsql db reset')"
        )
    raise InputError(
        f"user {user_id} of this database is not simulated, and what simulated users do would pass for real; "
        "load the simulation into a database of its own (another RECSQL_HOME)"
    )


def _check_items(connection: psycopg.Connection[Any], reader: SimulationReader) -> None:
    for batch in reader.entities():
        is_item = [entity == "item" for entity in batch.rows.column("entity").to_pylist()]
        pairs = zip(batch.rows.column("entity_id").to_pylist(), batch.rows.column("payload").to_pylist(), strict=True)
        titles = {item: json.loads(text).get("title") for (item, text), is_one in zip(pairs, is_item, strict=True)
                  if is_one}  # fmt: skip
        parameters = {"item_ids": list(titles), "titles": list(titles.values())}
        row = connection.execute(QUERIES["other_item"], parameters).fetchone()
        if row:
            raise InputError(
                f"item {row[0]} of this database is called {row[1]!r}, in the simulation {titles[row[0]]!r}: the "
                "catalogue is of another seed or size; load the simulation into a database of its own"
            )


def _request_rows(simulation: Simulation, request_ids: list[str]) -> Iterator[Sequence[Any]]:
    log, world = simulation.log, simulation.world
    item_ids = np.array(world.item_ids, dtype=object)
    slates = log.slates
    items = slates.items
    for row, request_id in enumerate(request_ids):
        yield (
            request_id,
            world.user_ids[log.users[row]],
            simulation.policy,
            simulation.explore,
            item_ids[slates.pools[row]].tolist(),
            slates.scores[row].tolist(),
            item_ids[items[row]].tolist(),
            slates.propensities[row].tolist(),
            slates.conditionals[row].tolist(),
            datetime.fromtimestamp(int(log.seconds[row]), UTC),
        )
