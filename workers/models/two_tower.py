"""Two towers, one for users and one for items, served by inner product."""

import copy
from typing import ClassVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recsql.errors import ModelError
from workers.models.bags import Places, place_batches, recent_bags, sum_bags
from workers.models.base import FloatArray, IntArray, Model, ModelConfig, Sequences, TrainingData, TrainingOptions
from workers.models.batching import NegativeSampler, known_histories
from workers.models.item_tables import ItemTables, clean_content
from workers.models.item_weights import History
from workers.models.losses import sampled_softmax_loss
from workers.models.search import Choice, Range, Search
from workers.models.training import Task, TrainingConfig, fingerprint_of, seeded, train
from workers.models.validation import ndcg_at_10
from workers.models.vectors import histories_with_vectors, inner_products

_USERS_AT_ONCE = 1024


class TwoTowerConfig(TrainingConfig):
    """Hyperparameters of the two towers."""

    learning_rate: float = Field(0.001, gt=0)
    """Step of AdamW after the warm-up."""
    epochs: int = Field(12, ge=1)
    """Passes over the data: at most so many with targets to stop by, exactly so many without."""
    batch_size: int = Field(512, ge=1)
    """Events that are predicted in one step."""
    dim: int = Field(64, ge=1)
    """Width of item and user vectors."""
    hidden: int = Field(128, ge=1)
    """Width of the hidden layer of the user tower."""
    dropout: float = Field(0.4, ge=0, lt=1)
    """Probability with which inputs and hidden units of the user tower are dropped in training."""
    history: History = History(decay="harmonic", rate=1.0, length=50)
    """How far back the user tower reads, and how much a step back counts."""
    targets_per_user: int = Field(100, ge=1)
    """Events of a user that an epoch predicts at most, drawn anew each time."""
    n_negatives: int = Field(1024, ge=1)
    """Negatives that a step draws by popularity ^ 0.75 and shares among its events."""


class UserTower(nn.Module):
    """From the mean of what a user had to the user's vector."""

    def __init__(self, *, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, hidden)
        self.out = nn.Linear(hidden, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, means: Tensor) -> Tensor:
        """Vectors of shape ``(n_users, dim)`` from means of that shape."""
        hidden = functional.gelu(self.hidden(self.dropout(means)))
        return self.norm(means + self.out(self.dropout(hidden)))


class _Trained(nn.Module):
    """All parameters that are learnt, so that one optimizer holds them."""

    def __init__(self, tower: UserTower, tables: ItemTables) -> None:
        super().__init__()
        self.tower = tower
        self.tables = tables


