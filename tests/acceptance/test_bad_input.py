"""What is wrong with the input is said in one line, nothing is half loaded, and the next load completes."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outcome import GOOD, NOTHING, State, one, refusal, state
from warm_cli import Finished

Cli = Callable[..., Finished]
HEADER = b"user_id,item_id,rating,timestamp\n"


def loaded(done: Finished) -> dict[str, Any]:
    """What a load said that it did."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def reasons(cli: Cli) -> dict[str, int]:
    """How many rows were refused for each reason, as ``recsql rejected`` tells."""
    return {row["reason"]: row["n_rows"] for row in json.loads(cli("rejected", "--json").stdout)}


PRICE_BELOW_50 = '{"attribute": "price", "op": "<", "value": 50}'


def broken_gzip() -> bytes:
    """A file that breaks off far behind its first rows."""
    dice = random.Random(0)
    rows = b"".join(b"u%d,i%d,4,%d\n" % (dice.randrange(10**9), dice.randrange(10**9), 1.7e9) for _ in range(100_000))
    packed = gzip.compress(HEADER + rows, 1)
    return packed[: len(packed) * 3 // 4]


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        pytest.param(None, [], "does not exist; give the path of an existing file", id="wrong path"),
        pytest.param(b"", [], "is empty; there is nothing to load", id="empty"),
        pytest.param(b"who" + GOOD[7:], [], 'Set user_id = "COLUMN" in the mapping', id="wrong columns"),
        pytest.param(GOOD, ["--at", "when"], "has no column 'when' for at; it has: user_id, item_id", id="no column"),
        pytest.param(GOOD.decode().encode("utf-16"), [], "iconv -f UTF-16 -t UTF-8", id="utf-16"),
        pytest.param(GOOD, ["--max-rejected", "nan"], "is a share of rows, from 0 to 1, not nan", id="no share"),
        pytest.param(GOOD, ["--max-rejected", "7"], "is a share of rows, from 0 to 1, not 7", id="no share either"),
        pytest.param(broken_gzip(), [], "is truncated or damaged", id="truncated gzip"),
    ],
)
def test_unusable_file_loads_nothing(
    cli: Cli, database: str, good_csv: Path, content: bytes | None, options: list[str], told: str
) -> None:
    bad = good_csv.with_name("bad.csv")
    if content is not None:
        bad.write_bytes(content)
    line = refusal(cli("load", "csv", bad, *options))
    assert line.startswith("Error: ")
    assert told in line
    assert state(database) == NOTHING
    assert loaded(cli("load", "csv", good_csv, "--json"))["n_events"] == 3
    assert state(database) == State(3, [], 0)


