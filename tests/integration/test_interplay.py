"""What rules, controls, experiments, ranking policies and explanations make of each other."""

import psycopg
import pytest
from ruled_shop import add_rule, add_vectors, open_shop, shown, where

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
