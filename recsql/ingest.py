"""Loading: a reader's batches by COPY into the inboxes, then cleaning in SQL, all in one transaction a load."""

import logging
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Any, LiteralString

import numpy as np
import psycopg
import pyarrow as pa
from pyarrow import csv

from recsql.errors import InputError
from recsql.queries import QUERIES
from recsql.readers.base import Batch, Reader

logger = logging.getLogger(__name__)

UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

Progress = Callable[[int, int | None, str], None]
"""``progress(bytes_read, bytes_in_all, note)``."""

EVENT_NO_BLOCK = 1000
"""How many numbers of events each one drawn from their sequence stands for."""

_EVENT_COLUMNS: LiteralString = "inbox_no, load_no, line_no, user_id, item_id, kind, value, at"
_ENTITY_COLUMNS: LiteralString = "load_no, line_no, entity, entity_id, payload"


@dataclass(frozen=True)
class LoadOptions:
    """How a source is cleaned.

    Attributes:
        time_unit: unit of numeric times: s, ms, us or ns.
        max_per_minute: users with more events in one minute are refused as bots; 0 for no limit.
        domain: domain of items that only events name.
        max_rejected: share of rows, from 0 to 1, above which the load is given up and nothing of it is kept.
        force: load even what was loaded before.
    """

    time_unit: str = "s"
    max_per_minute: int = 1000
    domain: str = "default"
    max_rejected: float = 0.5
    force: bool = False

    def __post_init__(self) -> None:
        if self.time_unit not in UNITS_PER_SECOND:
            raise InputError(f"'{self.time_unit}' is not a time unit: use one of {', '.join(UNITS_PER_SECOND)}.")
        if not 0 <= self.max_rejected <= 1:
            raise InputError(f"max_rejected is a share of rows, from 0 to 1, not {self.max_rejected:g}.")


@dataclass(frozen=True)
class LoadResult:
    """What a load did; counts are rows.

    Attributes:
        load_no: number of the load, also of an earlier one when nothing was to be done.
        is_new: False when the same content had been loaded before.
    """

    load_no: int
    is_new: bool
    n_rows: int
    n_events: int
    n_items: int
    n_users: int
    n_present: int
    n_rejected: int


def load(
    connection: psycopg.Connection[Any],
    reader: Reader,
    options: LoadOptions | None = None,
    progress: Progress = lambda done, total, note: None,
) -> LoadResult:
    """Load a source; loading the same content again changes nothing.

    Args:
        connection: in autocommit mode.
        reader: the source.
        options: how to clean it.
        progress: called as the source is read.

    Raises:
        InputError: the source cannot be read, or more of it was refused than ``options.max_rejected``; the refused rows
            are kept with their reasons, and so are the items and users; none of its events is.
    """
    options = options or LoadOptions()
    fingerprint = sha256(f"{reader.fingerprint()} {options.time_unit} {options.domain}".encode()).hexdigest()
    done = (
        None if options.force else connection.execute(QUERIES["complete_load"], {"fingerprint": fingerprint}).fetchone()
    )
    if done:
        return LoadResult(done[0], False, *done[1:])
    connection.execute(QUERIES["fail_lost_loads"])
    load_no = _begin(connection, reader.name, fingerprint)
    try:
        with connection.transaction():
            result, refusal = _load(connection, reader, options, load_no, progress)
        if refusal:
            raise InputError(refusal)
        return result
    except BaseException as error:
        # A server that is gone, or whose disk is full, must not hide why the load failed.
        with suppress(psycopg.Error):
            connection.execute(
                QUERIES["fail_load"], {"load_no": load_no, "error": f"{type(error).__name__}: {error}"[:1000]}
            )
        raise
    finally:
        with suppress(psycopg.Error):
            connection.execute(QUERIES["end_load"], {"load_no": load_no})


def _load(
    connection: psycopg.Connection[Any], reader: Reader, options: LoadOptions, load_no: int, progress: Progress
) -> tuple[LoadResult, str | None]:
    total = reader.total_bytes
    malformed: list[dict[str, Any]] = []
    batches = _ahead(reader.events())
    with connection.cursor() as cursor, closing(batches):
        with cursor.copy(f"copy recsql.entity_inbox ({_ENTITY_COLUMNS}) from stdin (format csv)") as copy:
            for batch in reader.entities():
                copy.write(_csv(batch, load_no=load_no))
                malformed += _malformed(batch, load_no)
                progress(batch.bytes_read, total, "items and users")
        n_items, n_users, n_bad_entities = _one(connection, QUERIES["clean_entities"], {"load_no": load_no})
        cursor.execute(QUERIES["add_inbox_partition"], {"load_no": load_no})
        # Straight into the partition: routing each row to it would cost as much as the COPY.
        table: LiteralString = f"recsql.event_inbox_{load_no:d}"  # type: ignore[assignment]
        for batch in batches:
            rows = _csv(batch, inbox_no=_event_nos(connection, batch.rows.num_rows), load_no=load_no)
            columns: LiteralString = _EVENT_COLUMNS
            if "request_id" in batch.rows.schema.names:
                columns += ", request_id"
            with cursor.copy(f"copy {table} ({columns}) from stdin (format csv)") as copy:
                copy.write(rows)
            malformed += _malformed(batch, load_no)
            progress(batch.bytes_read, total, "events")
        if malformed:
            cursor.executemany(QUERIES["reject_malformed"], malformed)
    n_malformed = len(malformed)
    progress(total or 0, total, "cleaning")
    n_rows, n_events, n_present, n_bad_events = clean(connection, load_no, options)
    result = LoadResult(
        load_no,
        True,
        n_rows + n_malformed,
        n_events,
        n_items,
        n_users,
        n_present,
        n_malformed + n_bad_entities + n_bad_events,
    )
    refusal = _refusal(connection, result, n_malformed + n_bad_events, options)
    if refusal:
        # The refused rows are committed, so that they can be looked at; the events are not.
        connection.execute(QUERIES["undo_load"], {"load_no": load_no})
    else:
        connection.execute(QUERIES["finish_load"], vars(result))
    logger.info("load done", extra=vars(result))
    return result, refusal


