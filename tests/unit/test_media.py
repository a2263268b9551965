"""Media: limits of files and URLs, addresses, decoding of images and audio."""

import io
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recsql.errors import ConfigurationError, ContentError, TemporaryError
from recsql.settings import get_settings
from workers.encoders.base import Medium
from workers.media import decode_audio, decode_image, read_medium
from workers.media.limits import is_public

HOST = "127.0.0.1"
CONTENT = b"the content"


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Function that sets ``RECSQL_MEDIA_<NAME>``; this machine's addresses are allowed unless it says otherwise."""

    def put(**values: Any) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"RECSQL_MEDIA_{name.upper()}", str(value))
        get_settings.cache_clear()

    put(private_hosts=HOST)
    yield put
    monkeypatch.undo()
    get_settings.cache_clear()


class Handler(BaseHTTPRequestHandler):
    """Answers by path; what it was asked is kept in ``server.asked``."""

    def log_message(self, format: str, *args: Any) -> None: ...

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        port = self.server.server_address[1]
        kind, _, rest = self.path.partition("?")[0].lstrip("/").partition("/")
        match kind:
            case "status":
                self.answer(int(rest), b"not this", Location="/")
            case "to":  # /to/HOST/PATH, /to/SCHEME:…
                self.answer(302, Location=rest if ":" in rest else f"http://{rest.replace('/', f':{port}/', 1)}")
            case "loop":
                self.answer(302, Location="/loop")
            case "huge":
                self.answer(200, **{"Content-Length": str(5 * 2**30)})
            case "endless":
                self.answer(200, **{"Content-Length": "", "Transfer-Encoding": "chunked"})
                self.server.sent = 0  # type: ignore[attr-defined]
                try:
                    while True:
                        self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                        self.server.sent += 0x10000  # type: ignore[attr-defined]
                except OSError:
                    pass
            case "drip":
                try:
                    for _ in range(100):
                        self.wfile.write(b"HTTP/1.0 200 OK\r\nX: y\r\n" if rest == "head" else b"x")
                        time.sleep(0.05)
                except OSError:
                    pass
            case "short":
                self.answer(200, CONTENT, **{"Content-Length": "100"})
            case "zipped":
                self.answer(200, zlib.compress(CONTENT), **{"Content-Encoding": "deflate"})
            case _:
                self.answer(200, CONTENT)


@pytest.fixture
def web(setting: Any) -> Iterator[Any]:
    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.asked = []  # type: ignore[attr-defined]
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def at(web: Any, path: str, host: str = HOST, user: str = "") -> Medium:
    return Medium(b"", "image/jpeg", None, f"http://{user}{host}:{web.server_address[1]}/{path}")


def uri(text: str) -> Medium:
    return Medium(b"", "image/jpeg", None, text)


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:db8::1",
    ],
)
def test_address_of_no_public_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
)
def test_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_private_address_is_refused_however_it_is_written(web: Any, setting: Any, host: str) -> None:
    setting(private_hosts="")
    with pytest.raises(ContentError, match="not public"):
        read_medium(at(web, "a.jpg", host))
    assert web.asked == []


def test_redirect_to_a_private_address_is_refused(web: Any) -> None:
    with pytest.raises(ContentError, match=r"localhost has the address .* not public"):
        read_medium(at(web, "to/localhost/a.jpg"))
    with pytest.raises(ContentError, match=r"169\.254\.169\.254, which is not public"):
        read_medium(at(web, "to/169.254.169.254/latest"))


