"""What is shown, what comes of it, and how places are explored."""

import itertools
import uuid
from collections import Counter

import psycopg
import pytest

from recsql.queries import QUERIES
from workers.interactions import read_run


def explored(connection, n_pool, n, explore, request=None):
    return connection.execute(
        "select place, rank, propensity, conditional from recsql.explored(%s, %s, %s, %s)",
        (request or uuid.uuid4(), n_pool, n, explore),
    ).fetchall()


def by_enumeration(n_pool, n, explore):
    """Probability of each (rank, position), summed over all ways to fill the positions."""
    found = Counter()
    for ranks in itertools.permutations(range(1, n_pool + 1), n):
        left, probability = list(range(1, n_pool + 1)), 1.0
        for rank in ranks:
            probability *= (1 - explore) * (rank == left[0]) + explore / len(left)
            left.remove(rank)
        for position, rank in enumerate(ranks, start=1):
            found[rank, position] += probability
    return found


@pytest.mark.parametrize(("n_pool", "n", "explore"), [(5, 5, 0.3), (6, 3, 0.1), (4, 3, 1.0), (3, 2, 0.0), (2, 5, 0.5)])
def test_explored_propensities_are_those_of_all_ways_to_fill_the_positions(connection, n_pool, n, explore):
    expected = by_enumeration(n_pool, min(n, n_pool), explore)
    met = set()
    for _ in range(60):
        rows = explored(connection, n_pool, n, explore)
        assert [row[0] for row in rows] == list(range(1, min(n, n_pool) + 1))
        left = list(range(1, n_pool + 1))
        for position, rank, propensity, conditional in rows:
            assert propensity == pytest.approx(expected[rank, position], abs=1e-12)
            assert conditional == pytest.approx((1 - explore) * (rank == left[0]) + explore / len(left), abs=1e-12)
            left.remove(rank)
            met.add((rank, position))
    # Of each position the probabilities sum to 1.
    for position in range(1, min(n, n_pool) + 1):
        assert sum(expected[rank, position] for rank in range(1, n_pool + 1)) == pytest.approx(1)
    assert len(met) > 1 or explore == 0


def test_explored_a_million_draws_agree(connection):
    n_pool, n, explore = 6, 4, 0.4
    rows = connection.execute(
        "select e.place, e.rank, count(*), min(e.propensity), max(e.propensity) from generate_series(1, 250000) as r "
        "cross join lateral recsql.explored(md5(r::text)::uuid, %s, %s, %s) as e group by e.place, e.rank",
        (n_pool, n, explore),
    ).fetchall()
    assert sum(row[2] for row in rows) == 1_000_000
    assert len(rows) == n_pool * n
    for _, _, count, least, most in rows:
        assert least == pytest.approx(most)
        # Five standard errors of a share of 250,000; of 24 cells one is outside once in 70,000 runs.
        assert count / 250_000 == pytest.approx(least, abs=5 * (least * (1 - least) / 250_000) ** 0.5)
    for position in range(1, n + 1):
        assert sum(row[3] for row in rows if row[0] == position) == pytest.approx(1)


def test_explored_is_the_same_whenever_it_is_asked_for(connection):
    request = uuid.uuid4()
    assert explored(connection, 50, 10, 0.5, request) == explored(connection, 50, 10, 0.5, request)


@pytest.fixture
def shop(connection):
    """Forty items without events, the first the newest, and one request that showed the user ``u`` three of them."""
    connection.execute(
        "select recsql_api.upsert_item('i' || n, 'Item ' || n, p_published_at => timestamptz '2024-01-01' "
        "- n * interval '1 day') from generate_series(1, 40) as n"
    )
    return connection


def shown(connection, user="u", n=3, **options):
    names = "".join(f", p_{name} => %({name})s" for name in options)
    return connection.execute(
        f"select rank, item_id, request_id from recsql_api.recommend(%(user)s, %(n)s{names})",
        {"user": user, "n": n, **options},
    ).fetchall()