class TwoTower(Model):
    """A user tower over the mean of what the user had, and an item tower of id and content.

    With ``e`` the input and ``v`` the output vectors of the items, both ``id + content W`` with an id of their own on
    top, and a user who had the items ``i_0`` (the newest), ``i_1``, … with events of weight ``w_k``::

        m = Σ_k w_k h(k) e[i_k] / Σ_k w_k h(k)            h: weight of a step back, as ``history`` has it
        u = LayerNorm(m + W₂ gelu(W₁ m + b₁) + b₂)        score(u, j) = u · v_j

    Training predicts events from what the same user had before them, by cross-entropy against sampled negatives with
    logQ correction, an event counting its weight. Items that training does not see have no id part, so their content
    alone places them.

    Shapes: item vectors ``(n_items, dim)``, user vectors ``(n_users, dim)``. Runs with the same seed, data, device and
    number of threads give the same weights.

    References:
        Covington, Adams and Sargin, Deep Neural Networks for YouTube Recommendations, RecSys 2016.
        Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations, RecSys 2019.
    """

    name = "two_tower"
    Config = TwoTowerConfig
    search: ClassVar[Search] = {
        "dim": Choice((32, 64, 128)),
        "dropout": Range(0.0, 0.6),
        "learning_rate": Range(0.0003, 0.01, log=True),
    }

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config)
        self._options = cast(TwoTowerConfig, self.config)
        self._tower = self._new_tower()
        self._inputs: FloatArray = np.zeros((0, self._options.dim), dtype=np.float32)
        self._outputs: FloatArray = self._inputs

    def fit(self, data: TrainingData, options: TrainingOptions | None = None) -> dict[str, float]:
        """Train; with targets, the epoch of the best NDCG@10 is kept and given as ``epochs``.

        Raises:
            ModelError: if the loss is no longer a number, or ``data.content`` has another number of items.
        """
        options = options or TrainingOptions()
        with seeded(options):
            return self._train(data, options)

    def _train(self, data: TrainingData, options: TrainingOptions) -> dict[str, float]:
        config, targets = self._options, data.targets
        sequences = known_histories(data.sequences, data.n_items)
        counts = np.bincount(sequences.items, minlength=data.n_items)
        content = clean_content(data)
        tables = ItemTables(torch.from_numpy(content), torch.from_numpy(counts > 0), config.dim)
        trained = _Trained(self._new_tower(), tables).to(options.device)

        def validate(module: nn.Module) -> float:
            self._take(cast(_Trained, module))
            users = self.user_vectors(sequences)
            assert targets is not None
            return ndcg_at_10(lambda rows: users[rows] @ self._outputs.T, sequences, targets)

        arrays = {**sequences.arrays(), "content": content, "targets": targets}
        best, measured = train(
            Task(
                trained,
                lambda rng: place_batches(sequences, config.batch_size, config.targets_per_user, rng),
                _Loss(config, sequences, counts),
                None if targets is None else validate,
                [tables.input_id, tables.output_id],
            ),
            config,
            options,
            fingerprint_of(config, options, arrays),
        )
        self._take(cast(_Trained, best))
        return measured

    def score(self, histories: Sequences, items: IntArray) -> FloatArray:
        """Inner products of user and item vectors, shape ``(n_users, n_candidates)``; see :meth:`Model.score`."""
        return inner_products(self.user_vectors(histories), self._outputs, items)

    def item_vectors(self) -> FloatArray:
        """Shape ``(n_items, dim)``; rows of NaN for items that have neither content nor an event in training."""
        return self._outputs

    def user_vectors(self, histories: Sequences) -> FloatArray:
        """Shape ``(n_users, dim)``; rows of NaN for users without history."""
        known = histories_with_vectors(histories, self._outputs)
        users = np.full((histories.n_users, self._options.dim), np.nan, dtype=np.float32)
        device = next(self._tower.parameters()).device
        inputs = torch.from_numpy(self._inputs).to(device)
        rows = np.flatnonzero(np.diff(known.offsets))
        self._tower.eval()
        with torch.no_grad():
            for begin in range(0, len(rows), _USERS_AT_ONCE):
                chunk = rows[begin : begin + _USERS_AT_ONCE]
                bags = recent_bags(known, known.offsets[chunk], known.offsets[chunk + 1], self._options.history, 1.0)
                users[chunk] = self._tower(sum_bags(inputs, bags)).cpu().numpy()
        return users

    def state(self) -> dict[str, np.ndarray]:
        """Item vectors as ``inputs`` and ``outputs``, and the user tower's weights as ``tower.…``."""
        weights = {f"tower.{name}": weight.cpu().numpy() for name, weight in self._tower.state_dict().items()}
        return {"inputs": self._inputs, "outputs": self._outputs, **weights}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` gave; the tower is then on the CPU.

        Raises:
            ModelError: if an array is missing or has a wrong shape.
        """
        inputs, outputs = state.get("inputs"), state.get("outputs")
        width = (self._options.dim,)
        if inputs is None or outputs is None or inputs.shape != outputs.shape or inputs.shape[1:] != width:
            raise ModelError(f"the artifact's item vectors are missing or not {width[0]} wide; train this model again")
        tower, prefix = self._new_tower(), "tower."
        try:
            tower.load_state_dict(
                {n.removeprefix(prefix): torch.tensor(v) for n, v in state.items() if n.startswith(prefix)}
            )
        except RuntimeError as error:
            raise ModelError("the artifact's weights do not fit its configuration; train this model again") from error
        self._tower, self._inputs, self._outputs = tower, np.array(inputs), np.array(outputs)

    def _new_tower(self) -> UserTower:
        return UserTower(dim=self._options.dim, hidden=self._options.hidden, dropout=self._options.dropout)

    def _take(self, trained: _Trained) -> None:
        """Use these weights, and their item vectors, for scoring from now on, whatever becomes of the module."""
        self._tower = copy.deepcopy(trained.tower)
        self._inputs, self._outputs = trained.tables.arrays()


class _Loss:
    """Cross-entropy of events, each predicted from what its user had before it, by the weights of the events."""

    def __init__(self, config: TwoTowerConfig, sequences: Sequences, counts: IntArray) -> None:
        self._history, self._sequences, self._weights = config.history, sequences, sequences.weight_of_each()
        self._draw = NegativeSampler(counts, config.n_negatives)

    def __call__(self, module: nn.Module, batch: Places, rng: np.random.Generator) -> tuple[Tensor, float]:
        """As :class:`Task` asks for it; ``module`` is :class:`_Trained`."""
        trained = cast(_Trained, module)
        device = trained.tables.is_seen.device
        # Drawn also for a share of a batch that is empty: all processes must draw alike.
        drawn = self._draw(rng)
        if not len(batch.places):
            return torch.zeros((), device=device), 0.0
        inputs, outputs = trained.tables()
        starts = self._sequences.offsets[batch.users]
        users = trained.tower(sum_bags(inputs, recent_bags(self._sequences, starts, batch.places, self._history, 1.0)))
        targets, negatives, log_expected, weights = (
            torch.from_numpy(array).to(device)
            for array in (self._sequences.items[batch.places], *drawn, self._weights[batch.places])
        )
        losses = sampled_softmax_loss(users, outputs, targets, negatives, log_expected)
        return (losses * weights).sum(), float(weights.sum())
