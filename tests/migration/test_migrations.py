"""Upgrades and downgrades, on a real server, through plain Alembic and through recsql.

Released revisions are frozen: ``frozen.json`` holds the sha256 of each of their files. At a release, record them with
``python tests/migration/test_migrations.py``.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from recsql import db, migrate, repeatable
from recsql.embedded import EmbeddedServer
from recsql.embedded_binaries import find_program
from recsql.errors import DatabaseError, SchemaError
from recsql.paths import ALEMBIC_INI, MIGRATIONS_DIR, ROOT, SQL_DIR

FROZEN = Path(__file__).parent / "frozen.json"
VERSIONS = MIGRATIONS_DIR / "versions"
HEAD = max(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))


def alembic(url: str, *arguments: str) -> "subprocess.Popen[str]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", "-c", str(ALEMBIC_INI), *arguments],
        env=environment | {"RECSQL_DATABASE_URL": url, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_alembic(url: str, *arguments: str) -> tuple[int, str]:
    process = alembic(url, *arguments)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def schema(url: str) -> str:
    """The whole schema as pg_dump writes it."""
    program = find_program("pg_dump", None)
    if program is None:
        pytest.skip("no pg_dump")
    done = subprocess.run([str(program), "-s", url], capture_output=True, text=True, check=False)
    if "server version mismatch" in done.stderr:
        pytest.skip("pg_dump is older than the server")
    assert done.returncode == 0, done.stderr
    # The key of \restrict is random at each run.
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def objects(url: str) -> list[tuple[Any, ...]]:
    """Every function, relation and trigger of ours with its oid: one that was made again has another."""
    return rows(
        url,
        """
        select 'function', oid::regprocedure::text, oid from pg_proc
        where pronamespace in ('recsql'::regnamespace, 'recsql_api'::regnamespace)
        union all
        select relkind::text, oid::regclass::text, oid from pg_class
        where relnamespace in ('recsql'::regnamespace, 'recsql_api'::regnamespace, 'procrastinate'::regnamespace)
        union all
        select 'trigger', tgname, t.oid from pg_trigger as t inner join pg_class as c on c.oid = t.tgrelid
        where c.relnamespace = 'recsql'::regnamespace
        order by 1, 2, 3
        """,
    )


@pytest.fixture
def sql_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``sql/`` that upgrades in this process use in its place."""
    copy = tmp_path / "sql"
    shutil.copytree(SQL_DIR, copy)
    (copy / "99_test").mkdir()
    monkeypatch.setattr(repeatable, "SQL_DIR", copy)
    return copy


def test_plain_alembic_does_everything(empty_database: str) -> None:
    code, output = run_alembic(empty_database, "upgrade", "head")
    assert code == 0, output
    assert migrate.status(empty_database)["is_current"] is True
    recorded = rows(empty_database, "select kind, identity from recsql.sql_object")
    assert ("function", "recsql.is_valid_id(text)") in recorded
    assert rows(empty_database, "select recsql.is_valid_id('u42')") == [(True,)]
    code, output = run_alembic(empty_database, "current")
    assert (code, output.strip()) == (0, f"{HEAD} (head)")


def test_current_changes_nothing(empty_database: str) -> None:
    code, output = run_alembic(empty_database, "current")
    assert (code, output.strip()) == (0, "")
    assert rows(empty_database, "select to_regnamespace('recsql') is null") == [(True,)]


@pytest.mark.parametrize("target", ["head", "heads", HEAD])
def test_repeated_upgrade_is_a_no_op(database: str, target: str) -> None:
    before = objects(database)
    code, output = run_alembic(database, "upgrade", target)
    assert code == 0, output
    migrate.upgrade(database)
    assert objects(database) == before


def test_offline_mode_is_refused(database: str) -> None:
    code, output = run_alembic(database, "upgrade", "head", "--sql")
    assert code != 0
    assert "Offline mode (--sql) is not supported" in output.splitlines()[-1]
    assert "create" not in output.lower().replace("created", "")


