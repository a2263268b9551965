"""Files that are broken: each fault is named, and what is good goes on."""

import gzip
import os
import tracemalloc
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from recsql.errors import InputError, NotFoundError
from recsql.readers import records
from recsql.readers.delimited import CsvReader
from recsql.readers.quoting import Quoting
from recsql.readers.streams import ByteStream, open_stream


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read(path: Path) -> tuple[list[tuple[str, str]], list[tuple[int, str, str]]]:
    """(line, user) of the rows, and the malformed lines."""
    rows, malformed = [], []
    for batch in CsvReader(path).events():
        rows += [(row["line_no"], row["user_id"]) for row in batch.rows.to_pylist()]
        malformed += [(line.line_no, line.raw, line.reason) for line in batch.malformed]
    return rows, malformed


def test_wrong_numbers_of_columns_are_malformed(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", b"user,item\nu1,i1\nu2\nu3,i3,x\n\nu4,i4\n")
    assert read(path) == (
        [("2", "u1"), ("6", "u4")],
        [(3, "u2", "1 column where 2 were expected"), (4, "u3,i3,x", "3 columns where 2 were expected")],
    )


def test_bytes_that_are_no_text_are_malformed(tmp_path: Path) -> None:
    latin = "u2,café".encode("latin-1")
    path = write(tmp_path / "e.csv", b"user,item\n" + "u1,café\n".encode() + latin + b"\nu3,a\0b\nu4,i4\n")
    assert read(path) == (
        [("2", "u1"), ("5", "u4")],
        [(3, r"u2,caf\xe9", "bytes that are not UTF-8"), (4, r"u3,a\x00b", "a NUL byte")],
    )


def test_faults_in_columns_that_are_not_read_count_as_well(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", b"user,item,note\nu1,i1,\xff\n")
    assert read(path) == ([], [(2, r"u1,i1,\xff", "bytes that are not UTF-8")])


def test_a_quote_that_stays_open_costs_its_own_line_only(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", b'user,item\nu1,i1\n"u2,i2\nu3,i3\nu4,i4\n')
    assert read(path) == (
        [("2", "u1"), ("4", "u3"), ("5", "u4")],
        [(3, '"u2,i2', "a quote is opened and not closed")],
    )


def test_a_stray_quote_that_swallows_lines_costs_its_own_line_only(tmp_path: Path) -> None:
    # The quote of line 3 closes on line 5, which makes one record of 1 column of lines 3 to 5.
    path = write(tmp_path / "e.csv", b'user,item\nu1,i1\n"u2,i2\nu3,i3\nu4,"i4"\nu5,i5\n')
    assert read(path) == (
        [("2", "u1"), ("4", "u3"), ("5", "u4"), ("6", "u5")],
        [(3, '"u2,i2', "1 column where 2 were expected")],
    )


def test_few_faults_in_many_rows_are_found_exactly(tmp_path: Path) -> None:
    lines = [f"u{number},i{number}".encode() for number in range(2, 50_002)]
    # Line 30,001 of the file is index 29,999, for the header is line 1.
    lines[29_999] = b"u30001;i30001"
    rows, malformed = read(write(tmp_path / "e.csv", b"user,item\n" + b"\n".join(lines)))
    assert malformed == [(30_001, "u30001;i30001", "1 column where 2 were expected")]
    assert len(rows) == 49_999
    assert all(user == f"u{line_no}" for line_no, user in rows)


def test_a_field_of_ten_megabytes_passes(tmp_path: Path) -> None:
    big = b"x" * (10 << 20)
    path = write(tmp_path / "e.csv", b"user,item\nu1,i1\n" + big + b',"' + big + b'"\nu3,i3\n')
    rows, malformed = read(path)
    assert not malformed
    assert [line_no for line_no, _ in rows] == ["2", "3", "4"]
    assert len(rows[1][1]) == 10 << 20


def test_a_line_beyond_the_limit_is_malformed_and_cut(tmp_path: Path) -> None:
    content = b"u1,i1\n" + b"y" * 5000 + b"\nu2,i2\n" + b'"u3,' + b"z\n" * 2000 + b"u4,i4\n"
    with open_stream(write(tmp_path / "e.csv", content)) as stream:
        blocks = list(records.cut(stream, Quoting(","), block_bytes=64, max_record_bytes=1000))
    malformed = [line for block in blocks for line in block.malformed]
    assert [(line.line_no, line.reason) for line in malformed] == [
        (2, "longer than 1,000 bytes"),
        (4, "a quote is opened and not closed"),
    ]
    assert b"".join(block.data for block in blocks) == b"u1,i1\nu2,i2\n" + b"z\n" * 1999 + b"u4,i4\n"
    # The first z ends line 4, the others are lines 5 to 2,003, u4 is on line 2,004.
    assert blocks[-1].line_no + blocks[-1].data.count(b"\n") == 2005


def test_raw_text_of_a_malformed_line_is_bounded() -> None:
    raw = records.escape(b"a" * 100_000)
    assert raw == "a" * records.RAW_BYTES + "… (100,000 bytes in all)"


def test_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    with path.open("wb") as file:
        file.write(b"user,item\n")
        for _ in range(40):
            file.write(b"user-1,item-1\n" * 75_000)
    tracemalloc.start()
    before, n_rows, most = pa.total_allocated_bytes(), 0, 0
    for batch in CsvReader(path).events():
        n_rows += batch.rows.num_rows
        most = max(most, pa.total_allocated_bytes() - before)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_rows == 3_000_000
    # A file of 42 MB, read in blocks of 4 MiB.
    assert peak < 32 << 20
    assert most < 128 << 20


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf16_is_refused(tmp_path: Path, mark: bytes) -> None:
    with pytest.raises(InputError, match="is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8"):
        CsvReader(write(tmp_path / "e.csv", mark + b"u\0s\0"))


def test_lines_that_end_in_cr_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="CR alone"):
        CsvReader(write(tmp_path / "e.csv", b"user,item\ru1,i1\r"))


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b" \n\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"e\.csv is empty"):
        CsvReader(write(tmp_path / "e.csv", content))


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.csv does not exist"):
        CsvReader(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        CsvReader(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is not a regular file"):
        CsvReader(tmp_path / "pipe")


def zipped(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("e.csv", content)
    return path


def many_lines() -> bytes:
    return b"user,item\n" + b"".join(os.urandom(8).hex().encode() + b",i\n" for _ in range(200_000))


def test_a_truncated_zip_is_refused_at_once(tmp_path: Path) -> None:
    path = zipped(tmp_path / "e.zip", b"user,item\nu1,i1\n" * 1000)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="truncated or damaged"):
        CsvReader(path)


def test_a_damaged_zip_is_refused_before_the_first_row(tmp_path: Path) -> None:
    path = zipped(tmp_path / "e.zip", many_lines())
    content = bytearray(path.read_bytes())
    # Far behind what is read to find the columns.
    content[-1000] ^= 0xFF
    path.write_bytes(bytes(content))
    reader = CsvReader(path)
    with pytest.raises(InputError, match="truncated or damaged"):
        next(iter(reader.events()))


def test_a_truncated_gzip_is_refused_where_it_breaks_off(tmp_path: Path) -> None:
    packed = gzip.compress(many_lines())
    reader = CsvReader(write(tmp_path / "e.csv.gz", packed[: len(packed) * 3 // 4]))
    with pytest.raises(InputError, match="truncated or damaged"):
        list(reader.events())


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "e.zip", b"user,item\nu1,i1\n")
    content = bytearray(path.read_bytes())
    # The first bit of the flags, in the local header and in the central directory.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="cannot be unpacked"):
        CsvReader(path)


def test_stream_counts_bytes(tmp_path: Path) -> None:
    with open_stream(write(tmp_path / "e.csv", b"user,item\n")) as stream:
        assert isinstance(stream, ByteStream)
        assert stream.read(4) == b"user"
        assert (stream.bytes_read, stream.total_bytes) == (4, 10)
