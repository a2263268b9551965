"""Which columns mean what."""

import json
from pathlib import Path
from typing import Any

import pytest

from recsql.errors import InputError
from recsql.readers.attributes import split_tags
from recsql.readers.base import ENTITY_SCHEMA
from recsql.readers.delimited import CsvReader
from recsql.readers.factory import open_reader
from recsql.readers.mapping import Mapping, guess


def write(path: Path, content: str) -> Path:
    path.write_text(content, "utf-8")
    return path


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return write(tmp_path / "events.csv", "who,what,how,at\nu1,i1,click,5\n")


def test_guess_prefers_the_first_alias_and_ignores_case() -> None:
    assert guess("user_id", ["x", "reviewerID"]) == "reviewerID"
    assert guess("value", ["rating", "value"]) == "value"
    assert guess("item_id", ["title"]) is None


def test_mapping_names_columns(events: Path) -> None:
    mapping = Mapping.from_options({"user_id": "who", "item_id": "what", "kind": "how", "value": None})
    rows = [row for batch in CsvReader(events, mapping).events() for row in batch.rows.to_pylist()]
    assert rows == [
        {"line_no": "2", "user_id": "u1", "item_id": "i1", "kind": "click", "value": None, "at": "5"},
    ]


def test_one_column_can_have_two_roles(events: Path) -> None:
    mapping = Mapping(user_id="who", item_id="who", kind_value="like")
    (batch,) = CsvReader(events, mapping).events()
    assert batch.rows.column("item_id").to_pylist() == batch.rows.column("user_id").to_pylist() == ["u1"]


def test_missing_column_names_those_that_exist(events: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'person' for user_id; it has: who, what, how, at. Name one"):
        CsvReader(events, Mapping(user_id="person", item_id="what"))
    with pytest.raises(InputError, match=r"no column that is known as user_id; it has: who, what, how, at"):
        CsvReader(events)


def test_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "user,item,item\nu1,i1,i2\n")
    with pytest.raises(InputError, match="has 2 columns item; rename"):
        CsvReader(path, Mapping(item_id="item"))


def test_mapping_refuses_what_means_nothing() -> None:
    with pytest.raises(InputError, match=r"flags: usr means nothing; what can be mapped is .*user_id"):
        Mapping.from_options({"usr": "x"}, label="flags")
    with pytest.raises(InputError, match="domain"):
        Mapping.from_options({"domain": ""})


def test_mapping_from_toml(tmp_path: Path, events: Path) -> None:
    write(tmp_path / "items.tsv", "id\ttitle\tgenres\tyear\ti2\nA\tFirst\tx; y\t1999\t\nB\t\t\t\t\n")
    write(tmp_path / "users.csv", "uid,age\nu1,33\n")
    toml = write(
        tmp_path / "map.toml",
        """
user_id = "who"
item_id = "what"
kind = "how"
domain = "books"

[items]
path = "items.tsv"
item_id = "id"
tags_separator = ";"
attributes = ["year"]

[users]
path = "users.csv"
attributes = ["age"]
""",
    )
    reader = open_reader("csv", events, Mapping.from_toml(toml))
    items, users = reader.entities()
    assert items.rows.schema == users.rows.schema == ENTITY_SCHEMA
    assert [(row["line_no"], row["entity"], row["entity_id"]) for row in items.rows.to_pylist()] == [
        ("2", "item", "A"),
        ("3", "item", "B"),
    ]
    assert [json.loads(payload) for payload in items.rows.column("payload").to_pylist()] == [
        {"title": "First", "domain": "books", "tags": ["x", "y"], "attributes": {"year": "1999"}},
        {"domain": "books", "tags": [], "attributes": {"year": ""}},
    ]
    (user,) = users.rows.to_pylist()
    assert user == {"line_no": "2", "entity": "user", "entity_id": "u1", "payload": '{"attributes": {"age": "33"}}'}
    # Progress goes on from file to file: items and users come first.
    assert items.bytes_read < users.bytes_read
    assert list(reader.events())[-1].bytes_read == reader.total_bytes


def test_mapping_of_media_takes_addresses_and_files(tmp_path: Path, events: Path) -> None:
    write(tmp_path / "items.csv", "id,poster,clip\nA,a.jpg,https://x.example/a.wav\nB,none.jpg,\nC,,\n")
    (tmp_path / "a.jpg").write_bytes(b"\x00picture")
    toml = write(
        tmp_path / "map.toml",
        """
user_id = "who"
item_id = "what"

[items]
path = "items.csv"
item_id = "id"
image = "poster"
audio = "clip"
""",
    )
    (items,) = open_reader("csv", events, Mapping.from_toml(toml)).entities()
    media = [json.loads(payload).get("media") for payload in items.rows.column("payload").to_pylist()]
    # base64 of 00 70 69 63 74 75 72 65; cleaning refuses what is neither a file nor an address.
    assert media == [
        [{"modality": "image", "base64": "AHBpY3R1cmU="}, {"modality": "audio", "uri": "https://x.example/a.wav"}],
        [{"modality": "image", "uri": "none.jpg"}],
        None,
    ]


