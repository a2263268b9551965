"""What rules, controls, experiments, ranking policies and explanations make of each other."""

import psycopg
import pytest
from ruled_shop import add_policy, add_rule, add_vectors, open_shop, scored, shown, where

from recsql.db import connect


@pytest.fixture(scope="module")
def shop_template(server, template):
    with server.clone(template) as name:
        with connect(server.url(name)) as connection:
            open_shop(connection)
            add_vectors(connection, {f"i{n}": f"[{n},{13 - n}]" for n in range(1, 13)})
        yield name


@pytest.fixture
def shop(server, shop_template):
    """The shop of ``ruled_shop``; all items have contents."""
    with server.clone(shop_template) as name, connect(server.url(name)) as connection:
        yield connection


@pytest.fixture
def policy_no(shop):
    """A policy that ranks the last item first."""
    return add_policy(shop)


def open_experiment(shop, **variant):
    """Have every user served by one variant, whose columns are given, of two."""
    ((number,),) = shop.execute(
        "insert into recsql.experiment (experiment, slot) values ('e', 'default') returning experiment_no"
    ).fetchall()
    shop.execute(
        "insert into recsql.variant (experiment_no, variant, is_control) values (%s, 'as it was', true)", (number,)
    )
    columns = {"experiment_no": number, "variant": "new", "weight": 1e12, **variant}
    shop.execute(
        f"insert into recsql.variant ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})",
        list(columns.values()),
    )
    shop.execute("update recsql.experiment set state = 'running'")


def test_caps_and_controls_hold_for_the_longest_lists(shop):
    add_rule(shop, "few", "cap", attribute="brand", max_items=2)
    # Two of brand a, two of b.
    assert shown(shop, n=1000) == ["i1", "i2", "i7", "i8"]


@pytest.mark.parametrize("zero", ["0", "0.0", "0e5"])
def test_control_of_zero_is_none(shop, zero):
    off = f'{{"diversity": {zero}, "calibration": {zero}, "calibration_key": "genres", "novelty": {zero}}}'
    assert shop.execute("select recsql.slot_control('default', %s)", (off,)).fetchone() == (None,)


def test_calibration_without_a_key_is_refused_before_it_is_served(shop):
    with pytest.raises(psycopg.Error, match="calibration needs a key") as told:
        shop.execute("""select recsql.set_control('default', '{"calibration": 0.5}')""")
    assert told.value.sqlstate == "RS002"
    with pytest.raises(psycopg.Error, match="calibration needs a key"):
        open_experiment(shop, controls='{"calibration": 0.5}')
    shop.execute("delete from recsql.experiment")
    shop.execute("""select recsql.set_control('default', '{"calibration_key": "genres"}')""")
    open_experiment(shop, controls='{"calibration": 0.5}')
    assert len(shown(shop)) == 4


def test_rule_can_be_deactivated_whatever_has_become_of_the_items(shop):
    add_rule(shop, "dear", "boost", factor=2, condition=where("year", ">=", 2000))
    shop.execute("update recsql.item set attributes = attributes - 'year'")
    shop.execute("update recsql.rule set state = 'draft'")
    with pytest.raises(psycopg.Error, match="no item has an attribute year"):
        shop.execute("update recsql.rule set state = 'active'")


def test_variant_puts_another_pin_in_the_place_of_one(shop):
    add_rule(shop, "old", "pin", item="i8", position=1)
    add_rule(shop, "new", "pin", item="i9", position=1, state="draft")
    assert shown(shop, n=2) == ["i8", "i1"]
    open_experiment(shop, add_rules=["new"], drop_rules=["old"])
    assert shown(shop, n=2) == ["i9", "i1"]
    with pytest.raises(psycopg.Error, match="contradicts"):
        shop.execute("update recsql.rule set state = 'active'")


