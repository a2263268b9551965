"""Policies learnt from feedback: their decision processes, losses by hand, and values against exact ones."""

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from recsql.errors import ModelError
from workers.models.base import Decisions, Model, Sequences, TrainingData
from workers.models.batching import Batch, NegativeSampler, training_batches
from workers.models.cql import CqlConfig, CqlLoss
from workers.models.decisions import check_decisions, derived_decisions, returns_of, steps_of
from workers.models.events import Events
from workers.models.item_tables import ItemTables
from workers.models.joint import JointConfig, JointLoss
from workers.models.learner import Learner
from workers.models.q_learning import QLearning
from workers.models.q_values import ValueConfig, ValueLoss
from workers.models.registry import get_model
from workers.models.reinforce import ReinforceConfig, ReinforceLoss
from workers.models.sarsa import Sarsa
from workers.models.slate_q import SlateQ, SlateQConfig, later_rewards
from workers.models.sqn import SqnConfig, SqnLoss
from workers.models.start import fresh_windows

F32 = np.float32
NAN = math.nan


def decisions(rows: Iterable[tuple[int, int, float, int, int, float]]) -> Decisions:
    """Rows of place, item, reward, next place, next item and propensity."""
    columns = list(zip(*rows, strict=True)) or [()] * 6
    places, items, rewards, next_places, next_items, propensities = columns
    whole = [np.array(column, dtype=np.int64) for column in (places, items, next_places, next_items)]
    parts = [np.array(column, dtype=F32) for column in (rewards, propensities)]
    return Decisions(whole[0], whole[1], parts[0], whole[2], whole[3], parts[1])


def test_decisions_are_derived_from_what_users_did() -> None:
    # User 0 has items 5, 6, 7 and, after an hour's silence, 8; user 1 has item 9 alone; user 2 items 5 and 6.
    sequences = Sequences(
        np.array([5, 6, 7, 8, 9, 5, 6]),
        np.array([0, 4, 5, 7]),
        np.array([1, 2, 3, 4, 5, 6, 7], dtype=F32),
        times=np.array([0, 10, 20, 4000, 0, 0, 1800]),
    )
    found = derived_decisions(sequences, session_gap=1800)
    assert found.places.tolist() == [0, 1, 2, 5]
    assert found.items.tolist() == [6, 7, 8, 6]
    assert found.rewards.tolist() == [2, 3, 4, 7]
    # The session ends with item 7, behind which there is the silence, and with the last items of users 0 and 2.
    assert found.next_places.tolist() == [1, -1, -1, -1]
    assert found.next_items.tolist() == [7, -1, -1, -1]
    assert np.isnan(found.propensities).all()
    # Without times only users' last interactions end a session.
    untimed = derived_decisions(replace(sequences, times=None), session_gap=1800)
    assert untimed.next_places.tolist() == [1, 2, -1, -1]


def test_returns_add_up_the_rest_of_the_session() -> None:
    # Of one list two items are offered at place 0, then one at place 1: 1 + ½ (2 + ½ 4) = 3, 2 + ½ 4 = 4, 4; then
    # another session: 8.
    held = decisions([(0, 5, 1, 0, 6, 1), (0, 6, 2, 1, 5, 1), (1, 5, 4, -1, -1, 1), (1, 5, 8, -1, -1, 1)])
    assert returns_of(held, 0.5).tolist() == [3, 4, 4, 8]
    assert returns_of(held, 0.0).tolist() == [1, 2, 4, 8]
    assert returns_of(decisions([]), 0.5).tolist() == []


def test_returns_of_a_long_session() -> None:
    n = 100_000
    after = np.append(np.arange(1, n), -1)
    items, ones = np.zeros(n, dtype=np.int64), np.ones(n, dtype=F32)
    held = Decisions(np.arange(n), items, ones, after, np.where(after < 0, -1, 0), ones)
    found = returns_of(held, 0.9)
    # 1 / (1 - 0.9) far from the end, 1 + 0.9 one step before it.
    assert found[[0, -2, -1]] == pytest.approx([10, 1.9, 1], rel=1e-6)


