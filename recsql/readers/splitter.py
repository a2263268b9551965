"""Records split one by one: slower than Arrow, and exact about which line is at fault."""

from dataclasses import dataclass

from recsql.readers.base import Malformed
from recsql.readers.quoting import Quoting
from recsql.readers.records import UNCLOSED_QUOTE, Block, escape, text_fault


@dataclass(frozen=True)
class Splitter:
    """Splits the records of a block into fields.

    Attributes:
        delimiter: one character.
        n_columns: how many fields a row has; None if any number will do.
        quoting: how fields are quoted, or None where quotes are not special.
    """

    delimiter: str
    n_columns: int | None
    quoting: Quoting | None

    def split(self, block: Block) -> tuple[list[tuple[int, list[bytes]]], list[Malformed]]:
        """Rows as (line number, fields), and what is no row."""
        rows: list[tuple[int, list[bytes]]] = []
        malformed: list[Malformed] = []
        data, position, line_no = block.data, 0, block.line_no
        limits = [len(data)]
        while position < len(data):
            while position >= limits[-1]:
                limits.pop()
            end = self._record_end(data, position, limits[-1])
            following = end or limits[-1]
            record = data[position:following].removesuffix(b"\n").removesuffix(b"\r")
            fields = self._fields(record) if end else []
            reason = text_fault(record) or self._count_fault(len(fields)) if end else UNCLOSED_QUOTE
            if not record:
                pass
            elif reason is None:
                rows.append((line_no, fields))
            else:
                # A stray quote can swallow the lines after it: they get their own chance, up to where the record ended.
                limits.append(following)
                following = data.find(b"\n", position, following) + 1 or following
                malformed.append(Malformed(line_no, escape(data[position:following]), reason))
            line_no += data.count(b"\n", position, following)
            position = following
        return rows, malformed

    def _count_fault(self, n_fields: int) -> str | None:
        if self.n_columns is None or n_fields == self.n_columns:
            return None
        return f"{n_fields} column{'s'[: n_fields != 1]} where {self.n_columns} were expected"

    def _record_end(self, data: bytes, position: int, limit: int) -> int | None:
        """Offset after the record, or None if a quote in it is never closed."""
        while True:
            newline = data.find(b"\n", position, limit)
            end = newline if newline >= 0 else limit
            if self.quoting is None or data.find(b'"', position, end) < 0:
                return min(end + 1, limit)
            crossing = next((m for m in self.quoting.field.finditer(data, position, end) if not m["close"]), None)
            if crossing is None:
                return min(end + 1, limit)
            whole = self.quoting.field.match(data, crossing.start(), limit)
            if whole is None or not whole["close"]:
                return None
            position = whole.end()

    def _fields(self, record: bytes) -> list[bytes]:
        delimiter = self.delimiter.encode()
        if self.quoting is None or b'"' not in record:
            return record.split(delimiter)
        fields, start, position = [], 0, 0
        opening = b""
        while True:
            if match := self.quoting.field.match(record, position):
                opening = record[position + 1 : match.end() - 1].replace(b'""', b'"')
                start = match.end()
            end = record.find(delimiter, start)
            fields.append(opening + record[start : end if end >= 0 else None])
            if end < 0:
                return fields
            start = position = end + 1
            opening = b""
