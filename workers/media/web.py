"""Media from the web, by the standard library's client: size, time, redirects and addresses are limited."""

import base64
import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from threading import Event, Timer
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from recsql import __version__
from recsql.errors import ContentError, TemporaryError
from recsql.settings import get_settings
from workers.media.limits import check_host, resolve, too_large

MAX_REDIRECTS = 4
CONNECT_SECONDS = 5.0
_CHUNK = 64 * 1024
_LATER = {408, 421, 425, 429}
_MOVED = {301, 302, 303, 307, 308}
_PORTS = {"http": 80, "https": 443}


def fetch(url: str) -> bytes:
    """The content at an ``http`` or ``https`` URL.

    Each redirect is checked as the first URL is. A user and password in the URL go to its host alone, and stand in no
    message, as little as the query does, which may hold a signature.

    Raises:
        ContentError: it may not be fetched, is not there, or is larger than ``RECSQL_MEDIA_BYTES``.
        TemporaryError: the host does not answer, not in time, or with an error of its own; the provider is the host of
            the first URL, by which tasks are held back, also where it redirected to another.
    """
    settings = get_settings()
    deadline = time.monotonic() + settings.media_timeout
    provider = ""
    for _ in range(MAX_REDIRECTS + 1):
        parts, host, port = _parts(url)
        provider = provider or (f"[{host}]" if ":" in host else host)
        check_host(host)
        addresses = resolve(host, port, provider)
        with _answering(parts, host, port, addresses, deadline, provider) as response:
            if response.status not in _MOVED:
                return _body(response, host, provider, settings.media_bytes)
            location = response.getheader("Location")
        if not location:
            raise ContentError(f"host {host} redirects to nowhere")
        url = _joined(url, location)
    raise ContentError(f"host {provider} redirects more than {MAX_REDIRECTS} times")


def _parts(url: str) -> tuple[SplitResult, str, int]:
    """A URL, its host in lower case and its port."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ContentError("its address is no URL") from None
    if parts.scheme not in get_settings().media_schemes:
        raise ContentError(f"media are not fetched by '{parts.scheme}' (RECSQL_MEDIA_SCHEMES)")
    if not host:
        raise ContentError("its address names no host")
    return parts, host.rstrip("."), port or _PORTS[parts.scheme]


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise ContentError("it redirects to what is no URL") from None


class _Plain(http.client.HTTPConnection):
    """A connection to addresses that were checked; the host's name only appears in what is sent.

    Attributes:
        socket: what it is connected by, also after the answer has taken it over.
    """

    def __init__(self, host: str, port: int, addresses: list[str], deadline: float) -> None:
        super().__init__(host, port)
        self.socket: socket.socket | None = None
        self._addresses = addresses
        self._deadline = deadline

    def connect(self) -> None:
        """Connect to the first address that accepts."""
        for address in self._addresses:
            try:
                self.sock = self.socket = socket.create_connection(
                    (address, self.port), min(CONNECT_SECONDS, self._left())
                )
                break
            except OSError:
                if address == self._addresses[-1]:
                    raise
        self.sock.settimeout(self._left())

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.1)


class _Secure(_Plain):
    """The same with TLS: the certificate must be the host's."""

    def connect(self) -> None:
        """Connect, and check the certificate against the host's name."""
        super().connect()
        self.sock = self.socket = _tls().wrap_socket(self.sock, server_hostname=self.host)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@contextmanager
def _answering(
    parts: SplitResult, host: str, port: int, addresses: list[str], deadline: float, provider: str
) -> Iterator[http.client.HTTPResponse]:
    """The answer to a request, closed afterwards; what breaks while it is read is told as well."""
    connection = (_Secure if parts.scheme == "https" else _Plain)(host, port, addresses, deadline)
    with ExitStack() as opened:
        opened.callback(connection.close)
        expired = _shut_at(deadline, connection, opened)
        late = TemporaryError(f"host {host} took longer than RECSQL_MEDIA_TIMEOUT allows", provider)
        try:
            connection.connect()
            connection.request("GET", _target(parts), headers=_headers(parts))
            yield opened.enter_context(connection.getresponse())
        except ssl.SSLCertVerificationError as error:
            raise TemporaryError(f"host {host} has no valid certificate ({error.verify_message})", provider) from error
        except TimeoutError as error:
            if expired.is_set():
                raise late from error
            raise TemporaryError(f"host {host} does not answer in time", provider) from error
        except (OSError, http.client.HTTPException) as error:
            if expired.is_set():
                raise late from error
            raise TemporaryError(f"host {host} does not answer properly ({_reason(error)})", provider) from error
        if expired.is_set():
            raise late


def _shut_at(deadline: float, connection: _Plain, opened: ExitStack) -> Event:
    """Shut a connection when its time is over, until the stack is closed; the event tells that it came to that.

    It wakes whoever reads, also from a host that sends a byte now and then, which no time limit of a single read ends.
    """
    expired = Event()

    def expire() -> None:
        expired.set()
        if connection.socket is not None:
            with suppress(OSError):
                # Not the method of TLS, which would take the state away from under the reader.
                socket.socket.shutdown(connection.socket, socket.SHUT_RDWR)

    timer = Timer(max(deadline - time.monotonic(), 0), expire)
    timer.daemon = True
    timer.start()
    opened.callback(timer.cancel)
    return expired


def _reason(error: Exception) -> str:
    """What went wrong; never what the host sent."""
    if isinstance(error, http.client.RemoteDisconnected):
        return "it hung up"
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return "what it sends is no HTTP"


def _target(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    return path + (f"?{quote(parts.query, safe='/%:@!$&()*+,;=~-._?')}" if parts.query else "")


def _headers(parts: SplitResult) -> dict[str, str]:
    headers = {"User-Agent": f"recsql/{__version__}", "Accept": "*/*", "Connection": "close"}
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
    return headers


def _body(response: http.client.HTTPResponse, host: str, provider: str, limit: int) -> bytes:
    """What a good answer holds."""
    answer = f"host {host} answers {response.status} {_printable(response.reason)}".rstrip()
    if response.status in _LATER or response.status >= 500:
        raise TemporaryError(answer, provider)
    if response.status != 200:
        raise ContentError(answer)
    if response.getheader("Content-Encoding", "identity").lower() != "identity":
        raise ContentError(f"host {host} sends it compressed, which was not asked for")
    # None where it is sent in chunks.
    announced = response.length
    if announced is not None and announced > limit:
        raise too_large(announced, limit)
    content = bytearray()
    while chunk := response.read1(_CHUNK):
        content += chunk
        if len(content) > limit:
            raise too_large(None, limit)
    if announced is not None and len(content) < announced:
        raise TemporaryError(f"host {host} broke off after {len(content):,} of {announced:,} bytes", provider)
    return bytes(content)


def _printable(reason: str) -> str:
    return "".join(letter for letter in reason[:80] if letter.isprintable())
