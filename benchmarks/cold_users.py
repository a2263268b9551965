"""Users who are new: ``python -m benchmarks.cold_users --json``.

A cut in time leaves 80 % of the events before it, of which all that is served is made (``recsql run``); whoever has no
event before it is new. What such a user does after it is recorded event by event, as an application would, and
``recommend()`` is asked after none, one, two, five and ten, with no run in between. What the user did from the eleventh
event on is relevant, and is the same for all of them; users of less than twenty events are left out. NDCG@10 and
recall@10, with intervals over users; ``gain``: NDCG@10 over that after no event, which is what is trending.

``--part validation`` cuts at 64 % and ends at 80 %, so that none of its users is new in the other part, and compares
what ``recsql.personal_share`` could be: ``prior_C``, what a user did counts n / (n + C) after n events.
"""

import logging
import statistics
import time
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.data import fresh_database
from benchmarks.report import Report, make_parser
from recsql import db, ingest
from recsql.cli.output import progress_bars
from recsql.readers.factory import open_reader
from workers.commands import embed_backlog, stage_bars
from workers.evaluate import interval
from workers.pipeline import Pipeline, PipelineConfig

logger = logging.getLogger(__name__)

DATASETS = {"ml-100k": "movielens-100k", "ml-1m": "movielens-1m"}
K = 10
FIRST = 10
"""Events of a user that are recorded."""
ASKED_AFTER = (0, 1, 2, 5, 10)
LEAST = 20
"""Events that a user has after the cut."""

CUTS = {"validation": (0.64, 0.8), "test": (0.8, 1.0)}
"""Shares of the events before the cut, and before the end of what users do after it."""
PRIORS = (0, 1, 2, 3, 5, 10, 30)
LATER = "create table public.later (user_id text, item_id text, value real, at timestamptz, n bigint)"
SET_ASIDE = """
with bounds as (
    select percentile_disc(%(cut)s::float8) within group (order by c.at) as cut_at,
        percentile_disc(%(until)s::float8) within group (order by c.at) as until_at
    from recsql.event as c
),

gone as (delete from recsql.event as e using bounds as b where e.at > b.cut_at returning e.*)

insert into public.later
select u.user_id, i.item_id, g.value, g.at, row_number() over (partition by g.user_no order by g.at, g.event_no)
from gone as g
inner join bounds as b on g.at <= b.until_at
inner join recsql.app_user as u on u.user_no = g.user_no
inner join recsql.item as i on i.item_no = g.item_no
"""


SHARE = """
create or replace function recsql.personal_share(p_run_no integer, p_user_no integer, p_had_weights double precision [])
returns double precision
language sql
stable
begin atomic
    select case
        when recsql.is_published_for(p_run_no, p_user_no) then 1
        else (
            select coalesce(count(*) / nullif(count(*) + {prior}::double precision, 0), 0)
            from unnest(p_had_weights) as w (weight) where w.weight > 0
        )
    end;
end
"""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--part", choices=CUTS, default="test")
    parser.add_argument("--users", type=int, default=500, help="new users that are drawn at most")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    dataset = options.dataset if options.part == "test" else f"{options.dataset}-{options.part}"
    report = Report("cold_users", dataset, "global", options.seed)
    with fresh_database(db.database_url()) as url, db.connect(url) as connection, progress_bars() as progress:
        ingest.load(connection, open_reader(DATASETS[options.dataset]))
        cut, until = CUTS[options.part]
        connection.execute(LATER)
        connection.execute(SET_ASIDE, {"cut": cut, "until": until})
        bars = stage_bars(progress)
        embed_backlog(connection, bars)
        Pipeline(connection, PipelineConfig(seed=options.seed), bars).refresh()
        users = read_users(connection)
        draw = np.random.default_rng(options.seed)
        chosen = sorted(draw.choice(sorted(users), min(options.users, len(users)), replace=False).tolist())
        users = {user: users[user] for user in chosen}
        if options.part == "validation":
            report.publish({"n_users": len(users), **compare_priors(connection, users)}, options.save)
            return
        found, milliseconds = measure(connection, users)
    results: dict[str, float] = {"n_users": len(chosen), "recommend.p50_ms": statistics.median(milliseconds)}
    nothing, _, _, _ = interval(found[0][:, 0], options.seed)
    for n, values in found.items():
        for column, metric in enumerate((f"ndcg@{K}", f"recall@{K}")):
            value, lo, hi, _ = interval(values[:, column], options.seed)
            ends = (("", value), (".lo", lo), (".hi", hi))
            results |= {f"after_{n}.{metric}{end}": x for end, x in ends if x is not None}
        if nothing:
            results[f"after_{n}.gain"] = results[f"after_{n}.ndcg@{K}"] / nothing
    report.publish(results, options.save)


def compare_priors(
    connection: psycopg.Connection[Any], users: dict[str, list[tuple[str, float, Any]]]
) -> dict[str, float]:
    """NDCG by what ``personal_share`` is, and its mean over the numbers of events from one on."""
    results: dict[str, float] = {}
    for prior in PRIORS:
        with connection.transaction(force_rollback=True):
            connection.execute(SHARE.format(prior=prior).encode())
            found, _ = measure(connection, users)
        means = {n: float(values[:, 0].mean()) for n, values in found.items()}
        results |= {f"prior_{prior}.after_{n}.ndcg@{K}": value for n, value in means.items()}
        results[f"prior_{prior}.ndcg@{K}"] = statistics.mean(value for n, value in means.items() if n)
        logger.info("prior %s: %s", prior, means)
    return results


def read_users(connection: psycopg.Connection[Any]) -> dict[str, list[tuple[str, float, Any]]]:
    """What the new users did, oldest first: item, rating and time by user."""
    users: dict[str, list[tuple[str, float, Any]]] = {}
    query = """
        select l.user_id, l.item_id, l.value, l.at
        from public.later as l
        inner join recsql.app_user as u on u.user_id = l.user_id
        where not exists (select from recsql.event as e where e.user_no = u.user_no)
        order by l.user_id, l.n
    """
    for user, item, value, at in connection.execute(query):
        users.setdefault(user, []).append((item, value, at))
    return {user: events for user, events in users.items() if len(events) >= LEAST}


def measure(
    connection: psycopg.Connection[Any], users: dict[str, list[tuple[str, float, Any]]]
) -> tuple[dict[int, NDArray[np.float64]], list[float]]:
    """NDCG and recall by the number of events that were recorded, shape ``(n_users, 2)``, and how long calls took."""
    found = {n: np.zeros((len(users), 2)) for n in ASKED_AFTER}
    milliseconds = []
    for row, (user, events) in enumerate(users.items()):
        first = [item for item, _, _ in events[:FIRST]]
        relevant = {item for item, _, _ in events[FIRST:]}
        for n in range(FIRST + 1):
            if n in found:
                began = time.monotonic()
                answer = connection.execute(
                    "select item_id from recsql_api.recommend(%s, %s, p_exclude => %s) order by rank", (user, K, first)
                ).fetchall()
                milliseconds.append(1000 * (time.monotonic() - began))
                hits = np.array([item in relevant for (item,) in answer], dtype=float)
                discounts = 1 / np.log2(np.arange(2, K + 2))
                ideal = discounts[: min(len(relevant), K)].sum()
                found[n][row] = (hits * discounts[: len(hits)]).sum() / ideal, hits.sum() / len(relevant)
            if n < FIRST:
                item, value, at = events[n]
                connection.execute(
                    "select recsql_api.record_event(%s, %s, 'rating', %s::real, %s)", (user, item, value, at)
                )
    return found, milliseconds


if __name__ == "__main__":
    main()