def outcomes(connection):
    return connection.execute(
        "select position, n_outcomes, reward from recsql.outcome order by at, request_id, position"
    ).fetchall()


def refused(connection):
    return [reason for (reason,) in connection.execute("select reason from recsql_api.outcome_rejected order by at")]


def record(connection, item, request, kind="click", user="u", at="now()"):
    connection.execute(
        f"select recsql_api.record_event(%s, %s, %s, p_at => {at}, p_request_id => %s)", (user, item, kind, request)
    )


def test_recommend_logs_nothing_unless_asked(shop):
    shown(shop)
    assert shop.execute("select count(*) from recsql.request").fetchone() == (0,)
    assert shop.execute("select count(*) from recsql.app_user").fetchone() == (0,)


def test_recommend_logs_what_it_shows_and_what_it_chose_from(shop):
    rows = shown(shop, log=True)
    assert [row[1] for row in rows] == ["i1", "i2", "i3"]
    request = shop.execute("select request_id, policy, explore, cardinality(pool_nos) from recsql.request").fetchall()
    # Five times as many as are shown.
    assert request == [(rows[0][2], "no release", 0, 15)]
    logged = shop.execute(
        "select i.item_id, m.propensity, m.conditional from recsql.impression as m "
        "inner join recsql.item as i using (item_no) order by m.position"
    ).fetchall()
    # Without exploration a policy shows what it shows.
    assert logged == [("i1", 1, 1), ("i2", 1, 1), ("i3", 1, 1)]


def test_recommend_explores_as_its_request_id_says(shop):
    moved = 0
    for _ in range(20):
        rows = shown(shop, n=5, explore=0.5)
        request = rows[0][2]
        logged = shop.execute(
            "select m.position, array_position(r.pool_nos, m.item_no), m.propensity, m.conditional "
            "from recsql.request as r inner join recsql.impression as m using (request_id) "
            "where r.request_id = %s order by m.position",
            (request,),
        ).fetchall()
        assert logged == explored(shop, 25, 5, 0.5, request)
        assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
        moved += [row[1] for row in rows] != ["i1", "i2", "i3", "i4", "i5"]
    assert moved > 0


def test_recommend_explores_what_passes_the_filter_only(shop):
    shop.execute('update recsql.item set attributes = \'{"colour": "red"}\' where item_no % 4 = 0')
    red = {item for (item,) in shop.execute("select item_id from recsql.item where item_no % 4 = 0")}
    for _ in range(5):
        assert {row[1] for row in shown(shop, n=4, explore=1.0, filter='{"colour": "red"}')} <= red


@pytest.mark.parametrize("explore", [-0.1, 1.1, float("nan")])
def test_recommend_refuses_to_explore_out_of_range(shop, explore):
    with pytest.raises(psycopg.Error, match="p_explore must be from 0 to 1") as caught:
        shown(shop, explore=explore)
    assert caught.value.sqlstate == "RS002"


def test_recommend_refuses_to_log_a_malformed_user(shop):
    with pytest.raises(psycopg.Error, match="malformed user id"):
        shown(shop, user="", log=True)


def test_outcome_is_the_reward_of_each_kind_once(shop):
    [(_, item, request), (_, other, _), _] = shown(shop, log=True)
    record(shop, item, request)
    record(shop, item, request, at="now() + interval '1 second'")
    record(shop, item, request, "purchase", at="now() + interval '2 seconds'")
    record(shop, other, request, "dislike")
    # A click is worth 1, a purchase 5, a dislike -1 (recsql.reward); the second click is none.
    assert outcomes(shop) == [(1, 2, 6), (2, 1, -1), (3, 0, 0)]
    assert refused(shop) == ["a repeated outcome"]


def test_outcome_fades_with_its_delay(shop):
    shop.execute("update recsql.reward set half_life = interval '10 minutes' where reward = 1")
    [(_, item, request), *_] = shown(shop, log=True)
    record(shop, item, request, at="now() + interval '20 minutes'")
    # Two half-lives after the impression.
    assert outcomes(shop)[0] == (1, 1, pytest.approx(0.25, rel=1e-3))


