"""The steps that order a pool after fusion, worked out by hand, and the controls that switch them on."""

import json
import math

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruled_shop import ITEMS, add_rule, add_vectors, open_shop, scored, shown, where

from recsql.db import connect

# At 0, 0, 60, 90 and 90 degrees; i6 has none.
VECTORS = {"i1": "[1,0]", "i2": "[2,0]", "i3": "[0.5,0.8660254]", "i4": "[0,1]", "i5": "[0,3]"}


@pytest.fixture(scope="module")
def shop_template(server, template):
    with server.clone(template) as name:
        with connect(server.url(name)) as connection:
            open_shop(connection)
            add_vectors(connection, VECTORS)
        yield name


@pytest.fixture
def shop(server, shop_template):
    with server.clone(shop_template) as name, connect(server.url(name)) as connection:
        yield connection


@pytest.fixture(scope="module")
def steps(server, shop_template):
    """A connection for what writes nothing."""
    with server.clone(shop_template) as name, connect(server.url(name)) as connection:
        yield connection


def one(connection, query, *parameters):
    return connection.execute(query, parameters).fetchone()[0]


def diversified(connection, scores, strength, method, n=10):
    return one(
        connection,
        "select recsql.diversified(%s, %s::double precision[], %s, %s, %s)",
        list(range(1, len(scores) + 1)), scores, n, strength, method,
    )  # fmt: skip


def in_order(scores):
    return [place + 1 for place in np.argsort(-np.array(scores), kind="stable")]


def test_redistributed_gives_the_kth_largest_to_the_kth(steps):
    query = "select recsql.redistributed('{4,9,1,null,6}', %s)"
    # Third, then first; then the others as they were: second (9), fifth (6).
    assert one(steps, query, [3, 1]) == [6, 4, 9, None, 1]
    assert one(steps, query, []) == [4, 9, 1, None, 6]


def test_diversified_by_mmr(steps):
    # Scores 5 to 1 are relevances 1, 0.75, 0.5, 0.25, 0. At a half: first i1; then i2 has 0.375 - 0.5, i3 0.25 - 0.25,
    # i4 0.125 - 0, i5 0 - 0, so i4; then i2 -0.125, i3 0.25 - 0.433, i5 0 - 0.5: i2. What is chosen stands in the order
    # of scores.
    assert diversified(steps, [5, 4, 3, 2, 1], 0.5, "mmr", n=2) == [5, 3, 2, 4, 1]
    assert in_order(diversified(steps, [5, 4, 3, 2, 1], 0.5, "mmr", n=3)) == [1, 2, 4, 3, 5]
    # Nothing but distance: first i4, then i3, whose nearest is at 30 degrees.
    assert in_order(diversified(steps, [5, 4, 3, 2, 1], 1, "mmr", n=3)) == [1, 3, 4, 2, 5]


def test_diversified_by_msd(steps):
    # As above, but for the mean cosine. At a half after i1 and i4: i2 has 0.375 - 1 / 4, i3 0.25 - (0.5 + 0.866) / 4
    # and i5 0 - 1 / 4.
    assert in_order(diversified(steps, [5, 4, 3, 2, 1], 0.5, "msd", n=2)) == [1, 4, 2, 3, 5]
    assert in_order(diversified(steps, [5, 4, 3, 2, 1], 0.5, "msd", n=3)) == [1, 2, 4, 3, 5]
    # Distance alone: i1, i4; then i2, i3 and i5 have mean cosines of 0.5, 0.683 and 0.5, where mmr takes i3.
    assert in_order(diversified(steps, [5, 4, 3, 2, 1], 1, "msd", n=3)) == [1, 2, 4, 3, 5]


def test_diversified_by_dpp(steps):
    # What an item adds to the volume: 1 - cosine², floored. At 1/2 first i1; then i2 has 0.375 + ln(1e-6) / 2,
    # i3 0.25 + ln(0.75) / 2 = 0.106, i4 0.125 + 0, i5 0: i4. Two dimensions are full then, and the rest is by score.
    assert in_order(diversified(steps, [5, 4, 3, 2, 1], 0.5, "dpp", n=2)) == [1, 4, 2, 3, 5]
    assert in_order(diversified(steps, [5, 4, 3, 2, 1], 0.5, "dpp", n=3)) == [1, 2, 4, 3, 5]
    # At 1/4 i3 has 0.375 + ln(0.75) / 4 = 0.303, i4 0.1875.
    assert in_order(diversified(steps, [5, 4, 3, 2, 1], 0.25, "dpp", n=2)) == [1, 3, 2, 4, 5]


# Of seven items the last two have no vector: they are at right angles to all.
KERNEL = np.eye(7)
_DIRECTIONS = np.array([[1, 0], [1, 0], [0.5, 0.75**0.5], [0, 1], [0, 1]])
KERNEL[:5, :5] = _DIRECTIONS @ _DIRECTIONS.T


def mean_distance(item, chosen):
    return 1 - KERNEL[chosen, item].mean() if chosen else 1


