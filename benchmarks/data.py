"""The data sets that models are measured on, loaded and embedded, with the pipeline's settings for each."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from benchmarks.amazon import Shops, load_shops, read_shops
from recsql import db, ingest, migrate
from recsql.cli.output import progress_bars
from recsql.errors import InputError
from recsql.readers.factory import open_reader
from workers.commands import embed_backlog, stage_bars
from workers.pipeline import Pipeline, PipelineConfig

AMAZON_BEAUTY = "amazon-beauty"

DATASETS = {
    "ml-100k": ("movielens-100k", {}),
    "ml-1m": (
        "movielens-1m",
        {
            "reverse": 0.15,
            "models": {
                **{name: {"max_length": 200} for name in ("transformer", "joint", "gru4rec", "nextitnet", "bert4rec")},
                "slit": {"reverse": 0.15},
                "ease_whole": {"lambda_": 3000.0},
            },
        },
    ),
    "ml-latest-small": ("movielens-latest-small", {}),
    AMAZON_BEAUTY: (AMAZON_BEAUTY, {"models": {"slit": {"max_items": 13_000}}}),
}
"""The reader of each, and settings of its pipeline.

Amazon's sequences have an order and no times: :mod:`benchmarks.amazon` has each user's end on one day, an event a day,
so that ``global`` cuts before everybody's last event (validation: before the last but one), and what is trending is
what many bought last. SLIT may take its 12,101 items, which is some 7 GiB.
"""

_LONG_RUN = {"trend": 7.0, "horizon": 100, "learning_rate": 0.001}
_WHOLE = {"horizon": 1000, "targets_per_user": 20}
BY_GLOBAL: dict[str, dict[str, dict[str, Any]]] = {
    "ml-100k": {
        **dict.fromkeys(("transformer", "joint", "gru4rec", "nextitnet"), _LONG_RUN),
        "two_tower": {**_WHOLE, "trend": 7.0, "history": {"decay": "harmonic", "rate": 0.0, "length": 200}},
        "bert4rec": {"learning_rate": 0.0003},
        "neumf": {"learning_rate": 0.0003},
    },
    "ml-1m": {
        **{name: {**_LONG_RUN, "trend": 3650.0} for name in ("transformer", "joint", "gru4rec", "nextitnet")},
        "ease_whole": {"lambda_": 300_000.0},
        "bert4rec": {"learning_rate": 0.0003},
        "neumf": {"learning_rate": 0.0001},
        "two_tower": {
            **_WHOLE,
            "trend": 3650.0,
            "history": {"decay": "harmonic", "rate": 0.0, "length": 500},
            "dropout": 0.6,
            "weight_decay": 1.0,
        },
    },
}
"""Hyperparameters, chosen on validation, of models that are to say what comes in the weeks after ``global``'s cut."""


@contextmanager
def pipeline_on(dataset: str, url: str | None = None, *, content: bool = True, **settings: Any) -> Iterator[Pipeline]:
    """A pipeline on a database that has the data set.

    Args:
        dataset: a name of ``DATASETS``.
        url: of the database, which has this data set or nothing; the configured one when None.
        content: whether items are embedded, if they are not.
        settings: of :class:`PipelineConfig`, beside the data set's own.

    Raises:
        InputError: the database has events of another data set.
    """
    source, config = DATASETS[dataset]
    url = url or db.database_url()
    migrate.upgrade(url)
    with db.connect(url) as connection, progress_bars() as progress:
        _load(connection, source)
        bars = stage_bars(progress)
        if content:
            embed_backlog(connection, bars)
        yield Pipeline(connection, PipelineConfig(**config, **settings), bars)


def _load(connection: psycopg.Connection[Any], source: str) -> None:
    own = "inbox" if source == AMAZON_BEAUTY else source
    query = "select distinct source from recsql.load where n_events > 0 and source <> %s"
    if others := [other for (other,) in connection.execute(query, (own,)).fetchall()]:
        raise InputError(
            f"The database has events of {', '.join(others)}, and {source} would be added to them: measure each data "
            "set in a database of its own (RECSQL_HOME, or RECSQL_DATABASE_URL)."
        )
    if source != AMAZON_BEAUTY:
        ingest.load(connection, open_reader(source))
    elif not connection.execute("select exists (select from recsql.event)").fetchall()[0][0]:
        shops = read_shops()
        beauty = {user: {"beauty": bought["beauty"]} for user, bought in shops.sequences.items() if "beauty" in bought}
        load_shops(connection, Shops(beauty, shops.titles, shops.tags), {})


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """URL of a migrated database beside the configured one, which is dropped afterwards."""
    name = sql.Identifier(f"recsql_benchmark_{os.getpid()}")
    with db.connect(url, check=False) as admin:
        admin.execute(sql.SQL("create database {} template template0").format(name))
        try:
            target = make_conninfo(url, dbname=name.as_string().strip('"'))
            migrate.upgrade(target)
            yield target
        finally:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(name))


def model_options(dataset: str, model: str, protocol: str = "loo") -> dict[str, Any]:
    """The hyperparameters of a model that differ from its defaults on a data set, and by a protocol."""
    of_dataset: dict[str, Any] = DATASETS[dataset][1].get("models", {}).get(model, {})
    of_protocol = BY_GLOBAL.get(dataset, {}).get(model, {}) if protocol == "global" else {}
    return of_dataset | of_protocol
