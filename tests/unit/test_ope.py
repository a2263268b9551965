"""Off-policy estimators: values by hand, and what must hold of any log."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsql.errors import InputError
from workers.ope.estimators import (
    ESTIMATORS,
    cascade_weights,
    dr,
    dr_os,
    effective_size,
    ips,
    position_weights,
    snips,
    switch_dr,
)
from workers.ope.evaluation import evaluate
from workers.ope.exploration import conditional, marginal
from workers.ope.intervals import bootstrap_interval, hall_interval
from workers.ope.logs import Pools, SlateLog, SlateTarget
from workers.ope.regression import CrossFitted, pool_features
from workers.ope.targets import conditionals_of, ranks_of, target_of
from workers.ope.tuning import clipping_sweep, tuned_parameters
from workers.ope.verdict import Limits

NAN = float("nan")


def column(*values):
    return np.array(values, dtype=np.float64)[:, None]


# Two rounds of one position: rewards 1 and 0, weights 0.5 / 0.25 = 2 and 0.1 / 0.5 = 0.2, predicted 0.4 and 0.3,
# expected 0.35 for both.
BANDIT = {
    "rewards": column(1, 0),
    "weights": column(2, 0.2),
    "predicted": column(0.4, 0.3),
    "expected": column(0.35, 0.35),
}


@pytest.mark.parametrize(
    ("estimator", "value"),
    [
        ("ips", (2 * 1 + 0.2 * 0) / 2),
        # Weights sum to 2.2.
        ("snips", 2 / 2.2),
        ("dm", 0.35),
        # 0.35 + 2 x 0.6 = 1.55 and 0.35 - 0.2 x 0.3 = 0.29.
        ("dr", (1.55 + 0.29) / 2),
        # No weight is above 10.
        ("switch_dr", (1.55 + 0.29) / 2),
        # 100 x 2 / (4 + 100) = 1.923077, 100 x 0.2 / (0.04 + 100) = 0.199920.
        ("dr_os", (0.35 + 1.9230769 * 0.6 + 0.35 - 0.1999200 * 0.3) / 2),
    ],
)
def test_estimators_of_a_bandit_by_hand(estimator, value):
    assert ESTIMATORS[estimator](**BANDIT).mean() == pytest.approx(value, rel=1e-6)


def test_switch_dr_drops_the_correction_above_its_threshold():
    # Only the second round, whose weight is 0.2, is corrected.
    assert switch_dr(**BANDIT, threshold=1).mean() == pytest.approx((0.35 + 0.29) / 2)


def test_dr_os_goes_from_dm_to_dr():
    assert dr_os(**BANDIT, shrinkage=0).mean() == pytest.approx(0.35)
    assert dr_os(**BANDIT, shrinkage=float("inf")).mean() == pytest.approx(dr(**BANDIT).mean())


def slates():
    """Two requests of two positions, the second one's slate ends after the first."""
    log = SlateLog(
        rewards=np.array([[1.0, 2.0], [1.0, NAN]]),
        propensities=np.array([[0.5, 0.4], [0.25, NAN]]),
        conditionals=np.array([[0.5, 0.2], [0.25, NAN]]),
    )
    target = SlateTarget(np.array([[0.25, 0.2], [0.5, NAN]]), np.array([[0.25, 0.8], [0.5, NAN]]))
    return log, target


def test_weights_of_both_forms_by_hand():
    log, target = slates()
    np.testing.assert_allclose(position_weights(log, target), [[0.5, 0.5], [2, NAN]])
    # 0.25 / 0.5, that times 0.8 / 0.2, and 0.5 / 0.25.
    np.testing.assert_allclose(cascade_weights(log, target), [[0.5, 2], [2, NAN]])


def test_slate_estimates_sum_over_positions():
    log, target = slates()
    evaluation = evaluate(log, target)
    # (0.5 x 1 + 0.5 x 2 + 2 x 1) / 2 and (0.5 x 1 + 2 x 2 + 2 x 1) / 2; what was logged: (3 + 1) / 2.
    assert evaluation.of("ips").value == pytest.approx(1.75)
    assert evaluation.of("ips", "cascade").value == pytest.approx(3.25)
    assert evaluation.logged.value == pytest.approx(2)
    assert evaluation.of("ips").difference == pytest.approx(-0.25)
    # At position 1 weights of 0.5 and 2 average 1.25: (0.5 + 2) / 1.25 / 2 = 1; at position 2 the only reward is 2, of
    # half of the requests.
    assert evaluation.of("snips").value == pytest.approx(1 + 2 / 2)
    # (0.5 + 0.5 + 2)^2 / (0.25 + 0.25 + 4) = 2 impressions of three, of two requests.
    assert evaluation.of("ips").effective_size == pytest.approx(2 * 2 / 3)


