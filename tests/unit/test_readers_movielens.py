"""MovieLens: small files in the original layouts, and the real ones where they are."""

import gzip
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from recsql.errors import InputError
from recsql.readers.movielens import MovieLensReader

DATA = Path(os.environ.get("RECSQL_DATA", Path(__file__).parents[2] / "../shared/data"))

GENRES = ["unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"]
GENRES += ["Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"]


def event_rows(reader: MovieLensReader) -> list[tuple[str | None, ...]]:
    return [tuple(row.values()) for batch in reader.events() for row in batch.rows.to_pylist()]


def entities(reader: MovieLensReader) -> dict[tuple[str, str], dict[str, Any]]:
    rows = [row for batch in reader.entities() for row in batch.rows.to_pylist()]
    return {(row["entity"], row["entity_id"]): json.loads(row["payload"]) for row in rows}


def flags(*genres: str) -> str:
    return "|".join("1" if genre in genres else "0" for genre in GENRES)


@pytest.fixture
def ml_100k(tmp_path: Path) -> Path:
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    (folder / "u.data").write_text("7\t2\t3\t881250949\n7\t1\t5\t881250949\n")
    (folder / "u.genre").write_text("".join(f"{genre}|{index}\n" for index, genre in enumerate(GENRES)) + "\n")
    items = [
        f"1|Léon (1994)|01-Feb-1996||http://imdb/1|{flags('Crime', 'Sci-Fi')}",
        f"2|unknown||||{flags('unknown')}",
    ]
    (folder / "u.item").write_bytes("\n".join(items).encode("latin-1"))
    (folder / "u.user").write_text("7|24|M|technician|85711\n")
    return folder


def test_movielens_100k_layout(ml_100k: Path) -> None:
    reader = MovieLensReader("movielens-100k", ml_100k)
    # Rows of one second stay in the order of the file.
    assert event_rows(reader) == [
        ("1", "7", "2", "rating", "3", "881250949"),
        ("2", "7", "1", "rating", "5", "881250949"),
    ]
    assert entities(reader) == {
        ("item", "1"): {
            "domain": "movies",
            "title": "Léon (1994)",
            "tags": ["Crime", "Sci-Fi"],
            "attributes": {"genres": ["Crime", "Sci-Fi"], "imdb_url": "http://imdb/1", "year": 1994},
            "published_at": "1996-02-01T00:00:00Z",
        },
        ("item", "2"): {"domain": "movies", "title": "unknown", "tags": [], "attributes": {"genres": []}},
        ("user", "7"): {"attributes": {"age": 24, "gender": "M", "occupation": "technician", "zip_code": "85711"}},
    }


def test_movielens_is_the_same_from_a_zip(ml_100k: Path, tmp_path: Path) -> None:
    archive = tmp_path / "ml.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for part in ml_100k.iterdir():
            file.write(part, f"ml-100k/{part.name}")
    folder, zipped = MovieLensReader("movielens-100k", ml_100k), MovieLensReader("movielens-100k", archive)
    assert event_rows(folder) == event_rows(zipped)
    assert entities(folder) == entities(zipped)
    assert folder.fingerprint() == zipped.fingerprint()
    (ml_100k / "u.user").write_text("8|24|M|technician|85711\n")
    assert MovieLensReader("movielens-100k", ml_100k).fingerprint() != zipped.fingerprint()


def test_movielens_100k_atomic_layout(tmp_path: Path) -> None:
    (tmp_path / "ml-100k.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n"
    )
    (tmp_path / "ml-100k.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tToy Story\t1995\tAnimation Comedy\n"
    )
    (tmp_path / "ml-100k.user").write_text(
        "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n1\t24\tM\twriter\t85711\n"
    )
    reader = MovieLensReader("movielens-100k", tmp_path)
    assert event_rows(reader) == [("2", "196", "242", "rating", "3", "881250949")]
    found = entities(reader)
    assert found["item", "1"] == {
        "domain": "movies",
        "title": "Toy Story (1995)",
        "tags": ["Animation", "Comedy"],
        "attributes": {"genres": ["Animation", "Comedy"], "year": 1995},
        "published_at": "1995-01-01T00:00:00Z",
    }
    assert found["user", "1"]["attributes"]["occupation"] == "writer"


