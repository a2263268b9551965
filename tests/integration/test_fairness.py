"""Metrics of fairness in SQL and their means by group: against values worked out by hand."""

import json
import math

import numpy as np
import pytest
from offline_runs import begin_run, rank, record

from workers.fairness import GAP, Measured, difference, evaluate_fairness, group_figures, measure
from workers.fairness_report import compare

METHOD = "popularity"
D1, D2, D3 = 1.0, 1 / math.log2(3), 0.5
"""Exposure of the first three positions."""


def figures(connection, statement, *parameters):
    """Rows by their first columns; the last ones are the figures."""
    return connection.execute(statement, parameters).fetchall()


@pytest.fixture
def shop(connection):
    """Four users with a gender and five items with genres; the run of part test knows all but each user's last item.

    Interactions that the run knows: a 4 users (w, x, y, z), b 3 (w, x, y), c 2 (w, x), d 1 (w), e none; in all 10. Next
    came e (w), d (x), c (y) and b (z).
    """
    genres = {"a": ["war"], "b": ["war", "love"], "c": ["love"], "d": "love", "e": []}
    for item, named in genres.items():
        connection.execute(
            "select recsql_api.upsert_item(%s, %s, p_attributes => jsonb_build_object('genres', %s::jsonb))",
            (item, item.upper(), json.dumps(named)),
        )
    histories = {"w": "abcde", "x": "abcd", "y": "abc", "z": "ab"}
    for hour in range(5):
        for user, items in histories.items():
            if hour < len(items):
                record(connection, user, items[hour], hour)
    for user, gender in {"w": "F", "x": "F", "y": "M", "z": "M"}.items():
        connection.execute(
            "update recsql.app_user set attributes = jsonb_build_object('gender', %s::text) where user_id = %s",
            (gender, user),
        )
    return connection, begin_run(connection, "loo", core=1)


@pytest.fixture
def ranked(shop):
    """Lists of two: w e, d; x d, e; y e, c; z a, e."""
    connection, run_no = shop
    for stage in ("refresh_interaction", "refresh_item_popularity"):
        connection.execute(f"select recsql.{stage}(%s)", (run_no,))
    for user, items in {"w": "ed", "x": "de", "y": "ec", "z": "ae"}.items():
        rank(connection, run_no, user, {items[0]: 2, items[1]: 1})
    return connection, run_no


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 1, 1, 1], 0),
        ([0, 0, 0, 1], 3 / 4),
        # Sorted 1, 2, 3: (-2 × 1 + 0 × 2 + 2 × 3) / (3 × 6)
        ([3, 1, 2], 4 / 18),
    ],
)
def test_gini_by_hand(connection, values, expected):
    (found,) = connection.execute("select recsql.gini(%s::double precision[])", (values,)).fetchone()
    assert found == pytest.approx(expected)


def test_gini_is_half_the_relative_mean_difference(connection):
    values = np.random.default_rng(0).exponential(size=50)
    expected = np.abs(values[:, None] - values[None]).mean() / (2 * values.mean())
    (found,) = connection.execute("select recsql.gini(%s::double precision[])", (values.tolist(),)).fetchone()
    assert found == pytest.approx(expected)


def test_gini_of_nothing_is_null(connection):
    assert connection.execute("select recsql.gini('{0,0}'), recsql.gini('{}')").fetchone() == (None, None)


def test_item_exposure_by_hand(ranked):
    connection, run_no = ranked
    found = figures(
        connection,
        "select i.item_id, x.exposure, x.n_lists from recsql.item_exposure(%s, %s, 2) as x inner join recsql.item as i "
        "on i.item_no = x.item_no order by 1",
        run_no, METHOD,
    )  # fmt: skip
    assert [(item, n) for item, _, n in found] == [("a", 1), ("b", 0), ("c", 1), ("d", 2), ("e", 4)]
    # e is first for w and y, second for x and z.
    assert [exposure for _, exposure, _ in found] == pytest.approx([D1, 0, D2, D1 + D2, 2 * D1 + 2 * D2])