def test_decisions_of_pieces_are_those_whose_next_state_is_there() -> None:
    held = decisions([(0, 9, 1, 1, 8, 1), (1, 8, 2, 2, 7, 1), (2, 7, 3, -1, -1, 0.5), (3, 6, 4, -1, -1, 1)])
    # The piece of interactions 1 and 2, put at place 10: of the decision at 0 nothing is there.
    found = held.of_pieces(np.array([1]), np.array([2]), np.array([10]))
    assert [array.tolist() for array in vars(found).values()] == [[10, 11], [8, 7], [2, 3], [11, -1], [7, -1], [1, 0.5]]
    # Of interaction 1 alone, the next state lies outside.
    assert held.of_pieces(np.array([1]), np.array([1]), np.array([0])).places.tolist() == []


@given(st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=6), st.integers(1, 5), st.integers(0, 9))
def test_batches_carry_decisions_at_their_places(histories: list[list[int]], max_length: int, seed: int) -> None:
    plain = Sequences.from_lists(histories)
    sequences = replace(plain, decisions=derived_decisions(plain, math.inf))
    rng, met = np.random.default_rng(seed), 0
    for batch in training_batches(sequences, max_length, 8, rng, with_decisions=True):
        parts = [batch.share(rank, 2) for rank in range(2)]
        held = batch.decisions
        assert held is not None
        met += len(held.places)
        assert sum(len(part.decisions.places) for part in parts if part.decisions is not None) == len(held.places)
        for part in (batch, *parts):
            flat, mine = part.inputs.reshape(-1), part.decisions
            assert mine is not None
            following = part.targets.reshape(-1)
            # What was decided at a place came next, and is what the next state's newest interaction is of.
            assert (following[mine.places] == mine.items).all()
            goes_on = mine.next_places >= 0
            assert (flat[mine.next_places[goes_on]] == mine.items[goes_on]).all()
    if max(map(len, histories)) <= max_length:
        assert met == sum(max(len(history) - 1, 0) for history in histories)


