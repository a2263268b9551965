"""Off-policy evaluation of requests whose lists obeyed rules and controls."""

import pytest
from ruled_shop import add_policy, add_rule, add_vectors, open_shop, shown, where

from workers.ope.rankers import find_policy
from workers.ope.store import Window, propose, read_log


@pytest.fixture
def shop(connection):
    """The shop, with vectors by which ``i1`` to ``i3`` and ``i4`` to ``i6`` are alike."""
    open_shop(connection)
    add_vectors(connection, {f"i{n}": "[1,0]" if n <= 3 else "[0,1]" for n in range(1, 7)})
    return connection


@pytest.fixture
def policy_no(shop):
    """A promoted policy by which the last item is the best."""
    return add_policy(shop)


def rules(shop):
    add_rule(shop, "second", "pin", item="i9", position=2)
    add_rule(shop, "b", "promote", share=0.5, condition=where("brand", "=", "b"))


def test_replayed_is_the_order_that_recommend_would_have_drawn_from(shop, policy_no):
    rules(shop)
    shown(shop, diversity=0.7, log=True)
    ((by_score,),) = shop.execute("select pool_nos from recsql.request").fetchall()
    shop.execute("update recsql.release set ranking_policy_no = %s", (policy_no,))
    shown(shop, diversity=0.7, log=True)
    ((by_policy,),) = shop.execute("select pool_nos from recsql.request where policy = 'last'").fetchall()
    assert by_score != by_policy
    for policy in ("last", "rrf"):
        request_id = shop.execute(
            "select request_id from recsql.request where (policy = 'last') = %s", (policy == "last",)
        )
        ((request_id,),) = request_id.fetchall()
        # Whoever logged it, the other one's order is found from its pool.
        replayed = "select recsql.replayed(%s, %s)"
        assert shop.execute(replayed, (request_id, sorted(by_score))).fetchone() == (by_score,)
        assert shop.execute(replayed, (request_id, sorted(by_score, reverse=True))).fetchone() == (by_policy,)


def test_ope_says_that_what_logged_would_do_what_it_did(shop, policy_no, monkeypatch):
    rules(shop)
    shop.execute("update recsql.release set ranking_policy_no = %s", (policy_no,))
    shop.execute("update recsql.ranking_policy set explore = 0.3")
    for _ in range(8):
        shown(shop, diversity=0.7, log=True)
    policy = find_policy(shop, "last")
    logged = read_log(shop, Window())
    assert (len(logged.requests.request_ids), logged.n_rejected) == (8, 0)
    # The pin is none of the positions: three of four are drawn.
    assert logged.log.rewards.shape == (8, 3)

    def by_number(connection, policy, requests):
        return requests.item_nos[requests.pools.items].astype(float)

    # The version has no artifact to be scored by; its vectors are the items' numbers.
    monkeypatch.setitem(__import__("workers.ope.rankers", fromlist=["_RANKERS"])._RANKERS, "model", by_number)
    propose(shop, policy, logged)
    rows = shop.execute(
        "select m.propensity, p.propensity, m.conditional, p.conditional from recsql.request as r "
        "inner join recsql.impression as m using (request_id) inner join recsql.policy_propensity as p "
        "on p.request_id = m.request_id and p.position = recsql.free_position(r.controls, m.position)"
    ).fetchall()
    assert len(rows) == 24
    for did, would, did_then, would_then in rows:
        assert would == pytest.approx(did, abs=1e-9)
        assert would_then == pytest.approx(did_then, abs=1e-9)
    # The estimators of SQL read the same positions.
    weights = shop.execute(
        "select position, weight, is_usable from recsql.policy_weight(%s) where form = 'position'", (policy_no,)
    ).fetchall()
    assert {position for position, _, _ in weights} == {1, 2, 3}
    assert all(is_usable and weight == pytest.approx(1) for _, weight, is_usable in weights)
