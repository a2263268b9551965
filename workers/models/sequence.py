"""What models of sequences share: a network that reads a history, item vectors, and the loss of what came next."""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal, Self, cast

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from workers.models.base import FloatArray, IntArray, Sequences
from workers.models.batching import Batch, NegativeSampler, history_batches, known_histories, training_batches
from workers.models.events import Events, Reads
from workers.models.inner_product import InnerProductConfig, InnerProductModel, Trained
from workers.models.losses import full_softmax_loss, gbce_loss, sampled_softmax_loss
from workers.models.prefixes import prefix_pieces
from workers.models.search import Choice, Range, Search
from workers.models.trends import Prior, Trends

_INFERENCE_TOKENS = 8192


class SequenceConfig(InnerProductConfig):
    """Hyperparameters that all of these models have."""

    max_length: int = Field(100, ge=1)
    """How many of a user's last items are read, and the length of the windows that training cuts."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Probability with which inputs and layer outputs are dropped in training."""
    reads: Reads = ()
    """What the network reads of an event beside its item: ``kind``, ``value`` (the rating), ``gap`` (the time since the
    event before)."""
    is_weighted: bool = False
    """Whether an event's weight (of its kind and age) is that of its loss as well."""
    value_weight: float = Field(0.0, ge=0)
    """What a rating of one standard deviation above the user's mean adds to the weight of the event's loss."""
    dislikes: float = Field(0.0, ge=0)
    """How much what users turned down counts, each by its weight: ``-log(1 - sigmoid(u · v_j))`` for item j where
    the user was u; 0 leaves it out."""
    horizon: int = Field(1, ge=1)
    """From how many of the events that follow a place its target is drawn, anew in each epoch: 1 to say what comes
    next, more to say what comes some time (Pancha et al., PinnerFormer, KDD 2022)."""
    batch_tokens: int = Field(2048, ge=1)
    """Interactions in one step, padding included."""
    loss: Literal["softmax", "gbce"] = "softmax"
    """Cross-entropy over the catalogue (sampled with logQ correction above ``full_softmax_items``), or gBCE."""
    calibration: float = Field(0.75, ge=0, le=1)
    """gBCE's t: 0 is plain binary cross-entropy, 1 undoes all overconfidence of sampled negatives."""
    full_softmax_items: int = Field(10_000, ge=0)
    """Largest catalogue whose items all take part in each softmax; above it, negatives are sampled."""
    n_negatives: int = Field(1024, ge=1)
    """Negatives that a step draws, by popularity ^ 0.75 (gBCE: all alike), and shares among its interactions."""

    @model_validator(mode="after")
    def _check_trend(self) -> Self:
        if self.trend and self.loss == "gbce":
            raise ValueError("trend must be 0: gBCE asks of each item by itself, whatever is in demand")
        return self


