"""The simulator: what users do follows from the formulas, and what a policy is worth is known exactly."""

from dataclasses import replace
from itertools import product
from typing import get_args

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from recsql.errors import InputError
from recsql.settings import get_settings
from workers.models.base import Decisions, TrainingData
from workers.simulator.chance import Chance
from workers.simulator.config import SimulatorConfig
from workers.simulator.environment import Environment, State
from workers.simulator.exact import long_run_value, request_values, session_value, slates_of
from workers.simulator.exploration import marginals
from workers.simulator.factors import factorise
from workers.simulator.gym import SlateEnv
from workers.simulator.policies import ModelPolicy, OraclePolicy, RandomPolicy
from workers.simulator.rollout import record, roll_out
from workers.simulator.training import Chain, training_data
from workers.simulator.world import World, movielens_world, simulated_world

SMALL = SimulatorConfig(
    slate_size=2, pool_size=None, repeats=True, organic=0, drift=0.0, patience=2.0, patience_spread=0.0, clickbait=0.5
)


def small_world(n_users: int = 1) -> World:
    """Three items of two topics, and users who like the first."""
    return World(
        topics=np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]),
        quality=np.array([-0.5, 0.5, 0.25]),
        appeal=np.array([1.0, 0.0, -1.0]),
        interests=np.tile([1.0, 0.0], (n_users, 1)),
        patience=np.full(n_users, 2.0),
    )


def begun(environment: Environment) -> State:
    return environment.begin_session(environment.newcomers(np.arange(environment.world.n_users)))[0]


def logistic(logit: float) -> float:
    return 1 / (1 + np.exp(-logit))


def test_attraction_is_the_formula():
    environment = Environment(SMALL, small_world())
    state = replace(begun(environment), satiation=np.array([[2.0, 1.0]]))
    # base -2, taste 2.5, appeal 0.7, satiation 0.25.
    expected = [
        logistic(-2 + 2.5 * 1.0 + 0.7 * 1.0 - 0.25 * 2.0),
        logistic(-2 + 0.0 + 0.0 - 0.25 * 1.0),
        logistic(-2 + 2.5 * 0.5 - 0.7 - 0.25 * 1.5),
    ]
    assert environment.attraction(state, np.array([[0, 1, 2]]))[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("examination", "expected"),
    [
        # Each position by itself: 0.5, 0.8 · 0.4, 0.64 · 0.25.
        ("position", [0.5, 0.32, 0.16]),
        # e2 = 0.5 · 0.6 + 0.5 · 0.8 = 0.7; e3 = 0.7 (0.4 · 0.6 + 0.6 · 0.8) = 0.504.
        ("cascade", [0.5, 0.28, 0.126]),
    ],
)
def test_click_probabilities_are_those_of_the_model(examination, expected):
    config = SMALL.model_copy(update={"examination": examination, "attention": 0.8, "after_click": 0.6})
    world = small_world(40_000)
    environment = Environment(config.model_copy(update={"slate_size": 3}), world)
    attraction = np.tile([0.5, 0.4, 0.25], (world.n_users, 1))
    assert environment.click_probabilities(attraction[:1])[0] == pytest.approx(expected)
    # Four standard errors of 40,000 draws are at most 0.01.
    clicks = environment.respond(begun(environment), attraction)
    assert clicks.mean(0) == pytest.approx(expected, abs=0.01)


def test_satiation_builds_up_fades_and_recovers():
    environment = Environment(SMALL, small_world())
    state = begun(environment)
    state = environment.advance(state, np.array([[0, 2]]), np.array([[True, True]]))
    assert state.satiation[0] == pytest.approx([1.5, 0.5])
    assert state.patience[0] == pytest.approx(2.0 - 1.0 + 0.9 * (-0.5 + 0.25))
    state = environment.advance(state, np.array([[1, 0]]), np.array([[False, False]]))
    assert state.satiation[0] == pytest.approx([1.35, 0.45])
    assert state.patience[0] == pytest.approx(0.775 - 1.0 - 0.5)
    assert environment.is_over(state).all()
    before = state.second[0] - 0
    after, _ = environment.begin_session(state)
    hours = (after.second[0] - before) / 3600
    assert after.satiation[0] == pytest.approx(np.array([1.35, 0.45]) * 2 ** (-hours / 6.0), rel=1e-3)
    assert after.patience[0] == 2.0


def test_drift_keeps_its_spread():
    config = SimulatorConfig(drift=0.4, persistence=0.5)
    world = simulated_world(config, 4000)
    environment = Environment(config, world)
    state = environment.newcomers(np.arange(world.n_users))
    first = state.interests - world.interests
    for _ in range(5):
        state, _ = environment.begin_session(state)
    deviation = state.interests - world.interests
    assert deviation.std() == pytest.approx(0.4, rel=0.02)
    # Five steps of 0.5: a correlation of 1 in 32.
    assert (first * deviation).mean() / 0.16 == pytest.approx(0.5**5, abs=0.03)


