"""Answer times of the SQL API: ``python -m benchmarks.serving --json``.

Measures the configured database as it stands, which must have a published run of the data set. One client of pgbench
(prepared protocol) sends each kind of request in turn, in several rounds, and every time comes from its log of
transactions. ``bare`` reads the published rows of a user from the tables, without any of what recommend() does on top;
``throughput_ratio`` is the requests per second of recommend() for published users over those of it.
``explored_p99_ratio`` is its 99th percentile with a tenth of the places explored, and so logged, over that without;
``controlled_p99_ratio`` with rules and diversity on, and an experiment running in the slot that has novelty on for half
of the users.
``recall@10`` compares similar_items() by content with the same query made exact. Users, events and requests made for
it are deleted afterwards.
"""

import logging
import os
import random
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.report import Report, make_parser
from recsql import db
from recsql.embedded_binaries import find_program
from recsql.settings import get_settings

logger = logging.getLogger(__name__)

DATASETS = {"ml-100k": "movielens-100k", "ml-1m": "movielens-1m"}
ROUNDS = 4
RECALL_ITEMS = 200

REQUESTS = {
    "bare": (
        "user",
        "select i.item_id, r.score from recsql.release as l "
        "inner join recsql.recommendation as r on r.run_no = l.run_no "
        "inner join recsql.app_user as u on u.user_no = r.user_no and u.user_id = public.serving_id('user', :n) "
        "inner join recsql.item as i on i.item_no = r.item_no "
        "where l.slot = 'default' order by r.rank limit 10",
    ),
    "recommend": ("user", "select * from recsql_api.recommend(public.serving_id('user', :n), 10)"),
    "recommend.logged": (
        "user",
        "select * from recsql_api.recommend(public.serving_id('user', :n), 10, p_log => true)",
    ),
    "recommend.explored": (
        "user",
        "select * from recsql_api.recommend(public.serving_id('user', :n), 10, p_explore => 0.1)",
    ),
    "recommend.fresh_user": ("fresh", "select * from recsql_api.recommend(public.serving_id('fresh', :n), 10)"),
    "recommend.new_user": ("new", "select * from recsql_api.recommend(public.serving_id('new', :n), 10)"),
    "recommend.unknown_user": ("user", "select * from recsql_api.recommend('serving-unknown-' || :n, 10)"),
    "recommend.filter": (
        "user",
        "select * from recsql_api.recommend("
        """public.serving_id('user', :n), 10, p_filter => '{"genres": ["Comedy"]}')""",
    ),
    "recommend.controlled": (
        "user",
        "select * from recsql_api.recommend("
        "public.serving_id('user', :n), 10, p_slot => 'serving', p_diversity => 0.3)",
    ),
    "similar_items": ("item", "select * from recsql_api.similar_items(public.serving_id('item', :n), 10)"),
    "similar_items.content": (
        "item",
        "select * from recsql_api.similar_items(public.serving_id('item', :n), 10, 'content')",
    ),
}
"""For each kind of request, the kind of id that it draws, and its statement. fresh: published, with events since; new:
with events, but not published; unknown: nothing. controlled: in a slot with a rule of every kind, filter to pin, and an
experiment."""