def test_name_is_resolved_once_and_what_was_checked_is_connected_to(
    setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name that is public when it is checked and this machine's a moment later.
    answers = iter(["93.184.216.34", HOST, HOST])
    connected = []

    def resolve(host: str, port: int, *_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def connect(address: Any, *_: Any, **__: Any) -> Any:
        connected.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(TemporaryError, match="connection refused"):
        read_medium(uri("http://rebind.example/a.jpg"))
    assert connected == [("93.184.216.34", 80)]


def test_host_with_one_private_address_among_others_is_refused(setting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, 1, 6, "", (address, 80)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(ContentError, match=r"10\.0\.0\.1, which is not public"):
        read_medium(uri("http://mixed.example/a.jpg"))


# URLs


def test_content_is_fetched_with_the_name_of_the_host(web: Any) -> None:
    assert read_medium(at(web, "a b.jpg?q=ä&r=%20")) == CONTENT
    ((path, headers),) = web.asked
    assert path == "/a%20b.jpg?q=%C3%A4&r=%20"
    assert headers["Host"] == f"{HOST}:{web.server_address[1]}"


def test_redirects_are_followed_a_few_times(web: Any) -> None:
    assert read_medium(at(web, f"to/{HOST}/a.jpg")) == CONTENT
    with pytest.raises(ContentError, match="redirects more than 4 times"):
        read_medium(at(web, "loop"))
    assert len(web.asked) == 2 + 5


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.com/a.jpg", "gopher://example.com/"])
def test_redirect_to_another_scheme_is_refused(web: Any, target: str) -> None:
    with pytest.raises(ContentError, match="not fetched by"):
        read_medium(at(web, f"to/{target}"))


def test_user_and_password_go_to_their_host_and_into_no_message(web: Any) -> None:
    read_medium(at(web, "a.jpg", user="anna:s3cret@"))
    assert web.asked[0][1]["Authorization"] == "Basic YW5uYTpzM2NyZXQ="
    with pytest.raises(ContentError) as caught:
        read_medium(at(web, "status/404?signature=s3cret", user="anna:s3cret@"))
    assert "s3cret" not in str(caught.value)
    read_medium(at(web, f"to/{HOST}/a.jpg", user="anna:s3cret@"))
    assert "Authorization" not in web.asked[-1][1]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204])
def test_answer_that_will_not_change_is_for_good(web: Any, status: int) -> None:
    with pytest.raises(ContentError, match=f"answers {status}"):
        read_medium(at(web, f"status/{status}"))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_answer_that_may_change_is_for_later(web: Any, status: int) -> None:
    with pytest.raises(TemporaryError, match=f"answers {status}") as caught:
        read_medium(at(web, f"status/{status}"))
    assert caught.value.provider == HOST


def test_host_that_cannot_be_reached_is_for_later(web: Any) -> None:
    web.shutdown()
    web.server_close()
    with pytest.raises(TemporaryError, match="connection refused"):
        read_medium(at(web, "a.jpg"))
    with pytest.raises(TemporaryError, match="cannot be looked up") as caught:
        read_medium(uri("http://no-such-host.invalid/a.jpg"))
    assert caught.value.provider == "no-such-host.invalid"


def test_provider_is_the_host_that_tasks_are_held_back_by(web: Any, setting: Any) -> None:
    setting(private_hosts=f"{HOST},localhost")
    with pytest.raises(TemporaryError) as caught:
        read_medium(at(web, f"to/{HOST}/status/503", "localhost"))
    assert caught.value.provider == "localhost"


def test_file_of_5_gb_is_refused_by_its_announced_length(web: Any) -> None:
    started = time.monotonic()
    with pytest.raises(
        ContentError, match=r"5,368,709,120 bytes, more than the 67,108,864 bytes of RECSQL_MEDIA_BYTES"
    ):
        read_medium(at(web, "huge"))
    assert time.monotonic() - started < 2


def test_file_of_unknown_length_is_left_at_the_limit(web: Any, setting: Any) -> None:
    setting(bytes=1_000_000)
    with pytest.raises(ContentError, match="more than the 1,000,000 bytes"):
        read_medium(at(web, "endless"))
    # What the sockets between hold comes on top.
    assert web.sent < 20_000_000


@pytest.mark.parametrize("path", ["drip/head", "drip/line"])
def test_host_that_drips_is_left_in_time(web: Any, setting: Any, path: str) -> None:
    setting(timeout=0.5)
    started = time.monotonic()
    with pytest.raises(TemporaryError, match="longer than RECSQL_MEDIA_TIMEOUT"):
        read_medium(at(web, path))
    assert time.monotonic() - started < 2


def test_answer_that_breaks_off_is_for_later(web: Any) -> None:
    with pytest.raises(TemporaryError, match="broke off after 11 of 100 bytes"):
        read_medium(at(web, "short"))


def test_compressed_answer_is_refused(web: Any) -> None:
    with pytest.raises(ContentError, match="compressed"):
        read_medium(at(web, "zipped"))


def test_certificate_must_be_the_hosts(web: Any, setting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *command.split(), *names], check=True, capture_output=True)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    web.socket = serving.wrap_socket(web.socket, server_side=True)
    port = web.server_address[1]
    setting(private_hosts=f"{HOST},localhost")
    with pytest.raises(TemporaryError, match=r"localhost has no valid certificate \(self"):
        read_medium(uri(f"https://localhost:{port}/a.jpg"))
    monkeypatch.setattr("workers.media.web._tls", lambda: ssl.create_default_context(cafile=str(certificate)))
    assert read_medium(uri(f"https://localhost:{port}/a.jpg")) == CONTENT
    with pytest.raises(TemporaryError, match=rf"{HOST} has no valid certificate \(IP address mismatch"):
        read_medium(uri(f"https://{HOST}:{port}/a.jpg"))