def test_outcome_that_is_none_is_told_with_its_reason(shop):
    [(_, item, request), *_] = shown(shop, log=True)
    record(shop, item, request, at="now() - interval '1 hour'")
    record(shop, item, request, at="now() + interval '2 hours'")
    record(shop, "i9", request, at="now() + interval '3 hours'")
    record(shop, item, uuid.uuid4(), at="now() + interval '4 hours'")
    record(shop, item, request, user="v", at="now() + interval '5 hours'")
    record(shop, item, request, "view", at="now() + interval '6 hours'")
    assert refused(shop) == [
        "before its impression",
        "too late",
        "not shown by its request",
        "of an unknown request",
        "shown to another user",
        "of a kind without reward",
    ]
    assert outcomes(shop) == [(1, 0, 0), (2, 0, 0), (3, 0, 0)]


def test_outcome_without_propensity_is_of_no_use_to_estimates(shop):
    shop.execute("select recsql_api.record_impressions(%s, 'u', '{i1,i2}')", (uuid.uuid4(),))
    assert shop.execute("select distinct reason from recsql.outcome").fetchall() == [("its propensity is not known",)]


def test_record_impressions_refuses_an_item_twice(shop):
    with pytest.raises(psycopg.Error, match="an item is there twice"):
        shop.execute("select recsql_api.record_impressions(%s, 'u', '{i1,i1}')", (uuid.uuid4(),))


def test_feedback_views_add_up(shop):
    shop.execute("insert into recsql.app_user (user_id, attributes) values ('f', '{\"gender\": \"F\"}')")
    shop.execute("update recsql.decision_process set segment_keys = '{gender}'")
    [(_, item, request), *_] = shown(shop, log=True)
    [(_, first, own), *_] = shown(shop, user="f", n=2, log=True)
    record(shop, item, request, at="now() + interval '30 seconds'")
    record(shop, first, own, "purchase", user="f", at="now() + interval '90 seconds'")
    summary = {
        (dimension, value): rest
        for dimension, value, *rest in shop.execute(
            "select dimension, value, n_impressions, n_clicked, click_through, reward, mean_delay_s "
            "from recsql_api.feedback_summary"
        )
    }
    # Three impressions and two; a click is worth 1, a purchase 5.
    assert summary["all", "all"] == [5, 2, pytest.approx(0.4), pytest.approx(6 / 5), pytest.approx(60, abs=1)]
    assert summary["position", "1"] == [2, 2, 1, 3, pytest.approx(60, abs=1)]
    assert summary["position", "3"] == [1, 0, 0, 0, None]
    assert summary["segment", '{"gender": "F"}'] == [2, 1, 0.5, 2.5, pytest.approx(90, abs=1)]
    assert summary["segment", "unknown"] == [3, 1, pytest.approx(1 / 3), pytest.approx(1 / 3), pytest.approx(30, abs=1)]
    assert summary["policy", "no release"][0] == summary["domain", "default"][0] == 5


@pytest.fixture
def decided(shop):
    """The number of a run on a user who liked i1, was shown two items an hour later, clicked on one, and came back."""
    start = "timestamptz '2024-03-01'"
    record(shop, "i1", None, "like", at=start)
    requests = [uuid.uuid4(), uuid.uuid4()]
    for request, items, after in zip(requests, ("{i2,i3}", "{i4,i5}"), ("1 hour", "1 day"), strict=True):
        shop.execute("select recsql_api.record_impressions(%s, 'u', %s, '{0.5,0.25}')", (request, items))
        shop.execute(
            f"update recsql.impression set at = {start} + %s::interval where request_id = %s", (after, request)
        )
    record(shop, "i2", requests[0], at=f"{start} + interval '61 minutes'")
    run_no = shop.execute("select recsql.begin_run(null, 'x', '{}')").fetchone()[0]
    shop.execute("select recsql.refresh_interaction(%s::integer)", (run_no,))
    return shop, run_no