def test_same_seed_gives_the_same_log_and_users_do_not_depend_on_each_other():
    config = SimulatorConfig()
    world = simulated_world(config, 40)
    _, log = record(Environment(config, world, 3), OraclePolicy(explore=0.3), 2)
    _, again = record(Environment(config, world, 3), OraclePolicy(explore=0.3), 2)
    assert np.array_equal(log.slates.items, again.slates.items)
    assert np.array_equal(log.clicks, again.clicks)
    fewer = replace(world, interests=world.interests[:5], patience=world.patience[:5])
    _, part = record(Environment(config, fewer, 3), OraclePolicy(explore=0.3), 2)
    assert np.array_equal(part.slates.items, log.slates.items[log.users < 5])
    _, other = record(Environment(config, world, 4), OraclePolicy(explore=0.3), 2)
    assert not np.array_equal(log.clicks[:50], other.clicks[:50])


def test_chance_is_uniform_and_independent():
    users = np.arange(20_000)
    drawn = Chance(1).uniforms("x", 3, users, users * 0 + 7)
    assert drawn.mean(0) == pytest.approx([0.5] * 3, abs=0.01)
    assert drawn.var(0) == pytest.approx([1 / 12] * 3, abs=0.002)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.03
    assert 0 < drawn.min() < drawn.max() < 1


def test_what_was_consumed_is_no_candidate_in_the_session():
    config = SimulatorConfig(pool_size=10)
    world = simulated_world(config, 30, 24)
    environment = Environment(config, world)
    state = begun(environment)
    consumed = np.zeros((30, 24), np.bool_)
    consumed[:, :14] = True
    pools = environment.pools(replace(state, consumed=consumed))
    assert (pools >= 14).all()
    assert (np.sort(pools, axis=1) == np.arange(14, 24)).all()


POLICIES = [RandomPolicy(), OraclePolicy(), OraclePolicy("wavering", 0.4), OraclePolicy("patient", 0.0, worth=2.0)]


@pytest.mark.parametrize("examination", ["position", "cascade"])
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_rollouts_agree_with_the_exact_value(policy, examination):
    config = SMALL.model_copy(update={"examination": examination})
    one = Environment(config, small_world())
    exact = session_value(one, policy, begun(one))
    many = Environment(config, small_world(20_000), 5)
    earned = roll_out(many, policy, 1)
    error = earned.rewards.std() / len(earned.rewards) ** 0.5
    # 8 cases: 3.5 standard errors are missed by chance once in 270 times.
    assert earned.rewards.mean() == pytest.approx(exact.reward, abs=3.5 * error)
    assert earned.lengths.mean() == pytest.approx(exact.length, abs=3.5 * earned.lengths.std() / 20_000**0.5)


def test_exact_value_by_hand():
    # One item in a slate of one, patience 1: a click with probability c gives 0.9 · 0.5 back, so that after a click
    # 0.45 is left and a second request follows; without one all is gone. The second ends it in any case unless clicked:
    # 0.45 - 1 + 0.45 < 0. So the value is c (1 + c'), c' with a satiation of 1 after it.
    config = SMALL.model_copy(update={"slate_size": 1})
    world = World(np.ones((1, 1)), np.array([0.5]), np.zeros(1), np.ones((1, 1)), np.ones(1))
    environment = Environment(config, world)
    first, second = logistic(-2 + 2.5), logistic(-2 + 2.5 - 0.25)
    found = session_value(environment, OraclePolicy(), begun(environment))
    assert found.reward == pytest.approx(first * (1 + second))
    assert found.length == pytest.approx(1 + first)


def test_far_sighted_oracle_beats_greedy_only_where_quality_matters():
    # Two items of one topic: the one looks a little better, the other keeps its promise.
    world = World(np.ones((2, 1)), np.array([-0.9, 0.9]), np.array([0.2, 0.0]), np.ones((1, 1)), np.full(1, 3.0))
    values = {}
    for bonus, worth in product((0.0, 0.9), (0.0, 1.0)):
        config = SMALL.model_copy(update={"slate_size": 1, "bonus": bonus, "max_requests": 8})
        environment = Environment(config, world)
        values[bonus, worth] = session_value(environment, OraclePolicy(worth=worth), begun(environment)).reward
    assert values[0.0, 1.0] == values[0.0, 0.0]
    assert values[0.9, 1.0] > 1.2 * values[0.9, 0.0]