def test_hosts_are_allowed_by_name(web: Any, setting: Any) -> None:
    setting(hosts=f"{HOST},*.example.com")
    assert read_medium(at(web, "a.jpg")) == CONTENT
    for host in ("example.com", "badexample.com", "localhost"):
        with pytest.raises(ContentError, match="not among RECSQL_MEDIA_HOSTS"):
            read_medium(at(web, "a.jpg", host))
    with pytest.raises(ContentError, match="not among"):
        read_medium(at(web, "to/localhost/a.jpg"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://example.com/a.jpg", "only by http, https"),
        ("javascript:alert(1)", "only by http, https"),
        ("a.jpg", "only by http, https"),
        ("http:///a.jpg", "names no host"),
        ("http://[::1/a.jpg", "no URL"),
        ("http://example.com:99999/", "no URL"),
        ("file:///etc/passwd", "only by http, https"),
    ],
)
def test_what_is_no_address_of_a_medium_is_refused(setting: Any, text: str, reason: str) -> None:
    if text.startswith("file"):
        reason = "no folder of RECSQL_MEDIA_FOLDERS"
    with pytest.raises(ContentError, match=reason):
        read_medium(uri(text))


def test_schemes_are_http_and_https_or_fewer(setting: Any) -> None:
    setting(schemes="https")
    with pytest.raises(ContentError, match="only by https"):
        read_medium(uri("http://example.com/a.jpg"))
    setting(schemes="ftp")
    with pytest.raises(ConfigurationError, match="RECSQL_MEDIA_SCHEMES"):
        get_settings()


# Files


def test_files_are_read_below_the_allowed_folders_only(setting: Any, tmp_path: Path) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "allowed-not"
    for folder in (allowed, other):
        folder.mkdir()
        (folder / "a ä.jpg").write_bytes(CONTENT)
    (allowed / "link.jpg").symlink_to(other / "a ä.jpg")
    setting(folders=f"{tmp_path / 'none'}, {allowed}")
    assert read_medium(uri((allowed / "a ä.jpg").as_uri())) == CONTENT
    for path in (other / "a ä.jpg", allowed / "link.jpg", allowed / ".." / "allowed-not" / "a ä.jpg"):
        with pytest.raises(ContentError, match="no folder of RECSQL_MEDIA_FOLDERS"):
            read_medium(uri(f"file://{path}"))
    with pytest.raises(ContentError, match="cannot be read: No such file"):
        read_medium(uri(f"file://{allowed}/none.jpg"))
    with pytest.raises(ContentError, match="file of this machine"):
        read_medium(uri(f"file://elsewhere{allowed}/a.jpg"))