def log_volume(item, chosen):
    volume = np.linalg.det(KERNEL[np.ix_([*chosen, item], [*chosen, item])])
    before = np.linalg.det(KERNEL[np.ix_(chosen, chosen)]) if chosen else 1
    return math.log(max(volume / before, 1e-6))


@pytest.mark.parametrize(
    ("method", "n", "strengths", "seed", "gain"),
    [("msd", 5, (0.1, 0.5, 0.9), 1, mean_distance), ("dpp", 4, (0.1, 0.3, 0.6), 0, log_volume)],
)
def test_diversified_is_the_greedy_choice(steps, method, n, strengths, seed, gain):
    random = np.random.default_rng(seed)
    for strength in strengths:
        scores = random.permutation(7).astype(float)
        chosen: list[int] = []
        for _ in range(n):
            gains = {
                item: (1 - strength) * scores[item] / 6 + strength * gain(item, chosen)
                for item in sorted(set(range(7)) - set(chosen))
            }
            chosen.append(max(gains, key=gains.__getitem__))
        found = in_order(diversified(steps, scores.tolist(), strength, method, n=n))[:n]
        assert {place - 1 for place in found} == set(chosen)


def test_item_without_vector_is_at_distance_one(steps):
    # i6 is as far from i1 as i4 is, and has the lower score of the two.
    assert in_order(diversified(steps, [6, 5, 4, 3, 2, 1], 1, "mmr", n=3)) == [1, 4, 6, 2, 3, 5]


def test_novel_prefers_what_few_had(shop):
    ((run_no,),) = shop.execute("select run_no from recsql.release").fetchall()
    shop.execute(
        "insert into recsql.item_popularity (run_no, item_no, n_users, popularity, trend) "
        "values (%(run)s, 1, 16, 0, 0), (%(run)s, 2, 4, 0, 0), (%(run)s, 3, 1, 0, 0)",
        {"run": run_no},
    )
    query = "select recsql.novel(%s, '{1,2,3}', '{3,2,1}', %s)"
    # Novelties 0, 1/2 and 1, relevances 1, 1/2 and 0: at a half all are alike, and the better score goes first.
    assert one(shop, query, run_no, 0) == [3, 2, 1]
    assert one(shop, query, run_no, 0.4) == [3, 2, 1]
    assert one(shop, query, run_no, 0.5) == [3, 2, 1]
    assert one(shop, query, run_no, 0.6) == [1, 2, 3]
    assert one(shop, query, run_no, 1) == [1, 2, 3]


scores_of_items = st.lists(st.integers(-5, 5), min_size=1, max_size=12)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scores=scores_of_items,
    strength=st.floats(0, 1),
    method=st.sampled_from(["mmr", "msd", "dpp"]),
    n=st.integers(1, 12),
)
def test_steps_only_change_the_order(steps, scores, strength, method, n):
    item_nos = list(range(1, len(scores) + 1))
    for found in (
        diversified(steps, scores, strength, method, n),
        one(steps, "select recsql.novel(1, %s, %s::double precision[], %s)", item_nos, scores, strength),
    ):
        assert sorted(found) == sorted(scores)
        if strength == 0:
            assert found == scores


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_lists_obey_rules_whatever_is_asked(shop, data):
    """Pins stand at their positions, caps hold beside them, filters hold, nothing comes twice, scores are sums."""
    pins = data.draw(st.dictionaries(st.integers(1, 6), st.sampled_from(ITEMS), max_size=2))
    pins = {position: item for position, item in pins.items() if list(pins.values()).count(item) == 1}
    limit = data.draw(st.integers(1, 3))
    options = {
        "n": data.draw(st.integers(1, 8)),
        "diversity": data.draw(st.floats(0, 1)),
        "novelty": data.draw(st.floats(0, 1)),
        "explore": data.draw(st.sampled_from([None, 0.5])),
    }
    with shop.transaction(force_rollback=True):
        for position, item in pins.items():
            add_rule(shop, f"pin-{item}", "pin", item=item, position=position)
        add_rule(shop, "cap", "cap", attribute="genres", max_items=limit)
        add_rule(shop, "filter", "filter", condition=where("item_id", "!=", "i4"))
        add_rule(shop, "boost", "boost", factor=3, condition=where("brand", "=", "b"))
        rows = scored(shop, **options)
        logged = shop.execute(
            "select m.position, i.item_id, m.propensity, r.controls, m.item_no = any(r.pool_nos) "
            "from recsql.request as r inner join recsql.impression as m using (request_id) "
            "inner join recsql.item as i using (item_no) order by m.position"
        ).fetchall()
    items = [item for item, _ in rows]
    assert len(set(items)) == len(items)
    assert "i4" not in items
    for item, score in rows:
        assert score == (13 - int(item[1:])) * (3 if int(item[1:]) > 6 else 1)
    expected = {position: item for position, item in pins.items() if position <= options["n"] and item != "i4"}
    for position, item in expected.items():
        # A list that is too short has them at its end.
        assert items.index(item) == position - 1 or items.index(item) >= len(items) - len(expected)
    taken: dict[str, int] = {}
    for item in sorted(items, key=lambda item: item not in expected.values()):
        number = int(item[1:])
        for genre in ("drama" if number % 2 == 0 else "comedy", *(["war"] if number % 3 == 0 else [])):
            taken[genre] = taken.get(genre, 0) + 1
            assert taken[genre] <= limit or item in expected.values()
    for position, item, propensity, controls, is_pooled in logged:
        assert is_pooled == (item not in expected.values())
        assert (position in (controls.get("pinned") or [])) == (item in expected.values())
        assert 0 < propensity <= 1
        assert propensity == 1 or item not in expected.values()


