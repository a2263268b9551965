"""Parquet and JSON lines."""

import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsql.errors import InputError
from recsql.readers.base import EVENT_SCHEMA, Reader
from recsql.readers.factory import open_reader
from recsql.readers.jsonl import JsonlReader, JsonlTable
from recsql.readers.mapping import Mapping
from recsql.readers.parquet import ParquetReader, ParquetTable


def event_rows(reader: Reader) -> list[tuple[str | None, ...]]:
    return [tuple(row.values()) for batch in reader.events() for row in batch.rows.to_pylist()]


def faults(reader: Reader) -> list[tuple[int, str, str]]:
    return [(line.line_no, line.raw, line.reason) for batch in reader.events() for line in batch.malformed]


def parquet(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_reader_gives_text_of_all_types(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "e.parquet",
        user=pa.array([1, None], pa.int64()),
        item=pa.array(["a", "b"]).dictionary_encode(),
        rating=pa.array([4.5, 3.0], pa.float64()),
        timestamp=pa.array([datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), None], pa.timestamp("s", "UTC")),
        price=pa.array([Decimal("1.50"), None]),
    )
    reader = ParquetReader(path)
    assert event_rows(reader) == [
        ("1", "1", "a", "rating", "4.5", "2024-01-02 03:04:05.000Z"),
        ("2", None, "b", "rating", "3", None),
    ]
    assert [batch.rows.schema for batch in reader.events()] == [EVENT_SCHEMA]
    assert list(reader.events())[-1].bytes_read == reader.total_bytes
    (rows,) = ParquetTable(path).rows(["price"])
    assert rows.columns["price"].to_pylist() == ["1.50", None]


def test_parquet_rows_that_are_no_text_are_malformed(tmp_path: Path) -> None:
    # A string column with invalid UTF-8, as some writers leave it.
    users = pa.array([b"ok", b"caf\xe9", b"a\0b", None], pa.binary()).view(pa.string())
    path = parquet(tmp_path / "e.parquet", user=users, item=pa.array([1, 2, 3, 4]))
    reader = ParquetReader(path)
    assert event_rows(reader) == [("1", "ok", "1", "view", None, None), ("4", None, "4", "view", None, None)]
    assert faults(reader) == [
        (2, "caf\\xe9\t2", "bytes that are not UTF-8"),
        (3, "a\\x00b\t3", "a NUL byte"),
    ]


def test_parquet_items_have_lists_of_tags(tmp_path: Path) -> None:
    events = parquet(tmp_path / "e.parquet", user=pa.array(["u"]), item=pa.array(["i"]))
    items = parquet(
        tmp_path / "i.parquet", item_id=pa.array(["i"]), tags=pa.array([["x|y", "z"]]), size=pa.array([{"w": 1}])
    )
    mapping = Mapping.from_options({"items": {"path": items, "attributes": ["size"]}})
    (batch,) = open_reader("parquet", events, mapping).entities()
    assert json.loads(batch.rows.column("payload")[0].as_py()) == {
        "domain": "default",
        "tags": ["x|y", "z"],
        "attributes": {"size": {"w": 1}},
    }


def test_attributes_have_the_types_of_the_file(tmp_path: Path) -> None:
    events = parquet(tmp_path / "e.parquet", user=pa.array(["u"]), item=pa.array(["a"]))
    items = parquet(
        tmp_path / "i.parquet",
        item_id=pa.array(["a", "b\0", "c"]),
        ok=pa.array([True, True, None]),
        stock=pa.array([3, 4, 5], pa.int32()),
        price=pa.array([1.5, 2.5, float("nan")]),
        paid=pa.array([Decimal("1.50"), None, None]),
        colours=pa.array([["red", None], [], ["blue"]]).cast(pa.list_(pa.string())),
        sizes=pa.array([[0.5, float("nan")], [], [float("inf")]]),
        brand=pa.array(["7", "8", "9"]).dictionary_encode(),
        since=pa.array([datetime(2024, 1, 2, tzinfo=UTC), None, None], pa.timestamp("s", "UTC")),
    )
    names = ["ok", "stock", "price", "paid", "colours", "sizes", "brand", "since"]
    mapping = Mapping.from_options({"items": {"path": items, "attributes": names}})
    (batch,) = open_reader("parquet", events, mapping).entities()
    none = dict.fromkeys(names)
    assert [json.loads(payload)["attributes"] for payload in batch.rows.column("payload").to_pylist()] == [
        none
        | {"ok": True, "stock": 3, "price": 1.5, "paid": 1.5, "colours": ["red", None], "brand": "7"}
        | {"sizes": [0.5, None], "since": "2024-01-02 00:00:00.000Z"},
        none | {"stock": 5, "colours": ["blue"], "sizes": [None], "brand": "9"},
    ]
    lines = [
        '{"item": "a", "ok": true, "stock": 3, "price": 1.5, "paid": "1.50", "colours": ["red", 2], "brand": {"n": 7}, '
        '"sizes": [0.5]}',
        '{"item": "b", "stock": 12345678901234567890, "price": 1e999}',
    ]
    path = jsonl(tmp_path / "i.jsonl", *lines)
    mapping = Mapping.from_options({"items": {"path": path, "attributes": names[:-1]}})
    (batch,) = open_reader("jsonl", jsonl(tmp_path / "e.jsonl", '{"user": "u", "item": "a"}'), mapping).entities()
    none = dict.fromkeys(names[:-1])
    assert [json.loads(payload)["attributes"] for payload in batch.rows.column("payload").to_pylist()] == [
        {
            "ok": True,
            "stock": 3,
            "price": 1.5,
            "paid": "1.50",
            "colours": ["red", 2],
            "sizes": [0.5],
            "brand": {"n": 7},
        },
        none | {"stock": 12345678901234567890, "price": "1e999"},
    ]


