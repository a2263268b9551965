"""Comma, tab and otherwise separated files.

A block of whole records is parsed by Arrow in one go. Where something in a block is wrong, the block is cut into small
pieces, and only a piece that holds the fault is split line by line.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from recsql.errors import InputError
from recsql.readers import records, streams
from recsql.readers.base import Malformed
from recsql.readers.mapped import MappedReader
from recsql.readers.mapping import FileMapping, Mapping
from recsql.readers.quoting import Quoting
from recsql.readers.records import Block
from recsql.readers.splitter import Splitter
from recsql.readers.table import Table, TextRows

DELIMITERS = (",", "\t", ";", "|", "::")
PIECE_BYTES = 8 << 10
_HEAD_BYTES = 1 << 20
_SNIFFED_LINES = 20
_QUOTED = re.compile(rb'"[^"]*"')
_SINGLE = "\x1f"


class DelimitedTable(Table):
    """A delimited text file in UTF-8.

    Args:
        path: the file: plain, gzipped, or a zip.
        member: which file of the zip.
        delimiter: one character, or ``::``; found from the first lines when left out.
        columns: names of the columns of a file without a header.
        quoting: whether ``"`` at the start of a field quotes it.
        block_bytes: how much is parsed at once.
    """

    def __init__(
        self,
        path: Path,
        member: str | None = None,
        *,
        delimiter: str | None = None,
        columns: Sequence[str] | None = None,
        quoting: bool = True,
        block_bytes: int = records.BLOCK_BYTES,
    ) -> None:
        self.path, self.member = path, member
        self._given = list(columns) if columns is not None else None
        self._block_bytes = block_bytes
        self.label, self.total_bytes, head, self._skip = streams.read_head(path, member, _HEAD_BYTES)
        given = delimiter or sniff_delimiter(head)
        self._double = given if len(given) > 1 else None
        self._delimiter = _SINGLE if self._double else given
        self._quoting = Quoting(self._delimiter) if quoting and not self._double else None
        self.names = self._given or self._header(head)
        self._verified = False

    def rows(self, names: Sequence[str], typed: Sequence[str] = ()) -> Iterator[TextRows]:
        """Rows in the order of the file; see :meth:`Table.rows`."""
        if not self._verified:
            streams.verify_zip(self.path, self.member)
            self._verified = True
        indices = [self.names.index(name) for name in names]
        with streams.open_stream(self.path, self.member) as stream:
            stream.read(self._skip)
            has_header = self._given is None
            for block in records.cut(stream, self._quoting, self._block_bytes):
                if has_header:
                    starts, _ = block.records
                    second = int(starts[1]) if len(starts) > 1 else len(block.data)
                    skipped = block.data[:second].count(b"\n")
                    block = replace(block, data=block.data[second:], line_no=block.line_no + skipped)
                    has_header = False
                rows = self._parse(block, names, indices, stream.bytes_read)
                rows.values = {name: rows.columns[name].to_pylist() for name in typed}
                yield rows

    def _header(self, head: bytes) -> list[str]:
        block = Block(self._single(head), 1, self._quoting)
        for piece in block.pieces(1):
            rows, _ = Splitter(self._delimiter, None, self._quoting).split(piece)
            return [name.decode().strip() for name in rows[0][1]] if rows else [records.escape(piece.data)]
        raise InputError(f"{self.label} holds only blank lines; there is nothing to load")

    def _single(self, data: bytes) -> bytes:
        return data.replace(self._double.encode(), _SINGLE.encode()) if self._double else data

    def _parse(self, block: Block, names: Sequence[str], indices: list[int], bytes_read: int) -> TextRows:
        block.data = self._single(block.data)
        malformed = list(block.malformed)
        parts = [self._fast(block, indices)] if block.data else []
        if parts == [None]:
            parts = []
            for piece in block.pieces(PIECE_BYTES):
                part = self._fast(piece, indices)
                if part is None:
                    part, faults = self._slow(piece, indices)
                    malformed.extend(faults)
                parts.append(part)
        empty = pa.array([], pa.string())
        columns = {
            name: pa.concat_arrays([part[0][i] for part in parts if part] or [empty]) for i, name in enumerate(names)
        }
        line_nos = np.concatenate([part[1] for part in parts if part] or [np.array([], np.int64)])
        return TextRows(columns, pa.array(line_nos, pa.int64()), malformed, bytes_read)

    def _fast(self, block: Block, indices: list[int]) -> tuple[list[pa.Array], np.ndarray] | None:
        """Columns and line numbers, or None where anything at all is wrong with the block."""
        data = block.data
        if block.is_rest or records.text_fault(data) or data.count(b"\r") != data.count(b"\r\n"):
            return None
        wanted = [f"f{index}" for index in dict.fromkeys(indices)]
        try:
            table = pacsv.read_csv(
                pa.BufferReader(data),
                pacsv.ReadOptions(
                    use_threads=False,
                    block_size=len(data) + 1,
                    column_names=[f"f{index}" for index in range(len(self.names))],
                ),
                pacsv.ParseOptions(
                    delimiter=self._delimiter,
                    quote_char='"' if self._quoting else False,
                    newlines_in_values=self._quoting is not None,
                ),
                pacsv.ConvertOptions(
                    check_utf8=False,
                    column_types=dict.fromkeys(wanted, pa.string()),
                    include_columns=wanted,
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid:
            return None
        n_lines = data.count(b"\n") + (not data.endswith(b"\n"))
        if table.num_rows == n_lines:
            line_nos = np.arange(block.line_no, block.line_no + n_lines, dtype=np.int64)
        else:
            _, line_nos = block.records
            if table.num_rows != len(line_nos):
                return None
        return [table[f"f{index}"].combine_chunks() for index in indices], line_nos

    def _slow(self, block: Block, indices: list[int]) -> tuple[tuple[list[pa.Array], np.ndarray], list[Malformed]]:
        """Split line by line, setting aside what is not a row."""
        splitter = Splitter(self._delimiter, len(self.names), self._quoting)
        rows, malformed = splitter.split(block)
        columns = [pa.array([fields[index] for _, fields in rows], pa.binary()).cast(pa.string()) for index in indices]
        if self._double:
            malformed = [replace(line, raw=line.raw.replace(_SINGLE, self._double)) for line in malformed]
        return (columns, np.array([line_no for line_no, _ in rows], np.int64)), malformed


def sniff_delimiter(head: bytes) -> str:
    """The delimiter that splits each of the first lines into the same number of columns, and into the most.

    A comma where no delimiter occurs at all.
    """
    lines = _QUOTED.sub(b"", head).split(b"\n")
    lines = [line for line in lines[: -1 if len(lines) > 1 else None][:_SNIFFED_LINES] if line.strip()]
    counts = {delimiter: [line.count(delimiter.encode()) for line in lines] for delimiter in DELIMITERS}
    found = [delimiter for delimiter in DELIMITERS if lines and counts[delimiter][0]]
    if not found:
        return ","
    return max(found, key=lambda delimiter: (len(set(counts[delimiter])) == 1, counts[delimiter][0]))


class CsvReader(MappedReader):
    """Events, items and users of delimited files.

    Args:
        path: the file of the events.
        mapping: which columns mean what; guessed when left out.
        quoting: whether ``"`` at the start of a field quotes it.
    """

    def __init__(self, path: Path, mapping: Mapping | None = None, *, quoting: bool = True) -> None:
        def open_delimited(path: Path, layout: FileMapping) -> DelimitedTable:
            return DelimitedTable(
                path, layout.member, delimiter=layout.delimiter, columns=layout.columns, quoting=quoting
            )

        super().__init__("csv", path, mapping, open_delimited)