class SequenceLoss:
    """Sum of the losses at a batch's targets, and the sum of their weights.

    Args:
        config: which loss.
        counts: how often each item occurs, shape ``(n_items,)``.
        trends: what was in demand when, if that is part of the scores.

    Attributes:
        per_decision: places with a target for each decision, where a subclass reads them.
    """

    def __init__(self, config: SequenceConfig, counts: IntArray, trends: Trends | None = None) -> None:
        self.config = config
        self.trends = trends
        self.per_decision = 0.0
        self.share = min(1.0, config.n_negatives / max(1, int((counts > 0).sum()) - 1))
        self.draw: NegativeSampler | None = None
        if config.loss == "gbce":
            self.draw = NegativeSampler(counts, config.n_negatives, power=0)
        elif len(counts) > config.full_softmax_items:
            self.draw = NegativeSampler(counts, config.n_negatives)

    def __call__(self, module: nn.Module, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, float]:
        """As :class:`Task` asks for it; ``module`` is :class:`Trained`."""
        trained = cast(Trained, module)
        device = trained.tables.is_seen.device
        # Drawn also for a share of a batch that is empty: all processes must draw alike.
        drawn = None if self.draw is None else tuple(torch.from_numpy(array).to(device) for array in self.draw(rng))
        if not len(batch.rows):
            return torch.zeros((), device=device), 0.0
        inputs, outputs = trained.tables()
        # Found on the CPU, where the targets are: to ask a GPU how many there are would wait for it.
        is_target = batch.targets >= 0
        places = torch.from_numpy(np.flatnonzero(is_target)).to(device)
        targets = torch.from_numpy(batch.targets[is_target]).to(device)
        states = trained.network(Events.of(batch, device), inputs)
        beside = self.of_dislikes(states, outputs, batch) + self.of_decisions(trained, states, outputs, batch)
        of_places = np.ones(len(places), np.float32) if batch.weights is None else batch.weights[is_target]
        weights = torch.from_numpy(of_places).to(device)
        prior = None
        if self.trends is not None and batch.times is not None:
            prior = self.trends.prior(batch.times[is_target], device)
        states = states.flatten(0, 1)[places]
        loss = self.of_places(states, outputs, targets, weights, trained.tables.is_seen, drawn, prior)
        n_places = float(of_places.sum())
        if batch.decisions is not None:
            # Of a batch whose users have an interaction each, decisions are all that there is.
            n_places = (n_places + self.per_decision * len(batch.decisions.places)) / 2
        return loss + beside, n_places

    def of_places(
        self,
        states: Tensor,
        outputs: Tensor,
        targets: Tensor,
        weights: Tensor,
        is_seen: Tensor,
        drawn: tuple[Tensor, ...] | None,
        prior: Prior | None,
    ) -> Tensor:
        """The weighted sum of the losses at some places.

        Args:
            states: shape ``(n_places, dim)``.
            outputs: output vectors, shape ``(n_items, dim)``.
            targets: item rows, shape ``(n_places,)``.
            weights: how much each place counts, shape ``(n_places,)``.
            is_seen: whether training sees the item, shape ``(n_items,)``.
            drawn: negatives and the log of how often each is expected, if any are drawn.
            prior: what is part of the scores beside the inner products, if anything is.
        """
        if drawn is None:
            return full_softmax_loss(states, outputs, targets, weights, is_seen, prior)
        negatives, log_expected = drawn
        if self.config.loss == "gbce":
            return gbce_loss(states, outputs, targets, weights, negatives, self.share, self.config.calibration)
        return sampled_softmax_loss(states, outputs, targets, weights, negatives, log_expected, prior)

    def of_dislikes(self, states: Tensor, outputs: Tensor, batch: Batch) -> Tensor:
        """The loss of what users turned down, at the states in which they did.

        Args:
            states: shape ``(n_rows, length, dim)``.
            outputs: output vectors, shape ``(n_items, dim)``.
            batch: the batch of these states.
        """
        if not self.config.dislikes or batch.dislikes is None:
            return torch.zeros((), device=states.device)
        places, items, weights = (torch.from_numpy(array).to(states.device) for array in vars(batch.dislikes).values())
        scores = (states.flatten(0, 1)[places] * outputs[items]).sum(1)
        return self.config.dislikes * (functional.softplus(scores) * weights).sum()

    def of_decisions(self, trained: Trained, states: Tensor, outputs: Tensor, batch: Batch) -> Tensor:
        """The loss of what was decided, at the states in which it was: none, where a subclass does not say otherwise.

        Args:
            trained: network and item tables.
            states: shape ``(n_rows, length, dim)``.
            outputs: output vectors, shape ``(n_items, dim)``.
            batch: the batch of these states.
        """
        return torch.zeros((), device=states.device)


