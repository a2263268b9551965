"""Weights that depend on what a user is like: fitted for each segment, kept as policies that one switches between."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recsql.errors import PipelineError
from recsql.queries import QUERIES
from workers.ranker.candidates import Candidates, Floats
from workers.ranker.features import FeatureReader
from workers.ranker.fitting import N_FOLDS
from workers.ranker.learned import Choices
from workers.ranker.quality import Metrics
from workers.run import Run

N_BY_HISTORY = 3
FEWEST_IN_SEGMENT = 50
"""Users with something relevant among their candidates; a segment of fewer has the weights of everybody."""


class Segmentation(Protocol):
    """Into which segments users fall."""

    @property
    def name(self) -> str:
        """What tells them apart."""
        ...

    @property
    def conditions(self) -> list[tuple[str, dict[str, Any]]]:
        """Name of each segment but the last, which is everybody else, and its conditions in a switching policy."""
        ...

    def segments(self, run: Run, user_nos: NDArray[np.int64]) -> NDArray[np.int64]:
        """The segment of each user, from 0, shape ``(n_users,)``."""
        ...


@dataclass(frozen=True)
class ByHistory:
    """Segments by how much users have had.

    Attributes:
        limits: the longest history of each, infinite for the last, ascending, shape ``(n_segments,)``.
    """

    limits: Floats

    @classmethod
    def of(cls, choices: Choices) -> "ByHistory":
        """Segments with about as many users each."""
        return cls(history_limits(FeatureReader(choices.run).history_lengths(choices.found.user_nos)))

    @property
    def name(self) -> str:
        """What tells them apart."""
        return "history"

    @property
    def conditions(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and conditions of each segment but the last."""
        return [(f"to-{int(limit)}", {"max_history": int(limit)}) for limit in self.limits[:-1]]

    def segments(self, run: Run, user_nos: NDArray[np.int64]) -> NDArray[np.int64]:
        """The segment of each user."""
        return np.searchsorted(self.limits, FeatureReader(run).history_lengths(user_nos))


@dataclass(frozen=True)
class ByAttribute:
    """Segments by an attribute of users; those who lack it, and rare values, are the last one.

    Attributes:
        key: of the attribute.
        values: text, numbers or truth values, in the order of segments.
    """

    key: str
    values: list[Any]

    @classmethod
    def of(cls, choices: Choices, key: str) -> "ByAttribute":
        """A segment for each value that enough users have.

        Raises:
            PipelineError: no value divides the users.
        """
        found = _values(choices.run, key)
        counts = Counter(found.get(int(user_no)) for user_no in choices.found.user_nos)
        values = [value for value, n in counts.items() if value is not None and n >= FEWEST_IN_SEGMENT]
        if not values or len(counts) == 1:
            raise PipelineError(
                f"Attribute '{key}' does not divide the users: at least {FEWEST_IN_SEGMENT} of them must share a value "
                "(text, a number or a truth value) that others do not have."
            )
        return cls(key, [value for _, value in sorted(values, key=str)])

    @property
    def name(self) -> str:
        """What tells them apart."""
        return self.key

    @property
    def conditions(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and conditions of each segment but the last."""
        return [(f"{self.key}-{nth}", {"segment": {self.key: value}}) for nth, value in enumerate(self.values, start=1)]

    def segments(self, run: Run, user_nos: NDArray[np.int64]) -> NDArray[np.int64]:
        """The segment of each user."""
        found = _values(run, self.key)
        places: dict[Any, int] = {_keyed(value): nth for nth, value in enumerate(self.values)}
        return np.array([places.get(found.get(int(no)), len(places)) for no in user_nos], dtype=np.int64)


@dataclass(frozen=True)
class SegmentWeights:
    """Weights of each segment.

    Attributes:
        by: the segments.
        weights: of each, shape ``(n_segments, n_sources)``.
        ranked: quality of the sum by weights that were fitted without the user's fold.
    """

    by: Segmentation
    weights: Floats
    ranked: Metrics

    def sums(self, found: Candidates, run: Run) -> Floats:
        """Weighted sums of a run's candidates, shape ``(n_pairs,)``."""
        return (found.parts * self.weights[self.by.segments(run, found.user_nos)[found.owner]]).sum(axis=1)

    def write(self, choices: Choices, weights: Floats) -> int:
        """Keep a policy for each segment, and one that switches between them; its number.

        Args:
            choices: that it was fitted on.
            weights: of all users, by which what is added live counts.
        """
        name, branches = f"weighted-{choices.run.run_no}", []
        for (segment, condition), own in zip(self.by.conditions, self.weights[:-1], strict=True):
            choices.write(f"{name}-{segment}", "weighted", own)
            branches.append({"use": f"{name}-{segment}"} | condition)
        rest = f"{name}-{self.by.name}-else"
        choices.write(rest, "weighted", self.weights[-1])
        config = {"branches": branches, "else": rest}
        return choices.write(f"{name}-by-{self.by.name}", "switching", weights, config, self.ranked[0])


def learn_by(choices: Choices, by: Segmentation) -> SegmentWeights:
    """Fit weights for each segment."""
    found = choices.found
    of_user = by.segments(choices.run, found.user_nos)
    n_users, segments = np.bincount(of_user, minlength=len(by.conditions) + 1), of_user[found.owner]

    def fitted(rows: NDArray[np.bool_]) -> Floats:
        return np.stack(
            [
                choices.weights(rows & (segments == nth) if n >= FEWEST_IN_SEGMENT else rows)
                for nth, n in enumerate(n_users)
            ]
        )

    by_fold = np.stack([fitted(choices.folds != fold) for fold in range(N_FOLDS)])
    crossed = (found.parts * by_fold[choices.folds, segments]).sum(axis=1)
    return SegmentWeights(by, fitted(choices.folds >= 0), choices.asked.quality(found, crossed))


def history_limits(lengths: NDArray[np.int64]) -> Floats:
    """The longest history of each of some segments with about as many users each, infinite for the last."""
    inner = np.unique(np.quantile(lengths, np.arange(1, N_BY_HISTORY) / N_BY_HISTORY, method="lower"))
    return np.append(inner[inner < lengths.max()], np.inf)


def _values(run: Run, key: str) -> dict[int, tuple[bool, Any]]:
    """The value of each user who has one that a switching policy can ask for."""
    rows = run.connection.execute(QUERIES["user_attribute"], {"key": key}).fetchall()
    return {user_no: _keyed(value) for user_no, value in rows if isinstance(value, str | int | float)}


def _keyed(value: Any) -> tuple[bool, Any]:
    """A value as JSON tells it from others: true is not 1."""
    return isinstance(value, bool), value
