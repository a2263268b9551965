"""Workers killed while they embed: ``python -m benchmarks.faults --seeds 3 --json``.

Of each seed: items of which some cannot be embedded, and a worker that is killed (``kill -9``) whenever it has got as
far as was drawn at random, and started again; the last one may finish. Every write of a vector is counted by a trigger.
``violations`` are items without the vector of their content, vectors that were written more than once, items that
cannot be embedded and are not in ``embedding_failure``, others that are, and tasks that are left.
"""

import logging
import random
from dataclasses import dataclass

import numpy as np
import psycopg

from benchmarks.data import fresh_database
from benchmarks.report import Report, make_parser
from benchmarks.worker_process import running_worker, wait_until
from recsql import db
from workers.spaces import add_space, encoder_of, read_spaces

logger = logging.getLogger(__name__)

SECONDS = 600
"""After so many without an end a worker is taken to hang."""
CHECKED = 200
"""Vectors of each seed that are computed once more."""
TEMPLATE = "{title}"
WORDS = ("river", "stone", "night", "garden", "machine", "winter", "letter", "island", "mirror", "bridge", "forest")

COUNT_WRITES = """
create table public.write_count (item_no integer primary key, n integer not null);
create function public.count_write() returns trigger language plpgsql as $$
begin
    insert into public.write_count as c (item_no, n) values (new.item_no, 1)
    on conflict (item_no) do update set n = c.n + 1;
    return null;
end
$$;
create trigger count_write after insert or update on recsql.item_embedding_1
for each row execute function public.count_write();
"""


@dataclass(frozen=True)
class Found:
    """What a seed came to.

    Attributes:
        kills: workers that were killed at work.
        violations: what is not as it should be, in words.
    """

    kills: int
    violations: list[str]


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from --seed upwards")
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--poison", type=int, default=50)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--model", help="of texts; the packaged one by default")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    report = Report("faults", "embedding", seed=options.seed)
    found = []
    for seed in range(options.seed, options.seed + options.seeds):
        with fresh_database(db.database_url()) as url:
            found.append(embed_and_kill(url, seed, options.items, options.poison, options.kills, options.model))
        logger.info("seed %d: %d kills, violations: %s", seed, found[-1].kills, found[-1].violations or "none")
    results = {
        "violations": sum(len(one.violations) for one in found),
        "runs": len(found),
        "kills": sum(one.kills for one in found),
        "n_items": options.items,
        "n_poison": options.poison,
    }
    report.publish(results, options.save)


def embed_and_kill(url: str, seed: int, n_items: int, n_poison: int, n_kills: int, model: str | None) -> Found:
    """Fill an empty database, embed it by workers that are killed, and look at what is there."""
    draw = random.Random(seed)  # noqa: S311
    poison = set(draw.sample(range(1, n_items + 1), n_poison))
    # A worker writes batches, so some moments in between are those after it has claimed, read or computed.
    moments = sorted(draw.sample(range(n_items - n_poison), n_kills))
    with db.connect(url) as connection:
        add_space(connection, "text", "text", model, TEMPLATE)
        connection.execute(COUNT_WRITES)
        connection.execute("insert into recsql.domain (domain) values ('default') on conflict do nothing")
        with connection.cursor().copy("copy recsql.item (item_no, item_id, domain, title) from stdin") as copy:
            for item_no in range(1, n_items + 1):
                title = "!!!" if item_no in poison else f"Item {item_no} of {' '.join(draw.choices(WORDS, k=8))}"
                copy.write_row((item_no, f"i{item_no}", "default", title))
        kills = 0
        for moment in moments:
            with running_worker(url):
                if not wait_until(lambda moment=moment: _n_written(connection) >= moment, SECONDS):
                    return Found(kills, [f"nothing goes on at {_n_written(connection)} vectors"])
                kills += _n_written(connection) < n_items - n_poison
        with running_worker(url):
            if not wait_until(lambda: not _n_tasks(connection), SECONDS, 0.05):
                return Found(kills, [f"{_n_tasks(connection)} tasks are left"])
        return Found(kills, violations(connection, n_items, poison, seed))


def _n_written(connection: psycopg.Connection) -> int:
    row = connection.execute("select count(*) from recsql.item_embedding_1").fetchone()
    return row[0] if row else 0


def _n_tasks(connection: psycopg.Connection) -> int:
    row = connection.execute("select count(*) from recsql.embedding_task").fetchone()
    return row[0] if row else 0


def violations(connection: psycopg.Connection, n_items: int, poison: set[int], seed: int) -> list[str]:
    """What is not as it should be after all is embedded."""
    good = set(range(1, n_items + 1)) - poison
    written = dict(connection.execute("select item_no, n from public.write_count").fetchall())
    failed = {item_no for (item_no,) in connection.execute("select item_no from recsql.embedding_failure").fetchall()}
    found = [f"item {item_no} has no vector" for item_no in good - written.keys()]
    found += [f"item {item_no} was written {n} times" for item_no, n in written.items() if n > 1]
    found += [f"item {item_no} has a vector, and no content" for item_no in written.keys() & poison]
    found += [f"item {item_no} is not among the failures" for item_no in poison - failed]
    found += [f"item {item_no} is among the failures" for item_no in failed & good]
    (space,) = read_spaces(connection)
    encoder = encoder_of(connection, space)
    chosen = random.Random(seed).sample(sorted(good), min(CHECKED, len(good)))  # noqa: S311
    rows = connection.execute(
        "select i.item_no, i.title, e.embedding from recsql.item as i "
        "inner join recsql.item_embedding as e using (item_no) where i.item_no = any (%s)",
        (chosen,),
    ).fetchall()
    for item_no, title, vector in rows:
        expected = encoder.encode([encoder.decode(title)])[0]
        if not np.allclose(vector.to_numpy(), expected, atol=1e-4):
            found.append(f"item {item_no} has a vector of other content")
    return found


if __name__ == "__main__":
    main()