@pytest.mark.parametrize("target", ["base", "-1"])
def test_down_and_up_again_is_identical(database: str, target: str) -> None:
    execute(
        database,
        "insert into recsql.domain (domain) values ('film')",
        "insert into recsql.item (item_id, domain, title) values ('i1', 'film', 'One'), ('i2', 'film', 'Two')",
        "insert into recsql.app_user (user_id) values ('u1')",
        "insert into recsql.event (user_no, item_no, kind_no, at) select u.user_no, i.item_no, k.kind_no, now() "
        "from recsql.app_user as u, recsql.item as i, recsql.event_kind as k where k.kind = 'view'",
    )
    before = schema(database)
    migrate.downgrade(database, target)
    assert schema(database) != before
    assert rows(database, "select * from recsql.sql_object") == []
    if target == "base":
        left = "select relname from pg_class where relnamespace = 'recsql'::regnamespace and relkind = 'r' order by 1"
        assert [name for (name,) in rows(database, left)] == ["alembic_version", "sql_digest", "sql_object"]
        assert rows(database, "select to_regnamespace('recsql_api'), to_regnamespace('procrastinate')") == [
            (None, None)
        ]
    migrate.upgrade(database)
    assert schema(database) == before
    n_events = rows(database, "select count(*) from recsql.event")[0][0]
    assert n_events == (0 if target == "base" else 2)


def test_downgrade_of_what_fusion_rules_fairness_and_experiments_hold(database: str) -> None:
    execute(
        database,
        "insert into recsql.domain (domain) values ('film')",
        "insert into recsql.item (item_id, domain, title) values ('i1', 'film', 'One'), ('i2', 'film', 'Two')",
        "insert into recsql.app_user (user_id) values ('u1')",
        "insert into recsql.fusion_policy (policy, kind, config) values "
        '(\'by_length\', \'switching\', \'{"branches": [{"use": "rrf", "min_history": 3}], "else": "ease"}\'), '
        "('mix', 'mixed', '{\"slots\": {\"by_length\": 1}}'), "
        '(\'two\', \'cascade\', \'{"first": "rrf", "second": "ease", "keep": 5}\')',
        "insert into recsql.fusion_policy (policy, kind, weights) values ('learned', 'ranker', '{\"ease\": 1}')",
        "insert into recsql.fusion_choice (slot, policy_no) select 'x', f.policy_no from recsql.fusion_policy as f "
        "where f.policy = 'learned'",
        "select recsql.begin_run(null, 'x', '{}')",
        "update recsql.run set state = 'complete'",
        "select recsql.publish(r.run_no, f.policy_no) from recsql.run as r, recsql.fusion_policy as f "
        "where f.policy = 'mix'",
        "insert into recsql.rule (rule, kind, factor, state) values ('b', 'boost', 2, 'active')",
        "select recsql.set_control('default', '{\"diversity\": 0.3}')",
        "insert into recsql.phrase (language, key, template) values ('fr', 'ease', 'comme {title}')",
        "insert into recsql.fairness_key values ('item', 'brand')",
        "insert into recsql.user_group_fairness select run_no, 'fused', 'gender', 'f', 'ndcg', 10, 0, 0, 0, 1 "
        "from recsql.run",
        "insert into recsql.item_group_fairness select run_no, 'fused', 'brand', 'b', 10, 1, 0, 0, 0 from recsql.run",
        "insert into recsql.exposure_ledger (slot) values ('default')",
        "insert into recsql.exposure_price select 'default', item_no, 1, 1, 0.5 from recsql.item",
        "insert into recsql.experiment (experiment, slot) values ('e', 'default')",
        "insert into recsql.variant (experiment_no, variant, is_control, add_rules) select e.experiment_no, v.variant, "
        "v.variant = 'a', '{b}' from recsql.experiment as e cross join (values ('a'), ('b')) as v (variant)",
        "update recsql.experiment set state = 'running'",
        "select recsql_api.recommend('u1', 1, p_explore => 0.5)",
    )
    assert rows(database, "select count(*) from recsql.experiment_user") == [(1,)]
    before = schema(database)
    migrate.downgrade(database, "0020")
    # What was fused is served on, on the scale of reciprocal ranks; what was shown stays known.
    served = "select f.policy from recsql.release as r inner join recsql.fusion_policy as f using (policy_no)"
    assert rows(database, served) == [("rrf",)]
    assert rows(database, "select count(*) from recsql.request") == [(1,)]
    # English reasons are words of sources again.
    assert rows(database, "select reason from recsql.source where source = 'trending'") == [("trending now",)]
    migrate.upgrade(database)
    assert schema(database) == before
    assert rows(database, "select count(*) from recsql_api.recommend('u1', 2)") == [(2,)]


