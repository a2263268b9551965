"""The ranker on made-up candidates: what it can learn, and what its attributions sum to."""

import numpy as np
import pytest

from recsql.errors import ModelError
from workers.ranker.candidates import Candidates, among_best
from workers.ranker.features import component_of, feature_names
from workers.ranker.fitting import N_FOLDS, fit_ranker, folds_of
from workers.ranker.learned import Choices
from workers.ranker.model import Ranker
from workers.ranker.quality import Asked
from workers.ranker.segments import history_limits, learn_by

N_USERS, N_ITEMS = 200, 20


def made_up(sources, rng):
    """Candidates, all of every source, and features that are 0 but for the logs of the parts."""
    n_pairs = N_USERS * N_ITEMS
    parts = rng.random((n_pairs, len(sources)))
    ranks = np.ones_like(parts)
    users, items = np.arange(N_USERS), np.tile(np.arange(N_ITEMS), N_USERS)
    found = Candidates(users, np.full(N_USERS, N_ITEMS), items, parts, ranks, np.ones((N_USERS, len(sources))))
    features = np.zeros((n_pairs, len(feature_names(sources))))
    features[:, : len(sources)] = np.log(parts + 0.02)
    features[:, -1] = 1
    return found, features


def picked(utility, rng):
    """One relevant item a user, drawn by the softmax of utilities: the largest after Gumbel noise."""
    best = (utility + rng.gumbel(size=len(utility))).reshape(N_USERS, N_ITEMS).argmax(axis=1)
    is_hit = np.zeros((N_USERS, N_ITEMS), dtype=bool)
    is_hit[np.arange(N_USERS), best] = True
    return is_hit.ravel()


def asked_of(is_hit):
    users, items = np.nonzero(is_hit.reshape(N_USERS, N_ITEMS))
    return Asked(np.arange(N_USERS), np.ones(N_USERS, dtype=np.int64), users << 32 | items)


def equal_weights(sources, weight):
    return [np.full(len(sources), weight)] * (1 + N_FOLDS)


@pytest.fixture(scope="module")
def gated():
    """Users with a long history go by source a, the others by source b: no weights of all can say that."""
    rng, sources = np.random.default_rng(0), ["a", "b"]
    found, features = made_up(sources, rng)
    is_long = np.arange(N_USERS) % 2 == 0
    features[:, -1] = np.where(is_long, 5.0, 1.0)[found.owner]
    is_hit = picked(12 * np.where(is_long[found.owner], found.parts[:, 0], found.parts[:, 1]), rng)
    weights = equal_weights(sources, 6.0)
    ranker, crossed = fit_ranker(sources, found, features, is_hit, weights)
    return found, features, is_hit, weights, ranker, crossed


def test_ranker_learns_weights_that_depend_on_the_history(gated):
    found, _, is_hit, weights, _, crossed = gated
    asked = asked_of(is_hit)
    weighted = asked.quality(found, found.parts @ weights[0])[0].mean()
    assert asked.quality(found, crossed)[0].mean() > 1.05 * weighted


def test_attributions_sum_to_what_the_network_adds(gated):
    found, features, _, weights, ranker, _ = gated
    added = ranker.scores(found, features) - found.parts @ weights[0]
    assert np.abs(added).max() > 0.1
    assert ranker.attributions(features).sum(axis=1) == pytest.approx(added, abs=1e-6)


def test_attributions_are_the_integral_of_the_gradient():
    # One unit tanh(2 z): from z0 = 0 to z = 1 the slopes 2 (1 - tanh²(2 t)) integrate to tanh(2), times the output, 3.
    names = feature_names(["a"])
    column = names.index("popularity")
    hidden = np.zeros((1, len(names)))
    hidden[0, column] = 2.0
    ranker = Ranker(["a"], np.ones(1), np.zeros(len(names)), np.ones(len(names)), hidden, np.zeros(1), np.array([3.0]))
    features = np.zeros((1, len(names)))
    features[0, 0] = np.log(0.02)
    features[0, column] = features[0, -1] = 1.0
    expected = np.zeros(len(names))
    expected[column] = 3 * np.tanh(2.0)
    assert ranker.attributions(features)[0] == pytest.approx(expected)


def test_item_that_nothing_speaks_for_is_worth_nothing(gated):
    found, _, _, _, ranker, _ = gated
    nothing = Candidates(
        found.user_nos[:1], np.array([1]), np.array([0]), np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 2))
    )
    silent = ranker.means[None].copy()
    silent[0, :8] = [np.log(0.02)] * 2 + [0.0] * 6
    silent[0, -1] = 3.0
    assert ranker.scores(nothing, silent) == pytest.approx(0, abs=1e-6)


def test_nothing_is_added_for_users_without_a_history(gated):
    found, features, _, weights, ranker, _ = gated
    new = features.copy()
    new[:, -1] = 0
    assert ranker.scores(found, new) == pytest.approx(found.parts @ weights[0], abs=1e-9)
    assert not ranker.attributions(new).any()


def test_users_without_a_history_teach_nothing(gated):
    found, features, is_hit, weights, _, _ = gated
    new = features.copy()
    new[:, -1] = 0
    ranker, crossed = fit_ranker(["a", "b"], found, new, is_hit, weights)
    assert not ranker.outputs.any()
    assert crossed == pytest.approx(found.parts @ weights[0])


def test_fit_is_the_same_under_a_seed_and_another_under_another(gated):
    found, features, is_hit, weights, ranker, _ = gated
    again, other = (fit_ranker(["a", "b"], found, features, is_hit, weights, seed)[0] for seed in (0, 1))
    assert np.array_equal(again.hidden, ranker.hidden)
    assert not np.array_equal(other.hidden, ranker.hidden)


