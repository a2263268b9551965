"""Calibration and exposure: what they do to a list, worked out by hand, and to the lists of a run."""

import math
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsql.db import explained
from recsql.errors import InputError, NotFoundError

Connection = psycopg.Connection[Any]
RUN = 1
USER = 1
GENRES = {
    1: ["war"],
    2: ["war"],
    3: ["love"],
    4: ["love"],
    5: ["war", "love"],
    6: [],
    7: ["war"],
    8: ["war"],
    9: ["war"],
}
"""Genres of the items by number; 7, 8 and 9 are the user's history, with the love of 10."""


@pytest.fixture(scope="module")
def shop(server: Any, template: str) -> Any:
    """A connection to a database with items, and a run that knows one user: three quarters war, one quarter love."""
    from recsql.db import connect

    with server.clone(template, prefix="recsql_steps") as name, connect(server.url(name)) as opened:
        opened.execute("insert into recsql.domain (domain) values ('films')")
        opened.execute("insert into recsql.run (fingerprint) values ('x')")
        opened.execute("set search_path = recsql, public")
        opened.execute("select add_list_partition('interaction', 1), add_list_partition('recommendation', 1)")
        opened.execute("reset search_path")
        for item_no, genres in (GENRES | {10: ["love"]}).items():
            opened.execute(
                "insert into recsql.item (item_no, item_id, domain, tags, attributes) "
                "values (%s, %s, 'films', %s, jsonb_build_object('genres', to_jsonb(%s::text[]), 'studio', 'acme'))",
                (item_no, f"i{item_no}", genres, genres),
            )
        opened.execute(
            "insert into recsql.interaction (run_no, user_no, item_no, step, weight, n_events, at, event_no) "
            "select 1, 1, n, n - 7, 1, 1, now(), n from generate_series(7, 10) as n"
        )
        yield opened


def calibrated(
    connection: Connection, items: list[int], scores: list[float], n: int, strength: Any, key: Any = "genres"
):
    """Effective scores."""
    statement = "select recsql.calibrated(%s, %s, %s::integer[], %s::double precision[], %s, %s::double precision, %s)"
    return connection.execute(statement, (RUN, USER, items, scores, n, strength, key)).fetchone()[0]


def exposed(connection: Connection, items: list[int], scores: list[float], strength: Any, slot: str = "default"):
    """Effective scores."""
    statement = "select recsql.exposed(%s, %s::integer[], %s::double precision[], %s::double precision)"
    return connection.execute(statement, (slot, items, scores, strength)).fetchone()[0]


def order(items: list[int], scores: list[float]) -> list[int]:
    """Items by their scores, the best first."""
    return [item for _, item in sorted(zip(scores, items, strict=True), key=lambda pair: -pair[0])]


def steck(items: list[int], scores: list[float], n: int, strength: float) -> list[int]:
    """Steck's greedy list by its definition, the divergence computed anew for each candidate."""
    wanted = {"war": 3 / 4, "love": 1 / 4}
    lowest, highest = min(scores), max(scores)
    worth = {item: (score - lowest) / (highest - lowest or 1) for item, score in zip(items, scores, strict=True)}

    def objective(chosen: list[int]) -> float:
        shares = {
            genre: sum((genre in GENRES[item]) / len(GENRES[item]) for item in chosen if GENRES[item]) / len(chosen)
            for genre in wanted
        }
        kl = sum(p * math.log(p / (0.99 * shares[genre] + 0.01 * p)) for genre, p in wanted.items())
        return (1 - strength) * sum(worth[item] for item in chosen) - strength * kl

    chosen: list[int] = []
    while len(chosen) < n:
        chosen.append(max((item for item in items if item not in chosen), key=lambda item: objective([*chosen, item])))
    return chosen


def test_category_share_sums_weights(shop):
    rows = shop.execute("select category, share from recsql.category_share(1, 0, 9, 'genres') order by 1").fetchall()
    assert rows == [("love", 0.25), ("war", 0.75)]
    assert shop.execute("select * from recsql.category_share(1, 0, 9, 'tags') order by 2").fetchall() == [
        (1, "love", 0.25), (1, "war", 0.75),
    ]  # fmt: skip
    assert shop.execute("select * from recsql.category_share(1, 0, 9, 'studio')").fetchall() == [(1, "acme", 1)]
    assert shop.execute("select * from recsql.category_share(1, 0, 9, 'nothing')").fetchall() == []


def test_calibrated_brings_in_what_the_history_has(shop):
    # Love alone is at the top; three of four of the history are war.
    scores = calibrated(shop, [3, 4, 1, 2], [4.0, 3.0, 2.0, 1.0], 4, 1)
    # The first item: war has a divergence of 0.25 ln(0.25 / 0.0025) + 0.75 ln(0.75 / 0.9975) = 0.937, love of 3.18. The
    # second: war and love at a half each have 0.13, war alone 0.937. The third is war.
    assert order([3, 4, 1, 2], scores) == [1, 3, 2, 4]
    assert sorted(scores) == [1, 2, 3, 4]


def test_calibrated_follows_the_definition(shop):
    random = np.random.default_rng(5)
    for _ in range(20):
        items = [int(item) for item in random.permutation([1, 2, 3, 4, 5, 6])]
        scores = [float(score) for score in random.permutation(6) + random.random(6) / 2]
        strength, n = float(random.random()), int(random.integers(1, 7))
        assert order(items, calibrated(shop, items, scores, n, strength))[:n] == steck(items, scores, n, strength)


