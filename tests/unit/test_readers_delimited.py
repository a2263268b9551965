"""Delimited files that are as they should be."""

import csv
import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsql.errors import InputError
from recsql.readers import delimited
from recsql.readers.base import EVENT_SCHEMA, Malformed, Reader
from recsql.readers.delimited import CsvReader, DelimitedTable, sniff_delimiter
from recsql.readers.mapping import Mapping

EVENTS = "userId,itemId,rating,timestamp\nu1,i1,4.0,964982703\nu2,i2,3,2024-01-01T00:00:00Z\n"


def event_rows(reader: Reader) -> list[tuple[str | None, ...]]:
    return [tuple(row.values()) for batch in reader.events() for row in batch.rows.to_pylist()]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_csv_reader_guesses_columns_and_keeps_text(tmp_path: Path) -> None:
    reader = CsvReader(write(tmp_path / "e.csv", EVENTS))
    batches = list(reader.events())
    assert [batch.rows.schema for batch in batches] == [EVENT_SCHEMA]
    # The header is line 1; a column of ratings makes the kind a rating; numbers stay the text that they were.
    assert event_rows(reader) == [
        ("2", "u1", "i1", "rating", "4.0", "964982703"),
        ("3", "u2", "i2", "rating", "3", "2024-01-01T00:00:00Z"),
    ]
    assert batches[-1].bytes_read == reader.total_bytes == len(EVENTS)


def test_csv_reader_without_value_gives_views_and_nulls(tmp_path: Path) -> None:
    reader = CsvReader(write(tmp_path / "e.csv", "user,item\nu1,\n"))
    assert event_rows(reader) == [("2", "u1", "", "view", None, None)]


def test_csv_reader_reads_kinds_of_a_column(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "user,item,event\nu1,i1,click\n")
    assert event_rows(CsvReader(path)) == [("2", "u1", "i1", "click", None, None)]
    constant = Mapping(kind_value="like")
    assert event_rows(CsvReader(path, constant)) == [("2", "u1", "i1", "like", None, None)]


@pytest.mark.parametrize(
    ("delimiter", "name"), [(",", "comma"), ("\t", "tab"), (";", "semicolon"), ("|", "bar"), ("::", "double colon")]
)
def test_csv_reader_sniffs_the_delimiter(tmp_path: Path, delimiter: str, name: str) -> None:
    lines = [["user", "item", "title"], ["u1", "i1", "a b"], ["u2", "i2", "c"]]
    path = write(tmp_path / f"{name}.txt", "\n".join(delimiter.join(line) for line in lines))
    assert [row[:3] for row in event_rows(CsvReader(path))] == [("2", "u1", "i1"), ("3", "u2", "i2")]


def test_sniff_delimiter_ignores_what_is_quoted_or_uneven() -> None:
    # Commas: 1 and 3 a line; bars: 2 in both.
    assert sniff_delimiter(b'a,b|c|d\n1,2,3,|4|5\n"x,y,z"|1|2\n') == "|"
    assert sniff_delimiter(b"alone\n") == ","


def test_csv_reader_takes_names_for_a_file_without_header(tmp_path: Path) -> None:
    path = write(tmp_path / "e.tsv", "u1\ti1\t5\nu2\ti2\t1\n")
    mapping = Mapping(columns=["user_id", "item_id", "value"], kind_value="rating")
    assert event_rows(CsvReader(path, mapping)) == [
        ("1", "u1", "i1", "rating", "5", None),
        ("2", "u2", "i2", "rating", "1", None),
    ]


def test_csv_reader_numbers_physical_lines(tmp_path: Path) -> None:
    content = 'user,item,note\r\nu1,i1,"two\r\nlines, ""quoted"""\r\n\r\nu2,i2,5" disc\r\nu3,i3,last'
    path = write(tmp_path / "e.csv", content)
    # Header 1, u1 on 2 and 3, line 4 blank, u2 on 5, u3 on 6 without a newline.
    assert event_rows(CsvReader(path, Mapping(kind="note"))) == [
        ("2", "u1", "i1", 'two\r\nlines, "quoted"', None, None),
        ("5", "u2", "i2", '5" disc', None, None),
        ("6", "u3", "i3", "last", None, None),
    ]


def test_csv_reader_without_quoting_takes_quotes_as_text(tmp_path: Path) -> None:
    path = write(tmp_path / "e.tsv", 'user\titem\n"u1\t"i1"\n')
    assert event_rows(CsvReader(path, quoting=False)) == [("2", '"u1', '"i1"', "view", None, None)]


