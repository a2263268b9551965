"""Neural matrix factorisation, of users who are given by their histories."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recsql.errors import ModelError
from workers.models.bags import Places, place_batches, recent_bags, sum_bags
from workers.models.base import FloatArray, IntArray, Model, ModelConfig, Sequences, TrainingData, TrainingOptions
from workers.models.batching import known_histories
from workers.models.checkpoint import fingerprint_of
from workers.models.dropout import Dropout
from workers.models.item_weights import History
from workers.models.search import Choice, Range, Search
from workers.models.training import Task, TrainingConfig, seeded, train
from workers.models.validation import ndcg_at_10
from workers.models.vectors import histories_with_vectors

_PAIRS_AT_ONCE = 2**16
_INIT_STD = 0.1


class NeuMfConfig(TrainingConfig):
    """Hyperparameters of neural matrix factorisation."""

    epochs: int = Field(12, ge=1)
    """Passes over the data: at most so many with targets to stop by, exactly so many without."""
    batch_size: int = Field(512, ge=1)
    """Events that are predicted in one step."""
    dim: int = Field(32, ge=1)
    """Width of a vector in either part; an item has two for itself and two for the histories that it is in."""
    layers: tuple[int, ...] = Field((64, 32, 16), min_length=1)
    """Widths of the hidden layers of the MLP."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Probability with which inputs of the user and hidden units are dropped in training."""
    history: History = History(decay="harmonic", rate=1.0, length=50)
    """How far back a user is read, and how much a step back counts."""
    n_negatives: int = Field(4, ge=1)
    """Items that the user did not have, drawn for each event alike over all items that anybody had."""


class Head(nn.Module):
    """What two vectors of a user and two of an item give: the logit of their meeting."""

    def __init__(self, *, dim: int, layers: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*shape) for shape in zip((2 * dim, *layers), layers, strict=False))
        self.out = nn.Linear(dim + layers[-1], 1)
        self.dropout = Dropout(dropout)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits of every user with each of their candidates.

        Args:
            users: the halves for product and MLP side by side, shape ``(n_users, 2 dim)``.
            items: likewise, shape ``(n_users, n_candidates, 2 dim)``.

        Returns:
            Shape ``(n_users, n_candidates)``.
        """
        factor, user = self.dropout(users).chunk(2, dim=-1)
        other, item = items.chunk(2, dim=-1)
        first = cast(nn.Linear, self.layers[0])
        # The user's half of the first layer is the same for all of their candidates.
        for_user, for_item = first.weight.chunk(2, dim=1)
        hidden = functional.linear(user, for_user, first.bias).unsqueeze(1) + functional.linear(item, for_item)
        hidden = functional.relu(hidden)
        for layer in self.layers[1:]:
            hidden = functional.relu(layer(self.dropout(hidden)))
        return self.out(torch.cat([factor.unsqueeze(1) * other, hidden], dim=-1)).squeeze(-1)


class _Trained(nn.Module):
    """All parameters that are learnt, so that one optimizer holds them."""

    def __init__(self, head: Head, n_items: int, dim: int) -> None:
        super().__init__()
        self.head = head
        self.sources = nn.Parameter(torch.randn(n_items, 2 * dim) * _INIT_STD)
        self.items = nn.Parameter(torch.randn(n_items, 2 * dim) * _INIT_STD)
        self.biases = nn.Parameter(torch.zeros(n_items, 1))

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits of users, shape ``(n_users, 2 dim)``, with item rows, shape ``(n_users, n_candidates)``."""
        logits = self.head(users, functional.embedding(items, self.items))
        return logits + functional.embedding(items, self.biases).squeeze(-1)