def clean(connection: psycopg.Connection[Any], load_no: int, options: LoadOptions) -> tuple[int, int, int, int]:
    """Clean one load's raw events: rows read, events added, events that were there already, rows refused."""
    return _one(
        connection,
        QUERIES["clean_events"],
        {
            "load_no": load_no,
            "units_per_second": UNITS_PER_SECOND[options.time_unit],
            "max_per_minute": options.max_per_minute,
            "domain": options.domain,
        },
    )


def redrive(
    connection: psycopg.Connection[Any], options: LoadOptions, reason: str | None = None, load_no: int | None = None
) -> LoadResult:
    """Try refused events again, after what was wrong has been mended.

    Args:
        connection: in autocommit mode.
        options: how to clean them this time.
        reason: only rows whose reason starts with this.
        load_no: only rows of this load.
    """
    with connection.transaction():
        new_no = _begin(connection, "redrive", f"redrive {reason} {load_no}")
        connection.execute(QUERIES["redrive_rejected"], {"load_no": new_no, "reason": reason, "only_load_no": load_no})
        return _finish(connection, new_no, options)


def drain_inbox(connection: psycopg.Connection[Any], options: LoadOptions | None = None) -> LoadResult | None:
    """Clean what applications copied into ``event_inbox``; None when there was nothing."""
    if not _one(connection, QUERIES["inbox_has_rows"], {})[0]:
        return None
    with connection.transaction():
        load_no = _begin(connection, "inbox", "inbox")
        connection.execute(QUERIES["take_inbox"], {"load_no": load_no})
        return _finish(connection, load_no, options or LoadOptions())


def _begin(connection: psycopg.Connection[Any], source: str, fingerprint: str) -> int:
    return _one(connection, QUERIES["begin_load"], {"source": source, "fingerprint": fingerprint})[0]


def _finish(connection: psycopg.Connection[Any], load_no: int, options: LoadOptions) -> LoadResult:
    n_rows, n_events, n_present, n_rejected = clean(connection, load_no, options)
    result = LoadResult(load_no, True, n_rows, n_events, 0, 0, n_present, n_rejected)
    # Each time is new: the fingerprint of a source is for sources that can be read again.
    connection.execute(QUERIES["finish_load"], vars(result))
    connection.execute(QUERIES["forget_fingerprint"], {"load_no": load_no})
    connection.execute(QUERIES["end_load"], {"load_no": load_no})
    return result


def _refusal(
    connection: psycopg.Connection[Any], result: LoadResult, n_rejected: int, options: LoadOptions
) -> str | None:
    """Why so bad a load is not to be kept; None if it is."""
    if n_rejected <= options.max_rejected * max(result.n_rows, 1):
        return None
    reasons = connection.execute(QUERIES["rejected_reasons"], {"load_no": result.load_no}).fetchall()
    told = "; ".join(f"{count:,} x {reason}" for reason, count in reasons[:3])
    return (
        f"{n_rejected:,} of {result.n_rows:,} events were refused ({told}), so none was loaded; 'recsql rejected' "
        f"shows them. Mend the source or its mapping, or allow it with --max-rejected 1."
    )


def _ahead(batches: Iterator[Batch]) -> Generator[Batch]:
    """The batches, each read in a thread while the server is busy with the one before it."""
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(next, batches, None)
        while (batch := reading.result()) is not None:
            reading = pool.submit(next, batches, None)
            yield batch


def _event_nos(connection: psycopg.Connection[Any], n_rows: int) -> pa.Array:
    """Numbers for the rows of a batch, in their order, int64 of shape (n_rows,)."""
    n_blocks = -(-n_rows // EVENT_NO_BLOCK)
    drawn = connection.execute("select nextval('recsql.event_no_seq') from generate_series(1, %s)", (n_blocks,))
    firsts = np.array([first for (first,) in drawn], np.int64)
    return pa.array((firsts[:, None] + np.arange(EVENT_NO_BLOCK)).ravel()[:n_rows])


def _csv(batch: Batch, **first: pa.Array | int) -> bytes:
    """A batch as CSV for COPY after the columns ``first``: null as nothing, text quoted, so that an empty one stays."""
    rows = batch.rows
    columns = [pa.repeat(column, rows.num_rows) if isinstance(column, int) else column for column in first.values()]
    table = pa.RecordBatch.from_arrays([*columns, *rows.columns], names=[*first, *rows.schema.names])
    sink = BytesIO()
    csv.write_csv(table, sink, csv.WriteOptions(include_header=False, quoting_style="needed"))
    return sink.getvalue()


def _malformed(batch: Batch, load_no: int) -> list[dict[str, Any]]:
    return [
        {"load_no": load_no, "line_no": str(line.line_no), "raw": line.raw[:100_000], "reason": line.reason}
        for line in batch.malformed
    ]


def _one(connection: psycopg.Connection[Any], query: LiteralString, parameters: dict[str, Any]) -> Any:
    row = connection.execute(query, parameters).fetchone()
    if row is None:
        raise RuntimeError(f"no row from {query}")
    return row
