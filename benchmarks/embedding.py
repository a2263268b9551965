"""The embedding worker: ``python -m benchmarks.embedding --json``.

``ratio``: items a second that are embedded from table to table, over texts a second of a bare
``SentenceTransformer.encode`` of the same texts, alternating, medians. ``latency``: from the ``insert`` of an item,
committed, until its vector can be read, by a worker that had nothing to do. ``unrelated``: an update of columns that no
template reads, of all items of a catalogue, with the triggers that watch for content and without.
"""

import logging
import statistics
import time
from typing import Any

import numpy as np
import psycopg

from benchmarks.data import fresh_database
from benchmarks.report import Report, make_parser
from benchmarks.worker_process import running_worker, wait_until
from recsql import db, ingest
from recsql.queries import QUERIES
from recsql.readers.factory import open_reader
from workers.embed import BATCH, embed
from workers.encoders.sentence_model import PACKAGED, load_sentence_model
from workers.spaces import add_space, add_text_space, encoder_of, read_spaces

logger = logging.getLogger(__name__)

DATASETS = {"ml-100k": "movielens-100k", "ml-1m": "movielens-1m"}
UNRELATED = "update recsql.item set available = not available, attributes = attributes || '{\"stock\": 3}'"


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-1m")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--inserts", type=int, default=100, help="items whose latency is measured")
    parser.add_argument("--updated", type=int, default=10_000, help="items of the catalogue that is updated")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    report = Report("embedding", options.dataset, seed=options.seed)
    url = db.database_url()
    with fresh_database(url) as target, db.connect(target) as connection:
        ingest.load(connection, open_reader(DATASETS[options.dataset]))
        results = throughput(connection, options.repeats)
        results |= latency(connection, target, options.inserts)
    with fresh_database(url) as target, db.connect(target) as connection:
        results |= unrelated(connection, options.updated, options.repeats)
    report.publish(results, options.save)


def throughput(connection: psycopg.Connection[Any], repeats: int) -> dict[str, float]:
    """Items a second, of the worker and of the bare model."""
    add_text_space(connection)
    (space,) = read_spaces(connection)
    encoder_of(connection, space)  # loaded before the clock runs, as the bare model is
    bare, _ = load_sentence_model(PACKAGED)
    rows = connection.execute(
        "select recsql.item_content(i, %s) from recsql.item as i order by i.item_no", (space.template,)
    ).fetchall()
    texts = [text for (text,) in rows if text is not None]
    seconds: dict[str, list[float]] = {"product": [], "bare": []}
    for repeat in range(repeats):
        for side in ("product", "bare") if repeat % 2 == 0 else ("bare", "product"):
            if side == "product":
                connection.execute("truncate recsql.item_embedding_1")
                connection.execute(QUERIES["queue_embedding"])
            began = time.monotonic()
            if side == "product":
                if embed(connection).written != len(texts):
                    raise SystemExit("Not all items were embedded: the two sides do not compare.")
            else:
                bare.encode(texts, batch_size=BATCH["text"], normalize_embeddings=True, show_progress_bar=False)
            seconds[side].append(time.monotonic() - began)
            logger.info("repeat %d: %s took %.2f s", repeat + 1, side, seconds[side][-1])
    product, peer = (len(texts) / statistics.median(seconds[side]) for side in ("product", "bare"))
    return {"items_per_s": product, "bare_items_per_s": peer, "ratio": product / peer, "n_items": len(texts)}


def latency(connection: psycopg.Connection[Any], url: str, n: int) -> dict[str, float]:
    """Seconds from an insert to its vector, one item after the other."""
    seconds = []
    with running_worker(url):
        # The first waits for the process to start and to load its model.
        for number in range(n + 1):
            row = connection.execute(
                "insert into recsql.item (item_id, domain, title, body) "
                "values (%s, 'default', %s, 'A film about a river.') returning item_no",
                (f"late {number}", f"The late arrival, part {number}"),
            ).fetchone()
            assert row is not None
            began = time.monotonic()
            found = "select 1 from recsql.item_embedding where space_no = 1 and item_no = %s"
            if not wait_until(lambda row=row, found=found: bool(connection.execute(found, row).fetchone()), 120):
                raise SystemExit("An item was not embedded within two minutes.")
            seconds.append(time.monotonic() - began)
            time.sleep(0.05)
    p50, p95 = np.percentile(seconds[1:], (50, 95))
    return {"latency_p50_s": float(p50), "latency_p95_s": float(p95), "start_s": seconds[0], "n_inserts": n}


def unrelated(connection: psycopg.Connection[Any], n: int, repeats: int) -> dict[str, float]:
    """What an update of columns that no template reads sets going."""
    add_space(connection, "text", "text", "hashing:64")
    connection.execute("insert into recsql.domain (domain) values ('default') on conflict do nothing")
    connection.execute(
        "insert into recsql.item (item_id, domain, title) "
        "select 'i' || n, 'default', 'Item ' || n from generate_series(1, %s::integer) as n",
        (n,),
    )
    embed(connection)
    row = connection.execute("select max(embedded_at) from recsql.item_embedding").fetchone()
    assert row is not None
    seconds: dict[str, list[float]] = {"origin": [], "replica": []}
    for repeat in range(repeats):
        for role in ("origin", "replica") if repeat % 2 == 0 else ("replica", "origin"):
            connection.execute(f"set session_replication_role = {role}".encode())  # replica: triggers do not fire
            began = time.monotonic()
            connection.execute(UNRELATED)
            seconds[role].append(time.monotonic() - began)
    connection.execute("set session_replication_role = origin")
    tasks = connection.execute("select count(*) from recsql.embedding_task").fetchone()
    written = embed(connection, everything=True).written
    with_triggers, without = (statistics.median(seconds[role]) for role in ("origin", "replica"))
    return {
        "unrelated.n_items": n,
        "unrelated.n_tasks": tasks[0] if tasks else 0,
        "unrelated.n_embedded": written,
        "unrelated.seconds": with_triggers,
        "unrelated.bare_seconds": without,
    }


if __name__ == "__main__":
    main()
