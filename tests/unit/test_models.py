"""What every model must do, then what each must compute."""

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from torch import nn

from recsql.errors import ModelError, NotFoundError
from workers.models.base import Model, Sequences, TrainingData, TrainingOptions
from workers.models.item_weights import History
from workers.models.registry import MODELS, get_model, load_artifact, save_artifact
from workers.models.training import TrainingConfig
from workers.models.validation import ndcg_at_10
from workers.ranker.weights import fit_weights

N_ITEMS = 20
SEQUENCE = {"dim": 16, "max_length": 8, "learning_rate": 0.01, "epochs": 40, "patience": 40, "batch_tokens": 256}
DECISIONS = {"dim": 16, "max_length": 8, "learning_rate": 0.01, "epochs": 12, "batch_tokens": 64}
SMALL: dict[str, dict[str, Any]] = {
    "als": {"factors": 2, "alpha": 5.0},
    "bpr": {"factors": 4},
    "ease": {"lambda_": 10.0},
    "ease_whole": {"lambda_": 10.0},
    "neumf": {"dim": 8, "layers": (16, 8), "learning_rate": 0.01, "epochs": 20, "batch_size": 64},
    "slit": {"ridge": (10.0, 10.0)},
    "transformer": {"dim": 16, "max_length": 8, "learning_rate": 0.01, "epochs": 12, "batch_tokens": 256},
    "gru4rec": {**SEQUENCE, "hidden_dim": 16},
    "joint": {"dim": 16, "max_length": 8, "learning_rate": 0.01, "epochs": 12, "batch_tokens": 256, "n_negatives": 8},
    "nextitnet": {**SEQUENCE, "kernel_size": 2, "dilations": (1,), "dropout": 0.0},
    "bert4rec": {**SEQUENCE, "masked": 0.4},
    "q_learning": DECISIONS,
    "cql": DECISIONS,
    "slate_q": {**DECISIONS, "ahead_dim": 2},
    "sqn": DECISIONS,
    "reinforce": DECISIONS,
    "sarsa": DECISIONS,
    "two_tower": {"dim": 16, "hidden": 16, "learning_rate": 0.01, "epochs": 20, "batch_size": 64, "n_negatives": 16},
}


def new_model(name: str, **options: Any) -> Model:
    model = get_model(name)
    return model(model.Config(**{**SMALL[name], **options}))


