"""A shop whose lists can be worked out by hand: twelve films of scores 12 to 1, and two users of two countries."""

import json
from typing import Any

import psycopg
from psycopg import sql

ITEMS = [f"i{n}" for n in range(1, 13)]


def open_shop(connection: psycopg.Connection[Any]) -> int:
    """Fill an empty database; the number of the run that is served.

    Of ``i1`` to ``i12`` the first six are of brand ``a``, the others of ``b``; odd ones are comedies, even ones dramas,
    and all whose number is a multiple of 3 are also of genre ``war``; ``i5`` is from 1995, and so on; published in the
    order of their numbers, a day apart, ``i1`` ten days ago. ``de1`` and ``at1`` are served the same list.
    """
    for n, item in enumerate(ITEMS, start=1):
        genres = ["drama" if n % 2 == 0 else "comedy", *(["war"] if n % 3 == 0 else [])]
        attributes = {"genres": genres, "brand": "a" if n <= 6 else "b", "year": 1990 + n}
        connection.execute(
            "select recsql_api.upsert_item(%s, 'Film ' || %s, p_domain => 'films', p_attributes => %s, "
            "p_published_at => now() - (9 + %s) * interval '1 day')",
            (item, str(n), json.dumps(attributes), n),
        )
    connection.execute(
        "insert into recsql.app_user (user_id, attributes) "
        "select c || '1', jsonb_build_object('country', c) from unnest('{de,at}'::text []) as c"
    )
    ((run_no,),) = connection.execute("select recsql.begin_run(null, 'x', '{}')").fetchall()
    connection.execute("update recsql.run set state = 'complete' where run_no = %s", (run_no,))
    connection.execute(
        "insert into recsql.recommendation (run_no, user_no, rank, item_no, score, parts) "
        "select %s, u.user_no, i.item_no, i.item_no, 13 - i.item_no, jsonb_build_object('ease', 13 - i.item_no) "
        "from recsql.app_user as u cross join recsql.item as i",
        (run_no,),
    )
    connection.execute(
        "select recsql.publish(%s::integer, (select min(policy_no) from recsql.fusion_policy))", (run_no,)
    )
    return run_no


def add_vectors(connection: psycopg.Connection[Any], vectors: dict[str, str]) -> None:
    """Give items vectors of two dimensions, in the space that contents are compared in."""
    ((space_no,),) = connection.execute(
        "select recsql.add_embedding_space('text', 'text', 'by hand', '1', 2, '{title}')"
    ).fetchall()
    for item, vector in vectors.items():
        connection.execute(
            "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) "
            "select %s, i.item_no, '', %s::vector from recsql.item as i where i.item_id = %s",
            (space_no, vector, item),
        )


def add_rule(connection: psycopg.Connection[Any], rule: str, kind: str, **settings: Any) -> None:
    """Add a rule, active unless ``state`` says otherwise; ``item`` names that of a pin."""
    item = settings.pop("item", None)
    columns: dict[str, Any] = {"rule": rule, "kind": kind, "state": "active"} | {
        name: json.dumps(value) if isinstance(value, dict) else value for name, value in settings.items()
    }
    query = sql.SQL(
        "insert into recsql.rule ({}, item_no) select {}, (select item_no from recsql.item where item_id = {})"
    )
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    values = sql.SQL(", ").join(map(sql.Placeholder, columns))
    connection.execute(query.format(names, values, sql.Placeholder("item")), columns | {"item": item})


def shown(connection: psycopg.Connection[Any], user: str = "de1", n: int = 4, **options: Any) -> list[str]:
    """What a user is recommended, in order."""
    return [item for item, _ in scored(connection, user, n, **options)]


def scored(
    connection: psycopg.Connection[Any], user: str = "de1", n: int = 4, **options: Any
) -> list[tuple[str, float]]:
    """The same with scores."""
    asked = {"user_id": user, "n": n, **options}
    named = (sql.SQL("{} => {}").format(sql.Identifier(f"p_{name}"), sql.Placeholder(name)) for name in asked)
    query = sql.SQL("select item_id, score from recsql_api.recommend({}) order by rank").format(
        sql.SQL(", ").join(named)
    )
    return connection.execute(query, asked).fetchall()


def where(attribute: str, op: str, value: Any = None) -> dict[str, Any]:
    """A comparison as conditions have it."""
    return {"attribute": attribute, "op": op} | ({} if value is None else {"value": value})


def add_policy(shop: psycopg.Connection[Any]) -> int:
    """Number of a new ranking policy, ``last``, by whose model the last item is the best for everybody."""
    ((model_no,),) = shop.execute("insert into recsql.model (model) values ('m') returning model_no").fetchall()
    ((version_no,),) = shop.execute(
        "insert into recsql.model_version (model_no, config, dim) values (%s, '{}', 1) returning version_no",
        (model_no,),
    ).fetchall()
    shop.execute("select recsql.add_model_vectors(%s::integer, 1)", (version_no,))
    shop.execute(
        "insert into recsql.item_vector select %s, item_no, ('[' || item_no || ']')::vector from recsql.item",
        (version_no,),
    )
    shop.execute("insert into recsql.user_vector select %s, user_no, '[1]' from recsql.app_user", (version_no,))
    ((number,),) = shop.execute(
        "insert into recsql.ranking_policy (policy, kind, version_no) values ('last', 'model', %s) "
        "returning ranking_policy_no",
        (version_no,),
    ).fetchall()
    return number
