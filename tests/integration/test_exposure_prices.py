"""The ledger of exposure: prices follow what was shown, each impression counts once, and bad input is refused."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from recsql.db import connect, explained
from recsql.errors import InputError, NotFoundError

Connection = psycopg.Connection[Any]
N_ITEMS = 8


@pytest.fixture
def shop(connection: Connection) -> Connection:
    """Eight items, of which slot default serves a run."""
    for n in range(N_ITEMS):
        connection.execute("select recsql_api.upsert_item(%s, null)", (f"i{n}",))
    connection.execute("insert into recsql.run (fingerprint, state) values ('x', 'complete')")
    connection.execute("select recsql.publish(1, (select min(policy_no) from recsql.fusion_policy))")
    return connection


def show(connection: Connection, items: list[str], n: int = 1, age: str = "1 minute") -> None:
    """Record that a list was shown, n times."""
    for _ in range(n):
        request = uuid4()
        connection.execute("select recsql_api.record_impressions(%s, 'ann', %s)", (request, items))
        connection.execute(
            "update recsql.impression set at = now() - %s::interval where request_id = %s", (age, request)
        )


def update(connection: Connection, slot: str | None = "default", **options: Any) -> int:
    """Update a slot's ledger."""
    half_life = options.get("half_life", "1 day")
    return connection.execute("select recsql.update_exposure(%s, %s)", (slot, half_life)).fetchone()[0]


def ledger(connection: Connection, slot: str = "default") -> dict[str, tuple[float, float, float]]:
    """Exposure, target and price by item."""
    rows = connection.execute(
        "select i.item_id, p.exposure, p.target, p.price from recsql.exposure_price as p "
        "inner join recsql.item as i on i.item_no = p.item_no where p.slot = %s",
        (slot,),
    ).fetchall()
    return {item: tuple(figures) for item, *figures in rows}


def test_update_exposure_by_hand(shop):
    show(shop, ["i0", "i1"], n=64, age="1 hour")
    # So long a half-life that an hour is nothing.
    assert update(shop, half_life="100 years") == 128
    second = 1 / math.log2(3)
    target = 64 * (1 + second) / N_ITEMS
    found = ledger(shop)
    assert found["i0"][:2] == pytest.approx((64, target), rel=1e-6)
    assert found["i1"][:2] == pytest.approx((64 * second, target), rel=1e-6)
    # Six of eight are free, in the middle of ranks 1 to 6; the two have ranks 8 and 7.
    assert found["i0"][2] == 1
    assert found["i1"][2] == pytest.approx((7 - 3.5) / (8 - 3.5))
    assert found.keys() == {"i0", "i1"}


def test_update_exposure_halves_what_is_old(shop):
    show(shop, ["i0"], n=4, age="2 days")
    show(shop, ["i1"], n=4, age="5 seconds 100 milliseconds")
    update(shop)
    # Two days, and a moment.
    assert ledger(shop)["i0"][0] == pytest.approx(1, rel=1e-3)
    assert ledger(shop)["i1"][0] == pytest.approx(4, rel=1e-3)


def test_update_exposure_counts_each_impression_once(shop):
    show(shop, ["i0", "i1"], n=3)
    assert update(shop) == 6
    before = ledger(shop)
    assert update(shop) == 0
    assert ledger(shop) == before
    show(shop, ["i2"], age="6 seconds")
    shop.execute("update recsql.exposure_ledger set counted_until = now() - interval '30 seconds'")
    assert update(shop) == 1
    assert ledger(shop)["i2"][0] == pytest.approx(1, abs=1e-3)


def test_update_exposure_leaves_the_newest_seconds_for_later(shop):
    show(shop, ["i0"], age="1 second")
    assert update(shop) == 0
    assert ledger(shop) == {}