def test_every_revision_by_itself(database: str) -> None:
    before = schema(database)
    for found in reversed(migrate.revisions()[:-1]):
        migrate.downgrade(database, found["revision"])
        assert migrate.status(database)["revision"] == found["revision"]
    for _ in migrate.revisions()[1:]:
        migrate.upgrade(database, "+1")
    assert schema(database) == before


def test_neighbours_become_lists_and_rows_again(database: str) -> None:
    migrate.downgrade(database, "0006")
    execute(
        database,
        "create table recsql.item_similarity_7 partition of recsql.item_similarity for values in (7)",
        "create table recsql.item_similarity_8 partition of recsql.item_similarity for values in (8)",
        # Rows in no order; 11 and 12 are equally similar to 10.
        "insert into recsql.item_similarity (run_no, source_no, item_no, rank, neighbour_no, similarity) values "
        "(7, 1, 10, 3, 13, -0.25), (7, 1, 10, 2, 12, 0.5), (7, 1, 10, 1, 11, 0.5), (7, 2, 10, 1, 12, 0.75), "
        "(7, 1, 11, 1, 10, 0.125)",
    )
    query = (
        "select run_no, source_no, item_no, rank, neighbour_no, similarity from recsql.item_similarity order by 2, 3, 4"
    )
    before = rows(database, query)
    migrate.upgrade(database)
    assert rows(database, "select * from recsql.item_similarity order by source_no, item_no") == [
        (7, 1, 10, [11, 12, 13], [0.5, 0.5, -0.25]),
        (7, 1, 11, [10], [0.125]),
        (7, 2, 10, [12], [0.75]),
    ]
    partitions = "select relname, attstorage from pg_class as c inner join pg_attribute as a on a.attrelid = c.oid "
    partitions += "where relname ~ '^item_similarity_\\d$' and attname = 'similarities' order by 1"
    assert rows(database, partitions) == [("item_similarity_7", "e"), ("item_similarity_8", "e")]
    migrate.downgrade(database, "0006")
    assert rows(database, query) == before
    assert len(rows(database, partitions.replace("similarities", "similarity"))) == 2


def test_candidates_become_lists_and_rows_again(database: str) -> None:
    migrate.downgrade(database, "0007")
    execute(
        database,
        "create table recsql.candidate_7 partition of recsql.candidate for values in (7)",
        "insert into recsql.candidate (run_no, user_no, source_no, rank, item_no, score) "
        "values (7, 1, 6, 2, 11, 0.5), (7, 1, 6, 1, 12, 0.75), (7, 2, 1, 1, 11, 0.25)",
    )
    query = "select * from recsql.candidate order by user_no, rank"
    kinds = (
        "select source, kind, history_length from recsql.source where source in ('trending', 'sequential') order by 1"
    )
    before, kinds_before = rows(database, query), rows(database, kinds)
    migrate.upgrade(database)
    assert rows(database, "select * from recsql.candidate order by user_no") == [
        (7, 1, 6, [12, 11], [0.75, 0.5]),
        (7, 2, 1, [11], [0.25]),
    ]
    assert rows(database, kinds) == [("sequential", "similarity", 20), ("trending", "trending", None)]
    # What only the new revision knows goes.
    execute(database, "insert into recsql.candidate values (7, 1, 13, '{11}', '{1}')")
    migrate.downgrade(database, "0007")
    assert rows(database, query) == before
    assert rows(database, kinds) == kinds_before
    # The run keeps its partition, and those of the tables that were new are gone.
    assert rows(
        database, "select to_regclass('recsql.candidate_7') is null, to_regclass('recsql.user_similarity_7')"
    ) == [(False, None)]


