"""Bytes of a file, plain, gzipped or in a zip, with errors that say what is wrong with it."""

import codecs
import gzip
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from recsql.errors import InputError, NotFoundError

_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile)
_CHUNK = 1 << 20
_UNICODE_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def check_path(path: Path) -> Path:
    """Give the path back if it is a file with content.

    Raises:
        NotFoundError: nothing is there.
        InputError: it is a folder, empty, or cannot be read.
    """
    try:
        if not path.exists():
            raise NotFoundError(f"{path} does not exist; give the path of an existing file")
        if path.is_dir():
            raise InputError(f"{path} is a folder; give the path of a file in it")
        if not path.is_file():
            raise InputError(f"{path} is not a regular file; save the data to a file first")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty; there is nothing to load")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return path


def packing(path: Path) -> Literal["zip", "gzip", "plain"]:
    """How the file is packed, by its first bytes and not by its name."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if start in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    return "gzip" if start[:2] == b"\x1f\x8b" else "plain"


def members(path: Path) -> list[str]:
    """Names of the files in a zip."""
    with _open_zip(path) as archive:
        return [info.filename for info in archive.infolist() if not info.is_dir()]


def digest(path: Path) -> str:
    """SHA-256 of the file as it lies on the disk."""
    with check_path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ByteStream:
    """Content of one file, unpacked.

    Attributes:
        label: what to call it in messages.
        total_bytes: what ``bytes_read`` will be at the end: unpacked bytes, or packed ones of a gzip.
    """

    def __init__(self, label: str, content: IO[bytes], total_bytes: int, packed: IO[bytes] | None = None) -> None:
        self.label = label
        self.total_bytes = total_bytes
        self._content = content
        self._packed = packed
        self._n_read = 0

    @property
    def bytes_read(self) -> int:
        """How far the stream is."""
        return self._packed.tell() if self._packed is not None else self._n_read

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes; fewer only at the end.

        Raises:
            InputError: the archive is truncated or damaged.
        """
        try:
            data = self._content.read(size)
        except _DAMAGE as error:
            raise InputError(_damage(self.label, error)) from error
        except OSError as error:
            raise InputError(f"{self.label} cannot be read: {error.strerror or error}") from error
        self._n_read += len(data)
        return data


@contextmanager
def open_stream(path: Path, member: str | None = None) -> Iterator[ByteStream]:
    """Open a file, a gzip's content or a zip's member for reading.

    Args:
        path: the file.
        member: which file of a zip; needed only if there are several.

    Raises:
        InputError: it is missing, empty, truncated, or the member is not there.
    """
    check_path(path)
    packed_as = packing(path)
    if packed_as == "zip":
        with _open_zip(path) as archive:
            info = archive.getinfo(_choose_member(path, member))
            try:
                content = archive.open(info)
            except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
                raise InputError(f"{info.filename} in {path} cannot be unpacked: {error}") from error
            with content:
                yield ByteStream(f"{info.filename} in {path}", content, info.file_size)
        return
    with path.open("rb") as file:
        size = path.stat().st_size
        if packed_as == "gzip":
            with gzip.GzipFile(fileobj=file) as content:
                yield ByteStream(str(path), content, size, packed=file)  # pyright: ignore[reportArgumentType]
        else:
            yield ByteStream(str(path), file, size)


def verify_zip(path: Path, member: str | None = None) -> None:
    """Unpack a zip's member once and compare its CRC, so that no row of a damaged one is delivered.

    Other files pass: a gzip has its checksum at the end, and is refused where it breaks off.

    Raises:
        InputError: the archive is truncated or damaged.
    """
    if packing(check_path(path)) != "zip":
        return
    with open_stream(path, member) as stream:
        while stream.read(_CHUNK):
            pass


def read_member(path: Path, member: str | None = None) -> bytes:
    """The whole content of a small file."""
    with open_stream(path, member) as stream:
        return b"".join(iter(lambda: stream.read(_CHUNK), b""))


def content_digest(path: Path, member: str | None = None) -> str:
    """SHA-256 of the unpacked content."""
    sha256 = hashlib.sha256()
    with open_stream(path, member) as stream:
        while chunk := stream.read(_CHUNK):
            sha256.update(chunk)
    return sha256.hexdigest()


def check_head(head: bytes, label: str) -> bytes:
    """Give the start of a text file back if it can be read as UTF-8 with lines.

    Raises:
        InputError: it is empty, UTF-16 or UTF-32, or has lines that end in CR alone.
    """
    for mark, encoding in _UNICODE_MARKS.items():
        if head.startswith(mark):
            raise InputError(f"{label} is {encoding}; convert it first: iconv -f {encoding} -t UTF-8")
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        raise InputError(f"{label} is empty; there is nothing to load")
    if b"\n" not in head and b"\r" in head.rstrip(b"\r"):
        raise InputError(f"{label} has lines that end in CR alone; convert it first: tr '\\r' '\\n'")
    return head


def read_head(path: Path, member: str | None, n_bytes: int) -> tuple[str, int, bytes, int]:
    """Look at a text file: its label, its size for a progress bar, its start without a mark, and the mark's length.

    Raises:
        InputError: as :func:`open_stream` and :func:`check_head` do.
    """
    with open_stream(path, member) as stream:
        head = check_head(stream.read(n_bytes), stream.label)
        skip = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        return stream.label, stream.total_bytes, head[skip:], skip


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(check_path(path))
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(_damage(str(path), error)) from error
    with archive:
        yield archive


def _choose_member(path: Path, member: str | None) -> str:
    names = members(path)
    shown = ", ".join(names[:10]) or "nothing"
    if member is not None:
        if member not in names:
            raise NotFoundError(f"{path} holds no {member}; it holds {shown}")
        return member
    if len(names) != 1:
        raise InputError(f"{path} holds {len(names)} files ({shown}); say which one with member = NAME in the mapping")
    return names[0]


def _damage(label: str, error: Exception) -> str:
    return f"{label} is truncated or damaged ({error}); fetch or copy the archive again"
