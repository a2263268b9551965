"""Files with one JSON object a line."""

import json
import math
from collections.abc import Iterator, Sequence
from json.decoder import JSONDecodeError
from pathlib import Path

import pyarrow as pa

from recsql.errors import InputError
from recsql.readers import records, streams
from recsql.readers.base import Malformed
from recsql.readers.mapped import MappedReader
from recsql.readers.mapping import FileMapping, Mapping
from recsql.readers.records import Block, escape
from recsql.readers.table import Table, TextRows, refuse_layout

_HEAD_BYTES = 4 << 20


class _Number(str):
    """A number keeps the text that it had in the file."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=str)


class JsonlTable(Table):
    """A file of JSON objects, one a line; its columns are the keys that occur in its first 4 MiB.

    Text passes as it is, numbers as they are written, and a list or an object as JSON. A key that an object has not
    is null.

    Args:
        path: the file: plain, gzipped, or a zip.
        member: which file of the zip.
        block_bytes: how much is read at once.
    """

    def __init__(self, path: Path, member: str | None = None, *, block_bytes: int = records.BLOCK_BYTES) -> None:
        self.path, self.member = path, member
        self._block_bytes = block_bytes
        self.label, self.total_bytes, head, self._skip = streams.read_head(path, member, _HEAD_BYTES)
        if head.lstrip().startswith(b"["):
            raise InputError(f"{self.label} is one JSON array; write one object a line first: jq -c '.[]'")
        end = head.rfind(b"\n") + 1 or len(head)
        rows, malformed = _split(Block(head[:end], 1, None))
        if not rows and malformed:
            raise InputError(f"{self.label} holds no JSON object a line; its first line is {malformed[0].reason}")
        self.names = list(dict.fromkeys(name for _, row in rows for name in row))

    def rows(self, names: Sequence[str], typed: Sequence[str] = ()) -> Iterator[TextRows]:
        """Rows in the order of the file; see :meth:`Table.rows`."""
        streams.verify_zip(self.path, self.member)
        with streams.open_stream(self.path, self.member) as stream:
            stream.read(self._skip)
            for block in records.cut(stream, None, self._block_bytes):
                objects, malformed = _split(block)
                columns = {name: pa.array([_text(row.get(name)) for _, row in objects], pa.string()) for name in names}
                line_nos = pa.array([line_no for line_no, _ in objects], pa.int64())
                values = {name: [_value(row.get(name)) for _, row in objects] for name in typed}
                yield TextRows(columns, line_nos, [*block.malformed, *malformed], block.bytes_read, values)


class JsonlReader(MappedReader):
    """Events, items and users of files with one JSON object a line.

    Args:
        path: the file of the events.
        mapping: which keys mean what; guessed when left out.
    """

    def __init__(self, path: Path, mapping: Mapping | None = None) -> None:
        super().__init__("jsonl", path, mapping, _open)


def _open(path: Path, layout: FileMapping) -> JsonlTable:
    refuse_layout(layout, "jsonl", ("delimiter", "columns"))
    return JsonlTable(path, layout.member)


def _split(block: Block) -> tuple[list[tuple[int, dict[str, object]]], list[Malformed]]:
    """Objects with their lines, and the lines that are none."""
    objects: list[tuple[int, dict[str, object]]] = []
    malformed: list[Malformed] = []
    is_text, decode = records.text_fault(block.data) is None, _DECODER.raw_decode
    has_escapes = b"\\u" in block.data
    for line_no, line in enumerate(block.data.split(b"\n"), block.line_no):
        stripped = line.strip()
        if not stripped:
            continue
        reason = None if is_text else records.text_fault(line)
        if reason is None:
            try:
                text = stripped.decode()
                row, end = decode(text)
            except JSONDecodeError as error:
                reason = f"not JSON: {error.msg}"
            except RecursionError:
                reason = "JSON that is nested too deeply"
            else:
                if end != len(text):
                    reason = "not JSON: something follows the value"
                elif not isinstance(row, dict):
                    reason = "not a JSON object"
                else:
                    reason = _fault(row) if has_escapes else None
                    if reason is None:
                        objects.append((line_no, row))
                        continue
        malformed.append(Malformed(line_no, escape(line), reason))
    return objects, malformed


def _fault(row: dict[str, object]) -> str | None:
    """Whether an escape in a row means what PostgreSQL cannot hold."""
    for value in row.values():
        text = _text(value) or ""
        if "\0" in text or (not isinstance(value, str) and "\\u0000" in text):
            return records.NUL_BYTE
        try:
            text.encode()
        except UnicodeEncodeError:
            return records.NOT_UTF8
    return None


def _value(value: object) -> object:
    """A value with its numbers; one too large for a float stays text."""
    if isinstance(value, _Number):
        number = json.loads(value)
        return number if math.isfinite(number) else str(value)
    if isinstance(value, list):
        return [_value(part) for part in value]
    if isinstance(value, dict):
        return {key: _value(part) for key, part in value.items()}
    return value


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)
