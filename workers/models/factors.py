"""What factorisations by the library ``implicit`` share: items keep their factors, users are folded in."""

import time
from abc import abstractmethod
from importlib import import_module
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix

from recsql.errors import ModelError
from workers.models.base import FloatArray, IntArray, Model, ModelConfig, Sequences, TrainingData, TrainingOptions
from workers.models.batching import known_histories
from workers.models.validation import ndcg_at_10
from workers.models.vectors import histories_with_vectors, inner_products


class FactorsConfig(ModelConfig):
    """What all factorisations have to be told."""

    factors: int = Field(32, ge=1)
    """Dimensions of the factors of users and items."""
    epochs: int = Field(20, ge=1)
    """Passes over the data, always as many: nothing stops them early."""
    value_weight: float = Field(0.0, ge=0)
    """What a rating of one standard deviation above the user's mean adds to the weight of an event."""


class Factors(Model):
    """A factorisation of the matrix of users and items, kept as one vector an item.

    Whoever asks is given by a history, never by a row of the training data: a user vector is computed from the history
    and the item vectors alone (:meth:`fold_in`), so the same history gives the same scores whether it was trained on or
    not. Item vectors have shape ``(n_items, width)``, rows of NaN for items that had no event in training, which
    histories are read without. A subclass has ``width``, ``learn`` and ``fold_in``.
    """

    needs: ClassVar[dict[str, str]] = {"implicit": "factors"}

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config)
        self._items: FloatArray = np.zeros((0, self.width), dtype=np.float32)

    @property
    def width(self) -> int:
        """Dimensions of a vector."""
        return cast(FactorsConfig, self.config).factors

    @abstractmethod
    def learn(self, interactions: csr_matrix, options: TrainingOptions) -> FloatArray:
        """Item vectors, shape ``(n_items, width)``.

        Args:
            interactions: summed weights of events, shape ``(n_users, n_items)``, at least one.
            options: seed and progress.
        """

    @abstractmethod
    def fold_in(self, interactions: csr_matrix) -> FloatArray:
        """User vectors, shape ``(n_users, width)``, of users with at least one interaction each.

        Args:
            interactions: summed weights of events, shape ``(n_users, n_items)``.
        """

    def fit(self, data: TrainingData, options: TrainingOptions | None = None) -> dict[str, float]:
        """Factorise; content is not used, ``ndcg@10`` is measured if there are targets.

        Raises:
            ModelError: if ``implicit`` is not installed, or the factors are no longer numbers.
        """
        started = time.perf_counter()
        sequences = known_histories(data.sequences, data.n_items)
        items = np.full((data.n_items, self.width), np.nan, dtype=np.float32)
        if len(sequences.items):
            is_seen = np.bincount(sequences.items, minlength=data.n_items) > 0
            learned = self.learn(self._interactions(sequences, data.n_items), options or TrainingOptions())
            items[is_seen] = learned[is_seen]
        self._items = items
        measured = {"epochs": float(cast(FactorsConfig, self.config).epochs)}
        if data.targets is not None:
            users = self.user_vectors(sequences)
            measured["ndcg@10"] = ndcg_at_10(lambda rows: users[rows] @ self._items.T, sequences, data.targets)
        return {**measured, "seconds": time.perf_counter() - started}

    def score(self, histories: Sequences, items: IntArray) -> FloatArray:
        """Inner products of user and item vectors, shape ``(n_users, n_candidates)``; see :meth:`Model.score`."""
        return inner_products(self.user_vectors(histories), self._items, items)

    def item_vectors(self) -> FloatArray:
        """Shape ``(n_items, width)``; rows of NaN for items without an event in training."""
        return self._items

    def user_vectors(self, histories: Sequences) -> FloatArray:
        """Shape ``(n_users, width)``; rows of NaN for users without an item that training saw."""
        users = np.full((histories.n_users, self.width), np.nan, dtype=np.float32)
        known = histories_with_vectors(histories, self._items)
        rows = np.flatnonzero(np.diff(known.offsets))
        if len(rows):
            users[rows] = self.fold_in(self._interactions(known.take(rows), len(self._items)))
        return users

    def _interactions(self, sequences: Sequences, n_items: int) -> csr_matrix:
        """Weights of events, those of the same user and item summed, shape ``(n_users, n_items)``."""
        weights = sequences.weight_of_each(cast(FactorsConfig, self.config).value_weight)
        shape = (sequences.n_users, n_items)
        matrix = csr_matrix((weights, sequences.items, sequences.offsets), shape=shape, copy=True)
        matrix.sum_duplicates()
        return matrix

    def state(self) -> dict[str, np.ndarray]:
        """``items``: the item vectors, shape ``(n_items, width)``."""
        return {"items": self._items}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` gave.

        Raises:
            ModelError: if an array is missing or has a wrong shape.
        """
        items = state.get("items")
        if items is None or items.ndim != 2 or items.shape[1] != self.width:
            raise ModelError(f"the artifact's items are missing or not {self.width} wide; train this model again")
        self._items = np.array(items, dtype=np.float32)


def factorise(
    name: str, interactions: csr_matrix, epochs: int, options: TrainingOptions, **settings: Any
) -> FloatArray:
    """Item factors by a model of ``implicit``, on the CPU.

    Args:
        name: module and class of the model in ``implicit.cpu``, with a dot between them.
        interactions: what users had, shape ``(n_users, n_items)``.
        epochs: passes over the data.
        options: seed and progress.
        settings: further arguments of the class.

    Raises:
        ModelError: if the library is not installed, or the factors are no longer numbers.
    """
    module, _, class_name = name.partition(".")
    try:
        kind = getattr(import_module(f"implicit.cpu.{module}"), class_name)
        failure = import_module("implicit.recommender_base").ModelFitError
        limits = import_module("threadpoolctl").threadpool_limits
    except ImportError as error:
        raise ModelError("implicit is not installed: pip install 'recsql[factors]'") from error

    def report(epoch: int, seconds: float, *measured: Any) -> None:
        options.progress(epoch + 1, epochs, "")

    # The library has threads of its own, which those of BLAS would only get in the way of.
    with limits(1, "blas"):
        model = kind(iterations=epochs, random_state=options.seed, **settings)
        try:
            model.fit(interactions, show_progress=False, callback=report)
        except failure as error:
            raise ModelError(
                f"training diverged: {error}; raise regularization, or lower learning_rate where there is one, "
                "and train again"
            ) from error
    return model.item_factors
