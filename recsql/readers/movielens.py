"""MovieLens 100K, 1M and latest-small in their original layouts, from a zip or a folder."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from recsql.errors import InputError
from recsql.readers import movielens_items as items
from recsql.readers import streams
from recsql.readers.base import Batch
from recsql.readers.delimited import DelimitedTable
from recsql.readers.mapped import entity_batch, event_batch, fingerprint
from recsql.readers.table import Table, TextRows

RATING_COLUMNS = ("user_id", "item_id", "value", "at")
ABSTRACTS = "dbpedia_abstracts.json.gz"


@dataclass(frozen=True)
class Layout:
    """Where the parts of a data set are.

    Attributes:
        ratings: file of the ratings.
        delimiter: what separates its columns.
        has_header: whether its first line names them.
        items: file of the films.
        users: file of the users, if there is one.
        extras: further files that are read.
    """

    ratings: str
    delimiter: str
    has_header: bool
    items: str
    users: str | None = None
    extras: tuple[str, ...] = ()


LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "movielens-100k": (
        Layout("u.data", "\t", False, "u.item", "u.user", ("u.genre",)),
        Layout("ml-100k.inter", "\t", True, "ml-100k.item", "ml-100k.user"),
    ),
    "movielens-1m": (Layout("ratings.dat", "::", False, "movies.dat", "users.dat"),),
    "movielens-latest-small": (Layout("ratings.csv", ",", True, "movies.csv", extras=("tags.csv", "links.csv")),),
}
"""The layouts that each data set is known in; the second one of 100K is RecBole's atomic files."""


class Files:
    """Files by their names, wherever in a zip or a folder they are.

    Raises:
        InputError: the path is neither, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_folder = path.is_dir()
        if self._is_folder:
            self._places = {file.name: str(file) for file in sorted(path.rglob("*")) if file.is_file()}
        elif streams.packing(streams.check_path(path)) == "zip":
            self._places = {name.rsplit("/", 1)[-1]: name for name in streams.members(path)}
        else:
            raise InputError(f"{path} is neither a zip nor a folder; give the archive as it was downloaded")

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def locate(self, name: str) -> tuple[Path, str | None]:
        """The path and the zip's member that hold a file.

        Raises:
            InputError: there is no such file.
        """
        if name not in self._places:
            raise InputError(f"{self.path} holds no {name}; it holds {', '.join(list(self._places)[:10]) or 'nothing'}")
        place = self._places[name]
        return (Path(place), None) if self._is_folder else (self.path, place)

    def lines(self, name: str, encoding: str) -> list[str]:
        """The lines of a small file that are not blank."""
        content = streams.read_member(*self.locate(name)).decode(encoding, "replace")
        return [line for line in content.replace("\r\n", "\n").split("\n") if line]

    def digest(self, names: list[str]) -> str:
        """SHA-256 over some of the files."""
        return fingerprint(*(streams.content_digest(*self.locate(name)) for name in names if name in self))


class MovieLensReader:
    """Ratings, films and, where the data set has them, users.

    Args:
        name: ``movielens-100k``, ``movielens-1m`` or ``movielens-latest-small``.
        path: the zip or the folder; left out, it is looked for in ``data_dir``.
        data_dir: folder of data sets: ``ml-100k/ml-100k.zip`` and so on.

    Raises:
        InputError: the data set is not known, not there, or in another layout.
    """

    def __init__(self, name: str, path: Path | None = None, data_dir: Path | None = None) -> None:
        if name not in LAYOUTS:
            raise InputError(f"{name} is no MovieLens data set; known are {', '.join(LAYOUTS)}")
        folder = name.replace("movielens", "ml")
        if path is None:
            path = (data_dir or Path()) / folder / f"{folder}.zip"
        self._name = name
        self._files = Files(path)
        layouts = [layout for layout in LAYOUTS[name] if layout.ratings in self._files]
        if not layouts:
            known = " or ".join(layout.ratings for layout in LAYOUTS[name])
            raise InputError(f"{path} is not {name}: it holds no {known}")
        self._layout = layouts[0]
        beside = path if path.is_dir() else path.parent
        self._abstracts = beside / ABSTRACTS if name == "movielens-1m" and (beside / ABSTRACTS).is_file() else None

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self._name

    @property
    def total_bytes(self) -> int:
        """Size of the ratings, unpacked."""
        return self._ratings().total_bytes

    def fingerprint(self) -> str:
        """SHA-256 over the files that are read."""
        layout = self._layout
        names = [layout.ratings, layout.items, *([layout.users] if layout.users else []), *layout.extras]
        abstracts = streams.digest(self._abstracts) if self._abstracts else ""
        return fingerprint(self._name, layout.ratings, self._files.digest(names), abstracts)

    def events(self) -> Iterator[Batch]:
        """Ratings in the order of the file, which breaks ties of their times."""
        table = self._ratings()
        names = table.names[: len(RATING_COLUMNS)]
        columns: dict[str, str | None] = dict(zip(RATING_COLUMNS, names, strict=True))
        for rows in table.rows(names):
            yield event_batch(rows, columns, "rating")

    def entities(self) -> Iterator[Batch]:
        """The films, then the users."""
        yield _batch("item", self._items())
        if self._layout.users:
            yield _batch("user", self._users(self._layout.users))

    def _ratings(self) -> Table:
        layout = self._layout
        path, member = self._files.locate(layout.ratings)
        columns = None if layout.has_header else RATING_COLUMNS
        return DelimitedTable(
            path, member, delimiter=layout.delimiter, columns=columns, quoting=layout.delimiter == ","
        )

    def _items(self) -> Iterator[items.Entity]:
        layout, files = self._layout, self._files
        match layout.items:
            case "u.item":
                genres = [line.split("|")[0] for line in files.lines("u.genre", "latin-1")]
                return items.films_100k(files.lines(layout.items, "latin-1"), genres)
            case "ml-100k.item":
                return items.films_atomic(files.lines(layout.items, "utf-8"))
            case "movies.dat":
                abstracts = json.loads(streams.read_member(self._abstracts)) if self._abstracts else {}
                return items.films_1m(files.lines(layout.items, "latin-1"), abstracts)
            case _:
                return items.films_latest(
                    files.lines(layout.items, "utf-8"),
                    _optional(files, "tags.csv"),
                    _optional(files, "links.csv"),
                )

    def _users(self, name: str) -> Iterator[items.Entity]:
        lines = self._files.lines(name, "utf-8" if name.endswith(".user") else "latin-1")
        if name == "users.dat":
            return items.users_1m(lines)
        if name == "u.user":
            return items.users_100k(lines, "|")
        return items.users_100k(lines[1:], "\t", first_line=2)


def _optional(files: Files, name: str) -> list[str]:
    return files.lines(name, "utf-8") if name in files else []


def _batch(entity: str, entities: Iterator[items.Entity]) -> Batch:
    line_nos, ids, payloads = [], [], []
    for line_no, entity_id, payload in entities:
        line_nos.append(line_no)
        ids.append(entity_id)
        payloads.append(json.dumps(payload, ensure_ascii=False))
    array = pa.array(line_nos, pa.int64())
    return entity_batch(entity, array, pa.array(ids, pa.string()), payloads, TextRows({}, array))