def test_recommend_diversifies_its_pool(shop):
    assert shown(shop) == ["i1", "i2", "i3", "i4"]
    # Relevances 1, 10/11, 9/11 … 0 of twelve; i2 is i1's like, what has no vector is like nothing.
    assert shown(shop, diversity=0.5)[:2] == ["i1", "i4"]
    assert scored(shop, diversity=0.5)[1] == ("i4", 9)
    assert shown(shop, diversity=0) == ["i1", "i2", "i3", "i4"]


def test_recommend_diversifies_where_nothing_is_known(shop):
    shop.execute("update recsql.item set published_at = now() - item_no * interval '1 day'")
    # New items all score 0: only their order tells them apart, and that suffices.
    assert shown(shop, "nobody", n=3) == ["i1", "i2", "i3"]
    assert shown(shop, "nobody", n=3, diversity=0.9) == ["i1", "i4", "i6"]


def test_control_is_what_a_slot_does_unasked(shop):
    shop.execute("""select recsql.set_control('default', '{"diversity": 0.5}')""")
    assert shown(shop)[:2] == ["i1", "i4"]
    assert shown(shop, diversity=0) == ["i1", "i2", "i3", "i4"]
    shown(shop, novelty=0.1, log=True)
    assert shop.execute("select controls from recsql.request").fetchall() == [
        ({"diversity": 0.5, "diversity_method": "mmr", "novelty": 0.1},)
    ]
    # What is not named stays.
    shop.execute("""select recsql.set_control('default', '{"diversity_method": "dpp"}')""")
    assert one(shop, "select recsql.slot_control('default', null)") == {"diversity": 0.5, "diversity_method": "dpp"}
    shop.execute("""select recsql.set_control('default', '{"diversity": 0}')""")
    assert one(shop, "select recsql.slot_control('default', null)") is None


@pytest.mark.parametrize(
    "controls",
    [
        '{"diversity": 1.01}',
        '{"novelty": -1}',
        '{"exposure": "much"}',
        '{"diversity_method": "best"}',
        '{"serendipity": 1}',
        "[]",
    ],
)
def test_control_is_refused(steps, controls):
    for query in ("select recsql.set_control('default', %s)", "select * from recsql.controlled(1, %s, 0, 9)"):
        with pytest.raises(psycopg.Error) as told:
            steps.execute(query, (controls,))
        assert told.value.sqlstate == "RS002"
        assert told.value.diag.message_hint


def test_controlled_gives_the_lists_that_recommend_gives(shop):
    ((run_no,),) = shop.execute("select run_no from recsql.release").fetchall()
    for controls in (
        {},
        {"diversity": 0.5, "n": 2},
        {"diversity": 0.4, "diversity_method": "dpp", "novelty": 0.2, "n": 4},
    ):
        rows = shop.execute(
            "select i.item_id from recsql.ranked(%s, %s) as r inner join recsql.item as i using (item_no) "
            "inner join recsql.app_user as u using (user_no) where u.user_id = 'de1' order by r.score desc",
            (run_no, f"fused {json.dumps(controls)}"),
        ).fetchall()
        n = controls.get("n", 10)
        shop.execute("select recsql.set_control('default', %s)", (json.dumps({"diversity_method": "mmr"} | controls),))
        assert [item for (item,) in rows][:n] == shown(shop, n=n)
        assert len(rows) == min(5 * n, 12)


def test_logged_pool_is_in_the_order_that_exploration_drew_from(shop):
    for _ in range(5):
        shown(shop, n=3, diversity=0.5, explore=0.4)
    for request_id, pool_nos, pool_scores, items in shop.execute(
        "select r.request_id, r.pool_nos, r.pool_scores, array_agg(m.item_no order by m.position) "
        "from recsql.request as r inner join recsql.impression as m using (request_id) group by r.request_id"
    ):
        assert pool_nos[:2] == [1, 4]
        # The scores stay those of the items.
        assert pool_scores == [13 - item for item in pool_nos]
        ranks = shop.execute(
            "select rank from recsql.explored(%s, 12, 3, 0.4) order by place", (request_id,)
        ).fetchall()
        assert items == [pool_nos[rank - 1] for (rank,) in ranks]
