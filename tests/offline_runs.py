"""Offline runs of a few events, and rankings written by hand."""

SOURCE = "popularity"
"""Which source the rankings are written under; any would do."""
TYPES = {"core": "integer", "share": "double precision"}
HOUR = "to_timestamp(1704067200 + 3600 * %s::double precision)"


def record(connection, user, item, hour):
    connection.execute(f"select recsql_api.record_event(%s, %s, 'like', p_at => {HOUR})", (user, item, hour))


def begin_run(connection, protocol, **options):
    """Number of a run on a split of what was recorded."""
    names = "".join(f", p_{name} => %({name})s::{TYPES[name]}" for name in options)
    split_no = connection.execute(
        f"select recsql.make_split(%(protocol)s, 'test'{names})", {"protocol": protocol, **options}
    ).fetchone()[0]
    return connection.execute("select recsql.begin_run(%s::integer, 'test', '{}')", (split_no,)).fetchone()[0]


def rank(connection, run_no, user, scores):
    """Write a ranking as candidates; item ids by their scores."""
    connection.execute(
        "insert into recsql.candidate (run_no, user_no, source_no, item_nos, scores) "
        "select %s, u.user_no, s.source_no, array_agg(i.item_no order by e.position), "
        "array_agg(e.score order by e.position) "
        "from recsql.source as s, recsql.app_user as u, "
        "unnest(%s::text[], %s::real[]) with ordinality as e (item_id, score, position) "
        "inner join recsql.item as i on i.item_id = e.item_id "
        "where s.source = %s and u.user_id = %s group by u.user_no, s.source_no",
        (run_no, list(scores), list(scores.values()), SOURCE, user),
    )