def test_calibrated_of_a_user_without_history_is_as_it_was(shop):
    statement = "select recsql.calibrated(1, 99, '{1,2}', '{1,2}', 2, 1, 'genres')"
    assert shop.execute(statement).fetchone()[0] == [1, 2]


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), None])
def test_steps_refuse_a_strength_out_of_range(shop, strength):
    with pytest.raises(InputError, match="from 0 to 1"), explained():
        calibrated(shop, [1], [1.0], 1, strength)
    with pytest.raises(InputError, match="from 0 to 1"), explained():
        exposed(shop, [1], [1.0], strength)


def test_calibrated_refuses_no_key(shop):
    with pytest.raises(InputError, match="needs a key"), explained():
        calibrated(shop, [1], [1.0], 1, 0.5, None)


def test_check_category_key(shop):
    for key in ("genres", "studio", "tags", "domain"):
        shop.execute("select recsql.check_category_key(%s)", (key,))
    with pytest.raises(NotFoundError, match="by Genres"), explained():
        shop.execute("select recsql.check_category_key('Genres')")
    with pytest.raises(InputError, match="needed"), explained():
        shop.execute("select recsql.check_category_key(null)")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scores=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=6),
    strength=st.floats(0, 1) | st.just(0.0),
    n=st.integers(0, 8),
    prices=st.lists(st.integers(0, 64), min_size=6, max_size=6),
)
def test_steps_only_change_order(shop, scores, strength, n, prices):
    items = list(range(1, len(scores) + 1))
    found = calibrated(shop, items, scores, n, strength)
    assert sorted(found) == sorted(scores)
    with shop.transaction(force_rollback=True):
        shop.execute("insert into recsql.exposure_ledger (slot) values ('shop')")
        shop.execute(
            "insert into recsql.exposure_price select 'shop', p.nth, 1, 1, p.price / 64.0 "
            "from unnest(%s::integer[]) with ordinality as p (price, nth)",
            (prices,),
        )
        assert sorted(exposed(shop, items, scores, strength, "shop")) == sorted(scores)
        assert exposed(shop, items, scores, 0, "shop") == scores
    assert calibrated(shop, items, scores, n, 0) == scores


def test_charged_by_hand(shop):
    # Deviation sqrt(2/3) = 0.8165, so weights exp(0), exp(-0.8165), exp(-1.633): 1, 0.442, 0.195; chances 0.611, 0.270,
    # 0.119. With half the strength the first is worth (0.611 - 0.4) / 2, the others 0.270 / 2 and 0.119 / 2.
    (found,) = shop.execute("select recsql.charged('{2,1,0}', '{0.4,0,0}', 0.5)").fetchone()
    assert found == [1, 2, 0]
    # At a price of 0.3 it is worth (0.611 - 0.3) / 2 and stays.
    assert shop.execute("select recsql.charged('{2,1,0}', '{0.3,0,0}', 0.5)").fetchone()[0] == [2, 1, 0]
    # All that counts is the price.
    assert shop.execute("select recsql.charged('{2,1,0}', '{0.3,0.2,0.1}', 1)").fetchone()[0] == [0, 1, 2]


@pytest.mark.parametrize(
    ("exposures", "n_items", "prices"),
    [
        # Of six items three are free: ranks 1 to 3, 2 in the middle; the others have 4, 5 and 6.
        ([0, 9, 5, 2], 6, [0, 1, 3 / 4, 2 / 4]),
        # Two that are alike share the ranks 5 and 6.
        ([9, 9, 2], 6, [1, 1, (4 - 2) / (5.5 - 2)]),
        # One impression is no evidence.
        ([1.0, 1.0, 0.5], 3, [0, 0, 0]),
        # Where all are shown, the least shown is free, and of the same exposure all are.
        ([4, 3, 2], 3, [1, 1 / 2, 0]),
        ([7, 7], 2, [0, 0]),
    ],
)
def test_exposure_prices_by_hand(shop, exposures, n_items, prices):
    statement = "select recsql.exposure_prices(%s::double precision[], %s)"
    assert shop.execute(statement, (exposures, n_items)).fetchone()[0] == pytest.approx(prices)


def test_reexposed_gives_all_lists_and_spreads_exposure(shop):
    with shop.transaction(force_rollback=True):
        # A hundred and twenty users with the same list of nine: three that are alike lead it.
        shop.execute(
            "insert into recsql.recommendation (run_no, user_no, rank, item_no, score, parts) "
            "select 1, u, i, i, case when i <= 3 then 1 - i / 100.0 else 0.9 - i / 100.0 end, '{}' "
            "from generate_series(1, 120) as u, generate_series(1, 9) as i"
        )

        def exposures(method: str) -> list[float]:
            statement = "select exposure from recsql.item_exposure(1, %s, 2) order by item_no"
            return [value for (value,) in shop.execute(statement, (method,)).fetchall()]

        (before,) = shop.execute("select recsql.gini(%s)", (exposures("fused"),)).fetchone()
        after = exposures('fused {"n": 2, "exposure": 0.3}')
        assert shop.execute("select recsql.gini(%s)", (after,)).fetchone()[0] < before - 0.05
        assert sum(after) == pytest.approx(120 * (1 + 1 / math.log2(3)))
        rows = shop.execute(
            "select count(*), count(distinct (user_no, item_no)) from recsql.reexposed(1, '{\"n\": 2}', 0.3, 0, 999)"
        )
        assert rows.fetchone() == (120 * 9, 120 * 9)
        same = shop.execute(
            "select user_no, item_no, score from recsql.reexposed(1, '{\"n\": 2}', 0, 0, 999) order by 1, 3 desc"
        )
        assert [item for _, item, _ in same.fetchall()[:9]] == list(range(1, 10))
