"""Tables of text columns: what the formats have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from recsql.errors import InputError
from recsql.readers import streams
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
        values: the ``typed`` columns among them as the format has them: None, text, numbers, truth values, lists and
            objects.
    """

    columns: dict[str, pa.Array]
    line_nos: pa.Array
    malformed: list[Malformed] = field(default_factory=list)
    bytes_read: int = 0
    values: dict[str, list[object]] = field(default_factory=dict)


class Table(ABC):
    """A file that holds rows of named columns.

    Attributes:
        path: where it lies.
        label: what to call it in messages.
        total_bytes: what ``bytes_read`` is at the end.
        names: of the columns, in the order of the file.
    """

    path: Path
    label: str
    total_bytes: int
    names: list[str]

    @abstractmethod
    def rows(self, names: Sequence[str], typed: Sequence[str] = ()) -> Iterator[TextRows]:
        """Rows in the order of the file, with these columns; lines that are not rows come as ``malformed``.

        Args:
            names: of the columns.
            typed: those of them that come as ``values`` as well.

        Raises:
            InputError: the file is truncated or damaged; of a zip before the first row.
        """

    def digest(self) -> str:
        """SHA-256 of the file as it lies on the disk."""
        return streams.digest(self.path)


def refuse_layout(layout: FileMapping, format_name: str, options: Sequence[str]) -> None:
    """Refuse options of the mapping that mean nothing for a format.

    Raises:
        InputError: one of them is set.
    """
    for option in options:
        if getattr(layout, option) is not None:
            raise InputError(f"{option} means nothing for {format_name}; leave it out of the mapping")