def test_popularity_band_splits_interactions(ranked):
    connection, run_no = ranked
    found = figures(
        connection,
        "select i.item_id, b.n_users, b.band from recsql.popularity_band(%s) as b inner join recsql.item as i "
        "on i.item_no = b.item_no order by 1",
        run_no,
    )
    # The run knows a, b, c, d of w; a, b, c of x; a, b of y; a of z. Of the ten, 0 lie before a, 4 before b, 7, 9.
    assert found == [("a", 4, "head"), ("b", 3, "mid"), ("c", 2, "mid"), ("d", 1, "tail"), ("e", 0, "tail")]


def test_popularity_metric_by_hand(ranked):
    connection, run_no = ranked
    found = figures(
        connection,
        "select u.user_id, m.list_popularity, m.tail_share, m.profile_popularity "
        "from recsql.popularity_metric(%s, %s, 2) as m "
        "inner join recsql.app_user as u on u.user_no = m.user_no order by 1",
        run_no, METHOD,
    )  # fmt: skip
    # w has a, b, c, d of 4, 3, 2, 1 users and is shown e and d of 0 and 1; z has a, and is shown a of 4 and e of 0.
    assert found == [("w", 0.5, 1, 2.5), ("x", 0.5, 1, 3), ("y", 1, 0.5, 3.5), ("z", 2, 0.5, 4)]


def test_item_group_exposure_by_hand(ranked):
    connection, run_no = ranked
    rows = figures(connection, "select * from recsql.item_group_exposure(%s, %s, 2)", run_no, METHOD)
    found = {(key, group): shares for key, group, *shares in rows}
    total = 4 * (D1 + D2)
    # What came next was e, d, c and b, once each: two of the tail, two of the middle.
    assert found["popularity", "head"] == pytest.approx([1, D1 / total, 0, 1 / 5])
    assert found["popularity", "mid"] == pytest.approx([2, D2 / total, 2 / 4, 2 / 5])
    assert found["popularity", "tail"] == pytest.approx([2, 3 * (D1 + D2) / total, 2 / 4, 2 / 5])
    # b is half war, half love; e has no genre, so shares are of the other four.
    with_genre = D1 + D2 + (D1 + D2)
    assert found["genres", "war"] == pytest.approx([2, D1 / with_genre, 0.5 / 3, 1.5 / 4])
    assert found["genres", "love"] == pytest.approx([3, (D1 + 2 * D2) / with_genre, 2.5 / 3, 2.5 / 4])


def test_miscalibration_by_hand(ranked):
    connection, run_no = ranked
    rows = figures(
        connection,
        "select u.user_id, m.divergence from recsql.miscalibration(%s, %s, 'genres', 2) as m "
        "inner join recsql.app_user as u on u.user_no = m.user_no",
        run_no, METHOD,
    )  # fmt: skip
    found = dict(rows)
    # y had a and b, all of one weight: war 3/4, love 1/4, and is shown e and c: love alone.
    war = 3 / 4 * math.log((3 / 4) / (0.01 * 3 / 4))
    love = 1 / 4 * math.log((1 / 4) / (0.99 + 0.01 / 4))
    assert found["y"] == pytest.approx(war + love)
    # z had a and is shown a: the same. x is shown d and e, of which e has no genre.
    assert found["z"] == pytest.approx(0, abs=1e-12)


def test_group_figures_by_hand(ranked):
    connection, run_no = ranked
    measured = measure(connection, run_no, METHOD, 2)
    found = {(figure.user_group, figure.metric): figure for figure in group_figures(measured, "gender")}
    # w and x meet their next item first; y meets c second, z misses b.
    assert found["F", "ndcg"].value == found["F", "recall"].value == 1
    assert found["M", "ndcg"].value == pytest.approx(D2 / 2)
    assert found["M", "recall"].value == 1 / 2
    gap = found[GAP, "ndcg_gap"]
    assert gap.value == pytest.approx(1 - D2 / 2)
    assert (gap.lo, gap.hi) == pytest.approx(
        (1 - D2, 1)
    )  # the women's mean is 1 whoever is drawn, the men's from 0 to D2
    assert gap.n_users == 4
    assert found[GAP, "recall_gap"].value == 1 / 2


def test_difference_draws_users_within_groups():
    random = np.random.default_rng(1)
    one, other = random.normal(1, 1, 400), random.normal(0, 2, 900)
    value, lo, hi = difference(one, other)
    error = math.sqrt(one.var() / 400 + other.var() / 900)
    assert value == pytest.approx(one.mean() - other.mean())
    assert (lo, hi) == pytest.approx((value - 1.96 * error, value + 1.96 * error), abs=0.1 * error)