def test_what_is_no_file_is_not_waited_for(setting: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    setting(folders=tmp_path)
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ContentError, match=r"not a file|cannot be read"):
            read_medium(uri(path.as_uri()))


def test_bytes_and_files_have_a_limit(setting: Any, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(11))
    setting(bytes=10, folders=tmp_path)
    for medium in (Medium(b"", "", bytes(11), None), uri((tmp_path / "a").as_uri())):
        with pytest.raises(ContentError, match="11 bytes, more than the 10 bytes"):
            read_medium(medium)
    assert read_medium(Medium(b"", "", bytes(10), None)) == bytes(10)


# Images


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """The head of a PNG that announces many pixels, and no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", b"")
    )


def pixel(image: Image.Image, x: int = 0, y: int = 0) -> tuple[int, ...]:
    value = image.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def near(found: tuple[int, ...], expected: tuple[int, ...], by: int = 6) -> bool:
    return all(abs(a - b) <= by for a, b in zip(found, expected, strict=True))


RED = (200, 30, 30)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_image_is_what_its_content_is(form: str) -> None:
    assert near(pixel(decode_image(encoded(Image.new("RGB", (40, 30), RED), form), 224)), RED)


def test_image_of_four_inks_comes_out_in_its_colours() -> None:
    image = Image.new("RGB", (40, 30), RED).convert("CMYK")
    assert near(pixel(decode_image(encoded(image, "JPEG", quality=95), 224)), RED)


def test_transparent_image_lies_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert pixel(decode_image(encoded(clear, "PNG"), 224)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30])
    assert pixel(decode_image(encoded(palette, "PNG"), 224)) == (10, 20, 30)
    assert pixel(decode_image(encoded(palette, "PNG", transparency=0), 224)) == (255, 255, 255)


def test_image_of_16_bits_keeps_its_greys() -> None:
    grey = Image.fromarray(np.full((4, 4), 128 * 257, np.uint16))
    assert near(pixel(decode_image(encoded(grey, "PNG"), 224)), (128, 128, 128), 1)


def test_image_is_turned_as_its_camera_was() -> None:
    image = Image.new("RGB", (40, 20), RED)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    assert decode_image(encoded(image, "JPEG", exif=exif), 224).size == (20, 40)


def test_animation_is_its_first_frame() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, (0, 0, 255), (0, 255, 0))]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert near(pixel(decode_image(content, 224)), RED)


def test_large_jpeg_is_decoded_smaller_but_never_below_what_is_needed() -> None:
    image = decode_image(encoded(Image.new("RGB", (4000, 2000), RED), "JPEG"), 224)
    assert 224 <= min(image.size) < 2000


def test_truncated_image_says_so() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
    for form in ("JPEG", "PNG"):
        content = encoded(Image.fromarray(noise), form)
        with pytest.raises(ContentError, match=r"the image is (cut off|damaged)"):
            decode_image(content[: len(content) // 2], 224)


def test_bomb_is_refused_from_its_head() -> None:
    for width, height in ((20_000, 20_000), (8_000, 8_000)):
        started = time.monotonic()
        with pytest.raises(ContentError, match=r"pixels.* the 50,000,000 of RECSQL_MEDIA_PIXELS"):
            decode_image(bomb(width, height), 224)
        assert time.monotonic() - started < 1


@pytest.mark.parametrize("content", [b"<svg/>", b"\xff\xd8\xff", b"%!PS-Adobe", b"hello", bytes(1000)])
def test_what_is_no_image_is_refused(content: bytes) -> None:
    with pytest.raises(ContentError, match="no image that can be read"):
        decode_image(content, 224)
    with pytest.raises(ContentError, match="0 bytes"):
        decode_image(b"", 224)


def test_damaged_images_fail_in_no_other_way() -> None:
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8))
    for form in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"):
        good = np.frombuffer(encoded(noise, form), np.uint8)
        for _ in range(40):
            bad = good.copy()
            bad[rng.integers(0, len(bad), 8)] = rng.integers(0, 255, 8)
            with suppress(ContentError):
                decode_image(bad.tobytes(), 224)


# Audio

RATE, N_SAMPLES = 8000, 4000


def tone(seconds: float, rate: int = 8000, form: str = "WAV", channels: int = 1, hertz: float = 440.0) -> bytes:
    import soundfile

    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.tile(wave[:, None], (1, channels)), rate, format=form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2)])
def test_sound_is_mono_at_the_rate_that_is_asked_for(form: str, rate: int, channels: int) -> None:
    found = decode_audio(tone(1.0, rate, form, channels), RATE, N_SAMPLES, 10)
    assert found.seconds == pytest.approx(1.0, abs=0.1)
    assert found.samples.shape[1] == N_SAMPLES
    spectrum = np.abs(np.fft.rfft(found.samples[0]))
    assert np.argmax(spectrum) * RATE / N_SAMPLES == pytest.approx(440, abs=4)


def test_short_sound_is_all_heard_and_filled_up_with_silence() -> None:
    found = decode_audio(tone(1.25), RATE, N_SAMPLES, 10)
    # 10,000 samples: two excerpts of 4,000 and one of 2,000.
    assert found.samples.shape == (3, N_SAMPLES)
    assert found.samples[2, :2000].any()
    assert not found.samples[2, 2000:].any()


def test_long_sound_is_heard_from_beginning_to_end() -> None:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.repeat(np.linspace(0.1, 0.9, 60), 8000), 8000, format="FLAC")
    found = decode_audio(buffer.getvalue(), RATE, N_SAMPLES, 5)
    assert found.samples.shape == (5, N_SAMPLES)
    assert found.samples[:, N_SAMPLES // 2] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9], abs=0.02)


def test_sound_that_lasts_no_time_is_refused() -> None:
    with pytest.raises(ContentError, match="lasts 0 seconds"):
        decode_audio(tone(0), RATE, N_SAMPLES, 10)
    with pytest.raises(ContentError, match="0 bytes"):
        decode_audio(b"", RATE, N_SAMPLES, 10)


def test_sound_of_two_hours_is_refused_by_the_limit_and_read_above_it(setting: Any) -> None:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.full(7200 * 1000, 0.5, np.float32), 1000, format="FLAC")
    started = time.monotonic()
    with pytest.raises(ContentError, match="lasts 7,200 seconds, longer than the 3,600 of RECSQL_MEDIA_SECONDS"):
        decode_audio(buffer.getvalue(), RATE, N_SAMPLES, 10)
    assert time.monotonic() - started < 2
    setting(seconds=7200)
    assert decode_audio(buffer.getvalue(), RATE, N_SAMPLES, 10).samples.shape == (10, N_SAMPLES)


def test_silence_and_what_is_no_sound_are_refused() -> None:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(8000), 8000, format="WAV")
    with pytest.raises(ContentError, match="silent"):
        decode_audio(buffer.getvalue(), RATE, N_SAMPLES, 10)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full(8000, np.nan), 8000, format="WAV", subtype="FLOAT")
    with pytest.raises(ContentError, match="not numbers"):
        decode_audio(buffer.getvalue(), RATE, N_SAMPLES, 10)
    for content in (b"hello", bytes(1000), encoded(Image.new("RGB", (9, 9)), "PNG")):
        with pytest.raises(ContentError, match="no audio that can be read"):
            decode_audio(content, RATE, N_SAMPLES, 10)


def test_damaged_sounds_fail_in_no_other_way() -> None:
    rng = np.random.default_rng(1)
    for form in ("WAV", "FLAC", "OGG", "MP3"):
        good = np.frombuffer(tone(0.3, form=form), np.uint8)
        for _ in range(40):
            bad = good.copy()
            bad[rng.integers(0, min(len(bad), 200), 6)] = rng.integers(0, 255, 6)
            with suppress(ContentError):
                decode_audio(bad.tobytes(), RATE, N_SAMPLES, 4)
