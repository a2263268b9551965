"""The statements of ``sql/queries.sql`` by name."""

import re
from typing import LiteralString, cast

from recsql.paths import SQL_DIR

_HEADER = re.compile(r"^-- ([a-z0-9_]+) --\n((?:-- .*\n)*)", re.MULTILINE)


def parse(text: str) -> dict[str, LiteralString]:
    """Split a file of statements at its ``-- name --`` headers."""
    parts = _HEADER.split(text)[1:]
    # The file is part of the release, as trusted as code.
    return {
        name: cast(LiteralString, body.strip().rstrip(";")) for name, body in zip(parts[::3], parts[2::3], strict=True)
    }


QUERIES = parse((SQL_DIR / "queries.sql").read_text(encoding="utf-8"))