def test_csv_reader_skips_the_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", b"\xef\xbb\xbfuser,item\nu1,i1\n")
    assert event_rows(CsvReader(path)) == [("2", "u1", "i1", "view", None, None)]


def test_csv_reader_unpacks_gzip_and_zip(tmp_path: Path) -> None:
    packed = write(tmp_path / "e.csv.gz", gzip.compress(EVENTS.encode()))
    archive = tmp_path / "e.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("folder/e.csv", EVENTS)
    plain = event_rows(CsvReader(write(tmp_path / "e.csv", EVENTS)))
    assert len(plain) == 2
    assert event_rows(CsvReader(packed)) == plain
    assert event_rows(CsvReader(archive)) == plain
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("other.csv", "x")
    with pytest.raises(InputError, match=r"holds 2 files \(folder/e.csv, other.csv\)"):
        CsvReader(archive)
    assert event_rows(CsvReader(archive, Mapping(member="folder/e.csv"))) == plain
    with pytest.raises(InputError, match=r"holds no none.csv; it holds folder/e.csv"):
        CsvReader(archive, Mapping(member="none.csv"))


def test_csv_reader_gives_the_same_rows_whatever_the_block(tmp_path: Path) -> None:
    lines = [f'u{i},"i\n{i}",{i}' if i % 7 == 0 else f"u{i},i{i},{i}" for i in range(500)]
    path = write(tmp_path / "e.csv", "user,item,value\n" + "\n".join(lines) + "\n")

    def rows(block_bytes: int) -> list[tuple[object, ...]]:
        table = DelimitedTable(path, block_bytes=block_bytes)
        return [
            row
            for part in table.rows(["user", "item"])
            for row in zip(
                part.line_nos.to_pylist(), *(values.to_pylist() for values in part.columns.values()), strict=True
            )
        ]

    whole = rows(1 << 20)
    assert len(whole) == 500
    # Line 1 is the header, u0 takes lines 2 and 3, u1 is on 4.
    assert whole[:2] == [(2, "u0", "i\n0"), (4, "u1", "i1")]
    assert rows(17) == whole
    assert rows(256) == whole


def test_fingerprint_is_of_content_and_mapping(tmp_path: Path) -> None:
    first = CsvReader(write(tmp_path / "a.csv", EVENTS))
    assert CsvReader(write(tmp_path / "b.csv", EVENTS)).fingerprint() == first.fingerprint()
    assert len(first.fingerprint()) == 64
    assert CsvReader(write(tmp_path / "c.csv", EVENTS + "u,i,1,1\n")).fingerprint() != first.fingerprint()
    assert CsvReader(tmp_path / "a.csv", Mapping(kind_value="like")).fingerprint() != first.fingerprint()


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
tables = st.lists(st.lists(texts, min_size=3, max_size=3), min_size=1, max_size=20)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=tables, block_bytes=st.sampled_from([1, 16, 1 << 20]))
def test_csv_round_trip(tmp_path: Path, rows: list[list[str]], block_bytes: int) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *rows])
    path = write(tmp_path / "t.csv", buffer.getvalue())
    table = DelimitedTable(path, delimiter=",", block_bytes=block_bytes)
    parts = list(table.rows(["a", "b", "c"]))
    read = [list(row) for part in parts for row in zip(*(part.columns[n].to_pylist() for n in "abc"), strict=True)]
    assert read == rows
    assert not [line for part in parts for line in part.malformed]


pieces = st.sampled_from([b"a", b",", b"\n", b'"', b'""', b"\r\n", b"\r", b"\xff", b"\0", "é".encode(), b"x,y\n"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(pieces, min_size=1, max_size=40).map(b"".join), block_bytes=st.sampled_from([1, 7]))
def test_any_bytes_give_the_same_whatever_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, block_bytes: int
) -> None:
    path = write(tmp_path / "t.csv", b"x,y\n" + data)

    def read(block_bytes: int, piece_bytes: int) -> tuple[list[tuple[Any, ...]], list[Malformed]]:
        monkeypatch.setattr(delimited, "PIECE_BYTES", piece_bytes)
        table = DelimitedTable(path, delimiter=",", columns=["a", "b"], block_bytes=block_bytes)
        parts = list(table.rows(["a", "b"]))
        rows = [
            row
            for part in parts
            for row in zip(
                part.line_nos.to_pylist(), part.columns["a"].to_pylist(), part.columns["b"].to_pylist(), strict=True
            )
        ]
        return rows, [line for part in parts for line in part.malformed]

    rows, malformed = read(1 << 20, 1 << 20)
    assert rows[0] == (1, "x", "y")
    assert read(block_bytes, 1) == (rows, malformed)
