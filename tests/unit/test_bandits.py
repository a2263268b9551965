"""Bandits by hand: posteriors, features, propensities."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.bandits.base import BanditConfig
from workers.bandits.features import Projection, discount, freshness, standing
from workers.bandits.linucb import LinUCB
from workers.bandits.online import OnlinePosterior
from workers.bandits.posterior import PRIOR_VARIANCE, Statistics
from workers.bandits.registry import KINDS, make_bandit
from workers.bandits.thompson import Thompson
from workers.ope.logs import Pools, SlateLog
from workers.ope.targets import target_of

ITEMS = np.array([7, 9])


def small() -> Statistics:
    """Two impressions of two items, whose effects are next to nothing, since κ is vast."""
    statistics = Statistics.none(2, 1e12)
    statistics.add(ITEMS, np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([0.0, 1.0]))
    return statistics


def test_posterior_of_two_features_by_hand() -> None:
    # A = I + [1 0; 0 0] + [1 1; 1 1] = [3 1; 1 2], of determinant 5; b = (1, 1).
    # A⁻¹ = [2 -1; -1 3] / 5, θ = (1, 2) / 5. Residual: Σ r² - θ·b = 1 - 3/5 = 2/5.
    posterior = small().solve(ridge=1.0)
    assert posterior.theta == pytest.approx([0.2, 0.4])
    assert posterior.spread.T @ posterior.spread == pytest.approx(np.array([[0.4, -0.2], [-0.2, 0.6]]))
    assert posterior.scale == pytest.approx(np.sqrt((PRIOR_VARIANCE + 0.4) / 3))
    # LinUCB of φ = (0, 1): 0.4 + 2 σ sqrt(0.6).
    bandit = LinUCB(BanditConfig(alpha=2))
    found = bandit.scores(posterior, np.array([[0.0, 1.0]]), np.array([1]), np.random.default_rng(0))
    assert found == pytest.approx([0.4 + 2 * posterior.scale * np.sqrt(0.6)], rel=1e-6)


def test_effect_of_an_item_by_hand() -> None:
    # One feature, the bias; item 7 was shown twice, for rewards 1 and 1; κ = 2, λ = 1.
    statistics = Statistics.none(1, 2.0)
    statistics.add(np.array([7, 7]), np.ones((2, 1)), np.ones(2))
    posterior = statistics.solve(1.0)
    # A = 1 + 2 - 2 · 2 / 4 = 2, b = 2 - 2 · 2 / 4 = 1, θ = 1/2.
    assert posterior.theta == pytest.approx([0.5])
    expected, z, value, variance = posterior.expected(np.ones((2, 1)), ITEMS)
    # Item 7: z = 1 - 2/4, 0.5 · 0.5 + 2/4 = 3/4, of which its own effect is 1/4. Item 9: the bias alone.
    assert expected == pytest.approx([0.75, 0.5])
    assert z[:, 0] == pytest.approx([0.5, 1])
    assert value == pytest.approx([0.5, 0])
    assert variance == pytest.approx([1 / 4, 1 / 2])


def dense(items: np.ndarray, features: np.ndarray, rewards: np.ndarray, ridge: float, shrinkage: float) -> tuple:
    """Mean and covariance of θ and of the effects of items 0 to 2, by one regression on all of them."""
    design = np.hstack([features, np.eye(3)[items]])
    precision = design.T @ design + np.diag([ridge] * features.shape[1] + [shrinkage] * 3)
    return np.linalg.solve(precision, design.T @ rewards), np.linalg.inv(precision)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_sums_batches_corrections_and_single_steps_agree(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    items, features, rewards = rng.integers(0, 3, n), rng.normal(size=(n, 3)), rng.random(n)
    statistics, online = Statistics.none(3, 5.0), OnlinePosterior(3, 3, 2.0, 5.0)
    cut = n // 2
    # The first half is counted before anything has come of it.
    statistics.add(items[:cut], features[:cut], np.zeros(cut))
    statistics.add(items[cut:], features[cut:], rewards[cut:])
    statistics.correct(items[:cut], features[:cut], np.zeros(cut), rewards[:cut])
    for step in range(n):
        online.observe(int(items[step]), features[step], rewards[step])
    mean, covariance = dense(items, features, rewards, 2.0, 5.0)
    asked = rng.normal(size=(3, 3))
    rows = np.hstack([asked, np.eye(3)])
    for posterior in (statistics.solve(2.0), online.posterior()):
        expected, z, _, variance = posterior.expected(asked, np.arange(3))
        np.testing.assert_allclose(expected, rows @ mean, atol=1e-9)
        deviation = np.sqrt(np.einsum("ij,jk,ik->i", rows, covariance, rows))
        np.testing.assert_allclose(posterior.deviation(z, variance), posterior.scale * deviation, atol=1e-9)
    assert statistics.solve(2.0).scale == pytest.approx(online.posterior().scale)


def test_fading_is_weighting() -> None:
    rng = np.random.default_rng(0)
    items, features, rewards = rng.integers(0, 3, 20), rng.normal(size=(20, 2)), rng.random(20)
    faded, weighted = Statistics.none(2, 5.0), Statistics.none(2, 5.0)
    faded.add(items, features, rewards)
    faded.fade(0.25)
    weighted.add(items, features, rewards, 0.25)
    np.testing.assert_allclose(faded.solve(1.0).theta, weighted.solve(1.0).theta)
    assert faded.solve(1.0).scale == pytest.approx(weighted.solve(1.0).scale)


def test_draws_have_the_posteriors_mean_and_deviation() -> None:
    posterior, bandit = small().solve(1.0), Thompson(BanditConfig(bandit="thompson", alpha=1.0, shrinkage=1e12))
    drawn = bandit.draw(posterior, 20_000, np.random.default_rng(1))
    scores = bandit.draw_scores(posterior, drawn, np.array([[0.0, 1.0]]), np.array([1]))[:, 0]
    deviation = posterior.scale * np.sqrt(0.6)
    assert scores.mean() == pytest.approx(0.4, abs=4 * deviation / np.sqrt(20_000))
    assert scores.std() == pytest.approx(deviation, rel=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_bandit_prefers_what_earned_more_and_stays_finite_without_rewards(kind: str) -> None:
    bandit = make_bandit(BanditConfig(bandit=kind, alpha=0.1))  # type: ignore[arg-type]
    statistics = Statistics.none(1, 5.0)
    shown = np.repeat(ITEMS, 200)
    statistics.add(shown, np.ones((400, 1)), np.zeros(400))
    scores = bandit.scores(statistics.solve(1.0), np.ones((2, 1)), ITEMS, np.random.default_rng(0))
    assert np.isfinite(scores).all()
    statistics.add(shown, np.ones((400, 1)), (shown == 9) * 1.0)
    first, second = bandit.scores(statistics.solve(1.0), np.ones((2, 1)), ITEMS, np.random.default_rng(0))
    assert first < second


def test_features_by_hand() -> None:
    # Contents (±2, 0), (0, ±1): center 0, deviations sqrt(8/4) and sqrt(2/4), so P = diag(1/√2, √2) / √2 up to signs.
    contents = np.array([[2.0, 0], [-2, 0], [0, 1], [0, -1]])
    projection = Projection.fit(contents, 2)
    assert np.abs(projection.directions) == pytest.approx(np.array([[0.5, 0], [0, 1]]))
    taste = projection.taste(np.array([[2.0, 0], [0, 1]]))
    # 1 · (2, 0) + 1/2 · (0, 1); projected (1, 1/2), of length √5/2.
    assert taste == pytest.approx([2, 0.5])
    found = projection.features(np.zeros(2), np.ones(2), np.array([[2.0, 0], [np.nan, np.nan]]), taste)
    assert found[0, :5] == pytest.approx([1, 1, 0, 1, 2 / np.sqrt(4.25)])
    assert np.abs(found[0, 5:7]) == pytest.approx([1, 0])
    # √2 · 1 · 1 / (√5/2)
    assert found[0, 7:] == pytest.approx([np.sqrt(2) * 2 / np.sqrt(5), 0])
    assert found[1] == pytest.approx([1, 1, 0, 1, 0, 0, 0, 0, 0])
    assert projection.taste(np.full((1, 2), np.nan)) is None
    assert standing(np.array([1.0, 3.0])) == pytest.approx([-1, 1])
    assert standing(np.array([2.0, 2.0])) == pytest.approx([0, 0])
    assert freshness(np.array([-1.0, 0, 30])) == pytest.approx([1, 1, 0.5])
    assert discount(np.array([1, 3])) == pytest.approx([1, 0.5])


def lists(order: list[int], n_shown: int, explore: float) -> dict[tuple[int, ...], float]:
    """Every ranking with its probability, by going through all of them."""
    found = {}
    for slate in permutations(range(len(order)), n_shown):
        left, chance = list(order), 1.0
        for item in slate:
            chance *= (1 - explore) * (left[0] == item) + explore / len(left)
            left.remove(item)
        found[slate] = chance
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.floats(0, 1), st.integers(0, 100), st.integers(1, 4))
def test_propensities_of_several_orders_are_those_of_all_rankings(
    m: int, n: int, explore: float, seed: int, n_orders: int
) -> None:
    n = min(n, m)
    scores = np.random.default_rng(seed).random((n_orders, m))
    rankings = [lists(list(np.argsort(-row)), n, explore) for row in scores]
    chances = {slate: np.mean([one[slate] for one in rankings]) for slate in rankings[0]}
    slates = np.array(list(chances), dtype=np.int64)
    pools = Pools(np.tile(np.arange(m), (len(slates), 1)), np.zeros((len(slates), m)), slates)
    log = SlateLog(np.zeros(slates.shape), np.ones(slates.shape))
    found = target_of(log, pools, np.repeat(scores[:, None], len(slates), axis=1), explore, has_model=False)
    assert found.conditionals is not None
    for nth, slate in enumerate(chances):
        assert found.conditionals[nth].prod() == pytest.approx(chances[slate], abs=1e-12)
        for k, item in enumerate(slate):
            expected = sum(other for shown, other in chances.items() if shown[k] == item)
            assert found.propensities[nth, k] == pytest.approx(expected, abs=1e-12)
