"""Who is served by which variant, and what an experiment says of it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from scipy.stats import chi2, chi2_contingency, norm

from benchmarks.experiment_statistics import Arm, compare, linearised
from recsql.sequential import always_valid_bound

BEGAN = datetime(2026, 1, 10, tzinfo=UTC)


@pytest.fixture
def shop(connection):
    """Five items, and two slots: ``default`` publishes i1 to user u, ``other`` i2."""
    connection.execute("select recsql_api.upsert_item('i' || n, 'Item ' || n) from generate_series(1, 5) as n")
    connection.execute("insert into recsql.app_user (user_id) values ('u')")
    for slot, item in (("default", "i1"), ("other", "i2")):
        (run_no,) = connection.execute("select recsql.begin_run(null, %s, '{}')", (slot,)).fetchone()
        connection.execute("update recsql.run set state = 'complete' where run_no = %s", (run_no,))
        connection.execute(
            "insert into recsql.recommendation select %s, u.user_no, 1, i.item_no, 9, '{\"ease\": 9}' "
            "from recsql.app_user as u, recsql.item as i where i.item_id = %s",
            (run_no, item),
        )
        connection.execute(
            "select recsql.publish(%s::integer, (select min(policy_no) from recsql.fusion_policy), %s)", (run_no, slot)
        )
    return connection


def add(connection, name="e", variants=(("a", 1.0), ("b", 1.0)), **columns):
    """A draft with variants, the first of them the control; its number and theirs."""
    columns = {"experiment": name, "slot": "default", **columns}
    (number,) = connection.execute(
        f"insert into recsql.experiment ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))}) "
        "returning experiment_no",
        list(columns.values()),
    ).fetchone()
    for nth, (variant, weight) in enumerate(variants):
        add_variant(connection, number, variant, weight=weight, is_control=nth == 0)
    return number


def add_variant(connection, number, variant, **columns):
    columns = {"experiment_no": number, "variant": variant, **columns}
    connection.execute(
        f"insert into recsql.variant ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})",
        list(columns.values()),
    )


def set_state(connection, state, name="e"):
    connection.execute("update recsql.experiment set state = %s where experiment = %s", (state, name))


def assigned(connection, user="u", slot="default"):
    row = connection.execute("select variant from recsql.experiment_variant(%s, %s)", (slot, user)).fetchone()
    return None if row is None else row[0]


def user_of(connection, variant, nth=0):
    """The id of a user who is assigned to a variant."""
    return [user for user in map("x{}".format, range(100)) if assigned(connection, user) == variant][nth]


def shown(connection, user="u", **options):
    names = "".join(f", p_{name} => %({name})s" for name in options)
    query = f"select item_id, request_id from recsql_api.recommend(%(user)s, 2{names})"
    return connection.execute(query, {"user": user, **options}).fetchall()


def result(connection, name="e"):
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("select * from recsql_api.experiment_result where experiment = %s", (name,)).fetchall()
    return {row["variant"]: row for row in found}


def refused(connection, state, query, *arguments):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(query, arguments)
    assert caught.value.sqlstate == state, caught.value
    assert caught.value.diag.message_hint
    return caught.value.diag.message_primary


def expose(connection, number, users):
    """Bulk-write what recommend() and record_event() would: one exposed user a ``(variant, rewards, covariate)``.

    ``rewards`` has an element a request: that many clicks, at most one a request, so 0 or 1.
    """
    (item,) = connection.execute("select min(item_no) from recsql.item").fetchone()
    kinds = dict(connection.execute("select kind, kind_no from recsql.event_kind").fetchall())
    variants = dict(
        connection.execute("select variant, variant_no from recsql.variant where experiment_no = %s", (number,))
    )
    with connection.transaction(), connection.cursor() as cursor:
        first = cursor.execute("select coalesce(max(user_no), 0) from recsql.app_user").fetchone()[0]
        cursor.execute(
            "insert into recsql.app_user (user_id) select 'bulk ' || n from generate_series(%s::integer, %s) as n",
            (first + 1, first + len(users)),
        )
        numbers = [
            row[0]
            for row in cursor.execute(
                "select user_no from recsql.app_user where user_id like 'bulk %%' order by user_no desc limit %s",
                (len(users),),
            )
        ]
        entered, requests, impressions, events = [], [], [], []
        for user, (variant, rewards, covariate) in zip(numbers, users, strict=True):
            entered.append((number, user, variants[variant], BEGAN))
            events += [(user, item, kinds["like"], BEGAN - timedelta(hours=1 + k), None) for k in range(covariate)]
            for nth, reward in enumerate(rewards):
                request, at = uuid4(), BEGAN + timedelta(minutes=nth)
                requests.append((request, user, variants[variant], at))
                impressions.append((request, user, item, at))
                if reward:
                    events.append((user, item, kinds["click"], at + timedelta(seconds=1), request))
        for statement, rows in (
            ("insert into recsql.experiment_user values (%s, %s, %s, %s)", entered),
            (
                "insert into recsql.request (request_id, user_no, slot, policy, explore, pool_nos, pool_scores, "
                "variant_no, at) values (%s, %s, 'default', 'x', 0, '{}', '{}', %s, %s)",
                requests,
            ),
            (
                "insert into recsql.impression (request_id, position, user_no, item_no, at) values (%s, 1, %s, %s, %s)",
                impressions,
            ),
            (
                "insert into recsql.event (user_no, item_no, kind_no, at, request_id) values (%s, %s, %s, %s, %s)",
                events,
            ),
        ):
            cursor.executemany(statement, rows)


# Assignment


def test_user_draws_are_those_of_the_hash(connection):
    digest = sha256(b"salt u42").hexdigest()
    (draws,) = connection.execute("select recsql.user_draws('salt', 'u42')").fetchone()
    assert draws == [int(digest[:13], 16) / 16**13, int(digest[13:26], 16) / 16**13]


def test_experiment_variant_is_sticky_and_goes_by_weight_and_traffic(shop):
    add(shop, variants=(("a", 3), ("b", 1)), traffic=0.5, salt="s")
    assert assigned(shop) is None  # A draft serves nobody.
    set_state(shop, "running")
    query = (
        "select v.variant, count(*) from generate_series(1, 10000) as n "
        "left join lateral recsql.experiment_variant('default', 'u' || n) as v on true group by v.variant"
    )
    counts = dict(shop.execute(query).fetchall())
    assert dict(shop.execute(query).fetchall()) == counts
    # Five standard errors of a share of 10,000: of 1/2, 3/8 and 1/8.
    for variant, share in ((None, 0.5), ("a", 0.375), ("b", 0.125)):
        assert counts[variant] == pytest.approx(10_000 * share, abs=5 * (10_000 * share * (1 - share)) ** 0.5)
    assert assigned(shop, slot="other") is None
    set_state(shop, "stopped")
    assert [assigned(shop, user) for user in ("u1", "u2", "u3")] == [None] * 3


def test_assignments_of_two_experiments_are_independent(shop):
    add(shop, "e", variants=(("a", 1), ("b", 1), ("c", 1)), salt="one")
    add(shop, "f", slot="other", variants=(("a", 1), ("b", 2)), salt="two")
    set_state(shop, "running", "e")
    set_state(shop, "running", "f")
    pairs = shop.execute(
        "select e.variant, f.variant, count(*) from generate_series(1, 10000) as n "
        "cross join lateral recsql.experiment_variant('default', 'u' || n) as e "
        "cross join lateral recsql.experiment_variant('other', 'u' || n) as f group by 1, 2 order by 1, 2"
    ).fetchall()
    table = np.array([count for _, _, count in pairs]).reshape(3, 2)
    assert table.sum() == 10_000
    assert chi2_contingency(table).pvalue > 0.001


# Serving


def test_recommend_serves_the_slot_of_the_variant(shop):
    number = add(shop, variants=(("a", 1),))
    add_variant(shop, number, "b", slot="other")
    set_state(shop, "running")
    # The recommendations of one and the same user, whichever variant he falls into.
    for variant, item in (("a", "i1"), ("b", "i2")):
        user = user_of(shop, variant)
        shop.execute("update recsql.app_user set user_id = %s", (user,))
        assert shown(shop, user)[0][0] == item
        explained = shop.execute(
            "select component, contribution from recsql_api.explain_recommendation(%s, %s)", (user, item)
        ).fetchall()
        assert explained == [("ease", 9.0)]
    assert shop.execute("select count(*) from recsql.experiment_user").fetchone() == (0,)


def test_recommend_notes_a_user_once_and_the_variant_of_each_request(shop):
    number = add(shop)
    shown(shop, log=True)
    assert shop.execute("select variant_no from recsql.request").fetchall() == [(None,)]
    set_state(shop, "running")
    shown(shop)  # Not logged.
    assert shop.execute("select count(*) from recsql.experiment_user").fetchone() == (0,)
    shown(shop, log=True)
    entered = shop.execute("select * from recsql.experiment_user").fetchall()
    shown(shop, explore=0.5)
    assert shop.execute("select * from recsql.experiment_user").fetchall() == entered
    assert len(entered) == 1
    logged = shop.execute("select variant_no, at from recsql.request order by at").fetchall()
    (user_no,) = shop.execute("select user_no from recsql.app_user").fetchone()
    variant_no = entered[0][2]
    assert [row[0] for row in logged] == [None, variant_no, variant_no]
    assert entered == [(number, user_no, variant_no, logged[1][1])]


def test_recommend_leaves_users_outside_the_traffic_alone(shop):
    add(shop, traffic=1e-12)
    set_state(shop, "running")
    assert shown(shop, log=True)[0][0] == "i1"
    assert shop.execute("select variant_no from recsql.request").fetchall() == [(None,)]
    assert result(shop)["a"]["n_users"] == 0


def test_a_new_user_is_in_the_variant_that_he_was_shown(shop):
    add(shop)
    set_state(shop, "running")
    user = user_of(shop, "b")
    shown(shop, user, log=True)
    assert (result(shop)["a"]["n_users"], result(shop)["b"]["n_users"]) == (0, 1)


# States


def test_experiment_is_started_only_if_it_can_run(shop):
    start = "update recsql.experiment set state = 'running' where experiment = %s"
    add(shop, "none", variants=())
    assert "fewer than two variants" in refused(shop, "RS003", start, "none")
    number = add(shop, "headless", variants=())
    add_variant(shop, number, "a")
    add_variant(shop, number, "b")
    assert "has no control" in refused(shop, "RS003", start, "headless")
    add(shop, "first")
    set_state(shop, "running", "first")
    add(shop, "second")
    assert "experiment first runs in slot default already" in refused(shop, "RS003", start, "second")
    set_state(shop, "stopped", "first")
    assert "is stopped, and keeps its result" in refused(shop, "RS003", start, "first")
    set_state(shop, "running", "second")
    assert "begins as a draft" in refused(
        shop, "RS003", "update recsql.experiment set state = 'stopped' where experiment = %s", "none"
    )


def test_slots_that_serve_nothing_are_refused(shop):
    create = "insert into recsql.experiment (experiment, slot) values ('e', 'nowhere')"
    assert "slot nowhere serves nothing" in refused(shop, "RS001", create)
    number = add(shop)
    variant = "insert into recsql.variant (experiment_no, variant, slot) values (%s, 'c', 'nowhere')"
    assert "slot nowhere serves nothing" in refused(shop, "RS001", variant, number)


def test_weights_that_are_none_are_refused(shop):
    number = add(shop)
    for weight in ("0", "-1", "'NaN'", "'Infinity'", "null"):
        query = f"insert into recsql.variant (experiment_no, variant, weight) values (%s, 'c', {weight})"
        assert "is not a number above 0" in refused(shop, "RS002", query, number)


def test_second_control_is_refused(shop):
    number = add(shop)
    query = "insert into recsql.variant (experiment_no, variant, is_control) values (%s, 'c', true)"
    assert "has a control already" in refused(shop, "RS002", query, number)
    assert "has a control already" in refused(
        shop, "RS002", "update recsql.variant set is_control = true where variant = 'b'"
    )


def test_running_experiment_cannot_be_changed(shop):
    number = add(shop)
    set_state(shop, "running")
    for query in (
        "update recsql.variant set weight = 2 where variant = 'b'",
        "update recsql.variant set controls = '{\"diversity\": 1}' where variant = 'b'",
        "delete from recsql.variant where variant = 'b'",
        f"insert into recsql.variant (experiment_no, variant) values ({number}, 'c')",
    ):
        assert "its variants cannot be changed" in refused(shop, "RS003", query)
    for change in (
        "state = 'draft'",
        "traffic = 0.5",
        "salt = 'x'",
        "alpha = 0.1",
        "planned_users = 500",
        "started_at = now()",
    ):
        refused(shop, "RS003", f"update recsql.experiment set {change}")
    assert "is running" in refused(shop, "RS003", "delete from recsql.experiment")
    set_state(shop, "stopped")
    refused(shop, "RS003", "update recsql.variant set weight = 2")
    shop.execute("delete from recsql.experiment")
    assert shop.execute("select count(*) from recsql.variant").fetchone() == (0,)


# Functions


def test_rules_of_variants_are_of_the_slot_and_stay_while_it_runs(shop):
    shop.execute(
        "insert into recsql.rule (rule, kind, half_life, slot, state) "
        "select v.rule, 'freshness', '1 day', v.slot, 'draft' "
        "from (values ('ours', 'default'), ('theirs', 'other'), ('of-all', null)) as v (rule, slot)"
    )
    number = add(shop)
    with pytest.raises(psycopg.Error, match="rule theirs is of slot other, and experiment e runs in slot default"):
        add_variant(shop, number, "c", add_rules=["ours", "theirs"])
    add_variant(shop, number, "c", add_rules=["ours"], drop_rules=["of-all"])
    set_state(shop, "running")
    for rule in ("ours", "of-all"):
        with pytest.raises(psycopg.Error, match=f"rule {rule} is part of variant c of experiment e, which is running"):
            shop.execute("delete from recsql.rule where rule = %s", (rule,))
    shop.execute("delete from recsql.rule where rule = 'theirs'")
    set_state(shop, "stopped")
    assert shop.execute("delete from recsql.rule").rowcount == 2


def test_experiment_needs_what_its_variants_name_and_keeps_it(shop):
    shop.execute("insert into recsql.rule (rule, kind, half_life, state) values ('r', 'freshness', '1 day', 'draft')")
    number, other = add(shop), add(shop, "other")
    add_variant(shop, number, "c", add_rules=["r"])
    shop.execute("delete from recsql.rule")
    with pytest.raises(psycopg.Error, match="variant c names rule r, which is gone"):
        set_state(shop, "running")
    shop.execute("insert into recsql.rule (rule, kind, half_life, state) values ('r', 'freshness', '1 day', 'draft')")
    set_state(shop, "running")
    for change in ("rule = 'r2'", "slot = 'other'"):
        with pytest.raises(psycopg.Error, match="rule r is part of variant c"):
            shop.execute(f"update recsql.rule set {change}")
    shop.execute("update recsql.rule set half_life = '2 days'")
    with pytest.raises(psycopg.Error, match="variant c cannot move to another experiment"):
        shop.execute("update recsql.variant set experiment_no = %s where variant = 'c'", (other,))


def test_of_two_experiments_that_start_together_the_second_is_told_of_the_first(shop, database):
    add(shop)
    add(shop, "late")
    with psycopg.connect(database) as first, ThreadPoolExecutor() as pool:
        set_state(first, "running")
        late = pool.submit(set_state, shop, "running", "late")
        waiting = "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        while first.execute(waiting).rowcount == 0:
            first.execute("select pg_stat_clear_snapshot()")
        first.commit()
        with pytest.raises(psycopg.Error, match="experiment e runs in slot default already"):
            late.result()


def test_two_sided_quantile_is_that_of_the_normal_distribution(connection):
    for alpha in (1e-9, 1e-7, 0.001, 0.01, 0.05, 0.3, 1.0):
        (found,) = connection.execute("select recsql.two_sided_quantile(%s)", (alpha,)).fetchone()
        assert found == pytest.approx(norm.isf(alpha / 2), rel=1e-12)


def test_chi_square_p_is_that_of_the_distribution(connection):
    for degrees in (1, 2, 3, 4, 7):
        for statistic in (0.0, 0.7, 10.8, 90.0, 5000.0):
            (found,) = connection.execute("select recsql.chi_square_p(%s, %s)", (statistic, degrees)).fetchone()
            assert found == pytest.approx(chi2.sf(statistic, degrees), rel=1e-11, abs=1e-300)


def test_always_valid_bound_by_hand(connection):
    def bound(n):
        return connection.execute("select recsql.always_valid_bound(%s, 1000, 0.05)", (n,)).fetchone()[0]

    # -2 ln 0.05 = 5.99146; x = 5.99146 + ln(1 + 5.99146) = 7.93614 at the planned number of users;
    # sqrt(8.93614 / 7.93614 x (ln 8.93614 + 5.99146)) = sqrt(1.12601 x 8.18157) = 3.03521.
    assert bound(1000) == pytest.approx(3.03521, abs=1e-5)
    assert bound(1000) < min(bound(500), bound(2000))
    assert bound(0) is None
    for n in (100, 1000, 50_000):
        assert bound(n) == pytest.approx(always_valid_bound(n, 1000, 0.05), rel=1e-13)


# Results


def test_experiment_result_by_hand(shop):
    number = add(shop, planned_users=200, alpha=0.1)
    # Rewards of users: control 0, 0, 1, 1, 3; variant 1, 2, 3, 2, 2.
    rewards = {"a": [0, 0, 1, 1, 3], "b": [1, 2, 3, 2, 2]}
    expose(shop, number, [(arm, [1] * r or [0], 0) for arm, found in rewards.items() for r in found])
    found = result(shop)
    a, b = found["a"], found["b"]
    assert (a["is_control"], a["n_users"], a["n_requests"], a["mean"]) == (True, 5, 7, 1.0)
    assert (b["is_control"], b["n_users"], b["n_requests"], b["mean"]) == (False, 5, 10, 2.0)
    assert (a["difference"], a["verdict"]) == (None, None)
    # Variances (1 + 1 + 0 + 0 + 4) / 4 = 1.5 and (1 + 0 + 1 + 0 + 0) / 4 = 0.5: error sqrt(2 / 5) = 0.632456.
    error = 0.4**0.5
    assert b["difference"] == 1.0
    assert (b["fixed_lo"], b["fixed_hi"]) == pytest.approx((1 - 1.6448536 * error, 1 + 1.6448536 * error), abs=1e-6)
    # -2 ln 0.1 = 4.60517; x = 10 / 200 x (4.60517 + ln 5.60517) = 0.316443;
    # sqrt(1.316443 / 0.316443 x (ln 1.316443 + 4.60517)) = sqrt(4.160126 x 4.880104) = 4.505758.
    assert (b["always_lo"], b["always_hi"]) == pytest.approx((1 - 4.505758 * error, 1 + 4.505758 * error), abs=1e-5)
    # Without a covariate there is nothing to adjust.
    for key in ("difference", "fixed_lo", "fixed_hi", "always_lo", "always_hi"):
        assert b[f"cuped_{key}"] == b[key]
    assert b["variance_left"] == 1.0
    # The mean of the control, 1 +- 4.5 x 0.55, may be 0: then the lift has no bound.
    assert (b["lift"], b["lift_lo"], b["lift_hi"]) == (1.0, None, None)
    assert (b["verdict"], b["reason"]) == ("cannot tell", "there are fewer than 100 users in it or in the control")
    assert (b["split_p"], b["is_split_wrong"]) == (1.0, False)


def test_experiment_result_per_request_by_hand(shop):
    number = add(shop, metric="request")
    expose(shop, number, [("a", [1, 0], 0), ("a", [0, 0, 0, 0], 0), ("b", [1], 0), ("b", [1, 0, 1], 0)])
    found = result(shop)
    # Control: 1 of 6 requests; users move it by (1 - 2/6) / 3 = 2/9 and (0 - 4/6) / 3 = -2/9: variance 8/81.
    # Variant: 3 of 4; (1 - 3/4) / 2 = 1/8 and (2 - 9/4) / 2 = -1/8: variance 1/32.
    assert (found["a"]["mean"], found["b"]["mean"]) == pytest.approx((1 / 6, 3 / 4))
    error = (8 / 81 / 2 + 1 / 32 / 2) ** 0.5
    b = found["b"]
    assert b["difference"] == pytest.approx(7 / 12)
    assert b["fixed_hi"] - b["fixed_lo"] == pytest.approx(2 * 1.959963985 * error)


def test_cuped_by_hand(shop):
    number = add(shop)
    # Rewards and likes (weight 1) before: the variant had more to begin with.
    users = {"a": [(0, 0), (1, 1), (2, 2)], "b": [(1, 1), (2, 2), (4, 3)]}
    expose(shop, number, [(arm, [1] * r or [0], x) for arm, found in users.items() for r, x in found])
    b = result(shop)["b"]
    # Covariances 1 and 3/2, variances of likes 1 and 1: slope (2 x 1 + 2 x 1.5) / 4 = 1.25.
    # Difference 7/3 - 1 = 4/3, of likes 1: 4/3 - 1.25 = 1/12.
    assert b["difference"] == pytest.approx(4 / 3)
    assert b["cuped_difference"] == pytest.approx(1 / 12)
    # Variances 1 - 2.5 + 1.5625 = 1/16 and 7/3 - 3.75 + 1.5625 = 7/48: error^2 (1/16 + 7/48) / 3 = 5/72, before 10/9.
    assert b["variance_left"] == pytest.approx(5 / 72 / (10 / 9))
    half = 1.959963985 * (5 / 72) ** 0.5
    assert (b["cuped_fixed_lo"], b["cuped_fixed_hi"]) == pytest.approx((1 / 12 - half, 1 / 12 + half))


def test_what_was_before_the_first_request_is_covariate_and_no_outcome(shop):
    number = add(shop)
    before = shown(shop, log=True)[0]
    record = "select recsql_api.record_event('u', %s, %s, p_at => now() + %s::interval, p_request_id => %s)"
    set_state(shop, "running")
    after = shown(shop, log=True)[0]
    shop.execute("update recsql.impression set at = at - interval '10 minutes' where request_id = %s", (before[1],))
    shop.execute("update recsql.request set at = at - interval '10 minutes' where request_id = %s", (before[1],))
    shop.execute(record, (before[0], "click", "-5 minutes", before[1]))  # Weight 0.5, and a reward of nobody's.
    shop.execute(record, (before[0], "like", "1 second", before[1]))  # Of a request before.
    shop.execute(record, (before[0], "view", "-29 days", None))  # Too long ago.
    shop.execute(record, (after[0], "click", "1 second", after[1]))
    rows = shop.execute("select n_requests, reward, covariate from recsql.experiment_outcome(%s)", (number,)).fetchall()
    assert rows == [(1, 1.0, 0.5)]


def test_experiment_result_is_that_of_numpy(shop):
    random = np.random.default_rng(3)
    for metric in ("user", "request"):
        number = add(shop, metric, metric=metric, slot="default", variants=(("a", 2), ("b", 1)), planned_users=500)
        arms = []
        users = []
        for variant, n in (("a", 240), ("b", 130)):
            likes = random.poisson(2, n)
            requests = [random.random(1 + random.poisson(1 + x / 2)) < 0.2 + 0.1 * (variant == "b") for x in likes]
            users += [(variant, list(clicks), int(x)) for clicks, x in zip(requests, likes, strict=True)]
            reward = np.array([clicks.sum() for clicks in requests], float)
            asked = np.array([len(clicks) for clicks in requests], float)
            arms.append(Arm.of(reward if metric == "user" else linearised(reward, asked), likes.astype(float)))
        expose(shop, number, users)
        expected, b = compare(*arms, planned=500, share=1 / 3), result(shop, metric)["b"]
        for key, difference, error, width in (
            ("fixed", expected.difference, expected.error, expected.fixed),
            ("always", expected.difference, expected.error, expected.bound),
            ("cuped_fixed", expected.cuped_difference, expected.cuped_error, expected.fixed),
            ("cuped_always", expected.cuped_difference, expected.cuped_error, expected.bound),
        ):
            assert b[f"{key}_lo"] == pytest.approx(difference - width * error, abs=1e-9)
            assert b[f"{key}_hi"] == pytest.approx(difference + width * error, abs=1e-9)
        assert b["split_p"] == pytest.approx(expected.split_p, abs=1e-9)
        assert b["variance_left"] < 1


def test_lift_and_its_interval_agree_with_the_verdict(shop):
    number = add(shop, planned_users=800)
    # Control: 30 % of 400 users with 1; variant: 60 %.
    users = [(arm, [nth < share], 0) for arm, share in (("a", 120), ("b", 240)) for nth in range(400)]
    expose(shop, number, users)
    b = result(shop)["b"]
    assert (b["verdict"], b["reason"], b["lift"]) == ("better", None, pytest.approx(1.0))
    assert 0 < b["lift_lo"] < 1 < b["lift_hi"]
    # Fieller: at its ends mean - q x mean of the control is as far from 0 as the bound.
    bound = always_valid_bound(800, 800, 0.05)
    variances = (0.3 * 0.7 / 399, 0.6 * 0.4 / 399)
    for end in (b["lift_lo"], b["lift_hi"]):
        distance = abs(0.6 - (1 + end) * 0.3) / (variances[1] + (1 + end) ** 2 * variances[0]) ** 0.5
        assert distance == pytest.approx(bound)
    # The control twice over, now the better one.
    add(shop, "worse")
    swapped = [({"a": "b", "b": "a"}[arm], rewards, x) for arm, rewards, x in users]
    (other,) = shop.execute("select experiment_no from recsql.experiment where experiment = 'worse'").fetchone()
    expose(shop, other, swapped)
    assert result(shop, "worse")["b"]["verdict"] == "worse"
    assert result(shop, "worse")["b"]["lift_hi"] < 0


def test_alpha_is_shared_by_three_variants(shop):
    number = add(shop, variants=(("a", 1), ("b", 1), ("c", 1)), planned_users=300)
    expose(shop, number, [(arm, [nth % 2], 0) for arm in "abc" for nth in range(100)])
    found = result(shop)["c"]
    # Level 0.05 / 2: quantile 2.241403. Variance of halves 25 / 99.
    assert found["fixed_hi"] == pytest.approx(2.241403 * (2 * 25 / 99 / 100) ** 0.5, abs=1e-6)
    # Of 300 planned users 200 are in the two that are compared, and all have come.
    assert found["always_hi"] == pytest.approx(always_valid_bound(200, 200, 0.025) * (2 * 25 / 99 / 100) ** 0.5)
    assert found["reason"] == "the always-valid interval holds 0"


def test_wrong_split_raises_the_alarm_and_forbids_a_verdict(shop):
    number = add(shop)
    expose(shop, number, [(arm, [arm == "b"], 0) for arm, n in (("a", 240), ("b", 160)) for _ in range(n)])
    b = result(shop)["b"]
    # (240 - 200)^2 / 200 x 2 = 16; p = 6.3e-5.
    assert b["split_p"] == pytest.approx(6.334e-5, rel=1e-3)
    assert b["is_split_wrong"] is True
    assert (b["verdict"], b["reason"][:41]) == ("cannot tell", "users are not split as the weights say: f")
    assert result(shop)["a"]["is_split_wrong"] is True


def test_uneven_weights_are_no_wrong_split(shop):
    number = add(shop, variants=(("a", 6), ("b", 4)))
    expose(shop, number, [(arm, [0], 0) for arm, n in (("a", 240), ("b", 160)) for _ in range(n)])
    assert result(shop)["b"]["split_p"] == 1.0


def test_stopped_experiment_keeps_its_result(shop):
    number = add(shop)
    set_state(shop, "running")
    expose(shop, number, [(arm, [nth % 2], 0) for arm in "ab" for nth in range(10)])
    before = result(shop)["b"]
    set_state(shop, "stopped")
    shown(shop, log=True)
    after = result(shop)["b"]
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"state", "ended_at"}
    assert shop.execute("select count(*) from recsql.experiment_user").fetchone() == (20,)


def test_experiment_without_users_cannot_tell(shop):
    add(shop)
    for row in result(shop).values():
        assert (row["n_users"], row["mean"], row["difference"], row["split_p"]) == (0, None, None, None)
    assert result(shop)["b"]["verdict"] == "cannot tell"


def test_experiment_daily_is_the_result_at_the_end_of_each_day(shop):
    number = add(shop)
    expose(shop, number, [(arm, [1, nth % 2], 0) for arm in "ab" for nth in range(4)])
    # Of a draft there are no days. All happened within minutes of BEGAN.
    assert shop.execute("select count(*) from recsql_api.experiment_daily").fetchone() == (0,)
    shop.execute("alter table recsql.experiment disable trigger experiment_fixed")
    shop.execute(
        "update recsql.experiment set state = 'stopped', started_at = %s, ended_at = %s",
        (BEGAN - timedelta(days=1), BEGAN + timedelta(days=1, hours=1)),
    )
    days = shop.execute(
        "select day, n_users, mean from recsql_api.experiment_daily where variant = 'b' order by day"
    ).fetchall()
    assert [(str(day), n, mean) for day, n, mean in days] == [
        ("2026-01-09", 0, None),
        ("2026-01-10", 4, 1.5),
        ("2026-01-11", 4, 1.5),
    ]


def test_readers_are_assigned_and_may_read_results(shop):
    number = add(shop, variants=(("a", 1),))
    add_variant(shop, number, "b", slot="other", controls=Jsonb({"diversity": 0.3}))
    set_state(shop, "running")
    user = user_of(shop, "b")
    shop.execute("update recsql.app_user set user_id = %s", (user,))
    shop.execute("set role recsql_reader")
    try:
        assert shown(shop, user)[0][0] == "i2"
        assert result(shop)["b"]["n_users"] == 0
        assert shop.execute("select count(*) > 0 from recsql_api.experiment_daily").fetchone() == (True,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            shop.execute("select * from recsql.experiment_outcome(%s)", (number,))
    finally:
        shop.execute("reset role")
