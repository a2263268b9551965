"""The interface of a model, and what it is trained on.

Inside this package items and users are **rows**: ``item`` is an index into the catalogue of the run (0 … n_items - 1),
never a database key. :mod:`workers.interactions` translates between the two.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from workers.models.search import Search

if TYPE_CHECKING:
    from workers.models.start import Start

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

Progress = Callable[[int, int, str], None]
"""``progress(done, total, note)`` is called as training goes on."""


class ModelConfig(BaseModel):
    """Hyperparameters; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Dislikes:
    """What users turned down, each where it stands in time among what they did.

    Attributes:
        places: the user's newest interaction before it, as an index into the interactions, ascending, shape ``(n,)``.
        items: item rows, shape ``(n,)``.
        weights: how much each counts, above 0, shape ``(n,)``.
    """

    places: IntArray
    items: IntArray
    weights: FloatArray

    def of_pieces(self, starts: IntArray, lengths: IntArray, origins: IntArray) -> "Dislikes":
        """What was turned down in some pieces of the interactions, at places of wherever the pieces are put.

        Args:
            starts: index of each piece's first interaction, shape ``(n_pieces,)``.
            lengths: how many interactions each has, shape ``(n_pieces,)``.
            origins: the new place of each one's first interaction, ascending, shape ``(n_pieces,)``.
        """
        chosen, piece = _in_pieces(self.places, starts, lengths)
        places = origins[piece] + self.places[chosen] - starts[piece]
        return Dislikes(places, self.items[chosen], self.weights[chosen])


