"""SlateQ: what an item is worth that is one of several, by whether it is taken and by what taking it leads to."""

from dataclasses import replace
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import Field

from recsql.errors import ModelError
from workers.models.base import (
    Decisions,
    FloatArray,
    IntArray,
    Model,
    ModelConfig,
    Sequences,
    TrainingData,
    TrainingOptions,
)
from workers.models.batching import known_histories
from workers.models.decisions import check_decisions, derived_decisions, returns_of, steps_of
from workers.models.q_learning import QLearning
from workers.models.q_values import ValueConfig
from workers.models.search import Range, Search
from workers.models.vectors import inner_products

_PARTS = ("taken", "ahead")


class SlateQConfig(ValueConfig):
    """Hyperparameters of SlateQ; those that are not named here are of the model of the reward."""

    discount: float = Field(1.0, ge=0, le=1)
    """What the next decision of a session is worth beside this one; the items of a list are a decision each."""
    weight: float = Field(2.0, ge=0)
    """How much what comes later counts beside the reward: more than 1, since it is to be earned by a better policy than
    the one that logged; 0 ranks by the reward alone."""
    ahead_dim: int = Field(2, ge=2)
    """Width of the vectors that say what comes later, of which the log tells little."""
    ahead_epochs: int = Field(5, ge=1)
    """Passes over the decisions that something came of."""
    ahead_decay: float = Field(0.1, ge=0)
    """Decoupled weight decay of that."""