def test_enumeration_refuses_what_it_cannot_do():
    config = SimulatorConfig()
    environment = Environment(config, simulated_world(config, 3))
    with pytest.raises(InputError, match="drawn at random"):
        session_value(environment, RandomPolicy(), begun(environment))
    config = SimulatorConfig(pool_size=None, slate_size=4)
    environment = Environment(config, simulated_world(config, 3, 12))
    with pytest.raises(InputError, match="too many to enumerate"):
        session_value(environment, RandomPolicy(), begun(environment))


def test_long_run_value_reaches_its_precision():
    config = SMALL
    one = Environment(config, small_world())
    exact = session_value(one, OraclePolicy(), begun(one)).reward
    found = long_run_value(config, small_world(4000), OraclePolicy(), precision=0.01)
    assert found.precision <= 0.01
    assert found.reward == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("examination", ["position", "cascade"])
def test_request_values_are_the_mean_of_requests(examination):
    config = SimulatorConfig(slate_size=2, pool_size=5, examination=examination)
    world = simulated_world(config, 3000, 40)
    environment = Environment(config, world)
    policy, state = OraclePolicy(explore=0.5), begun(environment)
    pools = environment.pools(state)
    expected = request_values(environment, policy, state, pools)
    slates = policy.show(environment, state, pools)
    clicks = environment.respond(state, environment.attraction(state, slates.items)).sum(1)
    assert clicks.mean() == pytest.approx(expected.mean(), abs=3.5 * clicks.std() / 3000**0.5)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(1, 3), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_marginals_are_sums_over_all_slates(n_pool, size, explore):
    size = min(size, n_pool)
    ranks, chances = slates_of(n_pool, size, explore)
    table = marginals(n_pool, size, explore)
    assert chances.sum() == pytest.approx(1)
    summed = np.zeros((n_pool, size))
    np.add.at(summed, (ranks, np.arange(size)), chances[:, None])
    assert summed == pytest.approx(table)
    assert table.sum(0) == pytest.approx(np.ones(size))


def test_logged_propensities_are_those_of_the_draws():
    config = SimulatorConfig(slate_size=3, pool_size=4)
    world = simulated_world(config, 4000, 12)
    environment = Environment(config, world)
    state = begun(environment)
    slates = OraclePolicy(explore=0.5).show(environment, state, environment.pools(state))
    table = marginals(4, 3, 0.5)
    for position in range(3):
        shares = np.bincount(slates.ranks[:, position], minlength=4) / 4000
        # Four standard errors of 4,000 draws are at most 0.032.
        assert shares == pytest.approx(table[:, position], abs=0.032)
    assert slates.propensities == pytest.approx(table[slates.ranks, np.arange(3)])
    # Rank 1 at the top: 0.5 + 0.5 / 4; then the next best among three: 0.5 + 0.5 / 3.
    is_order = (slates.ranks == [0, 1, 2]).all(1)
    assert slates.conditionals[is_order][0] == pytest.approx([0.625, 0.5 + 0.5 / 3, 0.75])
    assert (np.sort(slates.ranks, axis=1)[:, 1:] > np.sort(slates.ranks, axis=1)[:, :-1]).all()


def test_random_policy_shows_everything_alike():
    config = SimulatorConfig(slate_size=2, pool_size=5)
    environment = Environment(config, simulated_world(config, 10, 12))
    state = begun(environment)
    slates = RandomPolicy().show(environment, state, environment.pools(state))
    assert slates.propensities == pytest.approx(np.full((10, 2), 0.2))
    assert slates.conditionals == pytest.approx(np.tile([1 / 5, 1 / 4], (10, 1)))


def test_training_data_have_states_actions_and_outcomes():
    config = SimulatorConfig()
    world = simulated_world(config, 20)
    earned, log = record(Environment(config, world, 2), RandomPolicy(), 3)
    data = training_data(log, 20, world.n_items)
    sequences, decided = data.sequences, decisions(data)
    assert decided.rewards.sum() == earned.rewards.sum()
    # Two finds a session, and every click.
    assert len(sequences.items) == 20 * 3 * 2 + earned.rewards.sum()
    assert (np.diff(decided.places) >= 0).all()
    assert (decided.next_places < 0).sum() == 20 * 3
    goes_on = decided.next_places >= 0
    assert (decided.next_places[goes_on] >= decided.places[goes_on]).all()
    assert np.array_equal(decided.next_items[:-1][goes_on[:-1]], decided.items[1:][goes_on[:-1]])
    # Before the first request there is nothing but the two finds.
    assert np.array_equal(decided.places[decided.places < 2], np.ones(3 * log_steps_without_click(log)))
    # A click is the next interaction.
    first = np.flatnonzero(log.clicks.any(1))[0]
    clicked = log.slates.items[first][log.clicks[first]]
    place = decided.places[3 * first]
    assert np.array_equal(sequences.items[place + 1 : place + 1 + len(clicked)], clicked)


def decisions(data: TrainingData) -> Decisions:
    assert data.sequences.decisions is not None
    return data.sequences.decisions


