"""Parquet files."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsql.errors import InputError
from recsql.readers import records, streams
from recsql.readers.base import Malformed
from recsql.readers.mapped import MappedReader
from recsql.readers.mapping import FileMapping, Mapping
from recsql.readers.records import escape
from recsql.readers.table import Table, TextRows, refuse_layout

BATCH_ROWS = 65_536


class ParquetTable(Table):
    """A Parquet file.

    Numbers and times pass as text, lists and structs as JSON; the line of a row is its number, from 1.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = streams.check_path(path)
        self.label = str(path)
        self.total_bytes = path.stat().st_size
        try:
            with pq.ParquetFile(path) as file:
                self.names = file.schema_arrow.names
                self._n_rows = file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise InputError(_damage(self.label, error)) from error

    def rows(self, names: Sequence[str], typed: Sequence[str] = ()) -> Iterator[TextRows]:
        """Rows in the order of the file; see :meth:`Table.rows`. The number of a row is its line."""
        n_read = 0
        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=list(names), use_threads=False):
                    line_nos = np.arange(n_read + 1, n_read + 1 + batch.num_rows, dtype=np.int64)
                    n_read += batch.num_rows
                    bytes_read = self.total_bytes * n_read // max(self._n_rows, 1)
                    yield _text_rows({name: batch.column(name) for name in names}, line_nos, bytes_read, typed)
        except (pa.ArrowException, OSError) as error:
            raise InputError(_damage(self.label, error)) from error


class ParquetReader(MappedReader):
    """Events, items and users of Parquet files.

    Args:
        path: the file of the events.
        mapping: which columns mean what; guessed when left out.
    """

    def __init__(self, path: Path, mapping: Mapping | None = None) -> None:
        super().__init__("parquet", path, mapping, _open)


def _open(path: Path, layout: FileMapping) -> ParquetTable:
    refuse_layout(layout, "parquet", ("member", "delimiter", "columns"))
    return ParquetTable(path)


def _text_rows(columns: dict[str, pa.Array], line_nos: np.ndarray, bytes_read: int, typed: Sequence[str]) -> TextRows:
    faults: dict[int, str] = {}
    texts: dict[str, pa.Array] = {}
    for name, values in columns.items():
        texts[name], found = _text(values)
        faults |= found
    malformed = [Malformed(int(line_nos[row]), _raw(columns, row), reason) for row, reason in sorted(faults.items())]
    if faults:
        good = pa.array(np.setdiff1d(np.arange(len(line_nos)), list(faults)))
        texts = {name: values.take(good) for name, values in texts.items()}
        columns = {name: columns[name].take(good) for name in typed}
        line_nos = line_nos[good.to_numpy()]
    values = {name: _values(columns[name], texts[name]) for name in typed}
    return TextRows(texts, pa.array(line_nos, pa.int64()), malformed, bytes_read, values)


def _values(column: pa.Array, text: pa.Array) -> list[object]:
    """The values as JSON can have them; what it has no kind for, as times, is text."""
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    if pa.types.is_boolean(column.type) or pa.types.is_integer(column.type):
        return column.to_pylist()
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        return [None if value is None else _finite(float(value)) for value in column.to_pylist()]
    if pa.types.is_nested(column.type):
        return [None if value is None else json.loads(value) for value in text.to_pylist()]
    return text.to_pylist()


def _text(values: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """The values as text, and what is wrong with rows of them; such a row is null."""
    if pa.types.is_nested(values.type):
        found = [None if value is None else _json(value) for value in values.to_pylist()]
        nul_rows = [row for row, value in enumerate(found) if value and "\\u0000" in value]
        return pa.array(found, pa.string()), dict.fromkeys(nul_rows, records.NUL_BYTE)
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    try:
        # Parquet promises UTF-8 and nobody checks it; the way over bytes does.
        text = (values.cast(pa.large_binary()) if is_text else values).cast(pa.string())
    except pa.ArrowInvalid:
        raw = values.cast(pa.large_binary()).to_pylist()
        faults = {row: records.NOT_UTF8 for row, value in enumerate(raw) if value and _undecodable(value)}
        good = [None if row in faults else value for row, value in enumerate(raw)]
        text = pa.array(good, pa.binary()).cast(pa.string())
    else:
        faults = {}
    nul = pc.call_function("match_substring", [text], pc.MatchSubstringOptions("\0"))
    if nul.true_count:
        faults |= dict.fromkeys(np.flatnonzero(nul.fill_null(False)).tolist(), records.NUL_BYTE)
    return text, faults


def _undecodable(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return True
    return False


def _json(value: object) -> str:
    return json.dumps(_finite(value), ensure_ascii=False, default=str)


def _finite(value: object) -> object:
    """A value with none in place of numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return value


def _raw(columns: dict[str, pa.Array], row: int) -> str:
    """The row as text, columns parted by tabs."""
    parts = []
    for values in columns.values():
        column = values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
        scalar = column.slice(row, 1)
        if pa.types.is_nested(scalar.type):
            parts.append(_json(scalar.to_pylist()[0]).encode())
        elif pa.types.is_string(scalar.type) or pa.types.is_large_string(scalar.type):
            parts.append(scalar.cast(pa.large_binary()).to_pylist()[0] or b"")
        else:
            value = scalar.to_pylist()[0]
            parts.append(value if isinstance(value, bytes) else str("" if value is None else value).encode())
    return escape(b"\t".join(parts))


def _damage(label: str, error: Exception) -> str:
    return f"{label} is no Parquet file, or a truncated one ({str(error).splitlines()[0]}); write or copy it again"
