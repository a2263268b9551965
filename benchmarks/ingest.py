"""Loading against a bare COPY: ``python -m benchmarks.ingest --json``.

One side is the whole way that a file takes: it is read, copied into the inbox, cleaned and committed as events of items
and users. The other copies the same events, prepared in memory as numbers, into a logged table without any index. Each
repetition has a new database, in which both sides run, each the first in turn; migrations are not counted.
"""

import logging
import statistics
import time
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from benchmarks.data import fresh_database
from benchmarks.report import Report, make_parser
from recsql import db, ingest
from recsql.readers.factory import open_reader

logger = logging.getLogger(__name__)

DATASETS = {"ml-100k": "movielens-100k", "ml-1m": "movielens-1m"}
CHUNK_BYTES = 1 << 20


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-1m")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    report = Report("ingest", options.dataset, seed=options.seed)
    url = db.database_url()
    source = DATASETS[options.dataset]
    prepared, n_rows = prepare(source)
    seconds: dict[str, list[float]] = {"load": [], "copy": []}
    for repeat in range(options.repeats):
        with fresh_database(url) as target, db.connect(target) as connection:
            for side in ("load", "copy") if repeat % 2 == 0 else ("copy", "load"):
                connection.execute("checkpoint")
                took = load(connection, source, n_rows) if side == "load" else copy(connection, prepared, n_rows)
                seconds[side].append(took)
                logger.info("repeat %d: %s took %.2f s", repeat + 1, side, took)
    load_rate, copy_rate = (n_rows / statistics.median(seconds[side]) for side in ("load", "copy"))
    results = {"rows_per_s": load_rate, "copy_rows_per_s": copy_rate, "ratio": load_rate / copy_rate}
    report.publish({name: round(value, 4) for name, value in results.items()}, options.save)


def prepare(source: str) -> tuple[bytes, int]:
    """The events of a source as CSV of ``user_id, item_id, rating, at``, all numbers, and how many they are."""
    batches = [batch.rows for batch in open_reader(source).events()]
    events = pa.Table.from_batches(batches).select(["user_id", "item_id", "value", "at"])
    kinds = {"user_id": pa.int32(), "item_id": pa.int32(), "value": pa.float32(), "at": pa.int64()}
    numbers = pa.table({name: pc.cast(events[name], kind) for name, kind in kinds.items()})
    sink = pa.BufferOutputStream()
    csv.write_csv(numbers, sink, csv.WriteOptions(include_header=False))
    return sink.getvalue().to_pybytes(), events.num_rows


def load(connection: psycopg.Connection[Any], source: str, n_rows: int) -> float:
    """Seconds that the product takes from the file to committed events."""
    began = time.monotonic()
    result = ingest.load(connection, open_reader(source))
    took = time.monotonic() - began
    if result.n_events != n_rows:
        raise SystemExit(f"{result.n_events:,} of {n_rows:,} rows became events: the two sides do not compare.")
    return took


def copy(connection: psycopg.Connection[Any], prepared: bytes, n_rows: int) -> float:
    """Seconds that a bare COPY takes, committed."""
    connection.execute("create table public.plain_event (user_id integer, item_id integer, rating real, at bigint)")
    began = time.monotonic()
    with connection.cursor() as cursor:
        with cursor.copy("copy public.plain_event from stdin (format csv)") as stream:
            for begin in range(0, len(prepared), CHUNK_BYTES):
                stream.write(prepared[begin : begin + CHUNK_BYTES])
        took = time.monotonic() - began
        copied = cursor.rowcount
    if copied != n_rows:
        raise SystemExit(f"COPY took {copied:,} of {n_rows:,} rows: the two sides do not compare.")
    return took


if __name__ == "__main__":
    main()