def test_scores_become_lists_and_rows_again(database: str) -> None:
    migrate.downgrade(database, "0013")
    execute(
        database,
        "create table recsql.score_7 partition of recsql.score for values in (7)",
        "create table recsql.score_8 partition of recsql.score for values in (8)",
        "insert into recsql.model (model) values ('m')",
        "insert into recsql.model_version (model_no, config) select model_no, '{}' from recsql.model",
        # Items 11 and 12 are equally good for user 1.
        "insert into recsql.score (run_no, user_no, item_no, version_no, score) "
        "values (7, 1, 13, 1, -0.25), (7, 1, 12, 1, 0.5), (7, 1, 11, 1, 0.5), (7, 2, 13, 1, 0.125), (7, 1, 11, 2, 3)",
    )
    query = "select * from recsql.score order by user_no, version_no, item_no"
    sources = "select source, kind, is_active from recsql.source order by source_no"
    before, sources_before = rows(database, query), rows(database, sources)
    migrate.upgrade(database)
    lists = "select run_no, user_no, version_no, item_nos, scores from recsql.score order by user_no, version_no"
    assert rows(database, lists) == [
        (7, 1, 1, [11, 12, 13], [0.5, 0.5, -0.25]),
        (7, 1, 2, [11], [3.0]),
        (7, 2, 1, [13], [0.125]),
    ]
    storage = "select relname, attstorage from pg_class as c inner join pg_attribute as a on a.attrelid = c.oid "
    storage += "where relname ~ '^score_\\d$' and attname = 'scores' order by 1"
    assert rows(database, storage) == [("score_7", "e"), ("score_8", "e")]
    # What was active stays so, and what is new is not.
    active = [name for name, _, is_active in sources_before if is_active]
    assert [name for name, _, is_active in rows(database, sources) if is_active] == active
    assert rows(database, "select weights ->> 'neumf' from recsql.fusion_policy where policy = 'rrf'") == [("1",)]
    # What only the new revision knows goes.
    execute(
        database,
        "insert into recsql.model_version (model_no, config, reused_no) select model_no, '{}', 1 from recsql.model",
    )
    migrate.downgrade(database, "0013")
    assert rows(database, query) == before
    assert rows(database, sources) == sources_before
    weights = "select weights ? 'neumf', weights ? 'slit' from recsql.fusion_policy where policy = 'rrf'"
    assert rows(database, weights) == [(False, True)]


def test_changed_return_type_under_a_view(database: str, sql_copy: Path) -> None:
    function = sql_copy / "99_test" / "01_answer.sql"
    body = "create function recsql_api.answer() returns {0} language sql stable begin atomic select 42::{0}; end;"
    view = "create view recsql_api.answers as select a as answer from recsql_api.answer() as a;"
    kind = "select pg_typeof(answer)::text, answer::integer from recsql_api.answers"
    function.write_text(body.format("integer"))
    (sql_copy / "99_test" / "02_answers.sql").write_text(view)
    migrate.upgrade(database)
    assert rows(database, kind) == [("integer", 42)]
    function.write_text(body.format("text"))
    migrate.upgrade(database)
    assert rows(database, kind) == [("text", 42)]


