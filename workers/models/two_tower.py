"""Two towers, one for users and one for items, served by inner product."""

from collections.abc import Iterator
from typing import ClassVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from workers.models.bags import Places, place_batches, recent_bags, sum_bags
from workers.models.base import FloatArray, IntArray, Sequences
from workers.models.batching import NegativeSampler
from workers.models.dropout import Dropout
from workers.models.inner_product import InnerProductConfig, InnerProductModel, Trained
from workers.models.item_weights import History
from workers.models.losses import sampled_softmax_loss
from workers.models.search import Choice, Range, Search
from workers.models.trends import Trends
from workers.models.vectors import histories_with_vectors

_USERS_AT_ONCE = 1024


class TwoTowerConfig(InnerProductConfig):
    """Hyperparameters of the two towers."""

    learning_rate: float = Field(0.001, gt=0)
    """Step of AdamW after the warm-up."""
    epochs: int = Field(12, ge=1)
    """Passes over the data: at most so many with targets to stop by, exactly so many without."""
    batch_size: int = Field(512, ge=1)
    """Events that are predicted in one step."""
    hidden: int = Field(128, ge=1)
    """Width of the hidden layer of the user tower."""
    dropout: float = Field(0.4, ge=0, lt=1)
    """Probability with which inputs and hidden units of the user tower are dropped in training."""
    history: History = History(decay="harmonic", rate=1.0, length=50)
    """How far back the user tower reads, and how much a step back counts."""
    targets_per_user: int = Field(100, ge=1)
    """Events of a user that an epoch predicts at most, drawn anew each time."""
    horizon: int = Field(1, ge=1)
    """An event is one of so many that follow the history that it is predicted from, drawn anew in each epoch: 1 to say
    what comes next, more to say what comes some time."""
    n_negatives: int = Field(1024, ge=1)
    """Negatives that a step draws by popularity ^ 0.75 and shares among its events."""


class UserTower(nn.Module):
    """From the mean of what a user had to the user's vector."""

    def __init__(self, *, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, hidden)
        self.out = nn.Linear(hidden, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, means: Tensor) -> Tensor:
        """Vectors of shape ``(n_users, dim)`` from means of that shape."""
        hidden = functional.gelu(self.hidden(self.dropout(means)))
        return self.norm(means + self.out(self.dropout(hidden)))


class TwoTower(InnerProductModel):
    """A user tower over the mean of what the user had, and an item tower of id and content.

    With ``e`` the input and ``v`` the output vectors of the items, both ``id + content W`` with an id of their own on
    top, and a user who had the items ``i_0`` (the newest), ``i_1``, … with events of weight ``w_k``::

        m = Σ_k w_k h(k) e[i_k] / Σ_k w_k h(k)            h: weight of a step back, as ``history`` has it
        u = LayerNorm(m + W₂ gelu(W₁ m + b₁) + b₂)        score(u, j) = u · v_j

    Training predicts events from what the same user had before them, or some events before them with a ``horizon``, by
    cross-entropy against sampled negatives with logQ correction, an event counting its weight. Items that training does
    not see have no id part, so their content alone places them.

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

    def new_network(self) -> UserTower:
        """A user tower with fresh weights."""
        c = cast(TwoTowerConfig, self.config)
        return UserTower(dim=c.dim, hidden=c.hidden, dropout=c.dropout)

    def training_batches(self, sequences: Sequences, rng: np.random.Generator) -> Iterator[Places]:
        """Some events of each user, drawn anew for an epoch."""
        c = cast(TwoTowerConfig, self.config)
        return place_batches(sequences, c.batch_size, c.targets_per_user, rng, c.horizon)

    @property
    def reach(self) -> int:
        """How far back the user tower reads."""
        return cast(TwoTowerConfig, self.config).history.length

    def new_loss(self, sequences: Sequences, counts: IntArray, trends: Trends | None) -> "_Loss":
        """The sampled softmax of events, each predicted from what its user had before it."""
        return _Loss(cast(TwoTowerConfig, self.config), sequences, counts, trends)

    def vectors_of(self, histories: Sequences) -> FloatArray:
        """Shape ``(n_users, dim)``; rows of NaN for users without history."""
        known, history = histories_with_vectors(histories, self._outputs), cast(TwoTowerConfig, self.config).history
        users = np.full((histories.n_users, self._dim), np.nan, dtype=np.float32)
        device = next(self._network.parameters()).device
        inputs = torch.from_numpy(self._inputs).to(device)
        rows = np.flatnonzero(np.diff(known.offsets))
        self._network.eval()
        with torch.no_grad():
            for begin in range(0, len(rows), _USERS_AT_ONCE):
                chunk = rows[begin : begin + _USERS_AT_ONCE]
                bags = recent_bags(known, known.offsets[chunk], known.offsets[chunk + 1], history, 1.0)
                users[chunk] = self._network(sum_bags(inputs, bags)).cpu().numpy()
        return users


class _Loss:
    """Cross-entropy of events, each predicted from what its user had before it, by the weights of the events."""

    def __init__(self, config: TwoTowerConfig, sequences: Sequences, counts: IntArray, trends: Trends | None) -> None:
        self._trends = trends
        self._history, self._sequences, self._weights = config.history, sequences, sequences.weight_of_each()
        self._draw = NegativeSampler(counts, config.n_negatives)

    def __call__(self, module: nn.Module, batch: Places, rng: np.random.Generator) -> tuple[Tensor, float]:
        """As :class:`Task` asks for it; ``module`` is :class:`Trained`."""
        trained = cast(Trained, module)
        device = trained.tables.is_seen.device
        # Drawn also for a share of a batch that is empty: all processes must draw alike.
        drawn = self._draw(rng)
        if not len(batch.places):
            return torch.zeros((), device=device), 0.0
        inputs, outputs = trained.tables()
        starts = self._sequences.offsets[batch.users]
        stops = batch.places if batch.stops is None else batch.stops
        users = trained.network(sum_bags(inputs, recent_bags(self._sequences, starts, stops, self._history, 1.0)))
        targets, negatives, log_expected, weights = (
            torch.from_numpy(array).to(device)
            for array in (self._sequences.items[batch.places], *drawn, self._weights[batch.places])
        )
        prior = None
        if self._trends is not None and self._sequences.times is not None:
            prior = self._trends.prior(self._sequences.times[stops - 1], device)
        loss = sampled_softmax_loss(users, outputs, targets, weights, negatives, log_expected, prior)
        return loss, float(weights.sum())
