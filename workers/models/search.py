"""Where hyperparameters may be looked for: what a model declares beside its configuration, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included: whole ones if both bounds are.

    Attributes:
        log: whether each order of magnitude is as likely as the next; ``low`` is above 0 then.
    """

    low: float
    high: float
    log: bool = False

    def contains(self, value: Any) -> bool:
        """Whether a value could be drawn."""
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of some numbers or texts."""

    options: tuple[float | str, ...]

    def contains(self, value: Any) -> bool:
        """Whether a value could be drawn."""
        return value in self.options


Search = Mapping[str, Range | Choice | tuple[Range, ...]]
"""Field of a configuration → its values; of a field that is a tuple of numbers, a range each."""
