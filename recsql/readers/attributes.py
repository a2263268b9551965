"""Attributes and tags of items and users: values of a type, and rows that have others."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pyarrow as pa

from recsql.readers.base import Malformed
from recsql.readers.mapping import AttributeType, EntityMapping
from recsql.readers.table import Table, TextRows

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def split_tags(text: str, separator: str) -> list[str]:
    """Tags of a text: a JSON list, as formats with lists give it, or parts between separators."""
    parts: Sequence[object] = text.split(separator)
    if text.startswith("["):
        with suppress(ValueError):
            parts = json.loads(text)
    return [tag for tag in (str(part).strip() for part in parts if part is not None) if tag]


def typed(value: object, kind: AttributeType, separator: str) -> object:
    """An attribute's value as one of a type; None for none, also for an empty text where it is no text.

    Raises:
        ValueError: it is no such value.
    """
    text = value.strip() if isinstance(value, str) else None
    if value is None or (text == "" and kind != "text"):
        return None
    if kind == "text":
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if kind == "number" and text is not None and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return int(text) if text.removeprefix("-").isdecimal() else float(text)
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "boolean" and text is not None and text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    if kind == "list" and isinstance(value, list):
        return value
    if kind == "list" and text is not None:
        return split_tags(text, separator)
    raise ValueError(f"is no {kind}")


def rows_with_attributes(
    table: Table, mapping: EntityMapping, names: Sequence[str]
) -> Iterator[tuple[TextRows, list[dict[str, object]]]]:
    """Rows with these columns, and the attributes of each; a row with one that is not of its type is malformed."""
    types = mapping.attribute_types
    for rows in table.rows(list(dict.fromkeys([*names, *types])), list(types)):
        attributes: list[dict[str, object]] = [{} for _ in range(len(rows.line_nos))]
        faults: dict[int, str] = {}
        for name, kind in types.items():
            for row, value in enumerate(rows.values[name]):
                try:
                    attributes[row][name] = value if kind is None else typed(value, kind, mapping.tags_separator)
                except ValueError as error:
                    faults.setdefault(row, f"{name} {error}")
        if faults:
            good = [row for row in range(len(attributes)) if row not in faults]
            rows, attributes = _without(rows, faults), [attributes[row] for row in good]
        yield rows, attributes


def _without(rows: TextRows, faults: dict[int, str]) -> TextRows:
    """The rows without some, which become malformed for these reasons."""
    texts = {name: values.to_pylist() for name, values in rows.columns.items()}
    line_nos = rows.line_nos.to_pylist()
    malformed = [
        Malformed(line_nos[row], "\t".join(values[row] or "" for values in texts.values()), reason)
        for row, reason in sorted(faults.items())
    ]
    good = pa.array([row for row in range(len(line_nos)) if row not in faults], pa.int64())
    columns = {name: values.take(good) for name, values in rows.columns.items()}
    return TextRows(columns, rows.line_nos.take(good), [*rows.malformed, *malformed], rows.bytes_read)
