"""What recommend() serves where a slot has a ranking policy."""

from collections import Counter

import pytest

from recsql.errors import ModelError
from workers.bandits.base import BanditConfig
from workers.bandits.store import add_bandit
from workers.embed import embed
from workers.ope.rankers import find_policy
from workers.ope.store import Window, propose, read_log
from workers.spaces import add_space


@pytest.fixture
def shop(connection):
    """Forty items without events, the first the newest, a user, and a release."""
    connection.execute(
        "select recsql_api.upsert_item('i' || n, 'Item ' || n, p_published_at => timestamptz '2024-01-01' "
        "- n * interval '1 day') from generate_series(1, 40) as n"
    )
    connection.execute("insert into recsql.app_user (user_id) values ('u')")
    run_no = connection.execute("select recsql.begin_run(null, 'x', '{}')").fetchone()[0]
    connection.execute("update recsql.run set state = 'complete' where run_no = %s", (run_no,))
    connection.execute(
        "select recsql.publish(%s::integer, (select min(policy_no) from recsql.fusion_policy))", (run_no,)
    )
    return connection


def shown(connection, n=2, **options):
    names = "".join(f", p_{name} => %({name})s" for name in options)
    query = f"select item_id from recsql_api.recommend('u', %(n)s{names})"
    return [item for (item,) in connection.execute(query, {"n": n, **options})]


def promote(connection, policy_no):
    connection.execute("update recsql.release set ranking_policy_no = %s", (policy_no,))


def add_policy(connection, kind, version_no=None, explore=0):
    return connection.execute(
        "insert into recsql.ranking_policy (policy, kind, version_no, explore) values ('mine', %s, %s, %s) "
        "returning ranking_policy_no",
        (kind, version_no, explore),
    ).fetchone()[0]


@pytest.fixture
def version_no(shop):
    """A version with one number an item, the older the better, that knows nothing of i3."""
    model_no = shop.execute("insert into recsql.model (model) values ('m') returning model_no").fetchone()[0]
    version_no = shop.execute(
        "insert into recsql.model_version (model_no, config, dim) values (%s, '{}', 1) returning version_no",
        (model_no,),
    ).fetchone()[0]
    shop.execute("select recsql.add_model_vectors(%s::integer, 1)", (version_no,))
    shop.execute(
        "insert into recsql.item_vector select %s, item_no, ('[' || item_no || ']')::vector from recsql.item "
        "where item_id <> 'i3'",
        (version_no,),
    )
    shop.execute("insert into recsql.user_vector select %s, user_no, '[1]' from recsql.app_user", (version_no,))
    return version_no


def test_recommend_orders_by_the_vectors_of_a_promoted_model(shop, version_no):
    assert shown(shop) == ["i1", "i2"]
    promote(shop, add_policy(shop, "model", version_no, explore=0.5))
    # Of the pool of ten, and without exploring where nobody asked to log.
    assert shown(shop) == ["i10", "i9"]
    assert shop.execute("select count(*) from recsql.request").fetchone() == (0,)
    shown(shop, log=True)
    assert shop.execute("select policy, explore from recsql.request").fetchall() == [("mine", 0.5)]
    pool = shop.execute(
        "select array_agg(i.item_id order by p.place) from recsql.request as r "
        "cross join unnest(r.pool_nos) with ordinality as p (item_no, place) "
        "inner join recsql.item as i using (item_no)"
    ).fetchone()[0]
    assert pool == [f"i{n}" for n in (10, 9, 8, 7, 6, 5, 4, 2, 1, 3)]


def test_recommend_follows_what_the_run_trained_of_a_promoted_model(shop, version_no):
    promote(shop, add_policy(shop, "model", version_no))
    newer = shop.execute(
        "insert into recsql.model_version (model_no, run_no, config, dim) select v.model_no, r.run_no, '{}', 1 "
        "from recsql.model_version as v cross join recsql.release as r returning version_no"
    ).fetchone()[0]
    shop.execute("select recsql.add_model_vectors(%s::integer, 1)", (newer,))
    shop.execute("insert into recsql.user_vector select %s, user_no, '[1]' from recsql.app_user", (newer,))
    shop.execute(
        "insert into recsql.item_vector "
        "select %s, item_no, case item_id when 'i4' then '[9]' else '[0]' end::vector from recsql.item",
        (newer,),
    )
    assert shown(shop) == ["i4", "i1"]


def test_recommend_without_vectors_of_the_user_goes_by_score(shop, version_no):
    promote(shop, add_policy(shop, "model", version_no))
    shop.execute("delete from recsql.user_vector")
    assert shown(shop) == ["i1", "i2"]