CLEANUP = """
    drop function if exists public.serving_id;
    do $$
    begin
        if to_regclass('public.serving_start') is not null then
            delete from recsql.impression where at >= (select at from public.serving_start);
            delete from recsql.request where at >= (select at from public.serving_start);
        end if;
    end
    $$;
    drop table if exists public.serving_start;
    drop table if exists public.serving_id;
    update recsql.experiment set state = 'stopped' where slot = 'serving' and state = 'running';
    delete from recsql.experiment where slot = 'serving';
    delete from recsql.rule where slot = 'serving';
    delete from recsql.release where slot = 'serving';
    delete from recsql.event where load_no = -1;
    delete from recsql.app_user where starts_with(user_id, 'serving-new-');
"""
PREPARATION = """
    create table public.serving_start as select now() as at;
    create table public.serving_id (kind text, n integer, id text, no integer, primary key (kind, n));
    insert into public.serving_id (kind, n, id, no)
    select 'user', row_number() over (order by u.user_no), u.user_id, u.user_no
    from recsql.app_user as u
    where exists (
        select from recsql.recommendation as r
        inner join recsql.release as l on l.run_no = r.run_no and l.slot = 'default'
        where r.user_no = u.user_no
    );
    insert into public.serving_id (kind, n, id, no)
    select 'item', row_number() over (order by i.item_no), i.item_id, i.item_no
    from recsql.item as i
    where i.available;
    insert into recsql.app_user (user_id) select 'serving-new-' || n from generate_series(1, 100) as n;
    insert into public.serving_id (kind, n, id, no)
    select 'new', row_number() over (order by u.user_no), u.user_id, u.user_no
    from recsql.app_user as u
    where starts_with(u.user_id, 'serving-new-');
    -- The last tenth, so that the times of `user` are hardly those of users with fresh events.
    insert into public.serving_id (kind, n, id, no)
    select 'fresh', row_number() over (order by s.n desc), s.id, s.no
    from public.serving_id as s
    where s.kind = 'user'
    order by s.n desc
    limit (select greatest(1, count(*) / 10) from public.serving_id where kind = 'user');
    delete from public.serving_id as s
    using public.serving_id as f
    where s.kind = 'user' and f.kind = 'fresh' and f.no = s.no;
    insert into recsql.event (user_no, item_no, kind_no, at, load_no)
    select s.no, i.no, k.kind_no, clock_timestamp(), -1
    from public.serving_id as s
    cross join generate_series(1, 5) as e
    inner join public.serving_id as i
        on i.kind = 'item'
        and i.n = 1 + (s.no::bigint * 7919 + e * 104729) % (select count(*) from public.serving_id where kind = 'item')
    inner join recsql.event_kind as k on k.kind = 'like'
    where s.kind in ('fresh', 'new')
    on conflict do nothing;
    insert into recsql.release (slot, run_no, policy_no)
    select 'serving', l.run_no, l.policy_no from recsql.release as l where l.slot = 'default';
    insert into recsql.rule (
        rule, kind, condition, factor, half_life, attribute, max_items, share, item_no, position, slot, state
    )
    select 'serving-' || v.kind, v.kind, v.condition::jsonb, v.factor, v.half_life::interval, v.attribute, v.max_items,
        v.share, v.item_no, v.position, 'serving', 'active'
    from (
        values
        (
            'filter', '{"not": {"attribute": "genres", "op": "contains", "value": "Horror"}}',
            null, null, null, null, null, null, null
        ),
        (
            'boost', '{"attribute": "genres", "op": "contains", "value": "Comedy"}',
            1.2, null, null, null, null, null, null
        ),
        ('bury', '{"attribute": "year", "op": "<", "value": 1960}', 0.5, null, null, null, null, null, null),
        ('freshness', null, null, '3650 days', null, null, null, null, null),
        ('cap', null, null, null, 'genres', 4, null, null, null),
        (
            'promote', '{"attribute": "year", "op": ">=", "value": 1997}',
            null, null, null, null, 0.2, null, null
        ),
        ('pin', null, null, null, null, null, null, 100, 3)
    ) as v (kind, condition, factor, half_life, attribute, max_items, share, item_no, position);
    insert into recsql.experiment (experiment, slot) values ('serving', 'serving');
    insert into recsql.variant (experiment_no, variant, is_control, controls)
    select e.experiment_no, v.variant, v.is_control, v.controls::jsonb
    from recsql.experiment as e
    cross join (
        values ('serving-as-is', true, '{}'), ('serving-novel', false, '{"novelty": 0.2}')
    ) as v (variant, is_control, controls)
    where e.slot = 'serving';
    update recsql.experiment set state = 'running' where slot = 'serving';
    create function public.serving_id(p_kind text, p_n integer) returns text language sql stable
    return (select s.id from public.serving_id as s where s.kind = p_kind and s.n = p_n);
    analyze public.serving_id;
"""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k", help="what the database must hold")
    parser.add_argument("--seconds", type=float, default=20, help="of each kind of request")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    report = Report("serving", options.dataset, seed=options.seed)
    url = db.database_url()
    with db.connect(url) as connection:
        require_published(connection, DATASETS[options.dataset])
        with prepared(connection) as counts:
            times = measure(url, counts, options.seconds, options.seed)
        results = {}
        for name, milliseconds in times.items():
            cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
            results |= {f"{name}.p50_ms": cuts[49], f"{name}.p99_ms": cuts[98]}
            results[f"{name}.per_s"] = 1000 / statistics.fmean(milliseconds)
        results["explored_p99_ratio"] = results["recommend.explored.p99_ms"] / results["recommend.p99_ms"]
        results["controlled_p99_ratio"] = results["recommend.controlled.p99_ms"] / results["recommend.p99_ms"]
        results["throughput_ratio"] = results["recommend.per_s"] / results["bare.per_s"]
        results["similar_items.recall@10"] = recall(connection, options.seed)
    report.publish({name: round(value, 4) for name, value in results.items()}, options.save)


