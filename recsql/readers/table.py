"""Tables of text columns: what the formats have in common."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from recsql.errors import InputError
from recsql.readers.base import Malformed
from recsql.readers.mapping import FileMapping


@dataclass
class TextRows:
    """Some thousand rows of a table.

    Attributes:
        columns: the columns that were asked for, as text arrays of one length.
        line_nos: int64 array: where in the file each row is, from 1.
        malformed: lines that are not rows.
        bytes_read: how far the table was read.
    """

    columns: dict[str, pa.Array]
    line_nos: pa.Array
    malformed: list[Malformed] = field(default_factory=list)
    bytes_read: int = 0


class Table(Protocol):
    """A file that holds rows of named columns."""

    @property
    def label(self) -> str:
        """What to call it in messages."""
        ...

    @property
    def total_bytes(self) -> int:
        """What ``bytes_read`` is at the end."""
        ...

    def column_names(self) -> list[str]:
        """Names of the columns, in the order of the file."""
        ...

    def rows(self, names: Sequence[str]) -> Iterator[TextRows]:
        """Rows in the order of the file, with these columns."""
        ...

    def digest(self) -> str:
        """SHA-256 of the file."""
        ...


def refuse_layout(layout: FileMapping, format_name: str, options: Sequence[str]) -> None:
    """Refuse options of the mapping that mean nothing for a format.

    Raises:
        InputError: one of them is set.
    """
    for option in options:
        if getattr(layout, option) is not None:
            raise InputError(f"{option} means nothing for {format_name}; leave it out of the mapping")
