"""Quoted fields: where they are in a block of bytes."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_QUOTE = ord('"')


@dataclass(frozen=True)
class Quoting:
    """Fields in ``"``: one begins a record or follows a delimiter, and ``""`` inside it is a quote.

    Attributes:
        delimiter: one ASCII character.
    """

    delimiter: str

    @cached_property
    def field(self) -> re.Pattern[bytes]:
        """Pattern of a quoted field; the group ``close`` is empty if it stays open."""
        before = re.escape(self.delimiter.encode())
        return re.compile(rb"(?:\A|(?<=[\n" + before + rb']))"[^"]*+(?:""[^"]*+)*+(?P<close>"|\Z)')

    def spans(self, data: bytes) -> tuple[np.ndarray, np.ndarray]:
        """Where quoted fields begin and end: two arrays of one shape, in order.

        ``data`` begins where a record begins. A field that stays open ends beyond the data, and one with quotes in it
        may come as several spans that touch.
        """
        content = np.frombuffer(data, np.uint8)
        quotes = np.flatnonzero(content == _QUOTE)
        opening = quotes[0::2]
        # Every second quote opens a field if it stands where a field begins, or goes on with one if it follows a quote
        # at once. Where that holds for all of them, they come in pairs; where a quote is just text, they do not.
        previous = content[opening[opening > 0] - 1]
        if np.isin(previous, np.frombuffer(b'\n"' + self.delimiter.encode(), np.uint8)).all():
            closing = np.append(quotes[1::2] + 1, [len(data) + 1] if len(quotes) % 2 else [])
            return opening, closing.astype(np.int64)
        spans = [(match.start(), match.end() + (not match["close"])) for match in self.field.finditer(data)]
        starts, ends = np.array(spans, np.int64).reshape(-1, 2).T
        return starts, ends