def test_transition_is_the_decision_process_of_what_was_logged(decided):
    shop, run_no = decided
    rows = shop.execute(
        "select t.session_no, t.step, i.item_id, t.n_before, t.reward, n.item_id, t.next_n_before, t.is_done, "
        "t.propensity, t.features ->> 'hour' from recsql.transition(%s::integer) as t "
        "inner join recsql.item as i using (item_no) "
        "left join recsql.item as n on n.item_no = t.next_item_no order by t.session_no, t.step",
        (run_no,),
    ).fetchall()
    # The like, found without help, is worth 2; the sessions are an hour and a day apart. The click on i2 is the second
    # interaction: what was shown before knows only of the first, what was shown a day later of both.
    assert rows == [
        (1, 1, "i1", 0, 2, None, None, True, None, "0"),
        (2, 1, "i2", 1, 1, "i3", 1, False, 0.5, "1"),
        (2, 2, "i3", 1, 0, None, None, True, 0.25, "1"),
        (3, 1, "i4", 2, 0, "i5", 2, False, 0.5, "0"),
        (3, 2, "i5", 2, 0, None, None, True, 0.25, "0"),
    ]


def test_read_run_gives_decisions_at_their_places(decided):
    shop, run_no = decided
    data = read_run(shop, run_no)
    decisions = data.sequences.decisions
    assert data.sequences.items.tolist() == [0, 1]
    # Places: 0 is i1, 1 is i2. The like has no state.
    assert decisions.places.tolist() == [0, 0, 1, 1]
    assert decisions.items.tolist() == [1, 2, 3, 4]
    assert decisions.rewards.tolist() == [1, 0, 0, 0]
    assert decisions.next_places.tolist() == [0, -1, 1, -1]
    assert decisions.next_items.tolist() == [2, -1, 4, -1]
    assert decisions.propensities.tolist() == [0.5, 0.25, 0.5, 0.25]


def test_session_of_too_many_steps_is_left_out_and_told(decided):
    shop, run_no = decided
    shop.execute("update recsql.decision_process set session_gap = interval '2 days', max_steps = 4")
    assert shop.execute("select count(*) from recsql.transition(%s::integer)", (run_no,)).fetchone() == (0,)
    shop.execute("update recsql.run set state = 'complete' where run_no = %s", (run_no,))
    shop.execute("select recsql.publish(%s::integer, (select min(policy_no) from recsql.fusion_policy))", (run_no,))
    rows = shop.execute("select user_id, n_steps, reason from recsql_api.session_rejected").fetchall()
    assert rows == [("u", 5, "more than 4 steps")]


def test_transition_of_an_offline_run_ends_at_the_cut(decided):
    shop, run_no = decided
    split = (
        "insert into recsql.split (split, protocol, part, last_event_no) values ('s', 'loo', 'test', 1000000) "
        "returning split_no"
    )
    split_no = shop.execute(split).fetchone()[0]
    shop.execute(
        "insert into recsql.split_cut select %s, user_no, timestamptz '2024-03-01 01:00:30', 1000000, "
        "timestamptz '2024-03-02', 1000000 from recsql.app_user",
        (split_no,),
    )
    shop.execute("insert into recsql.split_item select %s, item_no from recsql.item", (split_no,))
    shop.execute("update recsql.run set split_no = %s where run_no = %s", (split_no, run_no))
    shop.execute("select recsql.refresh_interaction(%s::integer)", (run_no,))
    rows = shop.execute(
        "select i.item_id, t.reward from recsql.transition(%s::integer) as t "
        "inner join recsql.item as i using (item_no) order by t.session_no, t.step",
        (run_no,),
    ).fetchall()
    # The click on i2 came a minute after the impression, behind the cut.
    assert rows == [("i1", 2), ("i2", 0), ("i3", 0)]