def test_fresh_windows_keep_decisions() -> None:
    # Six interactions, of which the last two are new: pieces of two and the one before them.
    plain = Sequences.from_lists([[0, 1, 2, 3, 4, 5]])
    sequences = replace(plain, decisions=derived_decisions(plain, math.inf))
    found = fresh_windows(sequences, np.array([4]), reach=2, replay=0, rng=np.random.default_rng(0))
    assert found.items.tolist() == [3, 4, 5]
    assert found.decisions is not None
    assert found.decisions.places.tolist() == [0, 1]
    assert found.decisions.next_places.tolist() == [1, -1]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ((7, 0, 1, -1, -1, 1), "interaction that there is not"),
        ((-1, 0, 1, -1, -1, 1), "interaction that there is not"),
        ((1, 0, 1, 0, 0, 1), "order"),
        ((0, 9, 1, -1, -1, 1), "not of the catalogue"),
        ((0, 0, 1, 1, -1, 1), "not of the catalogue"),
        ((0, 0, NAN, -1, -1, 1), "no finite number"),
        ((0, 0, 1, -1, -1, 0), "no probability"),
        ((0, 0, 1, -1, -1, 1.5), "no probability"),
    ],
)
def test_decisions_that_nothing_can_be_learnt_from_are_refused(row: Any, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        check_decisions(decisions([row]), n_interactions=2, n_items=3)
    check_decisions(decisions([(0, 0, 1, 1, 2, NAN), (1, 2, 0, -1, -1, 0.5)]), n_interactions=2, n_items=3)


class Lookup(nn.Module):
    """The state after an interaction is the input vector of its item."""

    def forward(self, events: Events, item_inputs: Tensor) -> Tensor:
        return functional.embedding(events.items, item_inputs)


def learner(**options: bool) -> Learner:
    """Two items of width 1: input vectors 1 and 2, output vectors 0.5 and 2."""
    tables = ItemTables(torch.zeros(2, 0), torch.ones(2, dtype=torch.bool), 1, "id")
    with torch.no_grad():
        tables.input_id.copy_(torch.tensor([[1.0], [2.0]]))
        tables.output_id.copy_(torch.tensor([[-0.5], [0.0]]))
    made = Learner(Lookup(), tables, **options)
    made.follow(1.0)
    return made


def batch_of(held: Decisions) -> Batch:
    """One user who had items 0 and 1: states 1 and 2."""
    return Batch(np.array([0]), np.array([[0, 1]]), np.array([[1, -1]]), np.array([2]), decisions=held)


# Values: Q(s₀, ·) = 1 · (0.5, 2) = (0.5, 2), Q(s₁, ·) = 2 · (0.5, 2) = (1, 4).
TWO = decisions([(0, 1, 1, 1, 0, 0.25), (1, 0, 3, -1, -1, 0.5)])


def loss_of(loss: Any, module: Learner) -> float:
    total, weight = loss(module, batch_of(TWO), np.random.default_rng(0))
    assert weight == 2
    return total.item()


def test_temporal_differences_by_hand() -> None:
    counts = np.array([1, 1])
    config = ValueConfig(discount=0.5, negatives=0.0)
    # Q-learning: 2 - (1 + ½ max(1, 4)) = -1 and 1 - 3 = -2: ½ + 2 = 2.5.
    assert loss_of(ValueLoss(config, counts, QLearning.value_of, 0), learner(has_target=True)) == pytest.approx(2.5)
    # SARSA goes on with item 0: 2 - (1 + ½ 1) = ½ and -2: ⅛ + 2.
    assert loss_of(ValueLoss(config, counts, Sarsa.value_of, 0), learner(has_target=True)) == pytest.approx(2.125)
    # Alone, the reward: 2 - 1 and 1 - 3.
    alone = config.model_copy(update={"discount": 0.0})
    assert loss_of(ValueLoss(alone, counts, QLearning.value_of, 0), learner()) == pytest.approx(2.5)
    # Beyond 1 the difference of 2 counts linearly: 1 · (2 - ½).
    near = alone.model_copy(update={"huber": 1.0})
    assert loss_of(ValueLoss(near, counts, QLearning.value_of, 0), learner()) == pytest.approx(2.0)


def test_negatives_are_worth_nothing() -> None:
    # Each decision's other item: at s₀ item 0, ½ 0.5² = ⅛; at s₁ item 1, ½ 4² = 8. Of many drawn, half are the item
    # itself, which counts nothing: the mean is half of it.
    config = ValueConfig(discount=0.5, n_negatives=20_000)
    loss = ValueLoss(config, np.array([1, 1]), QLearning.value_of, 2.0)
    assert loss_of(loss, learner(has_target=True)) == pytest.approx(2.5 + 2.0 * 0.5 * (0.125 + 8), rel=0.02)


def test_conservative_term_by_hand() -> None:
    # log(e^0.5 + e^2) - 2 and log(e^1 + e^4) - 1, with α = 2, and the temporal differences of Double DQN, 2.5.
    config = CqlConfig(discount=0.5, conservative=2.0)
    loss = CqlLoss(config, np.array([1, 1]), QLearning.value_of, 0)
    terms = math.log(math.exp(0.5) + math.exp(2)) - 2 + math.log(math.exp(1) + math.exp(4)) - 1
    assert loss_of(loss, learner(has_target=True)) == pytest.approx(2.5 + 2 * terms, rel=1e-5)


def test_reinforce_by_hand() -> None:
    # π(1 | s₀) = 1 / (1 + e^-1.5) = p, over β = 0.25 that is above 2; π(0 | s₁) = 1 / (1 + e^3) = q, over ½. Of K = 2,
    # λ = 2 (1 - π). Returns are given as rewards.
    p, q = 1 / (1 + math.exp(-1.5)), 1 / (1 + math.exp(3))
    expected = -2 * 2 * (1 - p) * 1 * math.log(p) - (q / 0.5) * 2 * (1 - q) * 3 * math.log(q)
    assert loss_of(ReinforceLoss(ReinforceConfig(top_k=2, cap=2.0)), learner()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("full_softmax_items", [2, 0])
def test_collaborative_and_deep_terms_of_the_joint_loss_by_hand(full_softmax_items: int) -> None:
    # At s₀ = 1 the scores are 0.5 and 2, and item 1 came next. L_C = -log σ(2) - log(1 - σ(0.5)) for each negative that
    # is drawn, both items being as likely, but for the target itself. L_D = log(1 + e^-1.5): over both items, or over
    # the target and what is drawn, each of its logits less the log of how often it is expected.
    config = JointConfig(collaborative=2.0, deep=3.0, n_negatives=4, full_softmax_items=full_softmax_items)
    drawn, log_expected = NegativeSampler(np.array([1, 1]), 4, power=0)(np.random.default_rng(7))
    n_other = int((drawn == 0).sum())
    assert 0 < n_other < 4
    log_sigma = -math.log(1 + math.exp(-2))
    collaborative = -log_sigma + n_other * math.log(1 + math.exp(0.5))
    deep = math.log(1 + math.exp(-1.5))
    if not full_softmax_items:
        deep = math.log(1 + n_other * math.exp(0.5 - log_expected[0] - 2))
    batch = replace(batch_of(TWO), decisions=None)
    for w_c, w_d in ((2.0, 3.0), (2.0, 0.0), (0.0, 3.0)):
        weighed = config.model_copy(update={"collaborative": w_c, "deep": w_d})
        total, weight = JointLoss(weighed, np.array([1, 1]))(learner(), batch, np.random.default_rng(7))
        assert total.item() == pytest.approx(w_c * collaborative + w_d * deep, rel=1e-5)
        assert weight == 1


def test_policy_term_of_the_joint_loss_by_hand() -> None:
    # As above without λ, and with a cap of 3: p / 0.25 = 3.27 counts as 3. There is one place with a target for the two
    # decisions: ½. L_D at the place: -log p. Its weight is that of one place and of two decisions, halved: 1.
    p, q = 1 / (1 + math.exp(-1.5)), 1 / (1 + math.exp(3))
    policy = -3 * 1 * math.log(p) - (q / 0.5) * 3 * math.log(q)
    config = JointConfig(collaborative=0.0, policy=0.5, policy_cap=3.0)
    loss = JointLoss(config, np.array([1, 1]), per_decision=0.5)
    total, weight = loss(learner(), batch_of(TWO), np.random.default_rng(0))
    assert total.item() == pytest.approx(-math.log(p) + 0.5 * 0.5 * policy, rel=1e-5)
    assert weight == 1
    # Where nobody knows the propensity it counts as it is, if the reward is no harm; harm counts by π, or it would have
    # no end: -(-3) q log q.
    unknown = replace(TWO, propensities=np.array([NAN, NAN], dtype=F32), rewards=np.array([1, -3], dtype=F32))
    total, _ = loss(learner(), batch_of(unknown), np.random.default_rng(0))
    expected = -math.log(p) + 0.5 * 0.5 * (-math.log(p) + 3 * q * math.log(q))
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_losses_of_shares_add_up() -> None:
    # Rows of one, two and three interactions for four shares, so that the last has none.
    held = decisions([(0, 1, 1, -1, -1, 0.25), (3, 0, 3, 4, 1, NAN), (4, 1, 0, -1, -1, 0.5), (7, 0, 2, 8, 0, NAN)])
    inputs = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0]])
    targets = np.array([[-1, -1, -1], [0, -1, -1], [1, 0, -1]])
    whole = Batch(np.arange(3), inputs, targets, np.array([1, 2, 3]), decisions=held)
    counts, config, sqn = np.array([1, 1]), ValueConfig(n_negatives=5), SqnConfig(n_negatives=5)
    losses: dict[str, Any] = {
        "q_learning": ValueLoss(config, counts, QLearning.value_of, 1.0),
        "cql": CqlLoss(CqlConfig(), counts, QLearning.value_of, 0.0),
        "reinforce": ReinforceLoss(ReinforceConfig()),
        "sqn": SqnLoss(sqn, counts, ValueLoss(sqn, counts, QLearning.value_of, 1.0), 0.75),
        "joint": JointLoss(JointConfig(n_negatives=5), counts, per_decision=0.75),
    }
    for loss in losses.values():
        module = learner(has_head=True, has_target=True)
        total, weight = loss(module, whole, np.random.default_rng(1))
        parts = [loss(module, whole.share(rank, 4), np.random.default_rng(1)) for rank in range(4)]
        assert sum(part[0].item() for part in parts) == pytest.approx(total.item(), rel=1e-5)
        assert sum(part[1] for part in parts) == pytest.approx(weight)


