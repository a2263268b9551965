"""Simulated users: deterministic, and true to the preference that they are said to have."""

import base64
import io
import json
import wave
from collections import Counter
from typing import Any

import numpy as np
import pytest

from recsql.errors import InputError
from recsql.readers import simulated_media
from recsql.readers.base import ENTITY_SCHEMA, EVENT_SCHEMA
from recsql.readers.simulated import SimulatedReader


@pytest.fixture(scope="module")
def reader() -> SimulatedReader:
    return SimulatedReader(n_users=80, n_items=60, seed=3)


def events(reader: SimulatedReader) -> list[dict[str, Any]]:
    return [row for batch in reader.events() for row in batch.rows.to_pylist()]


def payloads(reader: SimulatedReader, entity: str) -> dict[str, dict[str, Any]]:
    rows = [row for batch in reader.entities() for row in batch.rows.to_pylist()]
    return {row["entity_id"]: json.loads(row["payload"]) for row in rows if row["entity"] == entity}


def test_simulated_schemas_and_sizes(reader: SimulatedReader) -> None:
    assert all(batch.rows.schema == EVENT_SCHEMA for batch in reader.events())
    assert all(batch.rows.schema == ENTITY_SCHEMA for batch in reader.entities())
    assert len(payloads(reader, "item")) == 60
    assert len(payloads(reader, "user")) == 80
    assert reader.preferences().shape == (80, 60)
    assert reader.total_bytes is None


def test_simulated_is_deterministic(reader: SimulatedReader) -> None:
    again, other = SimulatedReader(80, 60, 3), SimulatedReader(80, 60, 4)
    assert events(again) == events(reader)
    assert payloads(again, "item") == payloads(reader, "item")
    assert again.fingerprint() == reader.fingerprint() != other.fingerprint()
    assert events(other) != events(reader)


def test_simulated_events_are_in_order_and_end_at_a_fixed_time(reader: SimulatedReader) -> None:
    log = events(reader)
    times = [event["at"] for event in log]
    assert times == sorted(times)
    assert times[-1] == "2026-01-01T00:00:00Z"
    # 180 days back is 5 July 2025; the first session is some hours or days later.
    assert times[0] > "2025-07-04"
    assert set(Counter(event["kind"] for event in log)) == {"view", "click", "like", "purchase", "rating", "dislike"}
    assert {event["value"] for event in log if event["kind"] == "rating"} <= {"1", "2", "3", "4", "5"}
    assert all(event["value"] is None for event in log if event["kind"] != "rating")


def test_simulated_events_follow_the_preferences(reader: SimulatedReader) -> None:
    preferences = reader.preferences()
    users = {user_id: index for index, user_id in enumerate(reader.user_ids)}
    items = {item_id: index for index, item_id in enumerate(reader.item_ids)}
    assert 0 < preferences.min() < preferences.max() < 1
    liking: dict[str, list[float]] = {}
    for event in events(reader):
        liking.setdefault(event["kind"], []).append(preferences[users[event["user_id"]], items[event["item_id"]]])
    mean = {kind: np.mean(values) for kind, values in liking.items()}
    assert mean["like"] > mean["view"] > preferences.mean() + 0.1
    assert mean["view"] > mean["dislike"]


def test_simulated_items_are_published_before_they_are_seen(reader: SimulatedReader) -> None:
    items = payloads(reader, "item")
    assert all(event["at"] >= items[event["item_id"]]["published_at"] for event in events(reader))


def test_simulated_films_are_seen_once(reader: SimulatedReader) -> None:
    views = Counter((event["user_id"], event["item_id"]) for event in events(reader) if event["kind"] == "view")
    assert max(count for (_, item_id), count in views.items() if item_id.startswith("film")) == 1
    assert max(count for (_, item_id), count in views.items() if item_id.startswith("song")) > 1


def test_simulated_items_say_that_they_are_simulated(reader: SimulatedReader) -> None:
    items = payloads(reader, "item")
    assert {item["domain"] for item in items.values()} == {"films", "songs"}
    assert len({item["title"] for item in items.values()}) == 60
    for payload in [*items.values(), *payloads(reader, "user").values()]:
        assert payload["attributes"]["simulated"] is True
    for item in items.values():
        assert item["body"].lower().startswith(item["tags"][0])


def test_simulated_songs_sound(reader: SimulatedReader) -> None:
    song = next(item for item in payloads(reader, "item").values() if item["domain"] == "songs")
    (audio,) = [medium for medium in song["media"] if medium["modality"] == "audio"]
    assert audio["mime"] == "audio/wav"
    with wave.open(io.BytesIO(base64.b64decode(audio["base64"]))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, 8000, 8000)
        samples = np.frombuffer(file.readframes(8000), "<i2")
    assert np.abs(samples).max() > 3000


def test_simulated_images_are_drawn(reader: SimulatedReader) -> None:
    image_module = pytest.importorskip("PIL.Image")
    for item in payloads(reader, "item").values():
        (image,) = [medium for medium in item["media"] if medium["modality"] == "image"]
        assert image["mime"] == "image/png"
        with image_module.open(io.BytesIO(base64.b64decode(image["base64"]))) as picture:
            assert picture.size == (48, 48)
            assert len(picture.getcolors(48 * 48)) > 1


def test_simulated_does_without_pillow(monkeypatch: pytest.MonkeyPatch, reader: SimulatedReader) -> None:
    monkeypatch.setattr(simulated_media, "has_pillow", lambda: False)
    plain = SimulatedReader(80, 60, 3)
    modalities = {medium["modality"] for item in payloads(plain, "item").values() for medium in item["media"]}
    assert modalities == {"audio"}
    assert events(plain) == events(reader)
    bare = SimulatedReader(80, 60, 3, with_media=False)
    assert not any(item["media"] for item in payloads(bare, "item").values())


def test_simulated_refuses_too_little() -> None:
    with pytest.raises(InputError, match="at least 1 user, 12 items"):
        SimulatedReader(n_items=11)