class NeuMf(Model):
    """Generalised matrix factorisation and an MLP, joined in one layer.

    An item ``j`` has vectors ``q_j`` (for the product) and ``r_j`` (for the MLP), a bias ``b_j``, and what it adds to
    the user who had it, ``a_j`` and ``c_j``. Of a user who had the items ``i_0`` (the newest), ``i_1``, … with events
    of weight ``w_k``, and with ``h`` the weight of a step back, as ``history`` has it::

        p = Σ_k w_k h(k) a[i_k] / √(Σ_k w_k h(k))         s likewise from c
        z_1 = relu(W_1 [s, r_j] + d_1),  z_l = relu(W_l z_(l-1) + d_l)
        score(u, j) = g · [p ⊙ q_j, z_L] + g_0 + b_j

    The paper has a vector for each user and no ``b_j``; a sum over the history over √n, as FISM has it, also serves
    users that training did not see. Training takes each event with what the same user had *before* it, so that neither
    the event itself nor a later one is in ``p``, and ``n_negatives`` items ``j'`` that the user never had::

        loss = Σ_events ( w / mean w · ln(1 + exp(-score(u, j))) + Σ_j' ln(1 + exp(score(u, j'))) )

    The score is the logit of the paper's probability. It is no inner product, so there are no vectors to serve it by.
    Items without an event in training are unknown. Runs with the same seed, data, device and number of threads give the
    same weights; on a GPU nearly the same, since some of its sums are taken in an order that varies.

    Shapes: ``sources`` (``a`` and ``c`` side by side) and ``items`` (``q`` and ``r``) ``(n_items, 2 dim)``, ``biases``
    ``(n_items,)``.

    References:
        He et al., Neural Collaborative Filtering, WWW 2017.
        Kabbur, Ning and Karypis, FISM, KDD 2013. He et al., NAIS, TKDE 2018 (users as their items).
    """

    name = "neumf"
    Config = NeuMfConfig
    search: ClassVar[Search] = {
        "dim": Choice((16, 32, 64)),
        "dropout": Range(0.0, 0.5),
        "learning_rate": Range(0.0003, 0.01, log=True),
        "n_negatives": Range(1, 8),
    }

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config)
        self._options = cast(NeuMfConfig, self.config)
        self._head = self._new_head()
        self._sources: FloatArray = np.zeros((0, 2 * self._options.dim), dtype=np.float32)
        self._items: FloatArray = self._sources
        self._biases: FloatArray = np.zeros(0, dtype=np.float32)

    def fit(self, data: TrainingData, options: TrainingOptions | None = None) -> dict[str, float]:
        """Train; with targets, the epoch of the best NDCG@10 is kept and given as ``epochs``. Content is not used.

        Raises:
            ModelError: if the loss is no longer a number.
        """
        options = options or TrainingOptions()
        with seeded(options):
            return self._train(data, options)

    def _train(self, data: TrainingData, options: TrainingOptions) -> dict[str, float]:
        config, targets = self._options, data.targets
        sequences = known_histories(data.sequences, data.n_items)
        is_seen = np.bincount(sequences.items, minlength=data.n_items) > 0
        trained = _Trained(self._new_head(), data.n_items, config.dim).to(options.device)

        def validate(module: nn.Module) -> float:
            self._take(cast(_Trained, module), is_seen)
            everything = np.arange(data.n_items)[None]
            assert targets is not None
            return ndcg_at_10(
                lambda rows: self.score(sequences.take(rows), everything.repeat(len(rows), axis=0)), sequences, targets
            )

        arrays = {**sequences.arrays(), "n_items": np.array(data.n_items), **data.named_targets()}
        best, measured = train(
            Task(
                trained,
                lambda rng: _batches(sequences, config, rng),
                _Loss(config, sequences, data.n_items),
                None if targets is None else validate,
                [trained.sources, trained.items],
            ),
            config,
            options,
            fingerprint_of(config, options, arrays),
        )
        self._take(cast(_Trained, best), is_seen)
        return measured

    def score(self, histories: Sequences, items: IntArray) -> FloatArray:
        """Logits, shape ``(n_users, n_candidates)``, a bounded number of pairs at once; see :meth:`Model.score`."""
        scores = np.full(items.shape, np.nan, dtype=np.float32)
        known = histories_with_vectors(histories, self._items)
        # Only users with a history, and only candidates that are known, each as a pair of its own.
        is_known = (items >= 0) & (items < len(self._items)) & (np.diff(known.offsets) > 0)[:, None]
        rows = np.flatnonzero(is_known.any(axis=1))
        users_at_once = max(1, _PAIRS_AT_ONCE // max(1, items.shape[1]))
        # In double precision, so that after rounding a score does not depend on what it was computed beside.
        head = copy.deepcopy(self._head).double().eval()
        device = head.out.weight.device
        sources = torch.from_numpy(self._sources).to(device)
        with torch.no_grad():
            for begin in range(0, len(rows), users_at_once):
                chunk = rows[begin : begin + users_at_once]
                bags = recent_bags(known, known.offsets[chunk], known.offsets[chunk + 1], self._options.history, 0.5)
                users = sum_bags(sources, bags).double()
                for first in range(0, items.shape[1], _PAIRS_AT_ONCE):
                    columns = slice(first, first + _PAIRS_AT_ONCE)
                    chosen = np.where(is_known[chunk, columns], items[chunk, columns], 0)
                    logits = head(users, torch.from_numpy(self._items[chosen]).to(device).double()).cpu().numpy()
                    logits += self._biases[chosen]
                    scores[chunk, columns] = np.where(is_known[chunk, columns], logits, np.nan)
        return scores

    def state(self) -> dict[str, np.ndarray]:
        """The arrays ``sources``, ``items`` and ``biases``, and the weights of the layers as ``head.…``."""
        weights = {f"head.{name}": weight.cpu().numpy() for name, weight in self._head.state_dict().items()}
        return {"sources": self._sources, "items": self._items, "biases": self._biases, **weights}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` gave; the layers are then on the CPU.

        Raises:
            ModelError: if an array is missing or has a wrong shape.
        """
        sources, items, biases = (state.get(name) for name in ("sources", "items", "biases"))
        width = (2 * self._options.dim,)
        if sources is None or items is None or biases is None:
            raise ModelError("the artifact's item vectors or biases are missing; train this model again")
        if sources.shape != items.shape or items.shape[1:] != width or biases.shape != items.shape[:1]:
            raise ModelError(
                f"the artifact's item vectors are not {width[0]} wide, or not as many as its biases; "
                "train this model again"
            )
        head, prefix = self._new_head(), "head."
        try:
            head.load_state_dict(
                {n.removeprefix(prefix): torch.tensor(v) for n, v in state.items() if n.startswith(prefix)}
            )
        except RuntimeError as error:
            raise ModelError("the artifact's weights do not fit its configuration; train this model again") from error
        self._head, self._sources, self._items, self._biases = (
            head,
            np.array(sources),
            np.array(items),
            np.array(biases),
        )

    def use_device(self, device: str) -> None:
        """Compute scores on a device, wherever the model was trained."""
        self._head.to(device)

    def _new_head(self) -> Head:
        return Head(dim=self._options.dim, layers=self._options.layers, dropout=self._options.dropout)

    def _take(self, trained: _Trained, is_seen: np.ndarray) -> None:
        """Use these weights for scoring from now on, whatever becomes of the module."""
        self._head = copy.deepcopy(trained.head)
        self._sources, items, self._biases = (
            table.detach().cpu().numpy().copy() for table in (trained.sources, trained.items, trained.biases[:, 0])
        )
        self._items = np.where(is_seen[:, None], items, np.float32(np.nan))


def _batches(sequences: Sequences, config: NeuMfConfig, rng: np.random.Generator) -> Iterator[Places]:
    """An epoch's events, each with its negatives."""
    seen = np.unique(sequences.items)
    for batch in place_batches(sequences, config.batch_size, None, rng):
        yield replace(batch, negatives=rng.choice(seen, (len(batch.places), config.n_negatives)))


class _Loss:
    """Binary cross-entropy of events and negatives, summed over all of them, and the number of events."""

    def __init__(self, config: NeuMfConfig, sequences: Sequences, n_items: int) -> None:
        self._history, self._sequences, self._n_items = config.history, sequences, n_items
        owners = np.repeat(np.arange(sequences.n_users), np.diff(sequences.offsets))
        self._had = np.unique(owners * n_items + sequences.items)
        weights = sequences.weight_of_each()
        self._weights = weights / (weights.mean() if len(weights) else 1)

    def __call__(self, module: nn.Module, batch: Places, rng: np.random.Generator) -> tuple[Tensor, float]:
        """As :class:`Task` asks for it; ``module`` is :class:`_Trained`."""
        trained = cast(_Trained, module)
        if not len(batch.places):
            return torch.zeros((), device=trained.items.device), 0.0
        assert batch.negatives is not None
        keys = batch.users[:, None] * self._n_items + batch.negatives
        nearest = self._had[np.minimum(np.searchsorted(self._had, keys), len(self._had) - 1)]
        # What was drawn although the user had it does not count.
        counts = np.concatenate([self._weights[batch.places, None], nearest != keys], axis=1, dtype=np.float32)
        candidates = np.concatenate([self._sequences.items[batch.places, None], batch.negatives], axis=1)
        starts = self._sequences.offsets[batch.users]
        users = sum_bags(trained.sources, recent_bags(self._sequences, starts, batch.places, self._history, 0.5))
        items, counted = (torch.from_numpy(array).to(users.device) for array in (candidates, counts))
        logits = trained(users, items)
        wanted = torch.zeros_like(logits)
        wanted[:, 0] = 1
        loss = functional.binary_cross_entropy_with_logits(logits, wanted, counted, reduction="sum")
        return loss, float(len(candidates))