def test_several_objects_of_one_file_are_dropped_in_any_order(database: str, sql_copy: Path) -> None:
    # Recorded by kind and name: a function before the view that it reads.
    path = sql_copy / "99_test" / "01_both.sql"
    path.write_text(
        "create view recsql.v as select 1 as n;"
        "create function recsql.f() returns integer language sql stable begin atomic select n from recsql.v; end;"
    )
    migrate.upgrade(database)
    path.unlink()
    migrate.upgrade(database)
    assert rows(database, "select to_regclass('recsql.v'), to_regprocedure('recsql.f()')") == [(None, None)]


def test_foreign_view_on_a_function_blocks_the_upgrade(database: str, sql_copy: Path) -> None:
    execute(
        database,
        "create schema bi",
        "create view bi.report as select recsql.is_valid_id('x') as is_valid",
        "create view bi.above as select * from bi.report",
    )
    before, oids = schema(database), objects(database)
    (sql_copy / "99_test" / "01_new.sql").write_text("create view recsql.new_one as select 1 as n;")
    with pytest.raises(SchemaError, match=r"nothing was changed.*view bi\.report depends on .*is_valid_id") as raised:
        migrate.upgrade(database)
    assert "create it again" in str(raised.value)
    assert (schema(database), objects(database)) == (before, oids)
    execute(database, "drop schema bi cascade")
    migrate.upgrade(database)
    assert rows(database, "select n from recsql.new_one") == [(1,)]


def test_foreign_view_on_a_table_blocks_the_downgrade(database: str) -> None:
    execute(database, "create view public.report as select * from recsql.item")
    before = objects(database)
    with pytest.raises(SchemaError, match=r"view report depends on table recsql\.item"):
        migrate.downgrade(database, "base")
    code, output = run_alembic(database, "downgrade", "base")
    assert code != 0
    assert output.startswith("FAILED: The migration was stopped and nothing was changed: view report")
    assert len(output.strip().splitlines()) == 1
    assert objects(database) == before


def test_broken_file_changes_nothing_and_is_named(database: str, sql_copy: Path) -> None:
    before = objects(database)
    (sql_copy / "99_test" / "01_broken.sql").write_text("create view recsql.broken as select nothing;")
    with pytest.raises(SchemaError, match=r"sql/99_test/01_broken\.sql.*\"nothing\" does not exist"):
        migrate.upgrade(database)
    assert objects(database) == before


def test_six_simultaneous_upgraders_succeed(empty_database: str) -> None:
    upgraders = [alembic(empty_database, "upgrade", "head") for _ in range(6)]
    outputs = [upgrader.communicate(timeout=120)[0] for upgrader in upgraders]
    assert [upgrader.returncode for upgrader in upgraders] == [0] * 6, outputs
    assert migrate.status(empty_database)["is_current"] is True
    assert rows(empty_database, "select count(*) = count(distinct identity) from recsql.sql_object") == [(True,)]


def test_users_own_search_path_and_limits_do_not_matter(empty_database: str, sql_copy: Path) -> None:
    options = "-c search_path=recsql,recsql_api -c lock_timeout=1 -c default_transaction_isolation=serializable"
    hostile = make_conninfo(empty_database, options=options)
    migrate.upgrade(hostile)
    identities = [name for (name,) in rows(empty_database, "select identity from recsql.sql_object")]
    assert all(name.startswith(("recsql.", "recsql_api.")) for name in identities if " on " not in name)
    (sql_copy / "99_test" / "01_new.sql").write_text("create view recsql.new_one as select 1 as n;")
    migrate.upgrade(hostile)
    migrate.upgrade(empty_database)
    assert rows(empty_database, "select count(*) from recsql.sql_object")[0][0] == len(identities) + 1


def test_pgvector_in_a_schema_of_its_own(empty_database: str) -> None:
    execute(empty_database, "create schema extensions", "create extension vector schema extensions")
    migrate.upgrade(empty_database)
    assert migrate.status(empty_database)["is_current"] is True


