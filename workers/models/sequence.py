"""What models of sequences share: a network that reads a history, item vectors, and the loss of what came next."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from recsql.errors import ModelError
from workers.models.base import FloatArray, IntArray, Model, ModelConfig, Sequences, TrainingData, TrainingOptions
from workers.models.batching import Batch, NegativeSampler, history_batches, known_histories, training_batches
from workers.models.item_tables import ItemParts, ItemTables, clean_content
from workers.models.losses import full_softmax_loss, gbce_loss, sampled_softmax_loss
from workers.models.search import Choice, Range, Search
from workers.models.training import Task, TrainingConfig, fingerprint_of, seeded, train
from workers.models.validation import ndcg_at_10
from workers.models.vectors import inner_products

_INFERENCE_TOKENS = 8192


class SequenceConfig(TrainingConfig):
    """Hyperparameters that all of these models have."""

    dim: int = Field(64, ge=1)
    """Width of item and user vectors."""
    max_length: int = Field(100, ge=1)
    """How many of a user's last items are read, and the length of the windows that training cuts."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Probability with which inputs and layer outputs are dropped in training."""
    items: ItemParts = "both"
    """What item vectors are made of: an id of their own, a projection of the content, or both."""
    is_weighted: bool = False
    """Whether an event's weight (its kind and value) is that of its loss as well."""
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


class Trained(nn.Module):
    """All parameters that are learnt, so that one average and one optimizer hold them."""

    def __init__(self, network: nn.Module, tables: ItemTables) -> None:
        super().__init__()
        self.network = network
        self.tables = tables


class SequenceLoss:
    """Sum of the losses at a batch's targets, and the sum of their weights.

    Args:
        config: which loss.
        counts: how often each item occurs, shape ``(n_items,)``.
    """

    def __init__(self, config: SequenceConfig, counts: IntArray) -> None:
        self.config = config
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
        targets = torch.from_numpy(batch.targets).to(device)
        is_place = targets >= 0
        states = trained.network(torch.from_numpy(batch.inputs).to(device), inputs)[is_place]
        losses = self.of_places(states, outputs, targets[is_place], trained.tables.is_seen, drawn)
        if batch.weights is None or not self.config.is_weighted:
            return losses.sum(), float(len(losses))
        weights = torch.from_numpy(batch.weights).to(device)[is_place]
        return (losses * weights).sum(), float(weights.sum())

    def of_places(
        self, states: Tensor, outputs: Tensor, targets: Tensor, is_seen: Tensor, drawn: tuple[Tensor, ...] | None
    ) -> Tensor:
        """The loss at each place, shape ``(n_places,)``.

        Args:
            states: shape ``(n_places, dim)``.
            outputs: output vectors, shape ``(n_items, dim)``.
            targets: item rows, shape ``(n_places,)``.
            is_seen: whether training sees the item, shape ``(n_items,)``.
            drawn: negatives and the log of how often each is expected, if any are drawn.
        """
        if drawn is None:
            return full_softmax_loss(states, outputs, targets, is_seen)
        negatives, log_expected = drawn
        if self.config.loss == "gbce":
            return gbce_loss(states, outputs, targets, negatives, self.share, self.config.calibration)
        return sampled_softmax_loss(states, outputs, targets, negatives, log_expected)


