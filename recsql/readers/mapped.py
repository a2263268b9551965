"""Readers of tables whose columns are mapped by name."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from recsql.readers.attributes import rows_with_attributes, split_tags
from recsql.readers.base import ENTITY_SCHEMA, EVENT_SCHEMA, Batch
from recsql.readers.mapping import (
    RATINGS,
    EntityMapping,
    FileMapping,
    ItemMapping,
    Mapping,
    UserMapping,
    choose,
)
from recsql.readers.table import Table, TextRows

READER_VERSION = 2
"""Part of each fingerprint: goes up when a reader gives other rows for the same file."""

EVENT_ROLES = ("user_id", "item_id", "kind", "value", "at")
ITEM_ROLES = ("item_id", "title", "body", "tags", "domain", "published_at", "image", "audio")
MEDIA_ROLES = ("image", "audio")

OpenTable = Callable[[Path, FileMapping], Table]


def fingerprint(*parts: str) -> str:
    """SHA-256 over parts and the version of the readers."""
    return hashlib.sha256("\n".join([str(READER_VERSION), *parts]).encode()).hexdigest()


def constant(value: str | None, length: int) -> pa.Array:
    """A text column that is the same in each row."""
    return pa.nulls(length, pa.string()) if value is None else pa.repeat(pa.scalar(value, pa.string()), length)


def event_batch(rows: TextRows, columns: dict[str, str | None], kind_value: str, offset: int = 0) -> Batch:
    """Events from rows.

    Args:
        rows: the rows of a table.
        columns: the column of each role; a role without one is null, and the kind ``kind_value``.
        kind_value: kind of all events where there is no such column.
        offset: bytes that were read before this table.
    """
    length = len(rows.line_nos)
    arrays = [rows.line_nos.cast(pa.string())]
    for role in EVENT_ROLES:
        name = columns.get(role)
        if name is not None:
            arrays.append(rows.columns[name])
        else:
            arrays.append(constant(kind_value if role == "kind" else None, length))
    batch = pa.record_batch(arrays, schema=EVENT_SCHEMA)
    return Batch(batch, rows.malformed, offset + rows.bytes_read)


def entity_batch(
    entity: str, line_nos: pa.Array, entity_ids: pa.Array, payloads: list[str], source: TextRows, offset: int = 0
) -> Batch:
    """Items or users from their ids and payloads."""
    arrays = [line_nos.cast(pa.string()), constant(entity, len(payloads)), entity_ids, pa.array(payloads, pa.string())]
    return Batch(pa.record_batch(arrays, schema=ENTITY_SCHEMA), source.malformed, offset + source.bytes_read)


def medium(modality: str, address: str, folder: Path) -> dict[str, str]:
    """A medium as it stands in the payload of an item: its address, or the bytes of a file.

    Cleaning refuses the item of a file that is not there.
    """
    if "://" not in address:
        with suppress(OSError, ValueError):
            content = (folder / address).read_bytes()
            return {"modality": modality, "base64": base64.b64encode(content).decode("ascii")}
    return {"modality": modality, "uri": address}


class MappedReader:
    """Events, items and users of files of named columns.

    Args:
        name: name of the source.
        path: the file of the events.
        mapping: which columns mean what; guessed when left out.
        open_table: opens a file as a table.

    Raises:
        InputError: a file cannot be read, or a column is missing.
    """

    def __init__(self, name: str, path: Path, mapping: Mapping | None, open_table: OpenTable) -> None:
        self._name = name
        self.mapping = mapping or Mapping()
        self._events = open_table(path, self.mapping)
        items, users = self.mapping.items, self.mapping.users
        self._items = open_table(items.path, items) if items else None
        self._users = open_table(users.path, users) if users else None
        self._event_columns = self._choose(self._events, self.mapping, EVENT_ROLES, ("user_id", "item_id"))
        if self.mapping.kind_value is not None and self.mapping.kind is None:
            self._event_columns["kind"] = None
        self._kind_value = self.mapping.kind_value or self._guess_kind_value()
        if self._items and items:
            self._item_columns = self._choose(self._items, items, ITEM_ROLES, ("item_id",))
        if self._users and users:
            self._user_columns = self._choose(self._users, users, ("user_id",), ("user_id",))

    @property
    def name(self) -> str:
        """Short name of the source, for messages."""
        return self._name

    @property
    def total_bytes(self) -> int:
        """Size of all files, unpacked where that is known."""
        return sum(table.total_bytes for table in self._tables())

    def fingerprint(self) -> str:
        """SHA-256 over the files and the mapping, not over their paths."""
        mapping = self.mapping.model_dump(mode="json")
        for part in (mapping["items"], mapping["users"]):
            if part:
                del part["path"]
        digests = [table.digest() for table in self._tables()]
        return fingerprint(self._name, json.dumps(mapping, sort_keys=True), *digests)

    def entities(self) -> Iterator[Batch]:
        """The items, then the users."""
        offset = 0
        if self._items and self.mapping.items:
            yield from self._item_batches(self._items, self.mapping.items)
            offset = self._items.total_bytes
        if self._users and self.mapping.users:
            yield from self._user_batches(self._users, self.mapping.users, offset)

    def events(self) -> Iterator[Batch]:
        """Events in the order of the file."""
        names = list(dict.fromkeys(name for name in self._event_columns.values() if name is not None))
        offset = self.total_bytes - self._events.total_bytes
        for rows in self._events.rows(names):
            yield event_batch(rows, self._event_columns, self._kind_value, offset)

    def _tables(self) -> list[Table]:
        return [table for table in (self._items, self._users, self._events) if table is not None]

    def _guess_kind_value(self) -> str:
        guessed = self.mapping.value is None and (self._event_columns["value"] or "").lower() in RATINGS
        return "rating" if guessed else "view"

    @staticmethod
    def _choose(
        table: Table, mapping: FileMapping, roles: tuple[str, ...], required: tuple[str, ...]
    ) -> dict[str, str | None]:
        names = table.names
        if isinstance(mapping, EntityMapping):
            for attribute in mapping.attribute_types:
                choose("attributes", attribute, names, table.label)
        return {
            role: choose(role, getattr(mapping, role), names, table.label, required=role in required) for role in roles
        }

    def _item_batches(self, table: Table, mapping: ItemMapping) -> Iterator[Batch]:
        columns = {role: name for role, name in self._item_columns.items() if name is not None}
        for rows, attributes in rows_with_attributes(table, mapping, list(columns.values())):
            texts = {name: rows.columns[name].to_pylist() for name in columns.values()}
            payloads = []
            for row, of_row in enumerate(attributes):
                payload: dict[str, object] = {
                    role: texts[name][row]
                    for role, name in columns.items()
                    if role not in ("item_id", "tags", *MEDIA_ROLES)
                }
                payload = {role: value for role, value in payload.items() if value not in (None, "")}
                payload.setdefault("domain", self.mapping.domain)
                if "tags" in columns:
                    payload["tags"] = split_tags(texts[columns["tags"]][row] or "", mapping.tags_separator)
                media = [
                    medium(role, texts[columns[role]][row], mapping.path.parent)
                    for role in MEDIA_ROLES
                    if role in columns and texts[columns[role]][row]
                ]
                if media:
                    payload["media"] = media
                payload["attributes"] = of_row
                payloads.append(json.dumps(payload, ensure_ascii=False))
            yield entity_batch("item", rows.line_nos, rows.columns[columns["item_id"]], payloads, rows)

    def _user_batches(self, table: Table, mapping: UserMapping, offset: int) -> Iterator[Batch]:
        user_id = self._user_columns["user_id"] or "user_id"
        for rows, attributes in rows_with_attributes(table, mapping, [user_id]):
            payloads = [json.dumps({"attributes": of_row}, ensure_ascii=False) for of_row in attributes]
            yield entity_batch("user", rows.line_nos, rows.columns[user_id], payloads, rows, offset)