def test_parquet_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    path.write_bytes(b"user,item\nu1,i1\n")
    with pytest.raises(InputError, match="no Parquet file, or a truncated one"):
        ParquetReader(path)
    parquet(path, user=pa.array(["u"] * 1000), item=pa.array(["i"] * 1000))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="no Parquet file, or a truncated one"):
        ParquetReader(path)
    with pytest.raises(InputError, match="does not exist"):
        ParquetReader(tmp_path / "none.parquet")
    parquet(path, who=pa.array(["u"]))
    with pytest.raises(InputError, match="known as user_id; it has: who"):
        ParquetReader(path)
    with pytest.raises(InputError, match="delimiter means nothing for parquet"):
        ParquetReader(path, Mapping(delimiter=","))


def jsonl(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines) + b"\n")
    return path


def test_jsonl_reader_keeps_the_text_of_numbers(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "e.jsonl",
        '{"user": 12345678901234567890, "item": "a\\u00e9", "rating": 4.50, "ts": 1e9}',
        "",
        '{"item": "b", "rating": null, "user": "u", "extra": [1]}',
        '{"user": true, "item": "c"}',
    )
    assert event_rows(JsonlReader(path)) == [
        ("1", "12345678901234567890", "aé", "rating", "4.50", "1e9"),
        ("3", "u", "b", "rating", None, None),
        ("4", "true", "c", "rating", None, None),
    ]


def test_jsonl_lines_that_are_no_object_are_malformed(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "e.jsonl",
        '{"user": "u1", "item": "i1"}',
        '{"user": "u2", ',
        "[1, 2]",
        b'{"user": "caf\xe9", "item": "i"}',
        '{"user": "a\\u0000b", "item": "i"}',
        '{"user": "\\ud800", "item": "i"}',
        "[" * 100_000,
        '{"user": "u8", "item": "i8"}',
    )
    reader = JsonlReader(path)
    assert event_rows(reader) == [
        ("1", "u1", "i1", "view", None, None),
        ("8", "u8", "i8", "view", None, None),
    ]
    found = faults(reader)
    assert [line_no for line_no, _, _ in found] == [2, 3, 4, 5, 6, 7]
    reasons = [reason for _, _, reason in found]
    assert reasons[0].startswith("not JSON: ")
    assert reasons[1:5] == ["not a JSON object", "bytes that are not UTF-8", "a NUL byte", "bytes that are not UTF-8"]
    assert found[2][1] == r'{"user": "caf\xe9", "item": "i"}'


def test_jsonl_reader_unpacks_gzip_in_blocks(tmp_path: Path) -> None:
    lines = [json.dumps({"user": f"u{number}", "item": "i"}).encode() for number in range(1000)]
    path = tmp_path / "e.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    parts = list(JsonlTable(path, block_bytes=1000).rows(["user"]))
    assert len(parts) > 20
    assert [user for part in parts for user in part.columns["user"].to_pylist()] == [f"u{n}" for n in range(1000)]
    assert [line for part in parts for line in part.line_nos.to_pylist()] == list(range(1, 1001))


def test_jsonl_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is one JSON array; write one object a line first"):
        JsonlReader(jsonl(tmp_path / "a.json", '[{"user": "u"}]'))
    with pytest.raises(InputError, match="no JSON object a line; its first line is not JSON"):
        JsonlReader(jsonl(tmp_path / "b.json", "user,item"))
    with pytest.raises(InputError, match="known as item_id; it has: user"):
        JsonlReader(jsonl(tmp_path / "c.json", '{"user": "u"}'))
    (tmp_path / "d.json").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        JsonlReader(tmp_path / "d.json")
    with pytest.raises(InputError, match="columns means nothing for jsonl"):
        JsonlReader(tmp_path / "d.json", Mapping(columns=["user"]))