class SequenceModel(Model):
    """A model whose network makes user vectors out of sequences of item vectors, served by inner product.

    With ``e`` the input and ``v`` the output vectors of the items (:class:`ItemTables`), and a user who had the items
    ``i_1 … i_n``: ``u = network(e[i_1], …, e[i_n])[n]``, ``score(u, j) = u · v_j``. A subclass has ``new_network``,
    whose result maps item rows of shape ``(n_rows, length)`` and input vectors of shape ``(n_items, dim)`` to states
    of shape ``(n_rows, length, dim)``, each of which must depend on no later place.

    Shapes: item vectors ``(n_items, dim)``, user vectors ``(n_users, dim)``. Runs with the same seed, data, device and
    number of threads give the same weights.
    """

    Config = SequenceConfig
    search: ClassVar[Search] = {
        "dim": Choice((32, 64, 128)),
        "max_length": Choice((50, 100, 200)),
        "dropout": Range(0.0, 0.5),
        "learning_rate": Range(0.0003, 0.01, log=True),
        "weight_decay": Range(0.001, 1.0, log=True),
        "batch_tokens": Choice((1024, 2048, 4096)),
    }

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config)
        self._options = cast(SequenceConfig, self.config)
        self._network = self.new_network()
        self._inputs: FloatArray = np.zeros((0, self._options.dim), dtype=np.float32)
        self._outputs: FloatArray = self._inputs

    @abstractmethod
    def new_network(self) -> nn.Module:
        """A network with fresh weights."""

    def new_loss(self, counts: IntArray) -> SequenceLoss:
        """What is minimised, for a catalogue whose items occur so often, shape ``(n_items,)``."""
        return SequenceLoss(self._options, counts)

    def training_batches(self, sequences: Sequences, rng: np.random.Generator) -> Iterator[Batch]:
        """The batches of an epoch: every transition once."""
        return training_batches(sequences, self._options.max_length, self._options.batch_tokens, rng)

    def last_states(self, batch: Batch, inputs: Tensor) -> Tensor:
        """What the network says after the newest item of each row, shape ``(n_rows, dim)``."""
        states = self._network(torch.from_numpy(batch.inputs).to(inputs.device), inputs)
        return states[torch.arange(len(batch.rows)), torch.from_numpy(batch.lengths - 1).to(inputs.device)]

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
        tables = ItemTables(torch.from_numpy(content), torch.from_numpy(counts > 0), config.dim, config.items)
        trained = Trained(self.new_network(), tables).to(options.device)

        def validate(module: nn.Module) -> float:
            self._take(cast(Trained, module))
            users = self.user_vectors(sequences)
            assert targets is not None
            return ndcg_at_10(lambda rows: users[rows] @ self._outputs.T, sequences, targets)

        arrays = {**sequences.arrays(), "content": content, "targets": targets}
        best, measured = train(
            Task(
                trained,
                lambda rng: self.training_batches(sequences, rng),
                self.new_loss(counts),
                None if targets is None else validate,
                [parameter for name, parameter in tables.named_parameters() if name.endswith("_id")],
            ),
            config,
            options,
            fingerprint_of(config, options, arrays),
        )
        self._take(cast(Trained, best))
        return measured

    def score(self, histories: Sequences, items: IntArray) -> FloatArray:
        """Inner products of user and item vectors, shape ``(n_users, n_candidates)``; see :meth:`Model.score`."""
        return inner_products(self.user_vectors(histories), self._outputs, items)

    def item_vectors(self) -> FloatArray:
        """Shape ``(n_items, dim)``; rows of NaN for items that have neither content nor an event in training."""
        return self._outputs

    def user_vectors(self, histories: Sequences) -> FloatArray:
        """Shape ``(n_users, dim)``; rows of NaN for users without history."""
        known = known_histories(histories, len(self._inputs))
        users = np.full((histories.n_users, self._options.dim), np.nan, dtype=np.float32)
        inputs = torch.from_numpy(self._inputs).to(next(self._network.parameters()).device)
        self._network.eval()
        with torch.no_grad():
            for batch in history_batches(known, self._options.max_length, _INFERENCE_TOKENS):
                users[batch.rows] = self.last_states(batch, inputs).cpu().numpy()
        return users

    def state(self) -> dict[str, np.ndarray]:
        """Item vectors as ``inputs`` and ``outputs``, and the network's weights as ``network.…``."""
        weights = {f"network.{name}": weight.cpu().numpy() for name, weight in self._network.state_dict().items()}
        return {"inputs": self._inputs, "outputs": self._outputs, **weights}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` gave; the network is then on the CPU.

        Raises:
            ModelError: if an array is missing or has a wrong shape.
        """
        inputs, outputs = state.get("inputs"), state.get("outputs")
        width = (self._options.dim,)
        if inputs is None or outputs is None or inputs.shape != outputs.shape or inputs.shape[1:] != width:
            raise ModelError(f"the artifact's item vectors are missing or not {width[0]} wide; train this model again")
        network = self.new_network()
        prefix = "network."
        weights = {n.removeprefix(prefix): torch.tensor(v) for n, v in state.items() if n.startswith(prefix)}
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelError("the artifact's weights do not fit its configuration; train this model again") from error
        self._network, self._inputs, self._outputs = network, np.array(inputs), np.array(outputs)

    def _take(self, trained: Trained) -> None:
        """Use these weights, and their item vectors, for scoring from now on."""
        self._network = trained.network
        self._inputs, self._outputs = trained.tables.arrays()