def test_joint_without_decisions_does_not_depend_on_the_weight_of_its_policy() -> None:
    data = TrainingData(Sequences.from_lists([[0, 1, 2, 3], [2, 1, 0], [3, 2]]), 4)
    histories, items = Sequences.from_lists([[0, 1]]), np.array([[0, 1, 2, 3]])
    found = []
    for policy in (0.0, 1.0):
        kind = get_model("joint")
        model = kind(kind.Config(**{"dim": 8, "epochs": 2, "max_length": 4, "policy": policy, "n_negatives": 2}))
        model.fit(data)
        found.append(model.score(histories, items))
    np.testing.assert_array_equal(*found)


GO, STAY = 1, 0


def chain() -> TrainingData:
    """Three states s₀, s₁, s₂: to stay pays 1 and ends, to go pays 0 and leads on, from s₂ it pays 4 and ends.

    A state is how often a user went: histories [1], [1, 1] and [1, 1, 1]. The logging policy goes once in five times:
    of 125 users 100 stay at s₀, 20 at s₁, 4 at s₂, and one goes to the end.
    """
    paths = [[STAY]] * 100 + [[GO, STAY]] * 20 + [[GO, GO, STAY]] * 4 + [[GO, GO, GO]]
    rows: list[tuple[int, int, float, int, int, float]] = []
    histories: list[list[int]] = []
    begin = 0
    for path in paths:
        for step, action in enumerate(path):
            is_last = step == len(path) - 1
            reward = 1.0 if action == STAY else 4.0 * (step == 2)
            after = (-1, -1) if is_last else (begin + step + 1, path[step + 1])
            rows.append((begin + step, action, reward, *after, 0.8 if action == STAY else 0.2))
        histories.append([1, *path[:-1]])
        begin += len(path)
    return TrainingData(replace(Sequences.from_lists(histories), decisions=decisions(rows)), 2)


