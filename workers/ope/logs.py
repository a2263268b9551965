"""What off-policy evaluation reads: logged slates, and what another policy would have done in their place.

A request is a row, a position of its slate a column. A request with a shorter slate has NaN rewards behind its end.
Feedback on single items (a bandit's) is the case of one column.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsql.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SlateLog:
    """What was shown and what came of it.

    Attributes:
        rewards: shape ``(n_requests, n_positions)``, NaN where the slate was shorter.
        propensities: with which probability the logging policy shows this item at this position, of the same shape;
            NaN or 0 where it is not known.
        conditionals: the same given what it showed above; None if not known, without which there is no cascade form.

    Raises:
        InputError: the shapes differ.
    """

    rewards: Array
    propensities: Array
    conditionals: Array | None = None

    def __post_init__(self) -> None:
        _check_shapes(self.rewards.shape, propensities=self.propensities, conditionals=self.conditionals)

    @property
    def n_requests(self) -> int:
        """How many requests there are."""
        return len(self.rewards)

    @property
    def is_shown(self) -> NDArray[np.bool_]:
        """Where something was shown, shape ``(n_requests, n_positions)``."""
        return ~np.isnan(self.rewards)

    @property
    def values(self) -> Array:
        """Reward of each request, summed over its positions, shape ``(n_requests,)``."""
        return np.nansum(self.rewards, axis=1)

    def is_usable(self) -> NDArray[np.bool_]:
        """Requests whose propensities are all probabilities above 0, shape ``(n_requests,)``."""
        usable = np.ones(self.n_requests, dtype=bool)
        for chances in (self.propensities, self.conditionals):
            if chances is not None:
                usable &= (~self.is_shown | ((chances > 0) & (chances <= 1))).all(axis=1)
        return usable & self.is_shown.any(axis=1) & ~np.isinf(self.rewards).any(axis=1)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "SlateLog":
        """Some of the requests."""
        return SlateLog(
            self.rewards[rows],
            self.propensities[rows],
            None if self.conditionals is None else self.conditionals[rows],
        )


@dataclass(frozen=True)
class SlateTarget:
    """What the policy that is evaluated would do in the logged requests.

    Attributes:
        propensities: with which probability it would show the logged item at its position, shape
            ``(n_requests, n_positions)``; behind a slate's end anything.
        conditionals: the same given what was shown above; None if not known.
        predicted: reward that a model, fitted on other requests, expects of the logged item, of the same shape; None
            without a model: DR is then IPS, and there is no DM.
        expected: the same of what the policy would show at the position, averaged over its propensities.

    Raises:
        InputError: the shapes differ, only one of ``predicted`` and ``expected`` is given, or a propensity is none.
    """

    propensities: Array
    conditionals: Array | None = None
    predicted: Array | None = None
    expected: Array | None = None

    def __post_init__(self) -> None:
        shape = self.propensities.shape
        _check_shapes(shape, conditionals=self.conditionals, predicted=self.predicted, expected=self.expected)
        if (self.predicted is None) != (self.expected is None):
            raise InputError("Give both the predicted and the expected rewards, or neither.")
        for chances in (self.propensities, self.conditionals):
            if chances is not None and ((chances < 0) | (chances > 1 + 1e-9)).any():
                raise InputError("A propensity of the target policy is not between 0 and 1.")

    def is_known(self, is_shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Requests of which everything is known, shape ``(n_requests,)``; ``is_shown``: where something was shown."""
        parts = (self.propensities, self.conditionals, self.predicted, self.expected)
        known = np.ones(len(is_shown), dtype=bool)
        for part in parts:
            if part is not None:
                known &= (~is_shown | np.isfinite(part)).all(axis=1)
        return known

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "SlateTarget":
        """What it would do in some of the requests."""
        parts = (self.conditionals, self.predicted, self.expected)
        return SlateTarget(self.propensities[rows], *(None if part is None else part[rows] for part in parts))


@dataclass(frozen=True)
class Pools:
    """What the requests of a log chose from.

    Attributes:
        items: the best first, any numbering from 0, -1 as padding behind, shape ``(n_requests, n_pool)``.
        scores: by which they were ordered, of the same shape, NaN where there is none.
        shown: place in the pool of what was shown, from 0, shape ``(n_requests, n_positions)``; -1 where the slate was
            shorter or what it showed is not of the pool.
    """

    items: NDArray[np.int64]
    scores: Array
    shown: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many items each pool has, shape ``(n_requests,)``."""
        return (self.items >= 0).sum(axis=1)


def _check_shapes(shape: tuple[int, ...], **arrays: Array | None) -> None:
    if len(shape) != 2:
        raise InputError(f"A log has requests and positions, this one has the shape {shape}.")
    for name, array in arrays.items():
        if array is not None and array.shape != shape:
            raise InputError(f"The {name} have the shape {array.shape}, the rest has {shape}.")