@pytest.mark.parametrize(
    ("ruled", "order"),
    [
        ({}, ["i1", "i2", "i3", "i4"]),
        ({"ranking": True}, ["i12", "i11", "i10", "i9"]),
        # Boosted, i7 has 6 * 3 = 18 and i8 5 * 3 = 15; of brand a, i1 has 12.
        ({"boost": True}, ["i7", "i8", "i1", "i9"]),
        ({"boost": True, "pin": True}, ["i7", "i12", "i8", "i1"]),
        ({"boost": True, "pin": True, "ranking": True}, ["i11", "i12", "i10", "i9"]),
        # The variant leaves the boost out, buries brand a (i1: 12 / 4 = 3) and keeps the pin.
        ({"boost": True, "pin": True, "variant": True}, ["i7", "i12", "i8", "i9"]),
    ],
)
def test_contributions_sum_to_the_score_whatever_is_in_force(shop, policy_no, ruled, order):
    if "boost" in ruled:
        add_rule(shop, "b", "boost", factor=3, condition=where("brand", "=", "b"))
    if "pin" in ruled:
        add_rule(shop, "second", "pin", item="i12", position=2)
    if "variant" in ruled:
        add_rule(shop, "a", "bury", factor=0.25, condition=where("brand", "=", "a"), state="draft")
        open_experiment(shop, add_rules=["a"], drop_rules=["b"])
    if "ranking" in ruled:
        shop.execute("update recsql.release set ranking_policy_no = %s", (policy_no,))
    assert shown(shop) == order
    # A day changes what is half as fresh after a year by 0.2 %; the age moves on between two statements.
    add_rule(shop, "old", "freshness", half_life="365 days", priority=-1)
    for user in ("de1", "nobody"):
        for options in ({}, {"log": True, "explore": 0.5}):
            for item, score in scored(shop, user, 12, **options):
                ((total,),) = shop.execute(
                    "select sum(contribution) from recsql_api.explain_recommendation(%s, %s)", (user, item)
                ).fetchall()
                assert total == pytest.approx(score, abs=1e-6)


def test_exploration_among_pins_and_caps_is_drawn_at_its_propensity(shop):
    add_rule(shop, "first", "pin", item="i12", position=1)
    add_rule(shop, "few", "cap", attribute="brand", max_items=2)
    # Left are i1, i2 of a and i7 of b, the pin being b's other. At explore 0.6 the second place goes to the best with
    # 0.4 + 0.6 / 3 = 0.6 and to each of the others with 0.2.
    expected = {"i1": 0.6, "i2": 0.2, "i7": 0.2}
    counts = dict.fromkeys(expected, 0)
    for _ in range(150):
        first, second = shown(shop, n=2, explore=0.6)
        assert first == "i12"
        counts[second] += 1
    logged = shop.execute(
        "select distinct m.position, i.item_id, m.propensity, m.conditional from recsql.impression as m "
        "inner join recsql.item as i using (item_no)"
    ).fetchall()
    assert {(n, item): (p, c) for n, item, p, c in logged} == {
        (1, "i12"): (1, 1),
        **{(2, item): pytest.approx((p, p), abs=1e-6) for item, p in expected.items()},
    }
    # Three standard errors of 150 draws are 0.12.
    assert counts["i1"] / 150 == pytest.approx(0.6, abs=0.12)