def test_movielens_1m_layout(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::2::5::978300760\n1::1::3::978300760\n")
    (tmp_path / "movies.dat").write_bytes(
        "1::Misérables, Les (1995)::Drama|Musical\n2::B (1996)::War\n".encode("latin-1")
    )
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n")
    with gzip.open(tmp_path / "dbpedia_abstracts.json.gz", "wt", encoding="utf-8") as file:
        json.dump({"1": "A film about misery."}, file)
    reader = MovieLensReader("movielens-1m", tmp_path)
    assert event_rows(reader) == [
        ("1", "1", "2", "rating", "5", "978300760"),
        ("2", "1", "1", "rating", "3", "978300760"),
    ]
    found = entities(reader)
    assert found["item", "1"] == {
        "domain": "movies",
        "title": "Misérables, Les (1995)",
        "body": "A film about misery.",
        "tags": ["Drama", "Musical"],
        "attributes": {"genres": ["Drama", "Musical"], "year": 1995},
        "published_at": "1995-01-01T00:00:00Z",
    }
    assert "body" not in found["item", "2"]
    # Codes 1 and 10 of the README.
    assert found["user", "1"]["attributes"] == {
        "age": 1,
        "age_group": "under 18",
        "gender": "F",
        "occupation": "K-12 student",
        "zip_code": "48067",
    }


def test_movielens_latest_small_layout(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.5,964982703\n")
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\n1,"Toy, The (1982)",Comedy|Drama\n2,Untitled,(no genres listed)\n'
    )
    (tmp_path / "tags.csv").write_text(
        "userId,movieId,tag,timestamp\n1,1,Fun,1\n2,1,fun,1\n2,1,comedy,1\n3,1,d,1\n3,1,c,1\n3,1,b,1\n3,1,a,1\n3,1,z,1\n"
    )
    (tmp_path / "links.csv").write_text("movieId,imdbId,tmdbId\n1,0114709,862\n")
    reader = MovieLensReader("movielens-latest-small", tmp_path)
    assert event_rows(reader) == [("2", "1", "1", "rating", "4.5", "964982703")]
    found = entities(reader)
    # fun was given twice; of the others the first four by the alphabet; comedy is a genre already.
    assert found["item", "1"] == {
        "domain": "movies",
        "title": "Toy, The (1982)",
        "tags": ["Comedy", "Drama", "fun", "a", "b", "c", "d"],
        "attributes": {
            "genres": ["Comedy", "Drama"],
            "imdb_url": "https://www.imdb.com/title/tt0114709/",
            "tmdb_id": "862",
            "year": 1982,
        },
        "published_at": "1982-01-01T00:00:00Z",
    }
    assert found["item", "2"]["tags"] == []
    assert not [key for key in found if key[0] == "user"]


def test_movielens_refuses_what_it_is_not(tmp_path: Path, ml_100k: Path) -> None:
    with pytest.raises(InputError, match="is no MovieLens data set; known are movielens-100k"):
        MovieLensReader("movielens-25m", ml_100k)
    with pytest.raises(InputError, match=r"is not movielens-1m: it holds no ratings\.dat"):
        MovieLensReader("movielens-1m", ml_100k)
    (tmp_path / "x.zip").write_text("no zip")
    with pytest.raises(InputError, match="neither a zip nor a folder"):
        MovieLensReader("movielens-1m", tmp_path / "x.zip")
    with pytest.raises(InputError, match="does not exist"):
        MovieLensReader("movielens-1m", data_dir=tmp_path)
    (ml_100k / "u.item").unlink()
    with pytest.raises(InputError, match=r"holds no u\.item"):
        list(MovieLensReader("movielens-100k", ml_100k).entities())


# Data set: events, items, users, first and last event (user, item, value, time), sum of the values (by awk).
REAL = {
    "movielens-100k": (100_000, 1_682, 943, ("196", "242", "3", "881250949"), ("12", "203", "3", "879959583"), 352_986),
    "movielens-1m": (
        1_000_209,
        3_883,
        6_040,
        ("1", "1193", "5", "978300760"),
        ("6040", "1097", "4", "956715569"),
        3_582_313,
    ),
    "movielens-latest-small": (
        100_836,
        9_742,
        0,
        ("1", "1", "4.0", "964982703"),
        ("610", "170875", "3.0", "1493846415"),
        353_083,
    ),
}


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real_movielens(name: str) -> None:
    folder = name.replace("movielens", "ml")
    if not (DATA / folder / f"{folder}.zip").is_file():
        pytest.skip(f"{folder} is not under RECSQL_DATA ({DATA})")
    reader = MovieLensReader(name, data_dir=DATA)
    n_events, n_items, n_users, first, last, total = REAL[name]
    n_seen, values, ends = 0, 0.0, []
    for batch in reader.events():
        assert not batch.malformed
        table = batch.rows
        n_seen += table.num_rows
        values += sum(map(float, table.column("value").to_pylist()))
        ends += [table.slice(0, 1).to_pylist()[0], table.slice(table.num_rows - 1).to_pylist()[0]]
        assert batch.bytes_read <= reader.total_bytes
    assert n_seen == n_events
    keys = ("user_id", "item_id", "value", "at")
    assert tuple(ends[0][key] for key in keys) == first
    assert tuple(ends[-1][key] for key in keys) == last
    assert round(values) == total
    found = entities(reader)
    assert len([key for key in found if key[0] == "item"]) == n_items
    assert len([key for key in found if key[0] == "user"]) == n_users
    titles = json.dumps([payload.get("title") for payload in found.values()])
    assert "\\ufffd" not in titles


@pytest.mark.data
def test_real_movielens_1m_is_read_byte_for_byte() -> None:
    if not (DATA / "ml-1m" / "ml-1m.zip").is_file():
        pytest.skip(f"ml-1m is not under RECSQL_DATA ({DATA})")
    digest = hashlib.sha256()
    for batch in MovieLensReader("movielens-1m", data_dir=DATA).events():
        columns = [batch.rows.column(name).to_pylist() for name in ("user_id", "item_id", "value", "at")]
        digest.update("".join(f"{'::'.join(row)}\n" for row in zip(*columns, strict=True)).encode())
    # SHA-256 of ratings.dat, whose MD5 is the published a89aa3591bc97d6d4e0c89459ff39362.
    assert digest.hexdigest() == "506d64ca44484487c11dc2d9a28de5c54948213e6b96285e298afe28d6ea4e0f"