def test_effective_size_of_equal_weights_is_the_number_of_requests():
    assert effective_size(np.full((7, 3), 0.3)) == pytest.approx(7)
    assert effective_size(np.zeros((7, 3))) == 0


def test_snips_without_any_weight_at_a_position_is_unknown():
    rewards, weights = np.ones((3, 2)), np.array([[1.0, 0], [1, 0], [1, 0]])
    assert np.isnan(snips(rewards, weights, rewards, rewards)).all()


@st.composite
def logs(draw):
    n, k = draw(st.integers(2, 12)), draw(st.integers(1, 3))
    floats = st.floats(0.05, 1)
    array = lambda elements: np.array(draw(st.lists(elements, min_size=n * k, max_size=n * k))).reshape(n, k)  # noqa: E731
    log = SlateLog(array(st.floats(-2, 5)), array(floats), array(floats))
    return log, SlateTarget(array(floats), array(floats), array(st.floats(0, 1)), array(st.floats(0, 1)))


@given(logs())
@settings(max_examples=50, deadline=None)
def test_dr_without_a_model_is_ips(both):
    log, target = both
    nothing = np.zeros(log.rewards.shape)
    for weights in (position_weights(log, target), cascade_weights(log, target)):
        parts = log.rewards, weights, nothing, nothing
        np.testing.assert_allclose(dr(*parts), ips(*parts))


@given(logs())
@settings(max_examples=50, deadline=None)
def test_policy_that_logged_is_worth_the_mean_of_what_was_logged(both):
    log, _ = both
    evaluation = evaluate(log, SlateTarget(log.propensities, log.conditionals))
    for form in ("position", "cascade"):
        for estimator in ("ips", "snips", "dr"):
            found = evaluation.of(estimator, form)
            assert found.value == pytest.approx(log.values.mean(), abs=1e-9)
            assert found.difference_lo == pytest.approx(0, abs=1e-9)
        assert evaluation.of("ips", form).effective_size == pytest.approx(log.n_requests)


@given(logs())
@settings(max_examples=50, deadline=None)
def test_contributions_of_snips_average_to_the_ratio(both):
    log, target = both
    weights = position_weights(log, target)
    ratio = ((weights * log.rewards).mean(axis=0) / weights.mean(axis=0)).sum()
    nothing = np.zeros(log.rewards.shape)
    assert snips(log.rewards, weights, nothing, nothing).mean() == pytest.approx(ratio, rel=1e-9, abs=1e-9)


@given(logs())
@settings(max_examples=25, deadline=None)
def test_tuned_parameters_have_no_larger_error_than_dr(both):
    log, target = both
    parts = log.rewards, position_weights(log, target), target.predicted, target.expected
    tuned = tuned_parameters(*parts)
    whole = dr(*parts)
    for found in (switch_dr(*parts, threshold=tuned["switch_dr"]), dr_os(*parts, shrinkage=tuned["dr_os"])):
        error = found.var() / len(found) + (whole - found).mean() ** 2
        assert error <= whole.var() / len(whole) + 1e-12
    assert clipping_sweep(*parts)[-1].value == pytest.approx(whole.mean())


