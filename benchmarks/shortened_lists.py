"""What a run's lists would be had users not had one of their items, by the models and the similarities of that run."""

from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from workers.pipeline import PipelineConfig
from workers.run import Run
from workers.scoring import score
from workers.stages import candidates
from workers.versions import train

SHORTENED = """
    insert into recsql.interaction (run_no, user_no, item_no, step, weight, rating, n_events, at, event_no, kind_no)
    select %(run_no)s, i.user_no, i.item_no,
        case when i.step is not null
            then row_number() over (partition by i.user_no, i.step is not null order by i.step) - 1 end,
        i.weight, i.rating, i.n_events, i.at, i.event_no, i.kind_no
    from recsql.interaction as i
    inner join unnest(%(user_nos)s::integer [], %(item_nos)s::integer []) as d (user_no, item_no)
        on d.user_no = i.user_no
    where i.run_no = %(of_no)s and i.item_no <> d.item_no
"""
COPIED = ("item_popularity", "item_similarity", "user_similarity", "segment_popularity")
RANKS = """
    with fused as materialized (
        select f.user_no, f.item_no, f.score from recsql.fused(%(run_no)s, %(policy_no)s, 0, 2147483647) as f
    )

    select
        s.user_no,
        case when t.item_no is not null then 1 + count(o.item_no) end,
        case when t.item_no is not null then 1 + count(o.item_no) filter (where o.item_no <> s.deleted_no) end
    from unnest(%(user_nos)s::integer [], %(item_nos)s::integer [], %(target_nos)s::integer [])
        as s (user_no, deleted_no, item_no)
    left join fused as t on t.user_no = s.user_no and t.item_no = s.item_no
    left join fused as o
        on o.user_no = s.user_no and (o.score > t.score or (o.score = t.score and o.item_no < t.item_no))
    group by s.user_no, t.item_no
"""


@dataclass(frozen=True)
class Deletion:
    """An item that a user is to have had no more, and one that the user is recommended."""

    user_no: int
    deleted_no: int
    target_no: int


@dataclass(frozen=True)
class Ranks:
    """Where the recommended item stands then; None where nothing proposes it any more.

    Attributes:
        as_served: among all, the deleted item included, which may be recommended again.
        others: among what was not had before either.
    """

    as_served: int | None
    others: int | None


def ranks_without(
    connection: psycopg.Connection[Any], of_no: int, policy_no: int, deletions: list[Deletion]
) -> list[Ranks]:
    """Where items would stand without one event of their users; at most one deletion a user.

    Candidates, user vectors, scores and fusion are made anew of the shortened histories. Item vectors, networks,
    similarities and popularities are those of the run.
    """
    lists = {
        "user_nos": [deletion.user_no for deletion in deletions],
        "item_nos": [deletion.deleted_no for deletion in deletions],
        "target_nos": [deletion.target_no for deletion in deletions],
    }
    run_no = _one(connection, "select recsql.begin_run(null, 'shortened', '{}')")
    try:
        connection.execute(SHORTENED, lists | {"run_no": run_no, "of_no": of_no})
        for table in COPIED:
            _copy(connection, table, of_no, run_no)
        run = Run(connection, run_no, "production", config_of(connection, of_no), policy_no)
        run.since_no, run.since_models = of_no, run.config.models
        for stage in (train, candidates, score):
            stage(run, lambda done, total, note: None)
        rows = connection.execute(RANKS, lists | {"run_no": run_no, "policy_no": policy_no}).fetchall()
    finally:
        connection.execute("select recsql.prune_run(%s::integer)", (run_no,))
        connection.execute("delete from recsql.model_version where run_no = %s", (run_no,))
        connection.execute("delete from recsql.run where run_no = %s", (run_no,))
    found = {user_no: Ranks(as_served, others) for user_no, as_served, others in rows}
    return [found[deletion.user_no] for deletion in deletions]


def config_of(connection: psycopg.Connection[Any], run_no: int) -> PipelineConfig:
    """What a run was made with."""
    return PipelineConfig(**_one(connection, "select config from recsql.run where run_no = %s", run_no))


def _one(connection: psycopg.Connection[Any], query: LiteralString, *parameters: Any) -> Any:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def _copy(connection: psycopg.Connection[Any], table: str, of_no: int, run_no: int) -> None:
    columns = [
        name
        for (name,) in connection.execute(
            "select a.attname::text from pg_attribute as a "
            "where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped and a.attname <> 'run_no'",
            (f"recsql.{table}",),
        )
    ]
    named = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = (
        "insert into recsql.{table} (run_no, {columns}) select %s, {columns} from recsql.{table} where run_no = %s"
    )
    connection.execute(sql.SQL(statement).format(table=sql.Identifier(table), columns=named), (run_no, of_no))
