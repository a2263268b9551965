"""Reviews of three Amazon shops with users in common, as they lie in ``RECSQL_DATA``."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from recsql import ingest
from recsql.errors import NotFoundError
from recsql.settings import get_settings

DOMAINS = ("beauty", "sports", "toys")
LAST_DAY = datetime(2014, 7, 23, tzinfo=UTC)
"""The sequences have an order and no times: each ends on this day, one event a day."""
_ITEMS_AT_ONCE = 1000


@dataclass(frozen=True)
class Shops:
    """What was bought, and what is known of it.

    Attributes:
        sequences: item ids by domain by user id, oldest first.
        titles: by item id, of beauty alone.
        tags: numbers of attributes by item id, of beauty and sports; those of two domains have nothing in common.
    """

    sequences: dict[str, dict[str, list[str]]]
    titles: dict[str, str]
    tags: dict[str, list[str]]


def read_shops() -> Shops:
    """Read all three.

    Raises:
        NotFoundError: the data set is not there.
    """
    path = get_settings().data / "amazon2014-5core" / "amazon2014-5core.zip"
    if not path.is_file():
        raise NotFoundError(f"{path} is not there: set RECSQL_DATA to the folder of the data sets.")
    sequences: dict[str, dict[str, list[str]]] = {}
    tags: dict[str, list[str]] = {}
    with zipfile.ZipFile(path) as archive:

        def text(name: str) -> str:
            return archive.read(f"amazon2014-5core/{name}").decode()

        for domain in DOMAINS:
            maps = json.loads(text(f"{domain}.datamaps.json"))
            for line in text(f"{domain}.sequential.txt").splitlines():
                user, *items = line.split()
                sequences.setdefault(maps["id2user"][user], {})[domain] = [f"{domain}-{item}" for item in items]
            if domain != "toys":
                attributes = json.loads(text(f"{domain}.item2attributes.json"))
                tags |= {f"{domain}-{i}": [f"{domain}{a}" for a in found] for i, found in attributes.items()}
        names = {
            row["global_product_id"]: row["name"]
            for row in csv.DictReader(io.StringIO(text("beauty.products_lookup.csv")))
        }
        numbers = json.loads(text("beauty.item_id_to_int.json"))
        asins = json.loads(text("beauty.datamaps.json"))["id2item"]
        titles = {f"beauty-{item}": names[str(numbers[asin])][:2000] for item, asin in asins.items()}
    return Shops(sequences, titles, tags)


def domain_of(item: str) -> str:
    """The domain of an item id."""
    return item.partition("-")[0]


def load_shops(connection: psycopg.Connection[Any], shops: Shops, hidden: dict[str, str]) -> None:
    """Load items and events, as an application would.

    Args:
        connection: in autocommit mode, on a database that has none.
        shops: what there is.
        hidden: the domain, by user, of which the user's events are left out.
    """
    item_ids = sorted({item for of_user in shops.sequences.values() for items in of_user.values() for item in items})
    for start in range(0, len(item_ids), _ITEMS_AT_ONCE):
        chosen = item_ids[start : start + _ITEMS_AT_ONCE]
        payloads = [
            json.dumps({"domain": domain_of(item), "title": shops.titles.get(item), "tags": shops.tags.get(item, [])})
            for item in chosen
        ]
        connection.execute("select recsql.put_items(%s::text [], %s::jsonb [])", (chosen, payloads))
    with connection.cursor().copy("copy recsql.event_inbox (user_id, item_id, kind, at) from stdin") as copy:
        for row in _events(shops, hidden):
            copy.write_row(row)
    ingest.drain_inbox(connection)


def _events(shops: Shops, hidden: dict[str, str]) -> Iterator[tuple[str, str, str, str]]:
    for user, of_user in shops.sequences.items():
        for domain, items in of_user.items():
            if hidden.get(user) == domain:
                continue
            for place, item in enumerate(items):
                yield user, item, "purchase", (LAST_DAY - timedelta(days=len(items) - place)).isoformat()
