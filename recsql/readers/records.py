"""Blocks of whole records, cut from a stream of bytes.

A record ends at a newline that is not inside a quoted field. Blocks are a few megabytes, so memory stays flat
whatever the size of the file, and a record that is larger than a block makes its block grow up to a limit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from recsql.readers.base import Malformed
from recsql.readers.quoting import Quoting
from recsql.readers.streams import ByteStream

BLOCK_BYTES = 4 << 20
MAX_RECORD_BYTES = 32 << 20
RAW_BYTES = 64 << 10
"""Of a malformed line this much is kept."""

UNCLOSED_QUOTE = "a quote is opened and not closed"
NOT_UTF8 = "bytes that are not UTF-8"
NUL_BYTE = "a NUL byte"


def escape(raw: bytes) -> str:
    r"""Text of bytes that may be anything: undecodable ones as ``\xNN``, NUL as ``\x00``."""
    text = raw[:RAW_BYTES].rstrip(b"\r\n").decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    return f"{text}… ({len(raw):,} bytes in all)" if len(raw) > RAW_BYTES else text


def text_fault(raw: bytes) -> str | None:
    """Why the bytes are no text that PostgreSQL can hold, or None if they are."""
    if b"\0" in raw:
        return NUL_BYTE
    if raw.isascii():
        return None
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return NOT_UTF8
    return None


@dataclass
class Block:
    """Whole records.

    Attributes:
        data: their bytes.
        line_no: line of the file at which ``data`` begins, from 1.
        quoting: how fields are quoted, or None where quotes are not special.
        malformed: what had to be skipped before this block.
        bytes_read: how far the stream was.
        is_rest: whether it is what remained at the end: a line without a newline, or a quote that stays open.
    """

    data: bytes
    line_no: int
    quoting: Quoting | None
    malformed: list[Malformed] = field(default_factory=list)
    bytes_read: int = 0
    is_rest: bool = False

    @cached_property
    def records(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the records begin that are not blank, and their lines: two arrays of shape (n_records,), int64."""
        newlines = np.flatnonzero(np.frombuffer(self.data, np.uint8) == ord("\n"))
        lines = self.line_no + np.arange(len(newlines) + 1, dtype=np.int64)
        if self.quoting is not None and b'"' in self.data:
            span_starts, span_ends = self.quoting.spans(self.data)
            span = np.searchsorted(span_starts, newlines, side="right") - 1
            outside = (span < 0) | (newlines >= np.append(span_ends, 0)[span])
            newlines, lines = newlines[outside], lines[np.concatenate([[True], outside])]
        starts = np.concatenate([[0], newlines + 1])
        content = np.frombuffer(self.data + b"\n\n", np.uint8)
        blank = content[starts] == ord("\n")
        blank |= (content[starts] == ord("\r")) & (content[starts + 1] == ord("\n"))
        return starts[~blank].astype(np.int64), lines[~blank]

    def pieces(self, size: int) -> Iterator["Block"]:
        """Cut the block into blocks of about ``size`` bytes."""
        starts, lines = self.records
        first = 0
        while first < len(starts):
            after = int(np.searchsorted(starts, starts[first] + size, side="left"))
            end = int(starts[after]) if after < len(starts) else len(self.data)
            yield Block(self.data[int(starts[first]) : end], int(lines[first]), self.quoting, is_rest=self.is_rest)
            first = after


def cut(
    stream: ByteStream,
    quoting: Quoting | None,
    block_bytes: int = BLOCK_BYTES,
    max_record_bytes: int = MAX_RECORD_BYTES,
) -> Iterator[Block]:
    """Cut a stream into blocks that end where a record ends."""
    rest, line_no, malformed, at_end = b"", 1, [], False
    while not at_end:
        chunk = stream.read(block_bytes)
        at_end = not chunk
        rest += chunk
        end = _last_boundary(rest, quoting)
        while end == 0 and len(rest) > max_record_bytes:
            line, rest, at_end = _first_line(rest, stream, block_bytes)
            reason = UNCLOSED_QUOTE if len(line) <= max_record_bytes else f"longer than {max_record_bytes:,} bytes"
            malformed.append(Malformed(line_no, escape(line), reason))
            line_no += 1
            end = _last_boundary(rest, quoting)
        if end or malformed:
            yield Block(rest[:end], line_no, quoting, malformed, stream.bytes_read)
            line_no += rest.count(b"\n", 0, end)
            rest, malformed = rest[end:], []
    if rest:
        yield Block(rest, line_no, quoting, [], stream.bytes_read, is_rest=True)


def _first_line(rest: bytes, stream: ByteStream, block_bytes: int) -> tuple[bytes, bytes, bool]:
    """Split off the first line; of one that goes on and on, only its beginning is kept."""
    line, newline, after = rest.partition(b"\n")
    if newline:
        return line, after, False
    while chunk := stream.read(block_bytes):
        _, newline, after = chunk.partition(b"\n")
        if newline:
            return line, after, False
    return line, b"", True


def _last_boundary(data: bytes, quoting: Quoting | None) -> int:
    """Offset after the last newline that ends a record; 0 if there is none."""
    newline = data.rfind(b"\n")
    if quoting is None or b'"' not in data:
        return newline + 1
    starts, ends = quoting.spans(data)
    while newline >= 0:
        span = int(np.searchsorted(starts, newline, side="right")) - 1
        if span < 0 or newline >= ends[span]:
            return newline + 1
        newline = data.rfind(b"\n", 0, int(starts[span]))
    return 0