def test_account_that_is_no_superuser_migrates_what_a_superuser_prepared(
    make_home: Callable[[], Path], sql_copy: Path
) -> None:
    """On a server of its own: roles belong to the server, and that of the other tests has them."""
    server = EmbeddedServer(make_home())
    server.start()
    try:
        execute(server.url("postgres"), "create role shopkeeper", "create database shop owner shopkeeper")
        shop = server.url("shop")
        plain = make_conninfo(shop, options="-c role=shopkeeper")
        with pytest.raises(DatabaseError, match=r"may not create the extension vector.*'create extension vector;"):
            migrate.upgrade(plain)
        execute(shop, "create extension vector")
        migrate.upgrade(plain)
        assert migrate.status(plain)["missing_roles"] == ["recsql_reader", "recsql_writer"]
        execute(shop, "create role recsql_reader nologin", "create role recsql_writer nologin")
        migrate.upgrade(plain)
        assert migrate.status(plain)["missing_roles"] == []
        assert rows(
            shop,
            "select bool_and(has_function_privilege('recsql_writer', oid, 'execute')) from pg_proc "
            "where pronamespace = 'recsql_api'::regnamespace and proname = 'record_event'",
        ) == [(True,)]
        # A release that changes a function, in a session that has not used pgvector yet.
        (sql_copy / "99_test" / "01_new.sql").write_text("create view recsql.new_one as select 1 as n;")
        migrate.upgrade(plain)
        assert rows(shop, "select n from recsql.new_one") == [(1,)]
    finally:
        server.stop()


def test_database_of_a_newer_revision_is_refused(database: str) -> None:
    before = objects(database)
    execute(database, "update recsql.alembic_version set version_num = '9999'")
    message = r"at revision 9999 .* newer recsql\. Install that release"
    with pytest.raises(SchemaError, match=message):
        migrate.upgrade(database)
    with pytest.raises(SchemaError, match=message):
        migrate.downgrade(database, "base")
    with pytest.raises(SchemaError, match=message):
        migrate.status(database)
    with pytest.raises(SchemaError, match=message), db.connect(database):
        pass
    code, output = run_alembic(database, "upgrade", "head")
    assert code != 0
    assert "newer recsql" in output
    assert objects(database) == before


def test_database_that_needs_migrating_is_refused(empty_database: str) -> None:
    assert migrate.status(empty_database)["revision"] is None
    with pytest.raises(SchemaError, match=r"revision none .* run 'recsql db migrate'"), db.connect(empty_database):
        pass
    migrate.upgrade(empty_database, "0001")
    assert migrate.status(empty_database)["is_current"] is False
    with pytest.raises(SchemaError, match=f"revision 0001 and this release needs {HEAD}"), db.connect(empty_database):
        pass


def test_status_knows_stale_functions(database: str, sql_copy: Path) -> None:
    (sql_copy / "99_test" / "01_new.sql").write_text("create view recsql.new_one as select 1 as n;")
    assert migrate.status(database)["is_current"] is False
    message = r"functions and views are not those .* run 'recsql db migrate'"
    with pytest.raises(SchemaError, match=message), db.connect(database):
        pass
    migrate.upgrade(database)
    with db.connect(database) as connection:
        assert connection.execute("select n from recsql.new_one").fetchone() == (1,)


def test_trigger_of_a_partitioned_table_is_recorded_once(database: str, sql_copy: Path) -> None:
    (sql_copy / "99_test" / "01_trigger.sql").write_text(
        "create function recsql.pass_on() returns trigger language plpgsql as 'begin return new; end';"
        "create trigger pass_on after insert on recsql.event for each row execute function recsql.pass_on();"
    )
    migrate.upgrade(database)
    # The event's partitions have clones of it, which are dropped with it and not one by one.
    recorded = "select identity from recsql.sql_object where kind = 'trigger' and file = '99_test/01_trigger.sql'"
    assert rows(database, recorded) == [("pass_on on recsql.event",)]
    (sql_copy / "99_test" / "01_trigger.sql").unlink()
    migrate.upgrade(database)
    assert rows(database, "select to_regprocedure('recsql.pass_on()') is null") == [(True,)]