class SlateQ(Model):
    """One step of policy improvement on what was logged, item by item.

    With the reward r of a decision, the discounted rewards ``g`` of the rest of its session less their mean at this
    step of sessions, ``ρ`` the mean size of the rewards where something came, and ``b`` the mean of ``g`` of those
    that nothing came of::

        R(s, j) = E[r | s, j]                  as Q-learning with discount 0, over all decisions
        A(s, j) = E[g | s, j, r ≠ 0]           likewise, over decisions that something came of
        score(u, j) = R(s, j) · (1 + w / ρ · (A(s, j) - b))

    since an item changes what comes later only if the user takes it, which has the probability R / ρ
    where no reward is negative. So a session's
    later rewards are credited to what was taken, and not to what stood beside it. As a product of two inner products
    it is one: with ``R = u · v_j`` and ``A = u' · v'_j``, the user's vector is ``[(1 - w b / ρ) u, w / ρ · u ⊗ u']``,
    the item's ``[v_j, v_j ⊗ v'_j]``. Shapes: ``(n_users, dim (1 + ahead_dim))``, ``(n_items, dim (1 + ahead_dim))``.
    Of an item that nobody took ``v'_j`` is 0.

    Reference:
        Ie et al., SlateQ: a tractable decomposition for reinforcement learning with recommendation sets, IJCAI 2019;
        here with what was logged in place of a bootstrapped value, as in its on-policy form.
    """

    name = "slate_q"
    Config = SlateQConfig
    reads_weights = False
    search: ClassVar[Search] = {
        **{name: at for name, at in QLearning.search.items() if name != "discount"},
        "discount": Range(0.9, 1.0),
        "weight": Range(0.5, 3.0),
    }

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config)
        c = cast(SlateQConfig, self.config)
        shared: dict[str, Any] = c.model_dump(include=set(ValueConfig.model_fields)) | {"discount": 0.0}
        ahead: dict[str, Any] = {
            "dim": c.ahead_dim,
            "hidden_dim": 2 * c.ahead_dim,
            "items": "id",
            "weight_decay": c.ahead_decay,
            "epochs": c.ahead_epochs,
            "negatives": 0.0,
            # What comes later is mostly noise, of which the mean is wanted and not the median.
            "huber": 1e6,
        }
        if c.network == "transformer" and c.ahead_dim % c.n_heads:
            ahead["n_heads"] = 1
        self._taken = QLearning(ValueConfig(**shared))
        self._ahead = QLearning(ValueConfig(**(shared | ahead)))
        # Of R alone, and of R times A.
        self._scale = np.array([1.0, 0.0], dtype=np.float32)

    def fit(self, data: TrainingData, options: TrainingOptions | None = None) -> dict[str, float]:
        """Train; with targets, the epoch of the best NDCG@10 of R is kept and given as ``epochs``.

        Raises:
            ModelError: if the loss is no longer a number, or the decisions cannot be learnt from.
        """
        options = options or TrainingOptions()
        c = cast(SlateQConfig, self.config)
        data = replace(data, sequences=known_histories(data.sequences, data.n_items))
        decisions = data.sequences.decisions
        if decisions is None:
            decisions = derived_decisions(data.sequences, c.session_gap, c.value_weight)
        check_decisions(decisions, len(data.sequences.items), data.n_items)
        has_come = decisions.rewards != 0
        measured = self._taken.fit(data, options)
        later = later_rewards(decisions, c.discount)
        ahead = Decisions(
            places=decisions.places[has_come],
            items=decisions.items[has_come],
            rewards=later[has_come],
            next_places=np.full(int(has_come.sum()), -1),
            next_items=np.full(int(has_come.sum()), -1),
            propensities=decisions.propensities[has_come],
        )
        sequences = replace(data.sequences, decisions=ahead)
        self._ahead.fit(
            replace(data, sequences=sequences, targets=None), replace(options, checkpoint=None, curves=None, start=None)
        )
        if not has_come.any():
            # Where nothing ever came, nothing is known of what would.
            self._scale = np.array([1, 0], dtype=np.float32)
            return measured
        without = float(later[~has_come].mean()) if not has_come.all() else 0.0
        weight = c.weight / float(np.abs(decisions.rewards[has_come]).mean())
        self._scale = np.array([1 - weight * without, weight], dtype=np.float32)
        return measured

    def score(self, histories: Sequences, items: IntArray) -> FloatArray:
        """Inner products of user and item vectors, shape ``(n_users, n_candidates)``; see :meth:`Model.score`."""
        return inner_products(self.user_vectors(histories), self.item_vectors(), items)

    def user_vectors(self, histories: Sequences) -> FloatArray:
        """Shape ``(n_users, dim (1 + ahead_dim))``; rows of NaN for users without history."""
        taken, ahead = self._taken.user_vectors(histories), self._ahead.user_vectors(histories)
        return _outer(self._scale[0] * taken, self._scale[1] * taken, ahead)

    def item_vectors(self) -> FloatArray:
        """Shape ``(n_items, dim (1 + ahead_dim))``; rows of NaN for items with neither content nor an event."""
        taken = self._taken.item_vectors()
        return _outer(taken, taken, np.nan_to_num(self._ahead.item_vectors()))

    def use_device(self, device: str) -> None:
        """Compute the vectors of both parts on a device, wherever the model was trained."""
        self._taken.use_device(device)
        self._ahead.use_device(device)

    def state(self) -> dict[str, np.ndarray]:
        """The arrays of both models, as ``taken.…`` and ``ahead.…``, and the ``scale`` of the two terms."""
        parts = {"taken": self._taken, "ahead": self._ahead}
        arrays = {f"{part}.{name}": array for part, model in parts.items() for name, array in model.state().items()}
        return {**arrays, "scale": self._scale}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` gave.

        Raises:
            ModelError: if an array is missing or has a wrong shape.
        """
        scale = state.get("scale")
        if scale is None or scale.shape != (2,):
            raise ModelError("the artifact's scale is missing or not two numbers; train this model again")
        for part, model in zip(_PARTS, (self._taken, self._ahead), strict=True):
            prefix = f"{part}."
            model.restore({n.removeprefix(prefix): array for n, array in state.items() if n.startswith(prefix)})
        if len(self._taken.item_vectors()) != len(self._ahead.item_vectors()):
            raise ModelError("the artifact's two parts have different items; train this model again")
        self._scale = np.array(scale)


def later_rewards(decisions: Decisions, discount: float) -> FloatArray:
    """Discounted rewards of each decision's session after it, less their mean at this step of sessions, ``(n,)``."""
    later = returns_of(decisions, discount) - decisions.rewards
    steps = steps_of(decisions)
    means = np.bincount(steps, later) / np.maximum(np.bincount(steps), 1)
    return (later - means[steps]).astype(np.float32)


def _outer(first: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """Rows of ``first``, and behind them all products of those of ``left`` and ``right``."""
    products = (left[:, :, None] * right[:, None, :]).reshape(len(left), left.shape[1] * right.shape[1])
    return np.concatenate([first, products], axis=1)