def _in_pieces(places: IntArray, starts: IntArray, lengths: IntArray) -> tuple[IntArray, IntArray]:
    """Indices of those ascending ``places`` that lie in pieces of the interactions, and the piece of each."""
    first, last = (np.searchsorted(places, ends) for ends in (starts, starts + lengths))
    piece = np.repeat(np.arange(len(starts)), last - first)
    within = np.arange(len(piece)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
    return first[piece] + within, piece


@dataclass(frozen=True)
class Decisions:
    """What was offered to users and what came of it: a decision process over their sequences.

    The state of a decision is what the user had done when it was taken, that is the interactions up to a place.

    Attributes:
        places: the user's newest interaction before the decision, as an index into the interactions, ascending, shape
            ``(n,)``; of one user they are in the order of time.
        items: the action: item row that was offered, shape ``(n,)``.
        rewards: what came of it, 0 where nothing did, shape ``(n,)``.
        next_places: as ``places``, of the same session's next decision, shape ``(n,)``; -1 where the session ended.
        next_items: its action, shape ``(n,)``; -1 where the session ended.
        propensities: with which probability the logging policy took the action, shape ``(n,)``; NaN where unknown.
    """

    places: IntArray
    items: IntArray
    rewards: FloatArray
    next_places: IntArray
    next_items: IntArray
    propensities: FloatArray

    def of_pieces(self, starts: IntArray, lengths: IntArray, origins: IntArray) -> "Decisions":
        """As :meth:`Dislikes.of_pieces`; a decision whose session goes on outside of its piece is left out."""
        chosen, piece = _in_pieces(self.places, starts, lengths)
        after = self.next_places[chosen]
        is_last = after < 0
        is_whole = is_last | ((after >= starts[piece]) & (after < starts[piece] + lengths[piece]))
        moved = (origins - starts)[piece]
        arrays = {name: array[chosen[is_whole]] for name, array in vars(self).items()}
        arrays["places"] = arrays["places"] + moved[is_whole]
        arrays["next_places"] = np.where(is_last, -1, after + moved)[is_whole]
        return Decisions(**arrays)


@dataclass(frozen=True)
class Sequences:
    """What users did, oldest first, as one flat array.

    Attributes:
        items: item rows, shape ``(n_interactions,)``, user by user, oldest first.
        offsets: where each user begins in ``items``, shape ``(n_users + 1,)``.
        weights: how much each interaction counts, above 0, of the shape of ``items``; None counts all alike, as 1.
        kinds: number of the kind of each interaction's strongest event, of the shape of ``items``; None if not known.
        values: rating of each interaction in standard deviations from the user's mean, of the shape of ``items``, 0
            where there is none; None if not known.
        times: when each interaction was, in seconds, of the shape of ``items``; None if not known.
        dislikes: what was turned down, which only training reads; None if not known.
        decisions: what was offered and what came of it, which only training reads; None if not known.
    """

    items: IntArray
    offsets: IntArray
    weights: FloatArray | None = None
    kinds: IntArray | None = None
    values: FloatArray | None = None
    times: IntArray | None = None
    dislikes: Dislikes | None = None
    decisions: Decisions | None = None

    @classmethod
    def from_lists(cls, histories: Sequence[Sequence[int]]) -> Self:
        """Build from one list of item rows a user, oldest first."""
        lengths = np.array([0, *(len(history) for history in histories)], dtype=np.int64)
        flat = [item for history in histories for item in history]
        return cls(np.array(flat, dtype=np.int64), np.cumsum(lengths))

    @property
    def n_users(self) -> int:
        """How many users there are."""
        return len(self.offsets) - 1

    def of(self, user: int) -> IntArray:
        """One user's item rows, oldest first."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def weight_of_each(self, value_weight: float = 0.0) -> FloatArray:
        """How much each interaction counts, of the shape of ``items``.

        Args:
            value_weight: what a rating of one standard deviation above the user's mean adds to the weight, as a share
                of it, and one below takes away; what was rated lowest still keeps a tenth.
        """
        weights = np.ones(len(self.items), dtype=np.float32) if self.weights is None else self.weights
        if not value_weight or self.values is None:
            return weights
        return weights * np.maximum(np.float32(0.1), 1 + np.float32(value_weight) * self.values)

    def arrays(self) -> dict[str, np.ndarray | None]:
        """All of it by name, as a digest reads it."""
        named = {name: getattr(self, name) for name in ("items", "offsets", *_OF_EACH)}
        parts = {"dislikes": self.dislikes, "decisions": self.decisions}
        for part, held in parts.items():
            named |= {} if held is None else {f"{part}.{name}": array for name, array in vars(held).items()}
        return named

    def pick(self, places: IntArray, offsets: IntArray) -> "Sequences":
        """Some interactions, without what was turned down and what was decided.

        Args:
            places: indices into the interactions, shape ``(n_picked,)``.
            offsets: where each user begins among them, shape ``(n_users + 1,)``.
        """
        arrays = {name: getattr(self, name) for name in _OF_EACH}
        picked = {name: None if array is None else array[places] for name, array in arrays.items()}
        return Sequences(self.items[places], offsets, **picked)

    def take(self, users: IntArray) -> "Sequences":
        """Some users' sequences, shape ``(n_taken,)`` of user rows; -1 gives an empty one."""
        starts = np.where(users < 0, 0, self.offsets[users])
        lengths = np.where(users < 0, 0, self.offsets[users + 1] - self.offsets[users])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return self.pick(np.repeat(starts, lengths) + within, offsets)


# What an interaction has beside its item.
_OF_EACH = ("weights", "kinds", "values", "times")


@dataclass(frozen=True)
class TrainingData:
    """What a model may learn from.

    Attributes:
        sequences: the interactions that the run may see.
        n_items: size of the catalogue.
        content: content vector of each item, shape ``(n_items, dim)``, rows of NaN where an item has none; or None.
        targets: for model selection only: the relevant items of each user, of the same users as ``sequences``, that
            is what each turned to later; None when the number of epochs is given by the configuration instead.
    """

    sequences: Sequences
    n_items: int
    content: FloatArray | None = None
    targets: Sequences | None = None

    def named_targets(self) -> dict[str, np.ndarray | None]:
        """The targets by name, as a digest reads them."""
        return {} if self.targets is None else {f"targets.{n}": a for n, a in self.targets.arrays().items()}


def ignore(measured: dict[str, float]) -> None:
    """Do nothing with what was measured."""


@dataclass(frozen=True)
class TrainingOptions:
    """How to train, apart from the model's own hyperparameters."""

    seed: int = 0
    device: str = "cpu"
    progress: Progress = field(default=lambda done, total, note: None)
    checkpoint: Path | None = None
    """File that a model trained in epochs keeps up to date, and goes on from when it is of the same training."""
    curves: Path | None = None
    """Folder for TensorBoard's curves of loss, learning rate and validation."""
    wandb_project: str | None = None
    """Project of Weights & Biases for the same curves."""
    name: str = ""
    """What this training is called there."""
    measured: Callable[[dict[str, float]], None] = ignore
    """Told after each epoch what was measured: ``epochs``, ``loss``, and with targets ``ndcg@10``."""
    start: "Start | None" = None
    """The former version that training goes on from; only models whose score is an inner product of learned vectors."""


class Model(ABC):
    """A model that ranks items for users.

    A subclass has a ``name``, a ``Config``, and in its docstring its formula, the shapes and the reference.
    """

    name: ClassVar[str]
    Config: ClassVar[type[ModelConfig]]
    sources: ClassVar[tuple[str, ...]] = ()
    """Rows of ``recsql.source`` that serve its lists of neighbours, if it has such; see :meth:`neighbours`."""
    needs: ClassVar[dict[str, str]] = {}
    """Modules that training imports and only an extra of the package brings: the extra's name by that of the module."""
    reads_weights: ClassVar[bool] = True
    """Whether what it says of a user depends on the weights of the history, or on its items and their order alone."""
    search: ClassVar[Search] = {}
    """Where ``recsql tune`` looks for hyperparameters; fields that are not named keep what they are."""

    def __init__(self, config: ModelConfig | None = None) -> None:
        self.config = config or self.Config()

    def use_device(self, device: str) -> None:  # noqa: B027 - nothing to do where a model computes with arrays alone
        """Compute on a device from now on, wherever the model was trained."""

    @abstractmethod
    def fit(self, data: TrainingData, options: TrainingOptions | None = None) -> dict[str, float]:
        """Train, and return what was measured on the way (``epochs``, ``loss``, ``ndcg@10`` on ``data.targets`` …)."""

    @abstractmethod
    def score(self, histories: Sequences, items: IntArray) -> FloatArray:
        """Score candidates.

        Args:
            histories: one sequence a user.
            items: candidate item rows, shape ``(n_users, n_candidates)``; the order means nothing, -1 is padding.

        Returns:
            Scores, shape ``(n_users, n_candidates)``, higher is better; NaN where the item (or the user) is unknown.
        """

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """The learned arrays by name: what safetensors keeps."""

    @abstractmethod
    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over the arrays that :meth:`state` gave.

        Raises:
            ModelError: if an array is missing or has a wrong shape.
        """

    def item_vectors(self) -> FloatArray | None:
        """Item vectors, shape ``(n_items, dim)``, whose inner product with a user vector is the score; None if none."""
        return None

    def user_vectors(self, histories: Sequences) -> FloatArray | None:
        """User vectors, shape ``(n_users, dim)``; rows of NaN for users without history; None if the model has none."""
        return None

    def neighbours(self, n: int, nth: int = 0) -> tuple[IntArray, FloatArray] | None:
        """The ``n`` strongest neighbours of each item, where the model is a sum of weighted joins over histories.

        Args:
            n: how many.
            nth: which of ``sources`` they are for.

        Returns:
            Item rows and weights, both of shape ``(n_items, n)``, strongest first, -1 and NaN as padding; None if the
            model is not of this kind.
        """
        return None

    def describe(self) -> dict[str, Any]:
        """The configuration as JSON."""
        return self.config.model_dump(mode="json")
