"""The plans behind the SQL API: calls read by index, and a bounded number of pages, at ten times the data too.

Every statement inside of a function is seen as it ran, through auto_explain.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from recsql.db import connect

SMALL, LARGE = 1_000, 10_000
"""Items; there are half as many users, and thirty events a user."""
DIM = 8
GROWTH = 2
"""Pages that a call may read at ten times the data, over those that it reads at first."""
FEW_PAGES = 5
FEW = 60
"""Pages that are no growth: one more level of some indexes, or a list that is spread over more pages."""

BIG = re.compile(
    r"(event_(default|\d+)|interaction_\d+|item_similarity_\d+|item_popularity_\d+|candidate_\d+|recommendation_\d+|"
    r"item_embedding_\d+|item|app_user|item_activity|item_trend|impression)$"
)
"""Tables that grow with the catalogue, the users or what they do."""


@dataclass(frozen=True)
class Call:
    """A call of the API, with what is expected of it.

    Attributes:
        query: the statement that an application sends.
        pages: it reads at most so many.
        indexes: patterns of indexes that it uses.
        prepare: statement that goes before each call.
        is_exact_when_small: a small catalogue is read through, and its index used only by a large one.
    """

    query: str
    pages: int
    indexes: tuple[str, ...] = ()
    prepare: str | None = None
    is_exact_when_small: bool = False


CALLS = {
    "recommend": Call(
        "select * from recsql_api.recommend('u7')",
        1000,
        (r"app_user_user_id_key", r"recommendation_\d+_pkey", r"interaction_\d+_pkey", r"item_pkey"),
    ),
    "recommend after new events": Call(
        "select * from recsql_api.recommend('u8')",
        4000,
        (r"recommendation_\d+_pkey", r"event_(default|\d+)_user_no_at_.*", r"item_similarity_\d+_.*"),
        "select recsql_api.record_event('u8', 'i' || n, 'like') from generate_series(11, 15) as n",
    ),
    "recommend to a user that nobody knows": Call(
        "select * from recsql_api.recommend('nobody')", 300, (r"item_popularity_\d+_run_no_trend_.*",)
    ),
    "recommend of a domain": Call("select * from recsql_api.recommend('u7', p_domain => 'rare')", 2000),
    "recommend of a domain to a user that nobody knows": Call(
        "select * from recsql_api.recommend('nobody', p_domain => 'rare')", 2000
    ),
    "recommend by a filter": Call(
        """select * from recsql_api.recommend('nobody', p_filter => '{"series": 5}')""", 500, (r"item_attributes_idx",)
    ),
    "recommend with an item in view": Call(
        """select * from recsql_api.recommend('u7', p_context => '{"item_id": "i12"}')""",
        3000,
        (r"item_similarity_\d+_.*",),
    ),
    "similar_items by behaviour": Call(
        "select * from recsql_api.similar_items('i12')", 500, (r"item_similarity_\d+_.*",)
    ),
    "similar_items by content": Call(
        "select * from recsql_api.similar_items('i12', p_by => 'content')",
        5000,
        (r"item_embedding_\d+_hnsw",),
        is_exact_when_small=True,
    ),
    "trending": Call("select * from recsql_api.trending()", 300, (r"item_trend_score_idx", r"item_pkey")),
    "trending with events not counted yet": Call(
        "select * from recsql_api.trending()",
        300,
        (r"item_trend_score_idx", r"item_trend_pkey"),
        "select recsql_api.record_event('u9', 'i' || n, 'like') from generate_series(11, 15) as n",
    ),
    "trending of a domain": Call("select * from recsql_api.trending(p_domain => 'rare')", 1500),
    "trending of all time": Call(
        "select * from recsql_api.trending(p_window => null)", 300, (r"item_trend_score_idx",)
    ),
    "explain_recommendation": Call(
        "select * from recsql_api.explain_recommendation('u7', (select item_id from recsql_api.recommend('u7', 1)))",
        2000,
        (r"item_similarity_\d+_.*",),
    ),
    "record_event": Call(
        "select recsql_api.record_event('u7', 'i3', 'view')",
        100,
        (r"item_item_id_key", r"app_user_user_id_key"),
    ),
    "record_impressions": Call(
        "select recsql_api.record_impressions(gen_random_uuid(), 'u7', '{i1,i2,i3,i4,i5,i6,i7,i8,i9,i10}')",
        300,
        (r"item_item_id_key",),
    ),
    "upsert_item": Call("select recsql_api.upsert_item('i3', 'Title ' || random())", 150),
    "recommendation_current of a user": Call(
        "select * from recsql_api.recommendation_current where user_id = 'u7' order by rank",
        700,
        (r"app_user_user_id_key", r"recommendation_\d+_pkey"),
    ),
}


@dataclass
class Seen:
    """What a call did: pages read, indexes used, and sequential scans of big tables."""

    pages: int = 0
    indexes: set[str] = field(default_factory=set)
    scans: list[str] = field(default_factory=list)


def populate(connection: psycopg.Connection[Any], n_items: int) -> None:
    """Fill a database with a published run; what the product's functions can make, they make.

    Vectors are invented, and so are the candidates and recommendations of most users, whose making takes long.
    """
    n_users = n_items // 2
    connection.execute("insert into recsql.domain (domain) values ('common'), ('rare')")
    # Ten items are of the rare domain; twenty items make a series.
    connection.execute(
        "insert into recsql.item (item_no, item_id, domain, title, attributes) "
        "select n, 'i' || n, case when n <= 200 and n %% 20 = 0 then 'rare' else 'common' end, 'Item ' || n, "
        "jsonb_build_object('series', n / 20, 'colour', n %% 3) from generate_series(1, %s::integer) as n",
        (n_items,),
    )
    connection.execute(
        "insert into recsql.app_user (user_no, user_id) select n, 'u' || n from generate_series(1, %s::integer) as n",
        (n_users,),
    )
    for table, column in (("item", "item_no"), ("app_user", "user_no")):
        connection.execute(
            f"select setval(pg_get_serial_sequence('recsql.{table}', '{column}'), max({column})) from recsql.{table}"
        )
    space_no = connection.execute(
        "select recsql.add_embedding_space('test', 'text', 'none', '1', %s, '{title}')", (DIM,)
    ).fetchone()[0]
    connection.execute("select setseed(0.5)")
    name, definition = connection.execute(
        "select s.indexrelid::regclass::text, pg_get_indexdef(s.indexrelid) from pg_stat_all_indexes as s "
        "inner join pg_class as c on c.oid = s.indexrelid inner join pg_am as a on a.oid = c.relam "
        "where s.schemaname = 'recsql' and s.relname = %s and a.amname = 'hnsw'",
        (f"item_embedding_{space_no}",),
    ).fetchone()
    connection.execute(f"drop index {name}")  # made afterwards in a fraction of the time
    connection.execute(
        "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) "
        "select %s, i.item_no, '', "
        "(select array_agg(random() + 0 * i.item_no + 0 * d) from generate_series(1, %s) as d)::vector "
        "from recsql.item as i",
        (space_no, DIM),
    )
    connection.execute(definition)
    # Users walk through the catalogue in steps of one to three, so that items have neighbours.
    connection.execute("select recsql.add_event_partitions(now() - interval '300 days', now())")
    connection.execute(
        "insert into recsql.event (event_no, user_no, item_no, kind_no, at) "
        "select u.n * 30 + s.n, u.n, (u.n * 37 + s.n + (u.n * s.n) %% 3) %% %s + 1, 1 + s.n %% 2, "
        "now() + (u.n * 298 / %s - 300) * interval '1 day' + s.n * interval '10 minutes' "
        "from generate_series(1, %s::integer) as u (n) cross join generate_series(1, 30) as s (n)",
        (n_items, n_users, n_users),
    )
    connection.execute("select setval('recsql.event_no_seq', %s)", (n_users * 30 + 1000,))
    run_no = connection.execute("select recsql.begin_run(null, 'test', '{}')").fetchone()[0]
    for statement in (
        "select recsql.refresh_interaction(%s::integer)",
        "select recsql.refresh_item_popularity(%s::integer)",
        "select recsql.refresh_similarity_sequential(%s::integer, p_window => 4, p_neighbours => 50)",
        "select recsql.refresh_similarity_cosine(%s::integer, p_history => 10, p_neighbours => 50)",
        "select recsql.refresh_candidates(%s::integer, 'sequential', 1, 100)",
        "select recsql.refresh_candidates(%s::integer, 'cosine', 1, 100)",
    ):
        connection.execute(statement, (run_no,))
    policy_no = connection.execute(
        "insert into recsql.fusion_policy (policy, kind, weights) "
        "values ('test', 'weighted', '{\"sequential\": 1, \"cosine\": 0.5, \"trending\": 0.1}') returning policy_no"
    ).fetchone()[0]
    connection.execute("select recsql.fuse(%s::integer, %s::integer, 1, 100)", (run_no, policy_no))
    connection.execute(
        "insert into recsql.candidate (run_no, user_no, source_no, item_nos, scores) "
        "select %s, u.n, 1, array_agg((u.n * 37 + 30 + r.n) %% %s + 1 order by r.n), "
        "array_agg((1.0 / r.n)::real order by r.n) "
        "from generate_series(101, %s::integer) as u (n) cross join generate_series(1, 30) as r (n) group by u.n",
        (run_no, n_items, n_users),
    )
    connection.execute(
        "insert into recsql.recommendation (run_no, user_no, rank, item_no, score, parts) "
        "select c.run_no, c.user_no, r.rank, r.item_no, r.score, jsonb_build_object('sequential', r.score) "
        "from recsql.candidate as c "
        "cross join unnest(c.item_nos, c.scores) with ordinality as r (item_no, score, rank) "
        "where c.run_no = %s and c.user_no > 100",
        (run_no,),
    )
    connection.execute("update recsql.run set state = 'complete' where run_no = %s", (run_no,))
    connection.execute("select recsql.publish(%s::integer, %s::integer)", (run_no, policy_no))
    # Of this hour, so that the windows end with it and what is recorded later moves them no more.
    connection.execute("select recsql_api.record_event('u1', 'i1', 'view')")
    connection.execute("select recsql.refresh_activity()")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def is_scan_of_big_table(node: dict[str, Any]) -> bool:
    """Whether a node of a plan read a table that grows from one end to the other; one of few pages is read best so."""
    return (
        node["Node Type"] == "Seq Scan"
        and BIG.match(node["Relation Name"]) is not None
        and node["Shared Hit Blocks"] + node["Shared Read Blocks"] > FEW_PAGES
    )


def watch(url: str) -> dict[str, Seen]:
    """Send every call as an application whose connection is warm, and look at how it is answered."""
    plans: list[dict[str, Any]] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        _, found, text = (diagnostic.message_primary or "").partition("plan:\n")
        if found:
            plans.append(json.loads(text))

    seen = {}
    with connect(url) as connection:
        try:
            connection.execute("load 'auto_explain'")
            for setting in (
                "log_min_duration = 0", "log_analyze = on", "log_timing = off", "log_buffers = on",
                "log_nested_statements = on", "log_format = json",
            ):  # fmt: skip
                connection.execute(f"set auto_explain.{setting}")
        except psycopg.Error as error:
            pytest.skip(f"plans cannot be seen on this server: {error}")
        connection.add_notice_handler(note)
        for name, call in CALLS.items():
            with connection.transaction(force_rollback=True):
                if call.prepare:
                    connection.execute(call.prepare)
                for _ in range(7):  # after five, the server may settle for one plan for all arguments
                    connection.execute(call.query, prepare=False)
                connection.execute("set local client_min_messages = log")
                plans.clear()
                connection.execute(call.query, prepare=False)
            found = seen[name] = Seen()
            # The outermost statement ends last; what it reads includes what is read for it.
            root = plans[-1]["Plan"]
            found.pages = root["Shared Hit Blocks"] + root["Shared Read Blocks"]
            # What a function only explains, to see how many rows match, has not run.
            for plan in (plan for plan in plans if "Actual Loops" in plan["Plan"]):
                for node in nodes(plan["Plan"]):
                    if "Index Name" in node and node["Actual Loops"]:
                        found.indexes.add(node["Index Name"])
                    if is_scan_of_big_table(node):
                        found.scans.append(f"{node['Relation Name']} in {plan['Query Text'].strip()[:200]}")
    return seen


@pytest.fixture(scope="module")
def observed(server, template):
    """What every call did on a small database as it was filled, after analyze, and on one of ten times its size."""
    found = {}
    for n_items in (SMALL, LARGE):
        with server.clone(template) as name:
            with connect(server.url(name)) as connection:
                populate(connection, n_items)
                if n_items == SMALL:
                    found["filled"] = watch(server.url(name))
                connection.execute("vacuum analyze")
            found["small" if n_items == SMALL else "large"] = watch(server.url(name))
    return found


@pytest.mark.parametrize("state", ["filled", "small", "large"])
@pytest.mark.parametrize("name", CALLS)
def test_api_call_reads_by_index(observed, name, state):
    seen = observed[state][name]
    if CALLS[name].is_exact_when_small and state != "large":
        # Few enough vectors to compare with all, whether they are scanned or, before analyze, looked up one by one.
        assert not any(re.match(rf"{pattern}$", index) for pattern in CALLS[name].indexes for index in seen.indexes)
        return
    assert seen.scans == []
    for pattern in CALLS[name].indexes:
        assert any(re.match(rf"{pattern}$", index) for index in seen.indexes), f"{pattern} is not in {seen.indexes}"


@pytest.mark.parametrize("name", CALLS)
def test_api_call_reads_no_more_as_data_grow(observed, name):
    small, large = observed["small"][name].pages, observed["large"][name].pages
    assert 0 < large <= CALLS[name].pages
    assert CALLS[name].is_exact_when_small or large <= GROWTH * small + FEW