def test_toml_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not valid TOML"):
        Mapping.from_toml(write(tmp_path / "a.toml", "user_id = who"))
    with pytest.raises(InputError, match="means nothing"):
        Mapping.from_toml(write(tmp_path / "b.toml", "[items]\npath = 'x'\nname = 'y'\n"))
    with pytest.raises(InputError, match="does not exist"):
        Mapping.from_toml(tmp_path / "c.toml")


def test_missing_attribute_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "user,item\nu1,i1\n")
    mapping = Mapping.from_options({"items": {"path": path, "attributes": ["colour"]}})
    with pytest.raises(InputError, match=r"no column 'colour' for attributes; it has: user, item"):
        CsvReader(path, mapping)


def test_attributes_of_a_text_file_have_the_types_that_the_mapping_gives(tmp_path: Path) -> None:
    lines = [
        "sku,name,price,stock,new,sizes,note,plain",
        "A,One,85.46,3,yes,S; M,007,1",
        'B,,-1e3,,False,"[36, ""L""]",,',
        "C,,cheap,3,1,,x,2",
        "D,,1,3,perhaps,,x,3",
        "E,,1,1_000,0,,x,4",
        "F,,1e999,3,0,,x,5",
    ]
    items = write(tmp_path / "items.csv", "\n".join(lines) + "\n")
    types = {"price": "number", "stock": "number", "new": "boolean", "sizes": "list", "note": "text"}
    options = {"path": items, "item_id": "sku", "tags_separator": ";", "attributes": types}
    reader = CsvReader(write(tmp_path / "e.csv", "user,item\nu1,A\n"), Mapping.from_options({"items": options}))
    (batch,) = reader.entities()
    assert [(row["entity_id"], json.loads(row["payload"])["attributes"]) for row in batch.rows.to_pylist()] == [
        ("A", {"price": 85.46, "stock": 3, "new": True, "sizes": ["S", "M"], "note": "007"}),
        ("B", {"price": -1000.0, "stock": None, "new": False, "sizes": ["36", "L"], "note": ""}),
    ]
    assert [(fault.line_no, fault.reason) for fault in batch.malformed] == [
        (4, "price is no number"),
        (5, "new is no boolean"),
        (6, "stock is no number"),
        (7, "price is no number"),
    ]
    assert batch.malformed[0].raw == "C\t\tcheap\t3\t1\t\tx"
    # The same file with other types is other content.
    assert (
        CsvReader(
            reader._events.path, Mapping.from_options({"items": options | {"attributes": ["price"]}})
        ).fingerprint()
        != reader.fingerprint()
    )


def test_typed_attributes_of_users_are_refused_too(tmp_path: Path, events: Path) -> None:
    users = write(tmp_path / "users.csv", "uid,age\nu1,33\nu2,old\n")
    mapping = {"user_id": "who", "item_id": "what", "users": {"path": users, "attributes": {"age": "number"}}}
    (batch,) = CsvReader(events, Mapping.from_options(mapping)).entities()
    assert batch.rows.column("payload").to_pylist() == ['{"attributes": {"age": 33}}']
    assert [(fault.line_no, fault.raw, fault.reason) for fault in batch.malformed] == [
        (3, "u2\told", "age is no number")
    ]


@pytest.mark.parametrize("attributes", ["price", {"price": "money"}, 3])
def test_attributes_that_are_neither_columns_nor_types_are_refused(tmp_path: Path, attributes: Any) -> None:
    options = {"items": {"path": tmp_path, "attributes": attributes}}
    with pytest.raises(InputError, match=r'items\.attributes is a list of columns, or a table .* "boolean" or "list"'):
        Mapping.from_options(options)


def test_option_that_a_section_has_not_is_told_with_those_that_it_has(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"items\.titel means nothing; what can be mapped is .*title, body, tags"):
        Mapping.from_options({"items": {"path": tmp_path, "titel": "name"}})


def test_split_tags() -> None:
    assert split_tags("Action|Sci-Fi| |", "|") == ["Action", "Sci-Fi"]
    assert split_tags('["a|b", 3, null]', "|") == ["a|b", "3"]
    assert split_tags("[not json", "|") == ["[not json"]
    assert split_tags("", "|") == []


def test_open_reader_refuses_what_it_does_not_know(events: Path) -> None:
    with pytest.raises(
        InputError, match=r"excel is no source; known are movielens-100k, .*csv, parquet, jsonl, simulated"
    ):
        open_reader("excel")
    with pytest.raises(InputError, match="csv needs the path of a file"):
        open_reader("csv")
    with pytest.raises(InputError, match="leave the mapping out"):
        open_reader("movielens-100k", mapping=Mapping())
    with pytest.raises(InputError, match="simulated data come from no file"):
        open_reader("simulated", events)
    with pytest.raises(InputError, match="simulated has no such option: n_cats"):
        open_reader("simulated", n_cats=3)