def test_update_exposure_waits_for_what_is_being_logged(shop, database):
    shop.execute("insert into recsql.app_user (user_id) values ('ann')")
    with psycopg.connect(database) as mailing:
        mailing.execute("select recsql_api.record_impressions(%s, 'ann', %s)", (uuid4(), ["i0", "i1"]))
        show(shop, ["i2"], age="0 seconds")
        show(shop, ["i3"], age="1 minute")
        # What came after the mailing began waits for its end, what came before does not.
        mailing.execute("select pg_sleep(5.1)")
        assert update(shop) == 1
        assert update(shop) == 0
        mailing.commit()
    assert update(shop) == 3
    assert set(ledger(shop)) == {"i0", "i1", "i2", "i3"}


def test_prices_react_to_what_is_shown(shop):
    show(shop, ["i0"], n=20, age="2 minutes")
    show(shop, ["i1"], n=10, age="2 minutes")
    shop.execute("insert into recsql.exposure_ledger values ('default', now() - interval '1 hour')")
    update(shop)
    before = ledger(shop)
    assert before["i0"][2] > before["i1"][2] > 0
    # From then on the second alone is shown.
    shop.execute("update recsql.exposure_ledger set counted_until = now() - interval '90 seconds'")
    show(shop, ["i1"], n=30, age="1 minute")
    update(shop)
    after = ledger(shop)
    assert after["i1"][2] > before["i1"][2]
    assert after["i0"][2] < before["i0"][2]
    (scores,) = shop.execute(
        "select recsql.exposed('default', array_agg(item_no order by item_id), '{8,7,6,5,4,3,2,1}', 1) from recsql.item"
    ).fetchone()
    # The dearest come last, what was never shown stays in its order.
    assert scores == [2, 1, 8, 7, 6, 5, 4, 3]


def test_slots_are_accounted_for_apart(shop):
    shop.execute("select recsql.publish(1, (select min(policy_no) from recsql.fusion_policy), 'other')")
    show(shop, ["i0"], n=2)
    shop.execute(
        "insert into recsql.request (request_id, user_no, slot, policy, explore, pool_nos, pool_scores) "
        "select (select min(request_id::text)::uuid from recsql.impression), 1, 'other', 'x', 0, '{}', '{}'"
    )
    assert (update(shop), update(shop, "other")) == (1, 1)


def test_simultaneous_updates_count_once(shop, database):
    show(shop, ["i0", "i1"], n=50)

    def one(_: int) -> int:
        with connect(database) as own:
            return update(own)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(8))) == [0] * 7 + [100]
    assert ledger(shop)["i0"][0] == pytest.approx(50, rel=1e-2)


def test_update_exposure_refuses_what_it_cannot_use(shop):
    for slot in ("nowhere", None):
        with pytest.raises(NotFoundError, match="serves nothing"), explained():
            update(shop, slot)
    for half_life in ("0", "-1 day", None):
        with pytest.raises(InputError, match="half-life"), explained():
            update(shop, half_life=half_life)


def test_exposure_daily_by_hand(shop):
    shop.execute("set search_path = recsql, public")
    shop.execute("select add_list_partition('item_popularity', 1)")
    shop.execute("reset search_path")
    shop.execute(
        "insert into recsql.item_popularity (run_no, item_no, n_users, popularity, trend) "
        "select 1, i.item_no, case i.item_id when 'i0' then 90 else 10 end, 1, 1 from recsql.item as i "
        "where i.item_id in ('i0', 'i1')"
    )
    show(shop, ["i0", "i2"], n=2, age="0")
    row = shop.execute(
        "select n_impressions, n_shown, n_items, gini, arp, aplt from recsql_api.exposure_daily"
    ).fetchone()
    # Exposure 2 and 1.262 of eight items: sorted, (2 × 7 - 8 - 1) × 1.262 + (2 × 8 - 8 - 1) × 2 over 8 × 3.262.
    second = 2 / math.log2(3)
    # i0 had 90 users, i2 none and is of the tail.
    assert row == (4, 2, 8, pytest.approx((5 * second + 7 * 2) / (8 * (second + 2))), 45, 0.5)
    shares = shop.execute(
        "select item_group, exposure_share from recsql_api.item_group_exposure_daily where key = 'popularity'"
    ).fetchall()
    assert dict(shares) == {
        "head": pytest.approx(2 / (second + 2)), "tail": pytest.approx(second / (second + 2)),
    }  # fmt: skip