def test_groups_leave_out_who_has_no_value_and_groups_of_one():
    users = [{"age": 1}, {"age": 1}, {"age": 2}, {}, {"age": None}]
    nothing = np.zeros((5, 2))
    measured = Measured("fused", np.arange(5), nothing, users, np.zeros((5, 3)), 0.0, 0.0)
    groups = measured.groups("age")
    assert {name: is_in.tolist() for name, is_in in groups.items()} == {"1": [True, True, False, False, False]}
    assert [figure.user_group for figure in group_figures(measured, "age")] == ["1", "1"]


def test_lift_compares_lists_with_profiles():
    popularity = np.array([[30.0, 0, 10.0], [10.0, 0, 30.0], [99.0, 0, np.nan]])
    measured = Measured("fused", np.arange(3), np.zeros((3, 2)), [{}] * 3, popularity, 0.0, 0.0)
    value, lo, hi = measured.lift()
    assert value == 0  # (30 + 10) / (10 + 30) - 1, without who had nothing
    assert (lo, hi) == pytest.approx((10 / 30 - 1, 30 / 10 - 1))


def test_evaluate_fairness_replaces_what_it_wrote(ranked):
    connection, run_no = ranked
    counted = (
        "select (select count(*) from recsql.user_group_fairness), (select count(*) from recsql.item_group_fairness)"
    )
    for _ in range(2):
        assert evaluate_fairness(connection, run_no, METHOD, 2) > 0
        # Two groups and a gap by two metrics; head, mid and tail, one domain, two genres.
        assert connection.execute(counted).fetchone() == (6, 6)
    rows = connection.execute(
        "select metric, value, n_users from recsql_api.run_quality where run_no = %s", (run_no,)
    ).fetchall()
    found = {metric: (value, n) for metric, value, n in rows}
    assert found["arp"] == (pytest.approx((0.5 + 0.5 + 1 + 2) / 4), 4)
    assert found["aplt"] == (pytest.approx(3 / 4), 4)
    assert found["popularity_lift"] == (pytest.approx(4 / 13 - 1), 4)  # lists sum to 4, profiles to 2.5 + 3 + 3.5 + 4
    exposures = np.array([D1, 0, D2, D1 + D2, 2 * D1 + 2 * D2])
    mean_difference = np.abs(exposures[:, None] - exposures[None]).mean()
    assert found["gini"][0] == pytest.approx(mean_difference / (2 * exposures.mean()))
    shown = connection.execute(
        "select disparity from recsql_api.item_group_fairness where key = 'popularity' and item_group = 'tail'"
    ).fetchone()
    assert shown == (pytest.approx(3 / 4 / (2 / 4)),)
    part = connection.execute(
        "select distinct protocol, part, n_users from recsql_api.user_group_fairness where metric = 'ndcg_gap'"
    ).fetchall()
    assert part == [("loo", "test", 4)]


def test_readers_may_ask_the_views(ranked):
    connection, run_no = ranked
    evaluate_fairness(connection, run_no, METHOD, 2)
    connection.execute("set role recsql_reader")
    for view in ("user_group_fairness", "item_group_fairness", "exposure_daily", "item_group_exposure_daily"):
        connection.execute(f"select * from recsql_api.{view}")


def test_report_where_nothing_relevant_is_shown_has_no_price(ranked):
    # Nobody had a or b next, and nobody's history is known to be of anything: no share of 0 can be lost.
    connection, run_no = ranked
    connection.execute(
        "update recsql.recommendation as r set item_no = i.item_no from recsql.item as i "
        "where i.item_id = case r.rank when 1 then 'a' else 'c' end and r.run_no = %s and r.user_no <> "
        "(select u.user_no from recsql.app_user as u where u.user_id = 'y')",
        (run_no,),
    )
    connection.execute(
        "delete from recsql.recommendation where run_no = %s and user_no = (select user_no from recsql.app_user where "
        "user_id = 'y')",
        (run_no,),
    )
    found = compare(connection, run_no, {"exposure": 0.5}, 2)
    assert found.price is None
    json.dumps(found.document(), allow_nan=False)