def test_feature_that_is_nan_counts_as_its_mean(gated):
    found, features, is_hit, weights, ranker, _ = gated
    broken, mean = features.copy(), features.copy()
    broken[::7, 0], mean[::7, 0] = np.nan, ranker.means[0]
    assert ranker.scores(found, broken) == pytest.approx(ranker.scores(found, mean))
    fitted, crossed = fit_ranker(["a", "b"], found, broken, is_hit, weights)
    assert np.isfinite(fitted.hidden).all()
    assert np.isfinite(crossed).all()


def test_one_source_whose_order_is_right_already_stays_in_order():
    rng = np.random.default_rng(1)
    found, features = made_up(["a"], rng)
    is_hit = picked(10 * found.parts[:, 0], rng)
    _, crossed = fit_ranker(["a"], found, features, is_hit, equal_weights(["a"], 10.0))
    asked = asked_of(is_hit)
    alone = asked.quality(found, found.parts[:, 0])[0].mean()
    assert asked.quality(found, crossed)[0].mean() == pytest.approx(alone, abs=0.02)


def test_policy_keeps_the_ranker(gated):
    found, features, _, _, ranker, _ = gated
    kept = Ranker.from_policy({"a": 6.0, "b": 6.0}, ranker.to_config())
    assert kept.scores(found, features) == pytest.approx(ranker.scores(found, features), abs=1e-5)


@pytest.mark.parametrize("change", [{"arrays": "AAAA"}, {"features": ["popularity"]}, {"sources": ["a"]}])
def test_policy_that_is_damaged_is_refused(gated, change):
    with pytest.raises(ModelError, match="fit it again"):
        Ranker.from_policy({"a": 1.0}, gated[4].to_config() | change)


def test_source_without_a_weight_counts_nothing(gated):
    kept = Ranker.from_policy({"a": 6.0}, gated[4].to_config())
    assert kept.weights.tolist() == [6, 0]


def test_quality_counts_ties_against_us_and_users_without_candidates_as_0():
    # User 1: relevant item 7, tied with item 8, comes second: 1 / log2(3). User 2: items 7 and 9 are relevant, 9 is
    # first and 7 no candidate: 1 / (1 + 1 / log2(3)), recall a half. User 3 has no candidates.
    found = Candidates(
        np.array([1, 2]), np.array([2, 2]), np.array([7, 8, 8, 9]), np.zeros((4, 1)), np.ones((4, 1)), np.ones((2, 1))
    )
    pairs = np.array([1 << 32 | 7, 2 << 32 | 7, 2 << 32 | 9, 3 << 32 | 7])
    ndcg, recall = Asked(np.array([1, 2, 3]), np.array([1, 2, 1]), pairs).quality(found, np.array([0.5, 0.5, 0.1, 0.9]))
    discount = 1 / np.log2(3)
    assert ndcg == pytest.approx([discount, 1 / (1 + discount), 0])
    assert recall.tolist() == [1, 0.5, 0]


def test_among_best_takes_the_lower_number_of_equal_ones():
    nothing = np.zeros((4, 1))
    found = Candidates(np.array([1]), np.array([4]), np.arange(4), nothing, nothing, np.zeros((1, 1)))
    assert among_best(found, np.array([1.0, 2.0, 1.0, 0.0]), 2).tolist() == [True, True, False, False]


class OddAndEven:
    """Segments by the number of the user, and a third one that nobody is in."""

    name = "parity"
    conditions = [("even", {"segment": {"parity": 0}}), ("odd", {"segment": {"parity": 1}})]  # noqa: RUF012

    def segments(self, run, user_nos):
        return user_nos % 2


def test_learn_by_fits_each_segment_and_everybody_where_it_has_nobody():
    rng = np.random.default_rng(0)
    found, _ = made_up(["a", "b"], rng)
    is_even = found.owner % 2 == 0
    is_hit = picked(12 * np.where(is_even, found.parts[:, 0], found.parts[:, 1]), rng)
    folds = folds_of(found, 0)[found.owner]
    choices = Choices(None, [(0, "a"), (1, "b")], asked_of(is_hit), found, is_hit, folds, 0)
    learned = learn_by(choices, OddAndEven())
    everybody = choices.weights(folds >= 0)
    (even_a, even_b), (odd_a, odd_b), rest = learned.weights
    # What the other source says is noise to a segment, and half of the truth to everybody.
    assert even_a > 5 * even_b
    assert odd_b > 5 * odd_a
    assert rest.tolist() == everybody.tolist()
    of_all = choices.asked.quality(found, found.parts @ everybody)[0].mean()
    assert learned.ranked[0].mean() > 1.05 * of_all
    assert choices.asked.quality(found, learned.sums(found, None))[0].mean() > 1.05 * of_all


@pytest.mark.parametrize(
    ("lengths", "limits"),
    [([1, 2, 3, 4, 5, 6], [2, 4, np.inf]), ([0, 0, 0, 0, 9, 9], [0, np.inf]), ([3, 3, 3], [np.inf])],
)
def test_history_limits_share_users_out(lengths, limits):
    assert history_limits(np.array(lengths)).tolist() == limits


@pytest.mark.parametrize(
    ("feature", "component"),
    [("log slit", "ranker slit"), ("popularity", "ranker popularity"), ("newness", "ranker"), ("history", "ranker")],
)
def test_component_of_a_feature_names_the_source(feature, component):
    assert component_of(feature) == component
