"""Rules of the owner: what is refused when they are written, and what they make of a list."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from ruled_shop import ITEMS, add_rule, open_shop, scored, shown, where

from recsql.db import connect

COMEDY = where("genres", "contains", "comedy")


@pytest.fixture(scope="module")
def shop_template(server, template):
    with server.clone(template) as name:
        with connect(server.url(name)) as connection:
            open_shop(connection)
        yield name


@pytest.fixture
def shop(server, shop_template):
    with server.clone(shop_template) as name, connect(server.url(name)) as connection:
        yield connection


@pytest.fixture(scope="module")
def unruled(server, shop_template):
    """A connection for what writes nothing."""
    with server.clone(shop_template) as name, connect(server.url(name)) as connection:
        yield connection


def refused(shop, *arguments, **settings):
    """SQLSTATE and message with which a rule is refused."""
    with pytest.raises(psycopg.Error) as told:
        add_rule(shop, *arguments, **settings)
    assert told.value.diag.message_hint or told.value.sqlstate not in {"RS001", "RS002"}
    return told.value.sqlstate, str(told.value.diag.message_primary)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (where("brand", "=", "a"), {1, 2, 3, 4, 5, 6}),
        (where("brand", "!=", "a"), {7, 8, 9, 10, 11, 12}),
        (where("year", "<", 1993), {1, 2}),
        (where("year", ">=", 2001), {11, 12}),
        (where("year", "in", [1991, 1999, 5]), {1, 9}),
        (where("genres", "contains", "war"), {3, 6, 9, 12}),
        (where("genres", "contains", ["war", "drama"]), {6, 12}),
        (where("genres", "exists"), set(range(1, 13))),
        (where("genres", "exists", False), set()),
        (where("item_id", "in", ["i2", "i7"]), {2, 7}),
        (where("title", "=", "Film 3"), {3}),
        (where("domain", "!=", "films"), set()),
        # Published 10 days ago and, one by one, a day earlier.
        (where("age_days", "<=", 12.5), {1, 2, 3}),
        (where("published_at", ">", str(datetime.now(UTC) - timedelta(days=11.5))), {1, 2}),
        ({"all": [where("brand", "=", "a"), {"not": where("genres", "contains", "war")}]}, {1, 2, 4, 5}),
        ({"any": [where("year", "=", 1991), where("year", "=", 1992)]}, {1, 2}),
    ],
)
def test_condition_matches(unruled, condition, expected):
    rows = unruled.execute(
        "select i.item_no from recsql.compiled_condition(%s, 'item', 'r') as c "
        "inner join recsql.item as i on recsql.is_match(i, c.path::jsonpath, c.vars)",
        (json.dumps(condition),),
    )
    assert {n for (n,) in rows} == expected


def test_condition_values_are_never_part_of_the_path(shop):
    for value in ('" || true || "', "'; drop table recsql.item; --", '$"r"', "\\"):
        shop.execute(
            "update recsql.item set attributes = attributes || %s where item_id = 'i4'", (json.dumps({"brand": value}),)
        )
        add_rule(shop, uuid.uuid4().hex, "boost", factor=2, condition=where("brand", "=", value), state="draft")
        path, found = shop.execute(
            "select r.item_path::text, (select array_agg(i.item_id) from recsql.item as i "
            "where recsql.is_match(i, r.item_path, r.item_vars)) from recsql.rule as r order by r.rule_no desc limit 1"
        ).fetchone()
        assert value not in path
        assert found == ["i4"]


def test_condition_of_an_attribute_with_any_name(shop):
    name = 'a"b\\c" == 1 || "é'
    shop.execute("update recsql.item set attributes = %s where item_id = 'i4'", (json.dumps({name: 1}),))
    add_rule(shop, "odd", "filter", condition=where(name, "=", 1))
    assert shown(shop) == ["i4"]


@pytest.mark.parametrize(
    ("state", "part", "kind", "settings"),
    [
        ("RS001", "no item has an attribute genre", "filter", {"condition": where("genre", "=", "x")}),
        ("RS001", "no user has an attribute brand", "boost", {"factor": 2, "segment": where("brand", "=", "a")}),
        ("RS001", "no item has an attribute colour", "cap", {"attribute": "colour", "max_items": 1}),
        ("RS002", "cannot be compared", "filter", {"condition": where("year", "=", "1991")}),
        ("RS002", "cannot be compared", "filter", {"condition": where("genres", "=", "war")}),
        ("RS002", "cannot be compared", "filter", {"condition": where("year", "contains", 1991)}),
        ("RS002", "is no time", "filter", {"condition": where("published_at", ">", "soon")}),
        ("RS002", "in takes a list of 1 to 1000", "filter", {"condition": where("year", "in", list(range(1001)))}),
        ("RS002", "in takes a list", "filter", {"condition": where("year", "in", [])}),
        ("RS002", "< takes a text or number", "filter", {"condition": where("year", "<", True)}),
        ("RS002", "= takes", "filter", {"condition": where("year", "=")}),
        ("RS002", "no operator", "filter", {"condition": where("year", "like", "1")}),
        ("RS002", "takes a list of 1 to 1000 conditions", "filter", {"condition": {"all": []}}),
        ("RS002", "a comparison has the keys", "filter", {"condition": {"attribute": "year"}}),
        ("RS002", "a comparison has the keys", "filter", {"condition": {}}),
        ("RS002", "must be a JSON object", "filter", {"condition": {"not": 1}}),
        ("RS002", "leaves none", "filter", {"condition": where("year", "<", 1900)}),
        ("RS002", "takes condition and share", "promote", {"share": 0.5}),
        ("RS002", "takes factor, not", "boost", {"share": 0.5}),
        ("RS002", "share must be", "promote", {"condition": COMEDY, "share": 0}),
        ("RS002", "share must be", "promote", {"condition": COMEDY, "share": 1.1}),
        ("RS002", "share must be", "promote", {"condition": COMEDY, "share": float("nan")}),
        ("RS002", "factor must be", "boost", {"factor": 0}),
        ("RS002", "factor must be", "boost", {"factor": float("inf")}),
        ("RS002", "factor must be", "boost", {"factor": float("nan")}),
        ("RS002", "factor must be", "bury", {"factor": -1}),
        ("RS002", "half_life must be", "freshness", {"half_life": timedelta(0)}),
        ("RS002", "max_items must be", "cap", {"attribute": "brand", "max_items": 0}),
        ("RS002", "position must be", "pin", {"item": "i3", "position": 0}),
        ("RS002", "takes item and position", "pin", {"item": "nothing", "position": 1}),
        (
            "RS002",
            "must end after",
            "boost",
            {"factor": 2, "starts_at": datetime(2026, 2, 1), "ends_at": datetime(2026, 1, 1)},
        ),
        ("RS002", "no kind of rule", "ban", {}),
    ],
)
def test_rule_is_refused(unruled, state, part, kind, settings):
    told = refused(unruled, "r", kind, **settings)
    assert told[0] == state
    assert part in told[1]
    assert unruled.execute("select count(*) from recsql.rule").fetchone() == (0,)


def test_rule_name_is_a_word(unruled):
    for name in ("", "A", "two words", "-", "x" * 101):
        assert refused(unruled, name, "boost", factor=2)[0] == "RS002"


def test_filter_that_leaves_nothing_may_be_a_draft(shop):
    add_rule(shop, "old", "filter", condition=where("year", "<", 1900), state="draft")
    with pytest.raises(psycopg.Error, match="leaves none"):
        shop.execute("update recsql.rule set state = 'active'")


def test_filters_that_leave_nothing_together_are_refused(shop):
    add_rule(shop, "a", "filter", condition=where("brand", "=", "a"))
    assert "together with a" in refused(shop, "b", "filter", condition=where("brand", "=", "b"))[1]
    # Never in force together.
    add_rule(shop, "b", "filter", condition=where("brand", "=", "b"), slot="other")


def test_pins_that_contradict_each_other_are_refused(shop):
    add_rule(shop, "one", "pin", item="i8", position=1, segment=where("country", "=", "de"))
    assert refused(shop, "two", "pin", item="i9", position=1) == (
        "RS002",
        "pin two contradicts pin one: both take position 1 at the same time, for the same users, at priority 0",
    )
    assert "place the same item" in refused(shop, "two", "pin", item="i8", position=2)[1]
    later = datetime.now(UTC) + timedelta(days=1)
    for name, settings in {
        "disjoint": {"segment": where("country", "in", ["at", "ch"])},
        "opposite": {"segment": {"not": where("country", "=", "de")}},
        "stronger": {"priority": 1},
        "elsewhere": {"slot": "other"},
    }.items():
        add_rule(shop, name, "pin", item="i9", position=1, **settings)
        shop.execute("delete from recsql.rule where rule = %s", (name,))
    shop.execute("update recsql.rule set ends_at = %s where rule = 'one'", (later,))
    add_rule(shop, "after", "pin", item="i9", position=1, starts_at=later)


def test_filter_fills_the_list_with_what_it_allows(shop):
    assert shown(shop) == ["i1", "i2", "i3", "i4"]
    add_rule(shop, "war", "filter", condition=where("genres", "contains", "war"))
    assert shown(shop) == ["i3", "i6", "i9", "i12"]
    # So it is for those of whom nothing is published, by trend or as new items.
    assert set(shown(shop, "nobody", 12)) == {"i3", "i6", "i9", "i12"}


def test_filter_holds_where_everything_was_seen(shop):
    for item in ITEMS:
        shop.execute("select recsql_api.record_event('de1', %s, 'view')", (item,))
    add_rule(shop, "war", "filter", condition=where("genres", "contains", "war"))
    assert set(shown(shop)) == {"i3", "i6", "i9", "i12"}


def test_filter_that_leaves_nothing_at_request_time_warns(shop):
    add_rule(shop, "war", "filter", condition=where("genres", "contains", "war"))
    shop.execute("update recsql.item set available = not attributes -> 'genres' ? 'war'")
    notices = []
    shop.add_notice_handler(lambda notice: notices.append((notice.severity, notice.message_primary)))
    assert shown(shop) == []
    assert notices == [("WARNING", "nothing is left within the rules that filter: war")]


def test_rules_hold_for_their_slot_segment_and_period_alone(shop):
    now = datetime.now(UTC)
    add_rule(shop, "de", "filter", condition=where("brand", "=", "b"), segment=where("country", "=", "de"))
    assert shown(shop, "de1") == ["i7", "i8", "i9", "i10"]
    assert shown(shop, "at1") == ["i1", "i2", "i3", "i4"]
    # Who is unknown has no country.
    shop.execute("update recsql.rule set segment = %s", (json.dumps({"not": where("country", "=", "de")}),))
    assert set(shown(shop, "nobody", 12)) == {f"i{n}" for n in range(7, 13)}
    shop.execute("update recsql.rule set segment = null, slot = 'other'")
    assert shown(shop) == ["i1", "i2", "i3", "i4"]
    shop.execute("update recsql.rule set slot = null")
    assert shown(shop) == ["i7", "i8", "i9", "i10"]
    for starts_at, ends_at in ((now + timedelta(hours=1), None), (None, now - timedelta(hours=1))):
        shop.execute("update recsql.rule set starts_at = %s, ends_at = %s", (starts_at, ends_at))
        assert shown(shop) == ["i1", "i2", "i3", "i4"]
    shop.execute("update recsql.rule set starts_at = null, ends_at = null, state = 'draft'")
    assert shown(shop) == ["i1", "i2", "i3", "i4"]


def test_boost_and_bury_multiply_and_add_up(shop):
    add_rule(shop, "b", "boost", factor=2, condition=where("brand", "=", "b"))
    add_rule(shop, "war", "bury", factor=0.5, condition=where("genres", "contains", "war"))
    # i7: 2 × 6, i8: 2 × 5, i9: 2 × 0.5 × 4; i1: 12, i2: 11, i3: 0.5 × 10.
    assert dict(scored(shop, n=12)) == {
        "i1": 12, "i2": 11, "i3": 5, "i4": 9, "i5": 8, "i6": 3.5,
        "i7": 12, "i8": 10, "i9": 4, "i10": 6, "i11": 4, "i12": 1,
    }  # fmt: skip
    assert shown(shop) == ["i1", "i7", "i2", "i8"]
    parts = shop.execute(
        "select p.place, p.component, p.contribution from recsql.rule_part("
        "array(select r from recsql.rule_in_force('default', 'de1') as r), '{9, 1}', '{4, 12}') as p order by component"
    ).fetchall()
    # The first doubles 4, the second halves what the first has made of it.
    assert parts == [(1, "rule b", 4), (1, "rule war", -4)]
    shop.execute("update recsql.rule set priority = 1 where rule = 'war'")
    parts = shop.execute(
        "select p.component, p.contribution from recsql.rule_part("
        "array(select r from recsql.rule_in_force('default', 'de1') as r), '{9}', '{4}') as p order by p.component"
    ).fetchall()
    assert parts == [("rule b", 2), ("rule war", -2)]


def test_rules_raise_and_lower_what_is_below_0_too(shop):
    add_rule(shop, "b", "boost", factor=2, condition=where("brand", "=", "b"))
    add_rule(shop, "war", "bury", factor=0.5, condition=where("genres", "contains", "war"))
    # i7 and i9 of brand b, i3 and i9 of war; scores as a ranker may have them.
    parts = shop.execute(
        "select p.place, p.component, p.contribution from recsql.rule_part("
        "array(select r from recsql.rule_in_force('default', 'de1') as r), '{7, 3, 9}', '{-4, -4, -4}') as p "
        "order by p.place, p.component"
    ).fetchall()
    assert parts == [(1, "rule b", 2), (2, "rule war", -4), (3, "rule b", 2), (3, "rule war", -2)]


def test_freshness_halves_by_age(shop):
    add_rule(
        shop, "fresh", "freshness", half_life=timedelta(days=5), condition=where("item_id", "in", ["i1", "i6", "i12"])
    )
    shop.execute("update recsql.item set published_at = now() + interval '1 day' where item_id = 'i12'")
    found = dict(scored(shop, n=12))
    # Ten days are two half-lives, fifteen three; what is still to come is as new as can be.
    assert found["i1"] == pytest.approx(12 / 4, rel=1e-4)
    assert found["i6"] == pytest.approx(7 / 8, rel=1e-4)
    assert found["i12"] == 1
    shop.execute("update recsql.item set published_at = '0100-01-01' where item_id = 'i1'")
    assert dict(scored(shop, n=12))["i1"] == pytest.approx(12 * 0.5**20)


def test_cap_holds_for_each_value(shop):
    add_rule(shop, "brands", "cap", attribute="brand", max_items=2)
    assert shown(shop) == ["i1", "i2", "i7", "i8"]
    # Two of each of two brands are all there can be.
    assert shown(shop, n=10) == ["i1", "i2", "i7", "i8"]
    shop.execute("update recsql.rule set attribute = 'genres'")
    # Comedies i1, i3 and dramas i2, i4 are two each; i3 is also the first of war.
    assert shown(shop, n=10) == ["i1", "i2", "i3", "i4"]
    shop.execute("update recsql.rule set condition = %s", (json.dumps(where("year", ">", 1992)),))
    # i1 and i2 are free; of the others i3, i5 are comedies, i4, i6 dramas, i3 and i6 war.
    assert shown(shop, n=10) == ["i1", "i2", "i3", "i4", "i5", "i6"]
    shop.execute("update recsql.rule set condition = null, attribute = 'domain', max_items = 3")
    assert shown(shop, n=10) == ["i1", "i2", "i3"]


def test_cap_leaves_what_has_no_value_alone_and_counts_a_value_once(shop):
    shop.execute("update recsql.item set attributes = '{\"brand\": null}' where item_id in ('i1', 'i2', 'i3')")
    shop.execute("update recsql.item set attributes = '{\"brand\": [\"c\", \"c\"]}' where item_id in ('i4', 'i5')")
    add_rule(shop, "brands", "cap", attribute="brand", max_items=2)
    # i6 is the first of a, i7 and i8 are of b.
    assert shown(shop, n=8) == ["i1", "i2", "i3", "i4", "i5", "i6", "i7", "i8"]


def test_cap_holds_while_exploring(shop):
    add_rule(shop, "brands", "cap", attribute="brand", max_items=1)
    for _ in range(20):
        assert set(shown(shop, explore=1)) == {"i1", "i7"}
    assert shop.execute("select distinct pool_nos, controls from recsql.request").fetchall() == [
        ([1, 7], {"rules": ["brands"]})
    ]
    assert shop.execute("select distinct propensity from recsql.impression").fetchall() == [(0.5,)]


def test_promote_gives_its_share_of_places(shop):
    add_rule(shop, "b", "promote", share=0.3, condition=where("brand", "=", "b"))
    # ceil(0.3 × 4) = 2 places of 4: the best two of brand b take those of the last two others.
    assert shown(shop) == ["i1", "i2", "i7", "i8"]
    # Of the pool of one place, the best five, none is of brand b.
    assert shown(shop, n=1) == ["i1"]
    add_rule(shop, "war", "promote", share=0.5, condition=where("genres", "contains", "war"))
    # i3 and i6 for war, i7 and i8 for b.
    assert shown(shop) == ["i3", "i6", "i7", "i8"]
    shop.execute("update recsql.rule set share = 1, priority = case rule when 'war' then 1 else 0 end")
    assert shown(shop) == ["i3", "i6", "i9", "i12"]


def test_cap_leaves_room_for_what_is_promoted(shop):
    add_rule(shop, "brands", "cap", attribute="brand", max_items=2)
    assert shown(shop) == ["i1", "i2", "i7", "i8"]
    # Of brand a i1 and i2 would be all: i6 takes the place of i2, i12 that of i8.
    add_rule(shop, "late", "promote", share=0.5, condition={"any": [where("item_id", "=", i) for i in ("i6", "i12")]})
    assert shown(shop) == ["i1", "i6", "i7", "i12"]
    # i6 is due to both and takes one place.
    add_rule(shop, "i6", "promote", share=0.25, condition=where("item_id", "=", "i6"), priority=1)
    assert shown(shop) == ["i1", "i6", "i7", "i12"]
    # What the cap does not allow is not promoted: of a there may be two, so i3 is not.
    shop.execute("delete from recsql.rule where rule = 'i6'")
    three = {"any": [where("item_id", "=", i) for i in ("i3", "i4", "i5")]}
    add_rule(shop, "three", "promote", share=0.75, condition=three, priority=1)
    assert shown(shop) == ["i3", "i4", "i7", "i12"]
    # A pin takes a place under the cap before any promotion.
    add_rule(shop, "first", "pin", item="i1", position=1)
    assert shown(shop) == ["i1", "i3", "i7", "i12"]


def test_promote_takes_what_there_is(shop):
    add_rule(shop, "i12", "promote", share=1, condition=where("item_id", "=", "i12"))
    assert shown(shop) == ["i1", "i2", "i3", "i12"]


def test_pin_stands_at_its_position(shop):
    add_rule(shop, "third", "pin", item="i9", position=3)
    add_rule(shop, "first", "pin", item="i12", position=1)
    assert scored(shop) == [("i12", 1), ("i1", 12), ("i9", 4), ("i2", 11)]
    # Beyond the list it does not stand.
    assert shown(shop, n=2) == ["i12", "i1"]
    # What is already there moves.
    add_rule(shop, "fourth", "pin", item="i1", position=4)
    assert shown(shop) == ["i12", "i2", "i9", "i1"]
    assert shown(shop, n=12)[4:] == ["i3", "i4", "i5", "i6", "i7", "i8", "i10", "i11"]


def test_pin_of_what_may_not_be_shown_leaves_its_position(shop):
    add_rule(shop, "first", "pin", item="i9", position=1)
    assert shown(shop, exclude=["i9"])[0] == "i1"
    assert shown(shop, filter='{"brand": "a"}')[0] == "i1"
    shop.execute("select recsql_api.record_event('de1', 'i9', 'view')")
    assert shown(shop)[0] == "i1"
    assert shown(shop, "at1")[0] == "i9"
    # Another pin may have the position.
    add_rule(shop, "second", "pin", item="i8", position=1, priority=-1)
    assert shown(shop)[0] == "i8"
    assert shown(shop, "at1")[0] == "i9"
    shop.execute("update recsql.item set available = false where item_id in ('i8', 'i9')")
    assert shown(shop, "at1")[0] == "i1"


def test_pin_of_a_shorter_list_stands_at_its_end(shop):
    add_rule(shop, "late", "pin", item="i1", position=5)
    assert shown(shop, n=5, filter='{"genres": ["war"], "brand": "a"}') == ["i3", "i6"]
    assert shown(shop, n=5, filter='{"genres": ["comedy"], "brand": "a"}') == ["i3", "i5", "i1"]


def test_pin_of_an_item_of_which_nothing_is_known(shop):
    shop.execute("select recsql_api.upsert_item('new', 'New', p_domain => 'films')")
    add_rule(shop, "launch", "pin", item="new", position=2)
    assert scored(shop) == [("i1", 12), ("new", 0), ("i2", 11), ("i3", 10)]
    assert shown(shop, "nobody")[1] == "new"


def test_pin_is_not_all_that_is_left(shop):
    shop.execute("select recsql_api.upsert_item('new', 'New', p_domain => 'films')")
    add_rule(shop, "launch", "pin", item="new", position=2)
    for n, item in enumerate(ITEMS):
        shop.execute(
            "select recsql_api.record_event('de1', %s, 'view', null, now() - %s * interval '1 day')", (item, n)
        )
    # What was seen longest ago stands around it.
    assert shown(shop, n=3) == ["i12", "new", "i11"]


def test_pins_count_for_caps_and_promotions(shop):
    add_rule(shop, "first", "pin", item="i9", position=1)
    add_rule(shop, "brands", "cap", attribute="brand", max_items=2)
    assert shown(shop) == ["i9", "i1", "i2", "i7"]
    shop.execute("delete from recsql.rule where rule = 'brands'")
    add_rule(shop, "b", "promote", share=0.5, condition=where("brand", "=", "b"))
    assert shown(shop) == ["i9", "i1", "i2", "i7"]


def test_pins_are_not_explored(shop):
    add_rule(shop, "second", "pin", item="i9", position=2)
    seen = set()
    for _ in range(30):
        items = shown(shop, n=3, explore=0.5)
        assert items[1] == "i9"
        seen.add(items[0])
    assert len(seen) > 1
    rows = shop.execute(
        "select r.request_id, r.pool_nos, r.controls, array_agg(m.item_no order by m.position), "
        "array_agg(m.propensity order by m.position), array_agg(m.conditional order by m.position) "
        "from recsql.request as r inner join recsql.impression as m using (request_id) group by r.request_id"
    ).fetchall()
    for request_id, pool_nos, controls, item_nos, propensities, conditionals in rows:
        # Of the twelve all but the pin, in their order; two places are drawn from them.
        assert pool_nos == [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12]
        assert controls == {"rules": ["second"], "pinned": [2]}
        drawn = shop.execute(
            "select rank, propensity, conditional from recsql.explored(%s, 11, 2, 0.5) order by place", (request_id,)
        ).fetchall()
        assert [pool_nos[rank - 1] for rank, _, _ in drawn] == [item_nos[0], item_nos[2]]
        assert propensities == [drawn[0][1], 1, drawn[1][1]]
        assert conditionals == [drawn[0][2], 1, drawn[1][2]]


def test_plain_requests_keep_no_controls(shop):
    shown(shop, log=True)
    assert shop.execute("select controls from recsql.request").fetchall() == [(None,)]


@pytest.mark.parametrize(
    "options", [{"diversity": 1.1}, {"diversity": -0.1}, {"novelty": float("nan")}, {"diversity": float("inf")}]
)
def test_recommend_refuses_controls_out_of_range(unruled, options):
    with pytest.raises(psycopg.Error, match="must be from 0 to 1") as told:
        shown(unruled, **options)
    assert told.value.sqlstate == "RS002"


def test_recommend_takes_ten_thousand_exclusions_and_no_more(shop):
    assert shown(shop, exclude=[f"x{n}" for n in range(9_998)] + ["i1", "i2"]) == ["i3", "i4", "i5", "i6"]
    with pytest.raises(psycopg.Error, match="at most 10000") as told:
        shown(shop, exclude=[f"x{n}" for n in range(10_001)])
    assert told.value.sqlstate == "RS002"


def test_recommend_answers_a_filter_of_ten_thousand_values(shop):
    values = [f"x{n}" for n in range(9_999)]
    assert shown(shop, filter=json.dumps({"genres": values})) == []
    shop.execute(
        "update recsql.item set attributes = %s where item_id = 'i5'", (json.dumps({"genres": [*values, "y"]}),)
    )
    assert shown(shop, filter=json.dumps({"genres": values})) == ["i5"]


def test_rule_goes_with_its_item(shop):
    add_rule(shop, "first", "pin", item="i9", position=1)
    shop.execute("delete from recsql.item where item_id = 'i9'")
    assert shop.execute("select count(*) from recsql.rule").fetchone() == (0,)