STATES = Sequences.from_lists([[1], [1, 1], [1, 1, 1]])


@cache
def on_chain(name: str, **options: Any) -> np.ndarray:
    """Scores of staying and going at each state."""
    kind = get_model(name)
    shape = {"network": "gru", "dim": 16, "hidden_dim": 16, "max_length": 4, "batch_tokens": 10_000}
    steps = {"epochs": 250, "learning_rate": 0.02, "warmup_steps": 0, "weight_decay": 0.0, "average": 0.9}
    model: Model = kind(kind.Config(**{**shape, **steps, **options}))
    model.fit(chain())
    return model.score(STATES, np.tile([STAY, GO], (3, 1)))


def exact(discount: float, is_on_policy: bool) -> np.ndarray:
    """Q of the chain by dynamic programming from its end: of the best policy, or of the one that was logged."""
    values = np.zeros((3, 2))
    later = 0.0
    for state in (2, 1, 0):
        values[state] = 1.0, 4.0 if state == 2 else discount * later
        later = 0.8 * values[state, STAY] + 0.2 * values[state, GO] if is_on_policy else values[state].max()
    return values


def test_exact_values_of_the_chain() -> None:
    # Best: 4 at s₂, 0.9 · 4 = 3.6 at s₁, 0.9 · 3.6 = 3.24 at s₀, where staying is worth 1: one goes.
    np.testing.assert_allclose(exact(0.9, False), [[1, 3.24], [1, 3.6], [1, 4]])
    # As logged: s₂ is worth 0.8 + 0.2 · 4 = 1.6, so going at s₁ 1.44, s₁ 0.8 + 0.2 · 1.44 = 1.088, and going at s₀
    # 0.9792: less than 1, one stays.
    np.testing.assert_allclose(exact(0.9, True), [[1, 0.9792], [1, 1.44], [1, 4]])


