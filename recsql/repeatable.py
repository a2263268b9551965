"""Functions, views and triggers: one file each under ``sql/``, created again at every change.

A file is run in path order, and what it created is found by comparing the catalogue before and after it. That record
is what the next upgrade drops, in reverse, with RESTRICT: somebody's own view on one of ours stops the upgrade, with
nothing lost and its name in the message.
"""

import hashlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import psycopg

from recsql.errors import SchemaError
from recsql.paths import SQL_DIR
from recsql.queries import QUERIES

LOCK_KEY = 7_365_716_108
"""Advisory lock of everything that changes the schema."""

GRANTS = "90_grants.sql"
"""The file that gives the applications' roles their rights."""

_DEPENDENT = re.compile(r"^(.*) depends on (.*)$", re.MULTILINE)


def dependents(error: psycopg.errors.DependentObjectsStillExist, ours: Collection[str] = ()) -> str:
    """What stands in the way of a drop, as "a depends on b; …", without those that are ours."""
    found = _DEPENDENT.findall(error.diag.message_detail or "")
    return "; ".join(f"{name} depends on {on}" for name, on in found if name not in ours)


def object_files() -> list[Path]:
    """The repeatable files in the order in which they are run."""
    return sorted(path for path in SQL_DIR.rglob("*.sql") if path.name != "queries.sql")


class RepeatableObjects:
    """The repeatable objects of one database, inside the caller's transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._files = object_files()

    def digest(self) -> str:
        """Digest of all files, names and contents."""
        digest = hashlib.sha256()
        for path in self._files:
            digest.update(path.relative_to(SQL_DIR).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()

    def prepare(self) -> None:
        """Make the schema and the record where they are missing."""
        self._connection.execute(QUERIES["prepare_sql_object"])

    def is_stale(self) -> bool:
        """Whether the database's objects are not those of the files."""
        row = self._connection.execute(QUERIES["sql_digest"]).fetchone()
        return row is None or row[0] != self.digest()

    def drop(self) -> None:
        """Drop what was recorded, the newest first; what others of ours still use waits for those.

        Raises:
            SchemaError: if an object that is not ours depends on one of them.
        """
        pending = self._connection.execute(QUERIES["recorded_sql_objects"]).fetchall()
        while pending:
            stuck: list[tuple[str, str]] = []
            blocked: list[tuple[str, psycopg.errors.DependentObjectsStillExist]] = []
            for kind, identity in pending:
                try:
                    with self._connection.transaction():
                        self._connection.execute(cast(Any, f"drop {kind} if exists {identity} restrict"))
                except psycopg.errors.DependentObjectsStillExist as error:
                    stuck.append((kind, identity))
                    blocked.append((f"{kind} {identity}", error))
            if len(stuck) == len(pending):
                ours = {name for name, _ in blocked}
                found = sorted({line for _, error in blocked for line in dependents(error, ours).split("; ")} - {""})
                raise SchemaError(
                    f"The upgrade was stopped and nothing was changed: {'; '.join(found)}, which the upgrade replaces. "
                    "Drop what is not ours (keep its definition), upgrade, then create it again."
                ) from blocked[0][1]
            pending = stuck
        self._connection.execute(QUERIES["clear_sql_objects"])

    def create(self) -> None:
        """Run all files and record what each created."""
        # Functions set options of pgvector, which an account that is no superuser may only where the library is loaded.
        self._connection.execute(QUERIES["load_pgvector"])
        known = self._catalogue()
        for path in self._files:
            name = path.relative_to(SQL_DIR).as_posix()
            try:
                self._connection.execute(cast(Any, path.read_text(encoding="utf-8")))
            except psycopg.Error as error:
                raise SchemaError(f"sql/{name}: {error}") from error
            found = self._catalogue()
            for kind, identity in sorted(found - known):
                self._connection.execute(
                    QUERIES["record_sql_object"], {"kind": kind, "identity": identity, "file": name}
                )
            known = found
        self._connection.execute(QUERIES["set_sql_digest"], {"digest": self.digest()})

    def grant(self) -> None:
        """Give the applications' roles their rights if they were made after the objects."""
        row = self._connection.execute(QUERIES["lacks_grants"]).fetchone()
        if row and row[0]:
            self._connection.execute(cast(Any, (SQL_DIR / GRANTS).read_text(encoding="utf-8")))

    def _catalogue(self) -> set[tuple[str, str]]:
        return {(row[0], row[1]) for row in self._connection.execute(QUERIES["repeatable_catalogue"]).fetchall()}