def test_unknown_revision_and_unreachable_server(database: str) -> None:
    with pytest.raises(SchemaError, match=r"'nonsense'.*recsql db migrate --list"):
        migrate.upgrade(database, "nonsense")
    nowhere = "postgresql://127.0.0.1:1/nothing"
    for function in (migrate.upgrade, migrate.status):
        with pytest.raises(DatabaseError, match="Is the server up"):
            function(nowhere)


def test_server_without_pgvector_is_explained(empty_database: str) -> None:
    without = make_conninfo(empty_database, options="-c extension_control_path=/nonexistent")
    try:
        psycopg.connect(without).close()
    except psycopg.OperationalError:
        pytest.skip("extensions can be hidden since PostgreSQL 18")
    with pytest.raises(DatabaseError, match="no pgvector: install the pgvector package"):
        migrate.upgrade(without)
    code, output = run_alembic(without, "upgrade", "head")
    assert code != 0
    assert output.startswith("FAILED: This server has no pgvector")


class Versions:
    """Stands for a connection to a server of given versions, of which there is none here."""

    def __init__(self, server: int, pgvector: str) -> None:
        self.server_version = server
        self.info = self
        self._pgvector = pgvector

    def execute(self, query: str) -> "Versions":
        return self

    def fetchone(self) -> tuple[str]:
        return (self._pgvector,)


@pytest.mark.parametrize(
    ("server", "pgvector", "message"),
    [
        (150018, "0.8.1", "PostgreSQL 15 is too old: recsql needs PostgreSQL 16"),
        (90624, "0.8.1", "PostgreSQL 9 is too old"),
        (160000, "0.7.4", r"pgvector 0\.7\.4 is too old.*alter extension vector update"),
        (160000, "0.6.2", r"pgvector 0\.6\.2 is too old"),
    ],
)
def test_old_versions_are_explained(server: int, pgvector: str, message: str) -> None:
    connection: Any = Versions(server, pgvector)
    with pytest.raises(DatabaseError, match=message):
        migrate.check_server(connection)


@pytest.mark.parametrize(("server", "pgvector"), [(160000, "0.8.0"), (180006, "0.10.0"), (190000, "1.0")])
def test_new_versions_are_accepted(server: int, pgvector: str) -> None:
    connection: Any = Versions(server, pgvector)
    assert migrate.check_server(connection) == pgvector


def test_every_object_has_a_comment(database: str) -> None:
    silent = rows(
        database,
        """
        select kind, identity, file from recsql.sql_object
        where
            case
                when kind = 'view' then obj_description(identity::regclass, 'pg_class')
                when kind = 'trigger' then (
                    select obj_description(t.oid, 'pg_trigger') from pg_trigger as t
                    where quote_ident(t.tgname) || ' on ' || t.tgrelid::regclass::text = identity
                )
                else obj_description(identity::regprocedure, 'pg_proc')
            end is null
        order by file
        """,
    )
    assert silent == []


def digests() -> dict[str, str]:
    files = sorted(path for path in VERSIONS.iterdir() if path.suffix in {".py", ".sql"})
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_released_revisions_are_frozen() -> None:
    frozen, now = json.loads(FROZEN.read_text()), digests()
    changed = [name for name, digest in frozen.items() if now.get(name) != digest]
    assert not changed, f"{changed}: released, databases stand on them; add a revision instead"
    late = [name for name in now.keys() - frozen.keys() if name[:4] <= max(frozen)[:4]]
    assert not late, f"{late}: belongs to a released revision"


if __name__ == "__main__":
    FROZEN.write_text(json.dumps(digests(), indent=2) + "\n")