@pytest.mark.parametrize(
    ("name", "options", "discount", "is_on_policy"),
    [
        ("q_learning", {"negatives": 0.0}, 0.9, False),
        ("cql", {"conservative": 0.0}, 0.9, False),
        ("sarsa", {"negatives": 0.0}, 0.9, True),
        ("q_learning", {"negatives": 0.0}, 0.0, False),
    ],
)
def test_values_are_those_of_dynamic_programming(
    name: str, options: dict[str, Any], discount: float, is_on_policy: bool
) -> None:
    found = on_chain(name, discount=discount, target_rate=0.1, **options)
    np.testing.assert_allclose(found, exact(discount, is_on_policy), atol=0.06)


def test_q_learning_and_sarsa_part_where_the_logging_policy_is_bad() -> None:
    best = on_chain("q_learning", discount=0.9, target_rate=0.1, negatives=0.0)
    logged = on_chain("sarsa", discount=0.9, target_rate=0.1, negatives=0.0)
    assert best[0, GO] > best[0, STAY] + 2
    assert logged[0, GO] < logged[0, STAY]


@pytest.mark.parametrize("is_known", [True, False])
def test_reinforce_finds_what_pays_though_it_was_seldom_tried(is_known: bool) -> None:
    # Of 100 users who had item 1, 80 were offered item 0, which pays 1, and 20 item 1, which pays 2. The rewards that
    # came speak for item 0, 80 against 40; over the propensities, or what is learnt of them, 100 against 200.
    rows = [(user, 0, 1, -1, -1, 0.8) if user < 80 else (user, 1, 2, -1, -1, 0.2) for user in range(100)]
    held = decisions(rows)
    if not is_known:
        held = replace(held, propensities=np.full(100, NAN, dtype=F32))
    found = {}
    for cap in (20.0, 1e-9):
        kind = get_model("reinforce")
        config = {"dim": 8, "max_length": 2, "epochs": 60, "learning_rate": 0.02, "warmup_steps": 0, "top_k": 1}
        model = kind(kind.Config(**{**config, "discount": 0.0, "cap": cap}))
        model.fit(TrainingData(replace(Sequences.from_lists([[1]] * 100), decisions=held), 2))
        found[cap] = model.score(Sequences.from_lists([[1]]), np.array([[0, 1]]))[0]
    assert found[20.0][1] > found[20.0][0]
    # Capped to all alike, only the rewards speak.
    assert found[1e-9][0] > found[1e-9][1]


def test_sqn_ranks_by_what_came_next() -> None:
    # Of all who were at s₀ and went on, each next interaction is of item 1, whatever the rewards.
    found = on_chain("sqn", epochs=30)
    assert (found[:, GO] > found[:, STAY]).all()


@pytest.mark.parametrize("name", ["q_learning", "cql", "reinforce", "joint"])
def test_items_that_were_offered_alone_are_known(name: str) -> None:
    # Item 2 was offered to user 0, who did not take it; nobody had it. Nobody was offered item 3 either.
    held = decisions([(0, 2, 0, 0, 1, 0.5), (0, 1, 1, -1, -1, 0.5)])
    sequences = replace(Sequences.from_lists([[0, 1], [1, 0]]), decisions=held)
    kind = get_model(name)
    model = kind(kind.Config(**{"dim": 4, "max_length": 4, "epochs": 1}))
    model.fit(TrainingData(sequences, 4))
    scores = model.score(Sequences.from_lists([[0]]), np.array([[0, 1, 2, 3]]))
    assert np.isnan(scores).tolist() == [[False, False, False, True]]


@pytest.mark.parametrize("name", ["q_learning", "sarsa", "cql", "sqn", "reinforce", "joint"])
def test_policies_survive_decisions_of_nobody_and_of_no_reward(name: str) -> None:
    kind = get_model(name)
    for held in (decisions([]), decisions([(0, 1, 0, -1, -1, 0.5), (1, 0, 0, -1, -1, NAN)])):
        # Of two users with an interaction each nothing came next.
        sequences = replace(Sequences.from_lists([[0], [1]]), decisions=held)
        model = kind(kind.Config(**{"dim": 4, "max_length": 4, "epochs": 2}))
        measured = model.fit(TrainingData(sequences, 2))
        assert all(math.isfinite(value) for value in measured.values())