def require_published(connection: psycopg.Connection[Any], source: str) -> None:
    """Exit where the database cannot answer for the data set, saying what to do."""
    row = connection.execute(
        "select exists (select from recsql.load where state = 'complete' and source = %s),"
        " exists (select from recsql.release where slot = 'default')",
        (source,),
    ).fetchone()
    is_loaded, is_published = row or (False, False)
    if not is_loaded:
        raise SystemExit(f"The database has no complete load of {source}: run 'recsql load {source}' first.")
    if not is_published:
        raise SystemExit("The database has no published run: run 'recsql run' first.")


@contextmanager
def prepared(connection: psycopg.Connection[Any]) -> Iterator[dict[str, int]]:
    """How many ids there are of each kind to draw from; what was made for them is gone afterwards."""
    try:
        with connection.transaction():
            connection.execute(CLEANUP)
            connection.execute(PREPARATION)
        yield dict(connection.execute("select kind, count(*)::integer from public.serving_id group by kind").fetchall())
    finally:
        with connection.transaction():
            connection.execute(CLEANUP)


def measure(url: str, counts: dict[str, int], seconds: float, seed: int) -> dict[str, list[float]]:
    """Times in ms of each kind of request, all kinds in turn in every round."""
    program = find_program("pgbench", get_settings().pg_bin)
    if program is None:
        raise SystemExit("There is no pgbench: put that of PostgreSQL on PATH, or set RECSQL_PG_BIN to its folder.")
    times: dict[str, list[float]] = {name: [] for name in REQUESTS}
    for turn in range(ROUNDS):
        for name, (kind, statement) in REQUESTS.items():
            script = f"\\set n random(1, {counts[kind]})\n{statement};\n"
            found = run_pgbench(program, url, script, max(1, round(seconds / ROUNDS)), seed + turn)
            logger.info("round %d: %s, median %.2f ms", turn + 1, name, statistics.median(found))
            times[name] += found
    return times


def run_pgbench(program: Path, url: str, script: str, seconds: int, seed: int) -> list[float]:
    """Time in ms of every transaction of one client."""
    # A password must not be among the arguments, which every user of the machine can read.
    arguments = conninfo_to_dict(url)
    password = arguments.pop("password", None)
    environment = os.environ | ({"PGPASSWORD": str(password)} if password else {})
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "script.sql").write_text(script)
        done = subprocess.run(
            [
                str(program), "-n", "-c", "1", "-M", "prepared", "-T", str(seconds), f"--random-seed={seed}", "-l",
                "--log-prefix=times", "-f", "script.sql", make_conninfo("", **arguments),
            ],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"pgbench failed: {done.stderr.strip()}")
        lines = [line.split() for log in Path(folder).glob("times.*") for line in log.read_text().splitlines()]
    return [int(line[2]) / 1000 for line in lines]


def recall(connection: psycopg.Connection[Any], seed: int) -> float:
    """Share of similar_items()' ten answers by content that are as near as the tenth of the exact answer."""
    query = "select similarity from recsql_api.similar_items(%s, 10, 'content')"
    rows = connection.execute("select item_id from recsql.item where available order by item_no").fetchall()
    # Not for secrets.
    sample = random.Random(seed).sample([row[0] for row in rows], min(RECALL_ITEMS, len(rows)))  # noqa: S311
    found = {item: connection.execute(query, (item,)).fetchall() for item in sample}
    n_right = n_exact = 0
    with connection.transaction():
        connection.execute("set local enable_indexscan = off")
        for item in sample:
            exact = connection.execute(query, (item,)).fetchall()
            n_exact += len(exact)
            n_right += sum(row[0] >= exact[-1][0] - 1e-9 for row in found[item])
    return n_right / n_exact if n_exact else float("nan")


if __name__ == "__main__":
    main()
