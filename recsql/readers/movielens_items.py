"""Films and users of the MovieLens data sets, line by line."""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

Entity = tuple[int, str, dict[str, object]]
"""Line number, id, payload."""

N_USER_TAGS = 5
"""So many of the tags that users gave a film become tags of it."""

GENRES_OF_NO_FILM = ("unknown", "(no genres listed)")
_YEAR = re.compile(r"\((\d{4})\)\s*$")

AGE_GROUPS = {1: "under 18", 18: "18-24", 25: "25-34", 35: "35-44", 45: "45-49", 50: "50-55", 56: "56+"}
OCCUPATIONS = (
    "other or not specified",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)


def films_100k(lines: Sequence[str], genres: Sequence[str]) -> Iterator[Entity]:
    """Films of ``u.item``: id, title, release date, video release date, address, one flag a genre."""
    for line_no, line in enumerate(lines, 1):
        item_id, title, released, _, imdb_url, *flags = line.split("|")
        named = [genre for genre, flag in zip(genres, flags, strict=True) if flag == "1"]
        date = _date(released)
        film = _film(title, named, int(date[:4]) if date else None, imdb_url=imdb_url)
        if date:
            film["published_at"] = date
        yield line_no, item_id, film


def films_atomic(lines: Sequence[str]) -> Iterator[Entity]:
    """Films of RecBole's ``ml-100k.item``: id, title without its year, year, genres parted by blanks."""
    for line_no, line in enumerate(lines[1:], 2):
        item_id, title, year, genres = line.split("\t")
        known = int(year) if year.isdigit() else None
        full = f"{title} ({known})" if known else title
        yield line_no, item_id, _film(full, genres.split())


def films_1m(lines: Sequence[str], abstracts: dict[str, str]) -> Iterator[Entity]:
    """Films of ``movies.dat``, with the abstracts of DBpedia as bodies, by the film's id."""
    for line_no, line in enumerate(lines, 1):
        item_id, title, genres = line.split("::")
        film = _film(title, genres.split("|"))
        if abstract := abstracts.get(item_id):
            film["body"] = abstract
        yield line_no, item_id, film


def films_latest(lines: Sequence[str], tag_lines: Sequence[str], link_lines: Sequence[str]) -> Iterator[Entity]:
    """Films of ``movies.csv`` with their genres, their most used tags, and their numbers elsewhere."""
    tags: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in csv.DictReader(tag_lines):
        tags[row["movieId"]][row["tag"].strip().lower()] += 1
    links = {row["movieId"]: row for row in csv.DictReader(link_lines)}
    reader = csv.DictReader(lines)
    for row in reader:
        item_id = row["movieId"]
        genres = row["genres"].split("|")
        given = sorted(tags[item_id].items(), key=lambda pair: (-pair[1], pair[0])) if item_id in tags else []
        seen = {genre.lower() for genre in genres}
        more = [tag for tag, _ in given if tag and tag not in seen][:N_USER_TAGS]
        link = links.get(item_id, {})
        imdb = link.get("imdbId")
        film = _film(
            row["title"].strip(),
            genres,
            tags=more,
            imdb_url=f"https://www.imdb.com/title/tt{imdb}/" if imdb else None,
            tmdb_id=link.get("tmdbId") or None,
        )
        yield reader.line_num, item_id, film


def users_100k(lines: Sequence[str], delimiter: str, first_line: int = 1) -> Iterator[Entity]:
    """Users of ``u.user``: id, age, gender, occupation, zip code."""
    for line_no, line in enumerate(lines, first_line):
        user_id, age, gender, occupation, zip_code = line.split(delimiter)
        yield line_no, user_id, _user(int(age), gender, occupation, zip_code)


def users_1m(lines: Sequence[str]) -> Iterator[Entity]:
    """Users of ``users.dat``; ``age`` is the lower end of their ``age_group``, and 1 for those under 18."""
    for line_no, line in enumerate(lines, 1):
        user_id, gender, age, occupation, zip_code = line.split("::")
        yield line_no, user_id, _user(int(age), gender, OCCUPATIONS[int(occupation)], zip_code, AGE_GROUPS[int(age)])


def _user(age: int, gender: str, occupation: str, zip_code: str, age_group: str | None = None) -> dict[str, object]:
    attributes: dict[str, object] = {"age": age, "gender": gender, "occupation": occupation, "zip_code": zip_code}
    if age_group:
        attributes["age_group"] = age_group
    return {"attributes": attributes}


def _film(
    title: str,
    genres: Sequence[str],
    released: int | None = None,
    tags: Sequence[str] = (),
    **attributes: str | None,
) -> dict[str, object]:
    genres = [genre for genre in genres if genre not in GENRES_OF_NO_FILM]
    found = _YEAR.search(title)
    year = int(found[1]) if found else released
    known: dict[str, object] = {"genres": genres, **{key: value for key, value in attributes.items() if value}}
    if year:
        known["year"] = year
    film: dict[str, object] = {"domain": "movies", "title": title, "tags": [*genres, *tags], "attributes": known}
    if year:
        film["published_at"] = f"{year:04d}-01-01T00:00:00Z"
    return film


def _date(released: str) -> str | None:
    """ISO 8601 of a date such as ``01-Jan-1995``."""
    try:
        day = datetime.strptime(released, "%d-%b-%Y").replace(tzinfo=UTC)
    except ValueError:
        return None
    return day.strftime("%Y-%m-%dT00:00:00Z")