def test_controls_of_a_slot_calibrate_and_expose_what_recommend_gives(shop):
    shop.execute("""select recsql.set_control('default', '{"exposure": 1}')""")
    assert shown(shop) == ["i1", "i2", "i3", "i4"]
    # i1 and i2 were shown, i1 more often: at full strength they come last of those of no price.
    shop.execute("insert into recsql.exposure_ledger (slot) values ('default')")
    shop.execute(
        "insert into recsql.exposure_price (slot, item_no, exposure, target, price) "
        "select 'default', i.item_no, 1, 1, case i.item_id when 'i1' then 1 else 0.5 end "
        "from recsql.item as i where i.item_id in ('i1', 'i2')"
    )
    assert shown(shop) == ["i3", "i4", "i5", "i6"]
    assert shown(shop, n=12)[-2:] == ["i2", "i1"]
    shop.execute(
        """select recsql.set_control('default', '{"exposure": 0, "calibration": 1, "calibration_key": "brand"}')"""
    )
    # Nothing is known of the user's history: the list stays.
    assert shown(shop) == ["i1", "i2", "i3", "i4"]
    # He had i12, which is of brand b, so that all of the list is to be of b: the best of it come first.
    shop.execute(
        "insert into recsql.interaction (run_no, user_no, item_no, step, weight, n_events, at, event_no) "
        "select r.run_no, u.user_no, i.item_no, 0, 1, 1, now(), 1 from recsql.release as r, recsql.app_user as u, "
        "recsql.item as i where u.user_id = 'de1' and i.item_id = 'i12'"
    )
    assert shown(shop) == ["i7", "i8", "i9", "i10"]
    assert shown(shop, user="at1") == ["i1", "i2", "i3", "i4"]


@pytest.mark.parametrize("position", [1, 13])
def test_pin_without_a_published_score_is_worth_what_its_explanation_says(shop, position):
    """``de1`` is served without it, ``new1`` has nothing published; both had ``i12``, to which it is near.

    Where the pin lies behind the end of the list, it comes as the last that is left of the catalogue.
    """
    add_rule(shop, "first", "pin", item="i11", position=position)
    shop.execute("insert into recsql.app_user (user_id) values ('new1')")
    shop.execute("delete from recsql.recommendation where user_no = 1 and item_no = 11")
    shop.execute('update recsql.fusion_policy set weights = \'{"cosine": 0.5, "content": 0.5}\'')
    shop.execute(
        "insert into recsql.item_similarity (run_no, source_no, item_no, neighbour_nos, similarities) "
        "select r.run_no, s.source_no, 12, '{11,10}', '{0.8,0.4}' "
        "from recsql.release as r, recsql.source as s where s.source = 'cosine'"
    )
    shop.execute(
        "insert into recsql.interaction (run_no, user_no, item_no, step, weight, n_events, at, event_no) "
        "select run_no, 1, 12, 0, 1, 1, now(), 1 from recsql.release"
    )
    shop.execute("select recsql_api.record_event('new1', 'i12', 'view')")
    parts = {}
    for user in ("de1", "new1"):
        score = dict(scored(shop, user, n=12))["i11"]
        told = shop.execute(
            "select component, contribution from recsql_api.explain_recommendation(%s, 'i11')", (user,)
        ).fetchall()
        assert sum(contribution for _, contribution in told) == pytest.approx(score, abs=1e-6)
        parts[user] = {component for component, contribution in told if contribution}
    # How near a pin is to all that a user had takes long to find, and moves nothing: it is asked where all items are.
    assert parts == {"de1": {"cold content"}, "new1": {"cold content", "cold cosine"}}


@pytest.mark.parametrize("kind", ["pin", "boost", "cap", "promote", "filter"])
def test_empty_database_obeys_everything(connection, kind):
    connection.execute("""select recsql.set_control('default', '{"diversity": 1, "novelty": 1, "exposure": 1}')""")
    connection.execute("select recsql_api.upsert_item('i1', 'One', p_attributes => jsonb_build_object('brand', 'a'))")
    settings = {
        "pin": {"item": "i1", "position": 3},
        "boost": {"factor": 2},
        "cap": {"attribute": "brand", "max_items": 1},
        "promote": {"share": 1, "condition": where("brand", "=", "a")},
        "filter": {"condition": where("brand", "=", "a")},
    }
    add_rule(connection, "r", kind, **settings[kind])
    for slot in ("default", "none", None):
        # No score is known, so a boost of it is none.
        assert scored(connection, "nobody", slot=slot) == [("i1", 0)]
    assert scored(connection, "nobody", log=True, explore=1) == [("i1", 0)]
    connection.execute("update recsql.item set available = false")
    assert scored(connection, "nobody", log=True, explore=1) == []
