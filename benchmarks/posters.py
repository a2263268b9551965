"""The posters of MovieLens 1M as media of its items."""

import zipfile
from typing import Any

import psycopg

from recsql.errors import InputError
from recsql.settings import get_settings

ARCHIVE = "ml1m-posters/posters_100px.zip"
_ADD = """
    insert into recsql.item_media (item_no, sha256, modality, mime, bytes)
    select i.item_no, sha256(p.bytes), 'image', 'image/jpeg', p.bytes
    from unnest(%s::text [], %s::bytea []) as p (item_id, bytes)
    inner join recsql.item as i on i.item_id = p.item_id
    on conflict do nothing
"""


def load_posters(connection: psycopg.Connection[Any]) -> int:
    """Add ``<MovieID>.jpg`` to the film of that id; idempotent.

    Returns:
        The number of posters that were added.

    Raises:
        InputError: the archive is not among the data sets.
    """
    path = get_settings().data / ARCHIVE
    if not path.exists():
        raise InputError(f"There are no posters at {path}: point RECSQL_DATA at the folder of data sets.")
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        item_ids = [name.rsplit("/", 1)[-1].removesuffix(".jpg") for name in names]
        return connection.execute(_ADD, (item_ids, [archive.read(name) for name in names])).rowcount
