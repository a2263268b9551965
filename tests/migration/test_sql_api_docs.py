"""Every object of ours says in a comment what it is, and ``docs/sql-api.md`` says the same."""

import runpy

from recsql.paths import ROOT

DOCS = ROOT / "docs"


def test_every_object_has_a_comment(connection):
    silent = connection.execute("""
        select p.oid::regprocedure::text
        from pg_proc as p
        where
            p.pronamespace in ('recsql'::regnamespace, 'recsql_api'::regnamespace)
            and coalesce(obj_description(p.oid, 'pg_proc'), '') = ''
        union all
        select c.oid::regclass::text
        from pg_class as c
        where
            c.relnamespace in ('recsql'::regnamespace, 'recsql_api'::regnamespace)
            and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
            and c.oid <> 'recsql.alembic_version'::regclass  -- Alembic's own
            and coalesce(obj_description(c.oid, 'pg_class'), '') = ''
        order by 1
    """).fetchall()
    assert silent == []


def test_every_parameter_of_the_api_begins_with_p(connection):
    others = connection.execute("""
        select p.oid::regprocedure::text, a.position, a.name
        from pg_proc as p
        cross join lateral unnest(coalesce(p.proallargtypes, p.proargtypes::oid []), p.proargmodes, p.proargnames)
            with ordinality as a (type, mode, name, position)
        where
            p.pronamespace = 'recsql_api'::regnamespace
            and coalesce(a.mode, 'i') in ('i', 'b', 'v') and starts_with(a.name, 'p_') is not true
        order by 1, 2
    """).fetchall()
    assert others == []


def test_page_is_what_the_comments_say(connection):
    # By its path: a package of the same name may be installed.
    render = runpy.run_path(str(DOCS / "generate_sql_api.py"))["render"]
    page = (DOCS / "sql-api.md").read_text(encoding="utf-8")
    assert page == render(connection), "docs/sql-api.md is out of date: run 'make docs' and commit it"