@pytest.mark.parametrize(
    "change",
    [
        "select recsql_api.record_impressions(gen_random_uuid(), 'u', '{i1}')",
        "update recsql.reward set reward = reward + 1",
        "update recsql.decision_process set max_steps = 5",
    ],
)
def test_input_state_changes_with_what_policies_learn_from(shop, change):
    before = shop.execute(QUERIES["input_state"]).fetchone()
    shop.execute(change)
    assert shop.execute(QUERIES["input_state"]).fetchone() != before


def test_explored_of_many_places_and_hardly_any_exploration(connection):
    rows = explored(connection, 1000, 500, 0.01)
    # Products of hundreds of small probabilities are nothing, not an error.
    assert len(rows) == 500
    assert all(0 < row[2] <= 1 + 1e-9 and 0 < row[3] <= 1 for row in rows)


def test_recommend_takes_next_to_no_exploration_for_none(shop):
    assert [row[1] for row in shown(shop, explore=1e-320)] == ["i1", "i2", "i3"]


@pytest.mark.parametrize(
    "later",
    [
        "'v', array['i5', 'i6', 'i7', %(item)s]",
        "'u', array['i5', 'i6', 'i7', %(item)s]",
        "'v', array['i1', 'i2', 'i3']",
    ],
)
def test_record_impressions_refuses_to_go_on_with_another_list_or_user(shop, later):
    [(_, item, request), *_] = shown(shop, log=True)
    with pytest.raises(psycopg.Error, match="showed other items, or to somebody else"):
        shop.execute(f"select recsql_api.record_impressions(%(request)s, {later})", {"item": item, "request": request})


def test_recommend_logs_for_writers_only(shop, server):
    shop.execute("create role feedback_reader login in role recsql_reader")
    shop.execute("create role feedback_writer login in role recsql_writer")
    database = shop.info.dbname
    try:
        for role, may in (("feedback_reader", False), ("feedback_writer", True)):
            with psycopg.connect(server.url(database), autocommit=True) as other:
                other.execute(f"set session authorization {role}")
                assert len(shown(other)) == 3
                if may:
                    assert len(shown(other, log=True)) == 3
                else:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may ask, but not write"):
                        shown(other, log=True)
    finally:
        shop.execute("drop role feedback_reader")
        shop.execute("drop role feedback_writer")


def test_readers_may_read_every_view(shop):
    [(_, item, request), *_] = shown(shop, log=True)
    record(shop, item, request)
    views = [name for (name,) in shop.execute("select viewname from pg_views where schemaname = 'recsql_api'")]
    assert len(views) >= 10
    shop.execute("set role recsql_reader")
    for view in views:
        shop.execute(f"select * from recsql_api.{view}").fetchall()


def test_repeated_outcome_is_no_step_of_its_own(decided):
    shop, run_no = decided
    request = shop.execute("select request_id from recsql.impression order by at limit 1").fetchone()[0]
    record(shop, "i2", request, at="timestamptz '2024-03-01 01:02'")
    record(shop, "i2", request, at="timestamptz '2024-03-01 01:00:10'")
    shop.execute("update recsql.run set last_event_no = (select max(event_no) - 1 from recsql.event)")
    rows = shop.execute(
        "select i.item_id, t.reward from recsql.transition(%s::integer) as t "
        "inner join recsql.item as i using (item_no) order by t.session_no, t.step",
        (run_no,),
    ).fetchall()
    # The click that was dated back came after the run: it takes nothing from the one that the run sees, and the second
    # of those is no step.
    assert rows == [("i1", 2), ("i2", 1), ("i3", 0), ("i4", 0), ("i5", 0)]


@pytest.mark.parametrize("reward", ["NaN", "Infinity", "-Infinity"])
def test_reward_is_a_finite_number(connection, reward):
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("update recsql.reward set reward = %s", (reward,))


def test_recommend_logs_nothing_where_there_is_nothing(shop):
    assert shown(shop, log=True, filter='{"colour": "none"}') == []
    assert shown(shop, explore=0.5, domain="nowhere") == []
    assert shop.execute("select count(*) from recsql.request").fetchone() == (0,)
    assert shop.execute("select count(*) from recsql.app_user").fetchone() == (0,)