@given(st.integers(1, 6), st.data(), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_marginal_is_what_enumeration_gives(n_pool, data, explore):
    n = data.draw(st.integers(1, n_pool))
    chances = marginal(n_pool, n, explore)
    np.testing.assert_allclose(chances.sum(axis=0), 1, atol=1e-12)
    enumerated = np.zeros((n_pool, n))
    for slate in itertools.permutations(range(n_pool), n):
        chance = conditional(np.array(slate) + 1, n_pool, explore).prod()
        enumerated[slate, np.arange(n)] += chance
    np.testing.assert_allclose(chances, enumerated, atol=1e-12)


def test_marginal_by_hand():
    # Two items, one in four at random: the second is first with 0.25 / 2, and then the best is left.
    np.testing.assert_allclose(marginal(2, 2, 0.25), [[0.875, 0.125], [0.125, 0.875]])
    np.testing.assert_allclose(marginal(3, 2, 0.0), [[1, 0], [0, 1], [0, 0]])
    np.testing.assert_allclose(marginal(4, 4, 1.0), np.full((4, 4), 0.25))


def test_conditional_by_hand():
    # Of five items ranks 2, 1, 3 are shown: the first at random, then the best that is left, twice.
    np.testing.assert_allclose(conditional(np.array([2, 1, 3]), 5, 0.2), [0.2 / 5, 0.8 + 0.2 / 4, 0.8 + 0.2 / 3])


@pytest.mark.parametrize(
    "call",
    [
        lambda: marginal(2, 3, 0.1),
        lambda: marginal(3, 2, 1.5),
        lambda: conditional(np.array([1, 1]), 3, 0.1),
        lambda: conditional(np.array([4]), 3, 0.1),
        lambda: SlateLog(np.zeros((2, 3)), np.zeros((2, 2))),
        lambda: SlateLog(np.zeros(3), np.zeros(3)),
        lambda: SlateTarget(np.full((2, 1), 1.5)),
        lambda: SlateTarget(np.ones((2, 1)), predicted=np.ones((2, 1))),
        lambda: evaluate(SlateLog(np.ones((2, 1)), np.ones((2, 1))), SlateTarget(np.ones((3, 1)))),
        lambda: evaluate(SlateLog(np.ones((2, 1)), np.ones((2, 1))), SlateTarget(np.ones((2, 1))), form="cascade"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(call):
    with pytest.raises(InputError):
        call()


def test_conditionals_of_many_slates_are_those_of_each():
    ranks = np.array([[2, 1, 3], [1, 2, 0], [4, 3, 1]])
    sizes = np.array([5, 2, 4])
    found = conditionals_of(ranks, sizes, 0.2)
    for row, size in enumerate(sizes):
        shown = ranks[row][ranks[row] > 0]
        np.testing.assert_allclose(found[row, : len(shown)], conditional(shown, size, 0.2))
    assert np.isnan(found[1, 2])


def test_ranks_follow_the_scores_and_keep_the_pool_order_of_equals():
    pools = Pools(np.array([[5, 6, 7, 8], [5, 6, -1, -1]]), np.zeros((2, 4)), np.zeros((2, 1), dtype=np.int64))
    scores = np.array([[1.0, NAN, 2.0, 1.0], [0.0, 1.0, 9.0, 9.0]])
    assert ranks_of(pools, scores).tolist() == [[2, 4, 1, 3], [2, 1, 0, 0]]
    assert ranks_of(pools, None).tolist() == [[1, 2, 3, 4], [1, 2, 0, 0]]


def clicks(n, seed=0, rates=(0.05, 0.1, 0.2, 0.3, 0.6), n_positions=2, explore=1.0):
    """A log of a policy that shows a pool of five as it is, and explores; the rate at position k is over k."""
    random = np.random.default_rng(seed)
    m = len(rates)
    shown = np.empty((n, n_positions), dtype=np.int64)
    for row in range(n):
        left = list(range(m))
        for k in range(n_positions):
            shown[row, k] = left.pop(random.integers(len(left)) if random.random() < explore else 0)
    examined = 1 / np.arange(1, n_positions + 1)
    rewards = (random.random(shown.shape) < np.array(rates)[shown] * examined).astype(float)
    pools = Pools(np.tile(np.arange(m), (n, 1)), np.tile(-np.arange(m, dtype=float), (n, 1)), shown)
    chances = marginal(m, n_positions, explore)
    log = SlateLog(rewards, chances[shown, np.arange(n_positions)], conditionals_of(shown + 1, pools.sizes, explore))
    return log, pools


def test_reward_model_learns_items_and_positions_from_other_requests():
    log, pools = clicks(4000)
    model = CrossFitted(log.rewards, pools, pool_features(pools.items, pools.scores))
    predicted = model.predicted()
    for item, rate in enumerate((0.05, 0.1, 0.2, 0.3, 0.6)):
        for k in range(2):
            mean = predicted[:, k][pools.shown[:, k] == item].mean()
            assert mean == pytest.approx(rate / (k + 1), abs=0.04)
    # One request's own rewards change nothing of what is predicted for it.
    other = log.rewards.copy()
    other[0] = 1 - other[0]
    again = CrossFitted(other, pools, pool_features(pools.items, pools.scores)).predicted()
    np.testing.assert_array_equal(predicted[0], again[0])
    assert (predicted[1:] != again[1:]).any()


def test_expected_reward_is_that_of_the_predicted_ones_under_the_policy():
    log, pools = clicks(50)
    model = CrossFitted(log.rewards, pools, pool_features(pools.items, pools.scores))
    # A policy that is certain of what was shown at each position.
    certain = np.zeros((50, 5, 2))
    certain[np.arange(50)[:, None], pools.shown, np.arange(2)] = 1
    np.testing.assert_allclose(model.expected(certain), model.predicted())


def test_evaluation_of_a_better_policy_holds_the_truth():
    log, pools = clicks(3000)
    # By falling rate: 0.6 first, 0.3 second.
    scores = np.tile(np.arange(5.0), (3000, 1))
    evaluation = evaluate(log, target_of(log, pools, scores, 0.0), n_resamples=500)
    assert evaluation.verdict == "better"
    for found in (evaluation.of("dr"), evaluation.of("dr", "cascade"), evaluation.of("ips")):
        assert found.lo < 0.6 + 0.3 / 2 < found.hi
        assert found.bootstrap_lo < 0.6 + 0.3 / 2 < found.bootstrap_hi
    assert evaluation.of("dr").standard_error < evaluation.of("ips").standard_error
    worse = evaluate(log, target_of(log, pools, -scores, 0.0))
    assert worse.verdict == "worse"


def reason_of(log, target, **options):
    evaluation = evaluate(log, target, **options)
    assert evaluation.verdict == "cannot tell"
    return evaluation.reason


def test_evaluation_cannot_tell_and_says_why():
    log, pools = clicks(500)
    uniform = target_of(log, pools, None, 1.0)
    assert reason_of(log, uniform).endswith("which holds 0.")
    empty = log.take(np.zeros(500, dtype=bool)), uniform.take(np.zeros(500, dtype=bool))
    assert reason_of(*empty) == "there are no logged requests."
    assert "is too short" in reason_of(log.take(np.arange(20)), uniform.take(np.arange(20)))
    unpaid = SlateLog(np.zeros(log.rewards.shape), log.propensities, log.conditionals)
    assert reason_of(unpaid, uniform) == "all rewards are zero."
    assert reason_of(log, uniform, n_rejected=100).startswith("100 of 600 requests cannot be used")
    broken = log.propensities.copy()
    broken[:50, 0] = 0
    broken[50:60, 1] = NAN
    assert reason_of(SlateLog(log.rewards, broken, log.conditionals), uniform).startswith("60 of 500 requests")
    # The propensities of the log are said to be half of what they are, so that weights are twice as large.
    halved = SlateLog(log.rewards, log.propensities / 2, log.conditionals)
    assert reason_of(halved, uniform).startswith("the weights average 2 where 1 is expected")
    certain, certain_pools = clicks(500, explore=0.0, rates=(0.5, 0.5, 0.5, 0.5, 0.5))
    assert reason_of(certain, target_of(certain, certain_pools, None, 1.0)).startswith("no overlap for 80.0%")
    # It would show what the log never shows.
    turned = target_of(certain, certain_pools, np.tile(np.arange(5.0), (500, 1)), 0.0)
    assert reason_of(certain, turned).startswith("no overlap: the policy would have shown none")
    rare, rare_pools = clicks(500, rates=(0.01, 0.01, 0.01, 0.01, 0.01))
    reason = reason_of(rare, target_of(rare, rare_pools, np.tile(np.arange(5.0), (500, 1)), 0.0))
    assert "rewarded requests of the policy itself" in reason
    few = reason_of(log, uniform, limits=Limits(min_effective_size=1000))
    assert few.startswith("the log is worth 500.0 requests of the policy itself, it takes 1,000")


def test_position_form_is_not_trusted_where_what_stands_above_matters():
    log, pools = clicks(3000, rates=(0.5, 0.5, 0.5, 0.5, 0.5))
    # Below item 4 everything is clicked on, elsewhere nothing at the second position.
    rewards = log.rewards.copy()
    rewards[:, 1] = pools.shown[:, 0] == 4
    changed = SlateLog(rewards, log.propensities, log.conditionals)
    target = target_of(changed, pools, np.tile(np.arange(5.0), (3000, 1)), 0.0)
    assert "the cascade form differs from the position form" in reason_of(changed, target)
    assert evaluate(changed, target, form="cascade").verdict == "better"


def test_intervals_of_contributions_that_are_alike_are_points():
    alike = np.full((200, 1), 0.1)
    for lo, hi in (hall_interval(alike), bootstrap_interval(alike)):
        assert lo == pytest.approx(0.1)
        assert hi == pytest.approx(0.1)
    assert np.isnan(hall_interval(alike[:1])[0]).all()


def test_hall_interval_of_symmetric_numbers_is_the_normal_one():
    symmetric = np.array([-1.0, 1.0] * 50)[:, None]
    lo, hi = hall_interval(symmetric)
    # Standard deviation sqrt(100 / 99), over 10, times 1.96.
    assert hi[0] == pytest.approx(1.959964 * np.sqrt(100 / 99) / 10, rel=1e-6)
    assert lo[0] == pytest.approx(-hi[0])


def test_intervals_reach_further_up_for_numbers_that_are_skewed_to_the_right():
    skewed = np.random.default_rng(0).exponential(size=(300, 1)) ** 2
    for lo, hi in (hall_interval(skewed), bootstrap_interval(skewed, n_resamples=2000)):
        assert hi[0] - skewed.mean() > 1.1 * (skewed.mean() - lo[0])
    # The same seed, the same interval.
    assert bootstrap_interval(skewed, seed=3) == bootstrap_interval(skewed, seed=3)


def test_example_of_the_page_runs(capsys):
    page = Path(__file__).parents[2] / "docs" / "off-policy.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    exec(example, {})
    assert capsys.readouterr().out.startswith("better the difference to what was logged lies between +")