def checkerboard(n_users: int = 60) -> TrainingData:
    """Even users have had seven of the even items, odd users seven of the odd ones; the target is another of them."""
    rng = np.random.default_rng(7)
    orders = [rng.permutation(N_ITEMS // 2) * 2 + user % 2 for user in range(n_users)]
    targets = Sequences.from_lists([order[7:8].tolist() for order in orders])
    return TrainingData(Sequences.from_lists([order[:7].tolist() for order in orders]), N_ITEMS, targets=targets)


def everything(n_users: int, n_items: int = N_ITEMS) -> np.ndarray:
    return np.tile(np.arange(n_items), (n_users, 1))


@pytest.fixture(scope="module", params=sorted(MODELS))
def fitted(request: pytest.FixtureRequest) -> Model:
    model = new_model(request.param)
    model.fit(checkerboard())
    return model


def test_model_ranks_the_checkerboard(fitted: Model) -> None:
    data = checkerboard()
    scores = fitted.score(data.sequences, everything(data.sequences.n_users))
    for user in range(data.sequences.n_users):
        unseen = np.setdiff1d(np.arange(N_ITEMS), data.sequences.of(user))
        best = unseen[np.argsort(-scores[user, unseen])][:3]
        # Three items of the user's colour are left; whatever their order, they come before the ten of the other.
        assert set(best % 2) == {user % 2}


def test_model_with_the_same_seed_gives_the_same_scores(fitted: Model) -> None:
    again = new_model(fitted.name)
    again.fit(checkerboard(), TrainingOptions(seed=0))
    histories = checkerboard().sequences
    items = everything(histories.n_users)
    np.testing.assert_array_equal(again.score(histories, items), fitted.score(histories, items))


def test_model_saved_equals_loaded(fitted: Model) -> None:
    loaded = load_artifact(save_artifact(fitted))
    histories = checkerboard().sequences
    items = everything(histories.n_users)
    assert type(loaded) is type(fitted)
    assert loaded.config == fitted.config
    np.testing.assert_array_equal(loaded.score(histories, items), fitted.score(histories, items))


def test_model_unknown_ids_are_nan(fitted: Model) -> None:
    histories = Sequences.from_lists([[0, 2], [], [N_ITEMS + 5], [2, N_ITEMS + 5]])
    scores = fitted.score(histories, np.tile([4, -1, N_ITEMS, 10**9], (4, 1)))
    # Users 1 and 2 have no history that the model knows.
    expected = [[False, True, True, True], [True] * 4, [True] * 4, [False, True, True, True]]
    assert np.isnan(scores).tolist() == expected
    alone = fitted.score(Sequences.from_lists([[2]]), np.array([[4]]))
    assert scores[3, 0] == pytest.approx(alone[0, 0], rel=1e-4)


def test_model_order_and_number_of_candidates_are_irrelevant(fitted: Model) -> None:
    histories = checkerboard().sequences
    items = everything(histories.n_users)
    scores = fitted.score(histories, items)
    order = np.random.default_rng(1).permutation(N_ITEMS)
    np.testing.assert_array_equal(fitted.score(histories, items[:, order]), scores[:, order])
    np.testing.assert_array_equal(fitted.score(histories, items[:, 3:5]), scores[:, 3:5])
    assert fitted.score(histories, items[:, :0]).shape == (histories.n_users, 0)


def test_model_reads_weights_only_where_it_says_so(fitted: Model) -> None:
    histories = checkerboard().sequences
    rng = np.random.default_rng(3)
    weighed = Sequences(
        histories.items, histories.offsets, rng.uniform(0.2, 5, len(histories.items)).astype(np.float32)
    )
    is_same = np.array_equal(
        fitted.score(histories, everything(60)), fitted.score(weighed, everything(60)), equal_nan=True
    )
    assert is_same != fitted.reads_weights


def test_model_vectors_give_the_score(fitted: Model) -> None:
    histories = Sequences.from_lists([[0, 2], [], [1, 3, 5]])
    users, items = fitted.user_vectors(histories), fitted.item_vectors()
    if users is None or items is None:
        pytest.skip("not served by vectors")
    np.testing.assert_allclose(users @ items.T, fitted.score(histories, everything(3)), rtol=1e-4, atol=1e-5)
    assert np.isnan(users).all(axis=1).tolist() == [False, True, False]


def test_model_neighbours_give_the_ranking(fitted: Model) -> None:
    if fitted.neighbours(N_ITEMS) is None:
        pytest.skip("not a sum of weighted joins")
    # Of a user who had item 4 alone each list says what its row says; the newest item weighs 1 in all of them.
    expected = np.zeros(N_ITEMS)
    for nth in range(len(fitted.sources)):
        found = fitted.neighbours(N_ITEMS, nth)
        assert found is not None
        items, weights = found
        is_there = items[4] >= 0
        expected[items[4][is_there]] += weights[4][is_there]
    scores = fitted.score(Sequences.from_lists([[4]]), everything(1))
    np.testing.assert_allclose(scores[0], expected, atol=1e-7)


def test_model_refuses_an_unknown_option(fitted: Model) -> None:
    with pytest.raises(ValidationError, match="no_such_option"):
        fitted.Config(no_such_option=1)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("joint", {"loss": "gbce"}, "loss must be softmax"),
        ("transformer", {"items": "content", "adversarial": 0.1}, "adversarial must be 0"),
    ],
)
def test_options_without_effect_are_refused(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        new_model(name, **options)


def test_loaded_model_goes_where_it_is_told(fitted: Model) -> None:
    loaded = load_artifact(save_artifact(fitted))
    loaded.use_device("meta")
    models = [loaded, *(part for part in vars(loaded).values() if isinstance(part, Model))]
    layers = [part for model in models for part in vars(model).values() if isinstance(part, nn.Module)]
    assert bool(layers) == issubclass(fitted.Config, TrainingConfig)
    assert {weight.device.type for layer in layers for weight in layer.parameters()} <= {"meta"}


def test_model_refuses_a_bad_artifact(fitted: Model) -> None:
    blob = save_artifact(fitted)
    for cut in (0, 7, 40, len(blob) // 2, len(blob) - 1):
        with pytest.raises(ModelError):
            load_artifact(blob[:cut])
    for place in (3, 20, 60, 200, len(blob) // 2, len(blob) - 1):
        flipped = bytearray(blob)
        flipped[place] ^= 0x10
        with pytest.raises(ModelError):
            load_artifact(bytes(flipped))


def test_model_refuses_an_array_that_is_missing_or_of_wrong_shape(fitted: Model) -> None:
    for name, array in fitted.state().items():
        other = new_model(fitted.name)
        with pytest.raises(ModelError, match="train this model again"):
            other.restore({**fitted.state(), name: array[..., :-1]})
        with pytest.raises(ModelError, match="train this model again"):
            other.restore({key: value for key, value in fitted.state().items() if key != name})


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize(
    ("histories", "n_items"),
    [([], 0), ([[], []], 0), ([], 3), ([[0], [1]], 3), ([[0, 1, 2], [2], []], 3), ([[0, 0, 1], [0, 1, 1]], 2)],
)
def test_model_survives_tiny_data(name: str, histories: list[list[int]], n_items: int) -> None:
    model = new_model(name, **({"epochs": 2} if "epochs" in SMALL[name] else {}))
    sequences = Sequences.from_lists(histories)
    targets = Sequences.from_lists([list(range(n_items))[-1:]] * len(histories))
    measured = model.fit(TrainingData(sequences, n_items, targets=targets))
    assert all(math.isfinite(value) for value in measured.values())
    scores = load_artifact(save_artifact(model)).score(sequences, everything(len(histories), n_items + 1))
    assert scores.shape == (len(histories), n_items + 1)
    assert np.isnan(scores[:, n_items]).all()


def test_registry_unknown_model_names_the_known() -> None:
    with pytest.raises(NotFoundError, match=r"known are .*ease, ease_whole, .*transformer"):
        get_model("oracle")


def test_ease_values() -> None:
    # Users {0, 1} and {1, 2} with lambda 1: XᵀX + I = [[2, 1, 0], [1, 3, 1], [0, 1, 2]], determinant 8, inverse
    # 1/8 [[5, -2, 1], [-2, 4, -2], [1, -2, 5]]; each column divided by minus its diagonal is
    expected = [[0, 0.5, -0.2], [0.4, 0, 0.4], [-0.2, 0.5, 0]]
    model = new_model("ease", lambda_=1.0)
    model.fit(TrainingData(Sequences.from_lists([[0, 1], [2, 1]]), 3))
    np.testing.assert_allclose(model.state()["weights"], [expected], atol=1e-6)
    # Newest 1, one step back 0: item 2 gets 0.4 + 0.7 × -0.2.
    score = model.score(Sequences.from_lists([[0, 1]]), np.array([[2]]))
    assert score[0, 0] == pytest.approx(0.26)
    found = model.neighbours(2)
    assert found is not None
    assert found[0][[0, 2]].tolist() == [[1, 2], [1, 0]]
    assert set(found[0][1]) == {0, 2}
    np.testing.assert_allclose(found[1], [[0.5, -0.2], [0.4, 0.4], [0.5, -0.2]], rtol=1e-6)
    strongest = model.neighbours(1)
    assert strongest is not None
    assert strongest[0][[0, 2]].tolist() == [[1], [1]]


def test_ease_repeats_count_once_in_training() -> None:
    once, twice = new_model("ease"), new_model("ease")
    once.fit(TrainingData(Sequences.from_lists([[0, 1], [1, 2]]), 3))
    twice.fit(TrainingData(Sequences.from_lists([[0, 1, 0], [1, 2, 2]]), 3))
    np.testing.assert_array_equal(once.state()["weights"], twice.state()["weights"])


def test_ease_refuses_a_catalogue_that_is_too_large() -> None:
    with pytest.raises(ModelError, match="max_items"):
        new_model("ease", max_items=2).fit(TrainingData(Sequences.from_lists([[0, 1]]), 3))


def test_transformer_ranks_a_new_item_by_its_content() -> None:
    # Colour is the content's first number. Items 18 and 19 are new; those of the user's colour must win.
    board = checkerboard()
    histories = [[i for i in board.sequences.of(user) if i < 18] for user in range(board.sequences.n_users)]
    noise = np.random.default_rng(3).normal(scale=0.1, size=(N_ITEMS, 4))
    content = (np.array([[1 - 2 * (item % 2), 0, 0, 0] for item in range(N_ITEMS)]) + noise).astype(np.float32)
    model = new_model("transformer")
    model.fit(TrainingData(Sequences.from_lists(histories), N_ITEMS, content=content))
    scores = model.score(Sequences.from_lists([[0, 2, 4], [1, 3, 5]]), np.array([[18, 19], [18, 19]]))
    assert scores[0, 0] > scores[0, 1]
    assert scores[1, 1] > scores[1, 0]


def test_transformer_new_item_without_content_is_unknown() -> None:
    content = np.ones((3, 2), dtype=np.float32) * np.array([[1], [2], [np.nan]], dtype=np.float32)
    model = new_model("transformer", epochs=1)
    model.fit(TrainingData(Sequences.from_lists([[0, 1], [1, 0]]), 3, content=content))
    assert np.isnan(model.score(Sequences.from_lists([[0]]), np.array([[0, 1, 2]]))).tolist() == [[False, False, True]]


def test_transformer_ranks_the_checkerboard_with_sampled_negatives() -> None:
    data = checkerboard()
    model = new_model("transformer", full_softmax_items=5, n_negatives=16)
    measured = model.fit(data)
    # By chance a target is at a mean NDCG of about 0.35; among the three of its colour it is at 0.71.
    assert measured["ndcg@10"] > 0.6


def test_transformer_keeps_the_best_epoch_and_runs_all_without_targets() -> None:
    data = checkerboard()
    notes: list[int] = []
    options = TrainingOptions(progress=lambda done, total, note: notes.append(done))
    measured = new_model("transformer", patience=2).fit(data, options)
    assert measured["epochs"] == min(notes[-1], notes[-1] - 2 if notes[-1] < 12 else measured["epochs"])
    blind = new_model("transformer", epochs=3).fit(TrainingData(data.sequences, N_ITEMS))
    assert blind["epochs"] == 3
    assert "ndcg@10" not in blind


def test_transformer_says_that_training_diverged() -> None:
    with pytest.raises(ModelError, match="lower learning_rate"):
        new_model("transformer", learning_rate=1e30, average=0.0).fit(checkerboard())


def test_validation_counts_ties_against_the_model() -> None:
    # User 0 has seen item 3, which is best. Item 1 is wanted, ties with 2 and is below 0: third, 1 / log2(4) = 0.5.
    # User 1 wants the best: 1. User 2 has no target and does not count.
    scores = np.array([[5, 2, 2, 9], [1, 2, 3, 4], [1, 2, 3, 4]], dtype=np.float32)
    sequences = Sequences.from_lists([[3], [0], [0]])
    targets = Sequences.from_lists([[1], [3], []])
    assert ndcg_at_10(lambda rows: scores[rows], sequences, targets) == pytest.approx(0.75)


def test_validation_gives_the_share_of_the_best_that_several_targets_could_have() -> None:
    # Of twelve items both have had item 0. User 0 wants 1 and 3, which stand first and third: 1 + 1 / log2(4) = 1.5 of
    # 1 + 1 / log2(3) = 1.630930. User 1 wants 9 and 10, which tie with 8 and come after it, ninth and tenth, and 11,
    # which is eleventh and counts nothing: 1 / log2(10) + 1 / log2(11) = 0.590095 of 1 + 1 / log2(3) + 1 / log2(4).
    falling = np.arange(12, 0, -1, dtype=np.float32)
    tied = np.array([0, *falling[1:8], 1, 1, 1, 0], dtype=np.float32)
    scores = np.stack([falling, tied])
    sequences = Sequences.from_lists([[0], [0]])
    targets = Sequences.from_lists([[1, 3], [9, 10, 11]])
    expected = (1.5 / 1.6309297536 + 0.5900947330 / 2.1309297536) / 2
    assert ndcg_at_10(lambda rows: scores[rows], sequences, targets) == pytest.approx(expected)


def test_fusion_weights_find_the_source_that_knows() -> None:
    rng = np.random.default_rng(5)
    users = np.repeat(np.arange(200), 50)
    is_target = np.tile(np.arange(50) == 0, 200)
    informative = rng.normal(size=len(users)) + 3 * is_target
    harmful = rng.normal(size=len(users)) - is_target
    parts = np.column_stack([informative, rng.normal(size=len(users)), harmful])
    weights = fit_weights(parts, users, is_target)
    # A normal of mean 3 against one of mean 0, both of variance 1, has log-odds 3 x: the estimate is near 3.
    assert weights[0] == pytest.approx(3, abs=0.4)
    assert weights[1] < 0.3
    assert weights[2] == 0
    shuffled = rng.permutation(len(users))
    again = fit_weights(parts[shuffled], users[shuffled], is_target[shuffled])
    np.testing.assert_allclose(again, weights, atol=1e-3)


def test_fusion_weights_without_any_target_are_equal() -> None:
    weights = fit_weights(np.ones((4, 2)), np.array([0, 0, 1, 1]), np.zeros(4, dtype=bool))
    assert weights.tolist() == [0.5, 0.5]


def test_fusion_weights_count_every_user_once() -> None:
    # Of three candidates, each told by a source of its own. Ten users went on to the first alone, ten to the other two.
    parts, users = np.tile(np.eye(3), (20, 1)), np.repeat(np.arange(20), 3)
    is_target = np.concatenate([np.tile([True, False, False], 10), np.tile([False, True, True], 10)])
    first, second, third = fit_weights(parts, users, is_target)
    assert second == pytest.approx(third, abs=1e-4)
    # Shares of a half and of a quarter, but for the penalty; counted by targets, all three would be alike.
    assert first > second + 0.3


def test_ease_whole_counts_a_history_alike() -> None:
    # The weights of test_ease_values; items 0 and 1 both count in full, so item 2 gets -0.2 + 0.4.
    model = new_model("ease_whole", lambda_=1.0)
    model.fit(TrainingData(Sequences.from_lists([[0, 1], [2, 1]]), 3))
    score = model.score(Sequences.from_lists([[0, 1]]), np.array([[2]]))
    assert score[0, 0] == pytest.approx(0.2)


def slit_by_definition(
    histories: list[list[int]],
    weights: list[list[float]],
    n_items: int,
    near: Any,
    far: Any,
    ridge: tuple[float, float],
) -> np.ndarray:
    """Both matrices from dense X and Y, place by place; no reverse and no damping; future of 2, weights of mean 1."""
    rows, targets = [], []
    for items, counts in zip(histories, weights, strict=True):
        for t in range(len(items)):
            x, y = np.zeros(2 * n_items), np.zeros(n_items)
            for s in range(t + 1):
                x[items[t - s]] += near(s) * counts[t - s]
                x[n_items + items[t - s]] += far(s) * counts[t - s]
            for g in (1, 2):
                if t + g < len(items):
                    y[items[t + g]] += counts[t + g] / g
            rows.append(x)
            targets.append(y)
    x, y = np.array(rows), np.array(targets)
    learned = np.linalg.solve(x.T @ x + np.diag(np.repeat(ridge, n_items)), x.T @ y).reshape(2, n_items, n_items)
    learned[:, np.arange(n_items), np.arange(n_items)] = 0
    return learned


SLIT_PLAIN: dict[str, Any] = {
    "histories": (
        {"decay": "harmonic", "rate": 1.0, "length": 2},
        {"decay": "geometric", "rate": 0.9, "length": 4},
    ),
    "ridge": (2.0, 5.0),
    "future_length": 2,
    "reverse": 0.0,
    "popularity_power": 0.0,
}


def test_slit_is_the_regression_of_its_definition() -> None:
    # More places than either history reads, an item that comes twice, a user with a single item.
    histories = [[0, 1, 2, 3, 1, 4, 0], [2, 3], [4], [3, 0, 2, 1]]
    model = new_model("slit", **SLIT_PLAIN)
    model.fit(TrainingData(Sequences.from_lists(histories), 5))
    expected = slit_by_definition(
        histories,
        [[1.0] * len(items) for items in histories],
        5,
        lambda s: 1 / (1 + s) if s < 2 else 0,
        lambda s: 0.9**s if s < 4 else 0,
        (2.0, 5.0),
    )
    np.testing.assert_allclose(model.state()["weights"], expected, atol=1e-6)
    # Newest 3, before it 1, before that 0, which the near history no longer reads.
    score = model.score(Sequences.from_lists([[0, 1, 3]]), np.array([[2]]))
    near, far = expected[:, :, 2]
    assert score[0, 0] == pytest.approx(near[3] + near[1] / 2 + far[3] + 0.9 * far[1] + 0.81 * far[0], abs=1e-6)


def test_slit_weighs_events_in_units_of_their_mean() -> None:
    histories, counts = [[0, 1, 2, 0], [2, 1, 0]], [[1.0, 3.0, 1.0, 1.0], [1.0, 1.0, 6.0]]
    mean = 14 / 7
    sequences = Sequences.from_lists(histories)
    weighted = Sequences(sequences.items, sequences.offsets, np.concatenate(counts).astype(np.float32))
    model = new_model("slit", **SLIT_PLAIN)
    model.fit(TrainingData(weighted, 3))
    expected = slit_by_definition(
        histories,
        [[count / mean for count in row] for row in counts],
        3,
        lambda s: 1 / (1 + s) if s < 2 else 0,
        lambda s: 0.9**s if s < 4 else 0,
        (2.0, 5.0),
    )
    np.testing.assert_allclose(model.state()["weights"], expected, atol=1e-6)
    # In a score an event counts as SQL counts it: by its own weight.
    score = model.score(
        Sequences(sequences.items[4:5], np.array([0, 1]), np.array([2.5], dtype=np.float32)), np.array([[1]])
    )
    assert score[0, 0] == pytest.approx(2.5 * expected[:, 2, 1].sum(), abs=1e-6)


def test_slit_reverse_and_popularity() -> None:
    # One user had 0 then 1, another 0. Rows of X: near and long past after each of the three events, one step back
    # weighing 1/2 and 0.9. Only the first event has something after it. Damping by 1 halves column 0, which two had.
    histories = Sequences.from_lists([[0, 1], [0]])
    plain = new_model("slit", **SLIT_PLAIN | {"reverse": 0.5})
    damped = new_model("slit", **SLIT_PLAIN | {"reverse": 0.5, "popularity_power": 1.0})
    for model in (plain, damped):
        model.fit(TrainingData(histories, 2))
    past = np.array([[1, 0, 1, 0], [0.5, 1, 0.9, 1], [1, 0, 1, 0]])
    one_way = past.T @ np.array([[0, 1], [0, 0], [0, 0]])
    both_ways = np.concatenate([one_way[:2] + one_way[:2].T / 2, one_way[2:] + one_way[2:].T / 2])
    learned = np.linalg.solve(past.T @ past + np.diag([2.0, 2.0, 5.0, 5.0]), both_ways).reshape(2, 2, 2)
    learned[:, [0, 1], [0, 1]] = 0
    np.testing.assert_allclose(plain.state()["weights"], learned, atol=1e-6)
    np.testing.assert_allclose(damped.state()["weights"], learned / [2, 1], atol=1e-6)


def test_slit_does_not_look_across_users() -> None:
    model = new_model("slit")
    model.fit(checkerboard())
    # Nobody had an even and an odd item.
    assert not model.state()["weights"][:, ::2, 1::2].any()


@pytest.mark.parametrize(
    ("decay", "rate", "expected"), [("harmonic", 0.5, [1, 2 / 3, 0.5]), ("geometric", 0.5, [1, 0.5, 0.25])]
)
def test_history_weighs_steps_as_sql_does(decay: Any, rate: float, expected: list[float]) -> None:
    history = History(decay=decay, rate=rate, length=3)
    np.testing.assert_allclose(history.weights(np.arange(5)), [*expected, 0, 0], rtol=1e-6)