def test_recommend_by_a_uniform_policy_shows_anything(shop):
    promote(shop, add_policy(shop, "uniform"))
    met = Counter(item for _ in range(60) for item in shown(shop, n=1))
    # One of a pool of five each time: all five in 60 draws but once in 130,000.
    assert set(met) == {f"i{n}" for n in range(1, 6)}


def test_recommend_by_a_uniform_policy_writes_nothing_unasked(shop):
    promote(shop, add_policy(shop, "uniform"))
    with shop.transaction():
        shop.execute("set transaction read only")
        assert len(shown(shop)) == 2
    assert shop.execute("select count(*) from recsql.request").fetchone() == (0,)


def test_pruning_leaves_what_a_ranking_policy_goes_by(shop, version_no):
    run_no = shop.execute("select recsql.begin_run(null, 'y', '{}')").fetchone()[0]
    shop.execute("update recsql.run set state = 'complete' where run_no = %s", (run_no,))
    shop.execute("update recsql.model_version set run_no = %s, artifact = 'x'", (run_no,))
    promote(shop, add_policy(shop, "model", version_no))
    shop.execute("select recsql.prune_run(%s::integer)", (run_no,))
    shop.execute("select * from recsql.prune_models(1)")
    assert shown(shop) == ["i10", "i9"]
    assert shop.execute("select artifact is not null from recsql.model_version").fetchall() == [(True,)]


@pytest.fixture
def bandit(shop):
    """Function that promotes a bandit of a kind, and gives its number."""
    add_space(shop, "text", "text", "hashing:16", "{title}")
    embed(shop)

    def add(kind):
        config = BanditConfig.model_validate({"bandit": kind, "content_dims": 2, "n_draws": 4})
        policy_no = add_bandit(shop, kind, config)
        promote(shop, policy_no)
        return policy_no

    return add


def test_recommend_orders_by_a_promoted_bandit(shop, bandit):
    policy_no = bandit("linucb")
    items = shown(shop, n=8)
    expected = shop.execute(
        "select array_agg(i.item_id order by s.score desc, p.place) "
        "from (select array_agg(item_no order by item_no) as nos from recsql.item) as q "
        "cross join lateral recsql.bandit_score(%s, 1, q.nos, array_fill(0.0::double precision, array[40])) as s "
        "cross join lateral (select array_position(q.nos, s.item_no) as place) as p "
        "inner join recsql.item as i using (item_no)",
        (policy_no,),
    ).fetchone()[0]
    # Nothing is published: all have score 0, and of 40 all are in the pool.
    assert items == expected[:8]


def test_recommend_by_thompson_sampling_logs_exact_propensities(shop, bandit):
    policy_no = bandit("thompson")
    lists = Counter()
    for _ in range(12):
        items = shown(shop, n=3, explore=0.2)
        lists[tuple(items)] += 1
    logged = shop.execute(
        "select count(*), bool_and(e.item_no = m.item_no), max(abs(e.propensity - m.propensity)), "
        "max(abs(e.conditional - m.conditional)) from recsql.request as r "
        "cross join lateral recsql.bandit_explored(%s, r.user_no, r.pool_nos, r.pool_scores::double precision[], "
        "r.request_id, 3, 0.2) as e "
        "inner join recsql.impression as m on m.request_id = r.request_id and m.position = e.place",
        (policy_no,),
    ).fetchone()
    assert logged == (36, True, pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))
    assert len(lists) > 1


@pytest.mark.parametrize("kind", ["linucb", "thompson"])
def test_ope_says_what_a_bandit_that_logged_would_have_done(shop, bandit, kind):
    policy_no = bandit(kind)
    for _ in range(6):
        shown(shop, n=3, explore=0.2)
    shop.execute("update recsql.ranking_policy set explore = 0.2")
    policy = find_policy(shop, kind)
    logged = read_log(shop, Window())
    propose(shop, policy, logged)
    # The posterior has not changed since: what it would do is what it did.
    rows = shop.execute(
        "select m.propensity, p.propensity, m.conditional, p.conditional from recsql.impression as m "
        "inner join recsql.policy_propensity as p using (request_id, position) where p.ranking_policy_no = %s",
        (policy_no,),
    ).fetchall()
    assert len(rows) == 18
    for did, would, did_then, would_then in rows:
        assert would == pytest.approx(did, abs=1e-9)
        assert would_then == pytest.approx(did_then, abs=1e-9)


def test_ope_refuses_a_bandit_without_posterior(shop):
    add_policy(shop, "bandit")
    shown(shop, log=True)
    with pytest.raises(ModelError, match="recsql bandit add"):
        propose(shop, find_policy(shop, "mine"), read_log(shop, Window()))
