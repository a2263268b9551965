"""Simulated users and items, for trying things out without any data: the truth is known, so it can be measured."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa

from recsql.errors import InputError
from recsql.readers import simulated_media as media
from recsql.readers.base import EVENT_SCHEMA, Batch
from recsql.readers.mapped import entity_batch, fingerprint
from recsql.readers.simulated_behaviour import SECONDS_A_DAY, Log, act, populate
from recsql.readers.simulated_catalogue import DOMAINS, GENRES, compose
from recsql.readers.table import TextRows

LAST_EVENT_AT = datetime(2026, 1, 1, tzinfo=UTC)
BATCH_ENTITIES = 100
BATCH_EVENTS = 50_000
NEW_SHARE = 0.15
"""Share of the items that appear while the users are watching; the others were there before."""


class SimulatedReader:
    """Users who act on films and songs by a preference that is known.

    The same arguments give the same users, items and events. The last event is always at 2026-01-01T00:00:00Z. All
    items and users carry the attribute ``simulated``. Images need Pillow and are left out without it.

    Args:
        n_users: number of users.
        n_items: number of items, half of them films, half songs.
        seed: of all chance.
        days: how long the users are watched.
        sessions_per_user: mean number of sessions of a user.
        with_media: whether items have images, and songs sound.

    Raises:
        InputError: a number is too small.
    """

    def __init__(
        self,
        n_users: int = 300,
        n_items: int = 240,
        seed: int = 0,
        *,
        days: int = 180,
        sessions_per_user: float = 8.0,
        with_media: bool = True,
    ) -> None:
        smallest = len(DOMAINS) * len(GENRES["films"])
        if n_users < 1 or n_items < smallest or days < 1 or sessions_per_user <= 0 or seed < 0:
            raise InputError(
                f"simulated data need at least 1 user, {smallest} items, 1 day, a mean above 0 and a seed from 0"
            )
        self._options = (n_users, n_items, seed, days, sessions_per_user, with_media)
        self._seed, self._days, self._sessions_per_user = seed, days, sessions_per_user
        self._with_audio, self._with_images = with_media, with_media and media.has_pillow()
        self.items = compose(n_items, self._rng("items"))
        self.item_ids = [item.item_id for item in self.items]
        self.user_ids = [f"user-{number:04d}" for number in range(1, n_users + 1)]
        self._genre_index = np.array([item.genre_index for item in self.items])
        self.population = populate(self._genre_index, n_users, self._rng("population"))

    @property
    def name(self) -> str:
        """Name of the source."""
        return "simulated"

    @property
    def total_bytes(self) -> None:
        """Unknown: nothing is read."""
        return None

    def fingerprint(self) -> str:
        """SHA-256 over the arguments."""
        return fingerprint("simulated", *map(str, self._options), str(self._with_images))

    def preferences(self) -> np.ndarray:
        """How much each user likes each item, in (0, 1): shape (n_users, n_items), as ``user_ids`` and ``item_ids``."""
        return self.population.preferences

    def entities(self) -> Iterator[Batch]:
        """The items, then the users."""
        for first in range(0, len(self.items), BATCH_ENTITIES):
            payloads = [self._item(index) for index in range(first, min(first + BATCH_ENTITIES, len(self.items)))]
            yield _entities("item", self.item_ids, payloads, first)
        ages = self._rng("ages").integers(16, 75, len(self.user_ids)).tolist()
        users: list[dict[str, object]] = [{"attributes": {"simulated": True, "age": age}} for age in ages]
        yield _entities("user", self.user_ids, users, 0)

    def events(self) -> Iterator[Batch]:
        """Events in the order of their time."""
        log = self._log
        shift = LAST_EVENT_AT - timedelta(seconds=int(log.second[-1]))
        start = np.datetime64(shift.replace(tzinfo=None), "s")
        at = np.datetime_as_string(start + log.second.astype("timedelta64[s]"), unit="s")
        user_ids, item_ids = np.array(self.user_ids), np.array(self.item_ids)
        for first in range(0, len(log.kind), BATCH_EVENTS):
            part = slice(first, first + BATCH_EVENTS)
            n_events = len(log.kind[part])
            arrays = [
                pa.array(range(first + 1, first + 1 + n_events), pa.int64()).cast(pa.string()),
                pa.array(user_ids[log.user_index[part]].tolist(), pa.string()),
                pa.array(item_ids[log.item_index[part]].tolist(), pa.string()),
                pa.array(log.kind[part], pa.string()),
                pa.array(log.value[part], pa.string()),
                pa.array([f"{moment}Z" for moment in at[part].tolist()], pa.string()),
            ]
            yield Batch(pa.record_batch(arrays, schema=EVENT_SCHEMA))

    @cached_property
    def _published_second(self) -> np.ndarray:
        """When each item appears, in seconds from the start of the watch: shape (n_items,)."""
        rng = self._rng("published")
        before = -rng.integers(1, 1000, len(self.items)) * SECONDS_A_DAY
        during = rng.integers(0, self._days, len(self.items)) * SECONDS_A_DAY
        return np.where(rng.random(len(self.items)) < NEW_SHARE, during, before)

    @cached_property
    def _log(self) -> Log:
        repeats = np.array([item.domain == "songs" for item in self.items])
        return act(
            self.population,
            self._genre_index,
            repeats,
            self._published_second,
            self._days,
            self._sessions_per_user,
            self._rng("log"),
        )

    def _rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, *purpose.encode()])

    def _item(self, index: int) -> dict[str, object]:
        item = self.items[index]
        start = LAST_EVENT_AT - timedelta(seconds=int(self._log.second[-1]))
        published_at = start + timedelta(seconds=int(self._published_second[index]))
        found = []
        rng = self._rng(f"media {index}")
        if self._with_images:
            found.append(media.medium("image", "image/png", media.draw(item.genre_index, rng)))
        if self._with_audio and item.domain == "songs":
            found.append(media.medium("audio", "audio/wav", media.synthesise(item.genre_index, rng)))
        return {
            "domain": item.domain,
            "title": item.title,
            "body": item.body,
            "tags": list(item.tags),
            "attributes": {"simulated": True, "genre": item.tags[0]},
            "available": True,
            "published_at": published_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "media": found,
        }


def _entities(entity: str, ids: list[str], payloads: list[dict[str, object]], first: int) -> Batch:
    line_nos = pa.array(range(first + 1, first + 1 + len(payloads)), pa.int64())
    part = pa.array(ids[first : first + len(payloads)], pa.string())
    texts = [json.dumps(payload) for payload in payloads]
    return entity_batch(entity, line_nos, part, texts, TextRows({}, line_nos))