@pytest.mark.parametrize("option", [{"trend": 7.0}, {"horizon": 3}, {"dislikes": 1.0}, {"loss": "gbce"}])
def test_policies_refuse_what_is_of_the_next_item(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="leave them at their defaults"):
        ValueConfig(**option)


def test_later_rewards_are_of_the_session_less_their_mean_at_the_step() -> None:
    # Two sessions of three and two decisions, over three places of one user.
    decisions = Decisions(
        places=np.array([0, 0, 1, 2, 2]),
        items=np.array([1, 2, 3, 1, 2]),
        rewards=np.array([0, 1, 2, 4, 0], dtype=np.float32),
        next_places=np.array([0, 1, -1, 2, -1]),
        next_items=np.array([2, 3, -1, 2, -1]),
        propensities=np.full(5, np.nan, dtype=np.float32),
    )
    assert steps_of(decisions).tolist() == [0, 1, 2, 0, 1]
    # With discount 1/2, what comes later is 1/2 + 2/4 = 1, then 2/2 = 1, then 0; and 0, 0 in the other session.
    # The means at steps 0, 1, 2 are 1/2, 1/2, 0.
    assert later_rewards(decisions, 0.5).tolist() == pytest.approx([0.5, 0.5, 0, -0.5, -0.5])


def test_slate_q_prefers_what_leads_on() -> None:
    """Items 1 and 2 are taken half of the time; who takes 2 is rewarded by 2 afterwards, who takes 1 by nothing."""
    rng = np.random.default_rng(0)
    n_users, chosen = 600, rng.integers(1, 3, 600)
    is_taken = rng.random(n_users) < 0.5
    # Each user has had item 0; who takes what was offered is offered item 3 then, and the rest of them nothing.
    histories = [[0, int(item)] if taken else [0] for item, taken in zip(chosen, is_taken, strict=True)]
    sequences = Sequences.from_lists(histories)
    first = sequences.offsets[:-1]
    places, items, rewards, next_places, next_items = [], [], [], [], []
    for user in range(n_users):
        goes_on = bool(is_taken[user])
        places += [first[user]] + [first[user] + 1] * goes_on
        items += [chosen[user]] + [3] * goes_on
        rewards += [float(is_taken[user])] + [2.0 * (chosen[user] == 2)] * goes_on
        next_places += [first[user] + 1 if goes_on else -1] + [-1] * goes_on
        next_items += [3 if goes_on else -1] + [-1] * goes_on
    decisions = Decisions(
        np.array(places),
        np.array(items),
        np.array(rewards, dtype=np.float32),
        np.array(next_places),
        np.array(next_items),
        np.full(len(places), np.nan, dtype=np.float32),
    )
    data = TrainingData(replace(sequences, decisions=decisions), 4)
    options = {"dim": 8, "epochs": 30, "learning_rate": 0.01, "negatives": 0.0, "ahead_epochs": 60, "weight": 1.0}
    options |= {"ahead_decay": 0.0, "weight_decay": 0.0, "batch_tokens": 256}
    model = SlateQ(SlateQConfig(**options))
    model.fit(data)
    asked = Sequences.from_lists([[0]])
    near, far = model.score(asked, np.array([[1, 2]]))[0]
    # R is 1/2 for both. At the first step the mean of what comes later is 1/2, so A is -1/2 of item 1 and 3/2 of
    # item 2; nothing came of 300 first steps, -1/2 each, and of 150 second ones, 0 each: b = -1/3. What something came
    # of has a mean reward of (300 + 150 · 2) / 450 = 4/3. Hence 1/2 (1 + 3/4 (-1/2 + 1/3)) = 0.44 and
    # 1/2 (1 + 3/4 (3/2 + 1/3)) = 1.19.
    assert near == pytest.approx(0.44, abs=0.12)
    assert far == pytest.approx(1.19, abs=0.15)
    greedy = SlateQ(SlateQConfig(**(options | {"weight": 0.0})))
    greedy.fit(data)
    alike = greedy.score(asked, np.array([[1, 2]]))[0]
    assert alike == pytest.approx([0.5, 0.5], abs=0.12)