class SequenceModel(InnerProductModel):
    """A model whose network makes user vectors out of sequences of item vectors, served by inner product.

    With ``e`` the input and ``v`` the output vectors of the items (:class:`ItemTables`), and a user who had the items
    ``i_1 … i_n``: ``u = network(e[i_1], …, e[i_n])[n]``, ``score(u, j) = u · v_j``. A subclass has ``new_network``,
    whose result maps :class:`Events` of shape ``(n_rows, length)`` and input vectors of shape ``(n_items, dim)`` to
    states of shape ``(n_rows, length, dim)``, each of which must depend on no later place.
    """

    Config = SequenceConfig
    is_causal: ClassVar[bool] = True
    """Whether a state depends on no later place when the model is asked, so that one pass gives those of all places."""
    search: ClassVar[Search] = {
        "dim": Choice((32, 64, 128)),
        "max_length": Choice((50, 100, 200)),
        "dropout": Range(0.0, 0.5),
        "learning_rate": Range(0.0003, 0.01, log=True),
        "weight_decay": Range(0.001, 1.0, log=True),
        "batch_tokens": Choice((1024, 2048, 4096)),
    }

    @property
    def reach(self) -> int:
        """The length of a window."""
        return cast(SequenceConfig, self.config).max_length

    def new_loss(self, sequences: Sequences, counts: IntArray, trends: Trends | None) -> SequenceLoss:
        """The loss of the configuration; see :meth:`InnerProductModel.new_loss`."""
        return SequenceLoss(cast(SequenceConfig, self.config), counts, trends)

    def training_batches(self, sequences: Sequences, rng: np.random.Generator) -> Iterator[Batch]:
        """The batches of an epoch: every place once."""
        c = cast(SequenceConfig, self.config)
        weighted = replace(sequences, weights=sequences.weights if c.is_weighted else None)
        if c.value_weight:
            weighted = replace(weighted, weights=weighted.weight_of_each(c.value_weight))
        return training_batches(
            weighted, c.max_length, c.batch_tokens, rng, c.horizon, with_decisions=self.reads_decisions(sequences)
        )

    def reads_decisions(self, sequences: Sequences) -> bool:
        """Whether training reads what was decided."""
        return False

    def last_states(self, batch: Batch, inputs: Tensor) -> Tensor:
        """What the network says after the newest item of each row, shape ``(n_rows, dim)``."""
        states = self._network(Events.of(batch, inputs.device), inputs)
        return states[torch.arange(len(batch.rows)), torch.from_numpy(batch.lengths - 1).to(inputs.device)]

    def states(self, histories: Sequences, places: IntArray | None = None) -> FloatArray:
        """User vectors as they were after each interaction: what :meth:`user_vectors` says of the histories up to it.

        Args:
            histories: one sequence a user.
            places: the interactions, as indices into them, shape ``(n_places,)``; None for all of them.

        Returns:
            Shape ``(n_places, dim)``, dim + 1 with a trend; rows of NaN where no item up to it is known.
        """
        max_length, n_items = cast(SequenceConfig, self.config).max_length, len(self._inputs)
        places = np.arange(len(histories.items)) if places is None else places
        pieces = prefix_pieces(histories, places, n_items, max_length, self.is_causal)
        found = np.full((len(places), self._dim), np.nan, dtype=np.float32)
        inputs = torch.from_numpy(self._inputs).to(next(self._network.parameters()).device)
        self._network.eval()
        with torch.no_grad():
            for batch, asked, rows, columns in pieces.batches(_INFERENCE_TOKENS):
                if not self.is_causal:
                    found[asked] = self.last_states(batch, inputs)[torch.from_numpy(rows)].cpu().numpy()
                    continue
                states = self._network(Events.of(batch, inputs.device), inputs)
                found[asked] = states[torch.from_numpy(rows), torch.from_numpy(columns)].cpu().numpy()
        return self.with_trend(found)

    def vectors_of(self, histories: Sequences) -> FloatArray:
        """Shape ``(n_users, dim)``; rows of NaN for users without history."""
        known, max_length = known_histories(histories, len(self._inputs)), cast(SequenceConfig, self.config).max_length
        users = np.full((histories.n_users, self._dim), np.nan, dtype=np.float32)
        inputs = torch.from_numpy(self._inputs).to(next(self._network.parameters()).device)
        self._network.eval()
        with torch.no_grad():
            for batch in history_batches(known, max_length, _INFERENCE_TOKENS):
                users[batch.rows] = self.last_states(batch, inputs).cpu().numpy()
        return users
