"""Which columns of a file mean what."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsql.errors import InputError
from recsql.readers.streams import check_path

ALIASES: dict[str, tuple[str, ...]] = {
    "user_id": ("user_id", "user", "userid", "uid", "reviewerid", "reviewer_id", "customer_id", "visitorid"),
    "item_id": ("item_id", "item", "itemid", "movieid", "movie_id", "asin", "product_id", "productid", "iid"),
    "kind": ("kind", "event", "event_type", "action"),
    "value": ("value", "rating", "score", "stars", "overall"),
    "at": ("at", "timestamp", "time", "ts", "date", "created_at", "datetime", "event_time", "unixreviewtime"),
    "title": ("title", "name"),
    "body": ("body", "description", "text", "abstract", "summary"),
    "tags": ("tags", "genres", "categories", "keywords"),
    "domain": ("domain",),
    "published_at": ("published_at", "published", "release_date"),
}
"""Names that a column is known by, in lower case, the first one preferred."""

RATINGS = ("rating", "stars", "overall")


AttributeType = Literal["text", "number", "boolean", "list"]


class FileMapping(BaseModel):
    """How a file is laid out."""

    model_config = ConfigDict(extra="forbid")

    member: str | None = None
    """Which file of a zip."""
    delimiter: str | None = None
    """What separates the columns; found from the first lines when left out."""
    columns: list[str] | None = None
    """Names of the columns of a file without a header."""


class EntityMapping(FileMapping):
    """A file of items or users; attributes are named one by one."""

    path: Path
    attributes: list[str] | dict[str, AttributeType] = []
    """Columns that become attributes. With a type, what is no such value refuses the row; without, a value has the
    type that the format gives it, which in csv is text."""
    tags_separator: str = Field(default="|", min_length=1)
    """What divides the tags in a text, and the values of an attribute that is a list."""

    @property
    def attribute_types(self) -> dict[str, AttributeType | None]:
        """The type of each attribute, None where it is the format's."""
        named = self.attributes
        return dict(named) if isinstance(named, dict) else dict.fromkeys(named)


class ItemMapping(EntityMapping):
    """The file of the items; columns left out are guessed by their names."""

    item_id: str | None = None
    title: str | None = None
    body: str | None = None
    tags: str | None = None
    domain: str | None = None
    published_at: str | None = None
    image: str | None = None
    """Addresses of images, or files: their paths from the folder of this file."""
    audio: str | None = None
    """The same of sounds."""


class UserMapping(EntityMapping):
    """The file of the users."""

    user_id: str | None = None


class Mapping(FileMapping):
    """The file of the events, and the files beside it.

    A column left out is guessed by its name (:data:`ALIASES`). ``kind_value`` is the kind of all events of a file
    without such a column; left out, it is ``rating`` where the value is guessed from a column of ratings.
    """

    user_id: str | None = None
    item_id: str | None = None
    kind: str | None = None
    kind_value: str | None = None
    value: str | None = None
    at: str | None = None
    domain: str = Field(default="default", min_length=1)
    """Domain of items that name none."""
    items: ItemMapping | None = None
    users: UserMapping | None = None

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a mapping; the paths in it are relative to its folder.

        Raises:
            InputError: it is no TOML, or has a key that means nothing.
        """
        try:
            content = tomllib.loads(check_path(path).read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not valid TOML: {error}") from error
        mapping = cls.from_options(content, label=str(path))
        for part in (mapping.items, mapping.users):
            if part is not None:
                part.path = path.parent / part.path
        return mapping

    @classmethod
    def from_options(cls, options: dict[str, Any], label: str = "the mapping") -> Self:
        """Build a mapping from flags; None is a flag that was not given.

        Raises:
            InputError: an option means nothing.
        """
        try:
            return cls.model_validate({key: value for key, value in options.items() if value is not None})
        except ValidationError as error:
            first = error.errors()[0]
            section, *rest = map(str, first["loc"])
            where = ".".join([section, *rest])
            if first["type"] == "extra_forbidden":
                fields = _SECTIONS[section].model_fields if rest else cls.model_fields
                raise InputError(
                    f"{label}: {where} means nothing; what can be mapped is {', '.join(fields)}"
                ) from error
            if rest[:1] == ["attributes"]:
                raise InputError(
                    f"{label}: {section}.attributes is a list of columns, or a table of column = "
                    '"text", "number", "boolean" or "list"'
                ) from error
            raise InputError(f"{label}: {where}: {first['msg']}") from error


_SECTIONS: dict[str, type[FileMapping]] = {"items": ItemMapping, "users": UserMapping}


def guess(role: str, names: Sequence[str]) -> str | None:
    """The column that is known by an alias of the role, or None."""
    by_lower = {name.lower(): name for name in reversed(names)}
    return next((by_lower[alias] for alias in ALIASES[role] if alias in by_lower), None)


def choose(role: str, given: str | None, names: Sequence[str], label: str, *, required: bool = False) -> str | None:
    """The column of a role: the one that was named, or a guess.

    Raises:
        InputError: the named column is missing or there twice, or a required one cannot be guessed.
    """
    shown = ", ".join(names[:30])
    if given is not None:
        if names.count(given) > 1:
            raise InputError(f"{label} has {names.count(given)} columns {given}; rename all but one of them")
        if given not in names:
            raise InputError(f"{label} has no column {given!r} for {role}; it has: {shown}. Name one of these")
        return given
    found = guess(role, names) if role in ALIASES else None
    if found is None and required:
        raise InputError(
            f"{label} has no column that is known as {role}; it has: {shown}. "
            f'Set {role} = "COLUMN" in the mapping, or of events --{role.replace("_", "-")} COLUMN; if the first line '
            "is data, name its columns with columns = [...]"
        )
    return found
