"""What a reader gives: batches of text columns, and the rows that are not even rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

EVENT_SCHEMA = pa.schema([(name, pa.string()) for name in ("line_no", "user_id", "item_id", "kind", "value", "at")])
"""Raw events: text as it stood in the file; null where the file has no such column. ``at`` is ISO 8601 or Unix time."""

REQUEST_EVENT_SCHEMA = EVENT_SCHEMA.append(pa.field("request_id", pa.string()))
"""Raw events of a source that knows which request each came of; null where it came of none."""

ENTITY_SCHEMA = pa.schema([(name, pa.string()) for name in ("line_no", "entity", "entity_id", "payload")])
"""Raw items and users: ``entity`` is ``item`` or ``user``, ``payload`` a JSON object of the columns of that table."""


@dataclass(frozen=True)
class Malformed:
    r"""A line that could not be split into columns or decoded.

    Attributes:
        line_no: its number in the file, from 1.
        raw: its bytes as text, undecodable ones as ``\\xNN``, NUL bytes as ``\\x00``.
        reason: why it was refused, in words.
    """

    line_no: int
    raw: str
    reason: str


@dataclass
class Batch:
    """Some thousand raw rows.

    Attributes:
        rows: of :data:`EVENT_SCHEMA`, :data:`REQUEST_EVENT_SCHEMA` or :data:`ENTITY_SCHEMA`.
        malformed: lines that are not rows.
        bytes_read: how far the reader is in its source, for a progress bar.
    """

    rows: pa.RecordBatch
    malformed: list[Malformed] = field(default_factory=list)
    bytes_read: int = 0


class Reader(Protocol):
    """A source of items, users and events."""

    @property
    def name(self) -> str:
        """Short name of the source, for messages."""
        ...

    @property
    def total_bytes(self) -> int | None:
        """Size of what is to be read, for a progress bar; None if unknown."""
        ...

    def fingerprint(self) -> str:
        """Digest of the content and of the mapping: the same digest is the same load."""
        ...

    def entities(self) -> Iterator[Batch]:
        """Items and users, in batches of :data:`ENTITY_SCHEMA`."""
        ...

    def events(self) -> Iterator[Batch]:
        """Events in the order of the file, in batches of :data:`EVENT_SCHEMA`."""
        ...
