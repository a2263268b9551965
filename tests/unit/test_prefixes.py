"""States after each interaction are user vectors of the history up to it."""

from typing import Any

import numpy as np
import pytest

from workers.models.base import Sequences, TrainingData
from workers.models.registry import get_model
from workers.models.sequence import SequenceModel

LENGTH = 3
MODELS: dict[str, dict[str, Any]] = {
    "transformer": {"n_heads": 1, "reads": ("gap",), "trend": 7.0},
    "gru4rec": {"hidden_dim": 4, "reads": ("gap",)},
    "nextitnet": {"kernel_size": 2, "dilations": (1,)},
    "bert4rec": {"n_heads": 1},
    "q_learning": {"n_heads": 1},
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_states_are_user_vectors_of_prefixes(name: str) -> None:
    rng = np.random.default_rng(2)
    # Shorter and longer than what is read; items 6 and -1 are not known, of one user the first, of another all.
    lists = [[1, 2], [6, 0, 1, 6, 2, 3, 4, -1, 5], [], [6], [5, 4, 3, 2, 1, 0]]
    plain = Sequences.from_lists(lists)
    times = np.concatenate([np.cumsum(rng.integers(1, 10**6, len(history))) for history in lists])
    histories = Sequences(plain.items, plain.offsets, times=times)
    kind = get_model(name)
    model = kind(kind.Config(**{"dim": 4, "max_length": LENGTH, "epochs": 1, **MODELS[name]}))
    assert isinstance(model, SequenceModel)
    model.fit(TrainingData(histories, 6))
    found = model.states(histories)
    users = np.repeat(np.arange(histories.n_users), np.diff(histories.offsets))
    for place, user in enumerate(users):
        begin = histories.offsets[user]
        prefix = histories.pick(np.arange(begin, place + 1), np.array([0, place + 1 - begin]))
        np.testing.assert_allclose(found[place], model.user_vectors(prefix)[0], rtol=1e-4, atol=1e-6)
    # Of some places, in any order, and more than once.
    some = np.array([9, 0, 9, 16])
    np.testing.assert_allclose(model.states(histories, some), found[some], rtol=1e-4, atol=1e-6)
    assert model.states(histories, some[:0]).shape == (0, found.shape[1])
    # The unknown alone have no state: the first of user 1, and that of user 3.
    assert np.flatnonzero(np.isnan(found).all(axis=1)).tolist() == [2, 11]