@pytest.mark.data
def test_broken_zip_of_movielens_loads_nothing(
    cli: Cli, database: str, data_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    good, bad = data_dir("ml-100k/ml-100k.zip"), tmp_path / "ml-100k.zip"
    content = good.read_bytes()
    # In the middle of the packed ratings: the archive opens, and their checksum is wrong.
    fault = content.index(b"u.data") + 100_000
    damaged = content[:fault] + bytes([content[fault] ^ 0xFF]) + content[fault + 1 :]
    for broken in (content[: len(content) // 2], damaged):
        bad.write_bytes(broken)
        line = refusal(cli("load", "movielens-100k", bad))
        assert line.startswith("Error: ")
        assert "truncated or damaged" in line
        assert "fetch or copy the archive again" in line
        assert state(database) == NOTHING
    assert loaded(cli("load", "movielens-100k", good, "--json"))["n_events"] == 100_000
    assert state(database) == State(100_000, [], 0)


def test_rows_that_are_no_text_or_have_no_ids_are_refused_one_by_one(cli: Cli, database: str, good_csv: Path) -> None:
    latin = "u3,café,4,1700000003\n".encode("latin-1")
    utf = "u3,café,4,1700000003\n".encode()
    bad = good_csv.with_name("bad.csv")
    bad.write_bytes(GOOD + utf + latin + b"u4,a\0b,4,1700000003\n-1,i1,4,1700000003\nu1,-7,4,1700000003\n")
    result = loaded(cli("load", "csv", bad, "--json"))
    # Three good rows and the one in UTF-8; four are refused, which is not more than half.
    assert (result["n_rows"], result["n_events"], result["n_rejected"]) == (8, 4, 4)
    assert state(database) == State(4, [], 0)
    assert reasons(cli) == {
        "bytes that are not UTF-8": 1,
        "a NUL byte": 1,
        "malformed user id": 1,
        "malformed item id": 1,
    }
    assert one(database, "select count(*) from recsql.item where item_id = 'café'") == 1
    assert one(database, "select count(*) from recsql.app_user where user_id = '-1'") == 0
    assert one(database, "select count(*) from recsql.item where item_id = '-7'") == 0


def test_file_that_is_mostly_bad_is_given_up(cli: Cli, database: str, good_csv: Path) -> None:
    assert loaded(cli("load", "csv", good_csv, "--json"))["n_events"] == 3
    bad = good_csv.with_name("bad.csv")
    bad.write_bytes(HEADER + b"-1,i1,4,1700000003\n-2,i1,4,1700000004\n-3,i1,4,1700000005\nu9,i9,4,1700000006\n")
    line = refusal(cli("load", "csv", bad))
    assert line.startswith("Error: 3 of 4 events were refused (3 x malformed user id), so none was loaded")
    assert "--max-rejected 1" in line
    assert state(database) == State(3, [], 0)
    assert reasons(cli) == {"malformed user id": 3}
    # What it advises works: the one good row comes in.
    assert loaded(cli("load", "csv", bad, "--max-rejected", "1", "--json"))["n_events"] == 1
    assert state(database) == State(4, [], 0)


def test_item_whose_attribute_has_not_its_type_is_refused_alone(cli: Cli, database: str, good_csv: Path) -> None:
    good_csv.with_name("items.csv").write_text("item_id,price\ni1,9.5\ni2,cheap\n")
    mapping = good_csv.with_name("shop.toml")
    mapping.write_text('user_id = "nobody"\n[items]\npath = "items.csv"\nattributes = { price = "number" }\n')
    # What the command says goes before what the mapping does.
    result = loaded(cli("load", "csv", good_csv, "--mapping", mapping, "--user-id", "user_id", "--json"))
    assert (result["n_events"], result["n_rejected"]) == (3, 1)
    assert reasons(cli) == {"price is no number": 1}
    assert one(database, "select attributes from recsql.item where item_id = 'i1'") == {"price": 9.5}
    assert cli("rules", "add", "cheap", "--kind", "filter", "--where", PRICE_BELOW_50).returncode == 0
    assert one(database, "select rank from recsql_api.recommend('new', p_filter => '{\"price\": 9.5}')") == 1


def test_title_of_ten_megabytes_costs_its_item_only(cli: Cli, database: str, good_csv: Path) -> None:
    items, mapping = good_csv.with_name("items.csv"), good_csv.with_name("mapping.toml")
    mapping.write_text('[items]\npath = "items.csv"\n')
    items.write_bytes(b"item_id,title\ni1,Good\ni2," + b"x" * (10 << 20) + b"\n")
    result = loaded(cli("load", "csv", good_csv, "--mapping", mapping, "--json"))
    assert (result["n_events"], result["n_items"], result["n_rejected"]) == (3, 1, 1)
    assert state(database) == State(3, [], 0)
    refused = "select line_no || ': ' || reason from recsql.entity_rejected"
    assert one(database, refused) == "3: more than 4 MB of text and media"
    titles = "select array_agg(title order by item_id) from recsql.item"
    assert one(database, titles) == ["Good", None]
    items.write_bytes(b"item_id,title\ni1,Good\ni2,Mended\n")
    result = loaded(cli("load", "csv", good_csv, "--mapping", mapping, "--json"))
    assert (result["n_events"], result["n_items"], result["n_rejected"]) == (0, 1, 0)
    assert one(database, titles) == ["Good", "Mended"]


def test_milliseconds_are_recognised(cli: Cli, database: str, good_csv: Path) -> None:
    good_csv.write_bytes(b"\n".join(line + b"000" * (n > 0) for n, line in enumerate(GOOD.splitlines())))
    line = refusal(cli("load", "csv", good_csv))
    assert line.startswith("Error: 3 of 3 events were refused")
    assert "load with --time-unit ms" in line
    assert state(database) == NOTHING
    assert loaded(cli("load", "csv", good_csv, "--time-unit", "ms", "--json"))["n_events"] == 3
    assert state(database) == State(3, [], 0)
    assert one(database, "select extract(epoch from max(at))::bigint from recsql.event") == 1_700_000_002


def test_loading_the_same_twice_changes_nothing(cli: Cli, database: str, good_csv: Path) -> None:
    arguments = ["load", "csv", good_csv, "--json"]
    first = loaded(cli(*arguments))
    content = "select md5(string_agg(e::text, ',' order by event_no)) from recsql.event as e"
    before, digest = state(database), one(database, content)
    again = loaded(cli(*arguments))
    assert again == first | {"is_new": False}
    forced = loaded(cli(*arguments, "--force"))
    assert (forced["is_new"], forced["n_events"], forced["n_items"]) == (True, 0, 0)
    assert forced["n_present"] == first["n_events"]
    assert (state(database), one(database, content)) == (before, digest)
