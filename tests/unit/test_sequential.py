"""How many users an experiment needs."""

import numpy as np
import pytest

from recsql.errors import InputError
from recsql.sequential import always_valid_bound, needed_users


def test_needed_users_by_hand():
    # One look: (1.959964 + 0.841621)^2 = 7.848879; variances 4 / 0.5 and 4 x 1.1025 / 0.5, lift 0.05 x 1:
    # 7.848879 x 16.82 / 0.0025 = 52,807.3.
    assert needed_users(1, 2, 0.05, is_sequential=False) == 52_808
    # Always valid: (3.035209 + 0.841621)^2 = 15.029812, x 6,728 = 101,120.6.
    assert needed_users(1, 2, 0.05) == 101_121
    # What CUPED leaves of it: 0.6 x 101,120.6 = 60,672.3.
    assert needed_users(1, 2, 0.05, correlation=0.4**0.5) == 60_673
    # A loss of the same size does not make the variant's rewards spread more: 15.029812 x 16 / 0.0025 = 96,190.8.
    assert needed_users(1, 2, -0.05) == 96_191


def test_needed_users_grow_with_what_is_asked():
    users = needed_users(1, 2, 0.05)
    assert users < needed_users(1, 2, 0.05, power=0.9)
    assert users < needed_users(1, 2, 0.05, alpha=0.01)
    assert users < needed_users(1, 2, 0.05, share=0.1)
    assert users < needed_users(1, 2, 0.04)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mean": 0}, "The baseline's mean is 0"),
        ({"mean": float("nan")}, "The baseline's mean is nan"),
        ({"sd": -1}, "The standard deviation is -1"),
        ({"lift": 0}, "A lift of 0 cannot be found"),
        ({"lift": -1}, "The lift is -1"),
        ({"alpha": 0.5}, "alpha is 0.5"),
        ({"power": 1}, "The power is 1"),
        ({"share": 0}, "The share of the variant is 0"),
        ({"correlation": 1}, "The correlation is 1"),
    ],
)
def test_needed_users_refuses_what_makes_no_sense(changed, said):
    with pytest.raises(InputError, match=said):
        needed_users(**{"mean": 1.0, "sd": 2.0, "lift": 0.05, **changed})


def test_always_valid_bound_holds_at_all_times_at_once():
    random, n, n_planned = np.random.default_rng(0), 2000, 500
    means = np.cumsum(random.standard_normal((n, 2000)), axis=1) / np.arange(1, 2001)
    bounds = np.array([always_valid_bound(t, n_planned, 0.05) for t in range(1, 2001)]) / np.sqrt(np.arange(1, 2001))
    # Normal numbers of known variance, for which it is exact; three standard errors of a share of 0.05.
    assert (np.abs(means) > bounds).any(axis=1).mean() < 0.05 + 3 * (0.05 * 0.95 / n) ** 0.5
    # The usual interval is left by far more.
    assert (np.abs(means[:, 9:]) > 1.96 / np.sqrt(np.arange(10, 2001))).any(axis=1).mean() > 0.3