def test_chains_say_what_follows_a_decision():
    config = SimulatorConfig()
    world = simulated_world(config, 20)
    _, log = record(Environment(config, world, 2), RandomPolicy(), 2)
    one, three, whole = (decisions(training_data(log, 20, world.n_items, chain)) for chain in get_args(Chain))
    assert np.array_equal(
        three.next_items[:-3][three.next_items[:-3] >= 0], three.items[3:][three.next_items[:-3] >= 0]
    )
    # Of each session all three decisions of the last request have none after them.
    assert (three.next_items < 0).sum() == 3 * (one.next_items < 0).sum()
    assert np.array_equal(whole.next_places, three.next_places)
    # Two further positions of a mean click each.
    assert whole.rewards - three.rewards == pytest.approx(np.full(len(one.items), 2 * log.clicks.mean()), rel=1e-5)


def log_steps_without_click(log) -> int:
    """Requests of the first user up to and with the first click."""
    return int(np.flatnonzero(log.clicks.any(1))[0]) + 1


def test_a_session_of_too_many_steps_is_left_out():
    config = SimulatorConfig(effort=0.001, boredom=0.0, bonus=0.0, max_requests=200)
    world = simulated_world(config, 2, 24)
    _, log = record(Environment(config, world), RandomPolicy(), 1)
    with pytest.raises(InputError, match="more than 100 decisions"):
        training_data(log, 2, 24, max_steps=100)
    with pytest.raises(ValidationError, match="max_requests"):
        SimulatorConfig(max_requests=100_000)


class Last:
    """A model that likes what is near the newest item."""

    def score(self, histories, items):
        newest = histories.items[histories.offsets[1:] - 1]
        return -np.abs(items - newest[:, None]).astype(np.float32)


def test_model_policy_reads_what_was_consumed():
    config = SimulatorConfig(pool_size=None)
    environment = Environment(config, simulated_world(config, 5, 24))
    state, found = environment.begin_session(environment.newcomers(np.arange(5)))
    ordered, _ = ModelPolicy("last", Last()).order(environment, state, environment.pools(state))  # type: ignore[arg-type]
    assert np.array_equal(ordered[:, 0], found[:, -1])


def test_environment_passes_gymnasium_checks():
    check_env(SlateEnv(), skip_render_check=True)


def test_gymnasium_episode_counts_a_repeated_item_once():
    config = SimulatorConfig(base=20.0, attention=1.0)
    environment = SlateEnv(config, simulated_world(config, 3))
    environment.reset(seed=1, options={"user": 2})
    # Everything is clicked, but the second place repeats the first.
    observation, reward, *_ = environment.step(np.array([4, 4, 7]))
    assert reward == 2.0
    assert observation["clicks"].tolist() == [1, 0, 1]


def test_catalogue_must_fill_a_slate():
    with pytest.raises(InputError, match="cannot fill a slate of 5"):
        simulated_world(SimulatorConfig(slate_size=5), 10, 2)
    with pytest.raises(InputError, match="0 users"):
        simulated_world(SimulatorConfig(), 0)
    config = SimulatorConfig()
    environment = Environment(config, simulated_world(config, 2))
    with pytest.raises(InputError, match="0 sessions"):
        roll_out(environment, RandomPolicy(), 0)
    with pytest.raises(InputError, match="probability"):
        OraclePolicy(explore=1.5)


def test_factorise_finds_a_product():
    rng = np.random.default_rng(0)
    rows, columns = rng.uniform(0, 1, (30, 2)), rng.uniform(0, 1, (20, 2))
    left, right = factorise(rows @ columns.T, 2, seed=1)
    assert left @ right.T == pytest.approx(rows @ columns.T, abs=0.05)
    assert (left >= 0).all()
    assert (right >= 0).all()


@pytest.mark.data
def test_movielens_users_like_what_real_ones_liked(data_dir, monkeypatch):
    monkeypatch.setenv("RECSQL_DATA", str(data_dir("ml-100k").parent))
    get_settings.cache_clear()
    world = movielens_world(SimulatorConfig(), 50)
    get_settings.cache_clear()
    # Of its 1,682 films, those that somebody gave 4 or 5 stars.
    assert 1400 < world.n_items < 1682
    assert world.topics.shape == (world.n_items, 8)
    assert world.topics.sum(1) == pytest.approx(np.ones(world.n_items))
    assert world.interests.max(1) == pytest.approx(np.ones(50))
    # Star Wars (50) and The Empire Strikes Back (172) go together, and not with The English Patient (286).
    rows = [world.item_ids.index(item) for item in ("50", "172", "286")]
    shares = world.topics[rows] / np.linalg.norm(world.topics[rows], axis=1, keepdims=True)
    assert shares[0] @ shares[1] > shares[0] @ shares[2] + 0.2
