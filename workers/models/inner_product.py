"""What models share whose score is an inner product of learned vectors: items, training, artifacts."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Self, cast

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from recsql.errors import ModelError
from workers.models.base import FloatArray, IntArray, Model, ModelConfig, Sequences, TrainingData, TrainingOptions
from workers.models.batching import known_histories
from workers.models.checkpoint import fingerprint_of
from workers.models.item_tables import ItemParts, ItemTables, clean_content
from workers.models.start import Start, fresh_windows
from workers.models.training import Task, TrainingConfig, seeded, train
from workers.models.trends import Trends
from workers.models.validation import ndcg_at_10
from workers.models.vectors import inner_products


class InnerProductConfig(TrainingConfig):
    """Hyperparameters that all of these models have."""

    dim: int = Field(64, ge=1)
    """Width of item and user vectors."""
    items: ItemParts = "both"
    """What item vectors are made of: an id of their own, a projection of the content, or both."""
    trend: float = Field(0.0, ge=0)
    """Half-life, in days, of the interactions that are counted for an item's trend: the log of their number is part of
    its score, in training as it was at the time, so that all else learns in what a user differs; 0 leaves it out."""
    fresh_epochs: int = Field(1, ge=1)
    """Passes over what is new, where training goes on from a former version; more did no good on ML-100K's validation
    part (``benchmarks.incremental``)."""
    replay: float = Field(0.5, ge=0)
    """Windows of known interactions for each one with new ones, where training goes on from a former version."""

    @model_validator(mode="after")
    def _check_adversarial(self) -> Self:
        if self.adversarial and self.items == "content":
            raise ValueError("adversarial must be 0 where items are of content alone: it is ids that it changes")
        return self


class Trained(nn.Module):
    """All parameters that are learnt, so that one average and one optimizer hold them."""

    def __init__(self, network: nn.Module, tables: ItemTables) -> None:
        super().__init__()
        self.network = network
        self.tables = tables


class InnerProductModel(Model):
    """A model whose network makes user vectors out of item vectors: ``score(u, j) = u · v_j``.

    With a ``trend``, ``score(u, j) = u · v_j + t_j`` where ``t_j`` is the trend of item j (:class:`Trends`) when
    training ended; so that it is still an inner product, item vectors then end with ``t_j`` and user vectors with 1.

    A subclass has ``new_network``, ``training_batches``, ``new_loss``, ``reach`` and ``vectors_of``, which reads the
    network and the items' input vectors. Shapes: item vectors ``(n_items, dim)``, user vectors ``(n_users, dim)``, with
    a trend dim + 1. Runs with the same seed, data, device and number of threads give the same weights; on a GPU nearly
    the same, since some of its sums are taken in an order that varies.
    """

    Config = InnerProductConfig

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config)
        self._dim = cast(InnerProductConfig, self.config).dim
        self._network = self.new_network()
        self._inputs: FloatArray = np.zeros((0, self._dim), dtype=np.float32)
        self._outputs: FloatArray = self._inputs
        self._projection: FloatArray = self._inputs
        has_trend = cast(InnerProductConfig, self.config).trend > 0
        self._trend: FloatArray | None = np.zeros(0, dtype=np.float32) if has_trend else None

    @abstractmethod
    def new_network(self) -> nn.Module:
        """A network with fresh weights."""

    @abstractmethod
    def training_batches(self, sequences: Sequences, rng: np.random.Generator) -> Iterator[Any]:
        """The batches of an epoch; see :class:`Task`."""

    @abstractmethod
    def new_loss(
        self, sequences: Sequences, counts: IntArray, trends: Trends | None
    ) -> Callable[[nn.Module, Any, np.random.Generator], tuple[Tensor, float]]:
        """What is minimised (see :class:`Task`), of a module that is :class:`Trained`.

        Args:
            sequences: what users did.
            counts: how often each item occurs, shape ``(n_items,)``.
            trends: what was in demand when, if the configuration asks for it.
        """

    def prepared(self, sequences: Sequences, n_items: int) -> Sequences:
        """What training reads of what users did, before pieces are cut out of it; all of it as it is."""
        return sequences

    def counts_of(self, sequences: Sequences, n_items: int) -> IntArray:
        """How often training sees each item, shape ``(n_items,)``; those that it never does have no id."""
        return np.bincount(sequences.items, minlength=n_items)

    def new_module(self, network: nn.Module, tables: ItemTables) -> Trained:
        """All that is learnt."""
        return Trained(network, tables)

    @property
    @abstractmethod
    def reach(self) -> int:
        """How many interactions before another one can bear on it in training."""

    @abstractmethod
    def vectors_of(self, histories: Sequences) -> FloatArray:
        """What the network says of users, shape ``(n_users, dim)``; rows of NaN for users without history."""

    def user_vectors(self, histories: Sequences) -> FloatArray:
        """Shape ``(n_users, dim)``, dim + 1 with a trend; rows of NaN for users without history."""
        return self.with_trend(self.vectors_of(histories))

    def with_trend(self, users: FloatArray) -> FloatArray:
        """What the network says of users as their inner products with item vectors read it: with a trend, a 1 more."""
        if self._trend is None:
            return users
        # 1, or NaN for users without history.
        return np.column_stack([users, np.where(np.isnan(users[:, 0]), users[:, 0], np.float32(1))])

    def fit(self, data: TrainingData, options: TrainingOptions | None = None) -> dict[str, float]:
        """Train; with targets, the epoch of the best NDCG@10 is kept and given as ``epochs``.

        With ``options.start``, training goes on from its weights with ``fresh_epochs`` over :func:`fresh_windows`. An
        item that the former version had keeps its vectors, whatever its content's mean is now; others get fresh ids.

        Raises:
            ModelError: if the loss is no longer a number, ``data.content`` has another number of items, the former
                version does not fit the configuration or the content, or a trend is asked for and times are not known.
        """
        options = options or TrainingOptions()
        with seeded(options):
            return self._train(data, options)

    def _train(self, data: TrainingData, options: TrainingOptions) -> dict[str, float]:
        config, targets = cast(InnerProductConfig, self.config), data.targets
        sequences = self.prepared(known_histories(data.sequences, data.n_items), data.n_items)
        counts = self.counts_of(sequences, data.n_items)
        trends = Trends.of(sequences, data.n_items, config.trend) if config.trend else None
        if trends is not None:
            self._trend = trends.newest()
        content = clean_content(data)
        tables = ItemTables(torch.from_numpy(content), torch.from_numpy(counts > 0), config.dim, config.items)
        trained = self.new_module(self.new_network(), tables)
        arrays = {**sequences.arrays(), "content": content, **data.named_targets()}
        learnt = sequences
        if options.start is not None:
            _go_on(trained, options.start)
            rng = np.random.default_rng([options.seed, 1])
            learnt = fresh_windows(sequences, options.start.n_known, self.reach, config.replay, rng)
            arrays |= options.start.arrays()
        trained.to(options.device)

        def validate(module: nn.Module) -> float:
            self._take(cast(Trained, module))
            users = self.user_vectors(sequences)
            assert targets is not None
            items = self.item_vectors()
            return ndcg_at_10(lambda rows: users[rows] @ items.T, sequences, targets)

        best, measured = train(
            Task(
                trained,
                lambda rng: self.training_batches(learnt, rng),
                self.new_loss(learnt, counts, trends),
                None if targets is None else validate,
                [parameter for name, parameter in tables.named_parameters() if name.endswith("_id")],
            ),
            config if options.start is None else config.model_copy(update={"epochs": config.fresh_epochs}),
            options,
            fingerprint_of(config, options, arrays),
        )
        self._take(cast(Trained, best))
        return measured

    def score(self, histories: Sequences, items: IntArray) -> FloatArray:
        """Inner products of user and item vectors, shape ``(n_users, n_candidates)``; see :meth:`Model.score`."""
        return inner_products(self.user_vectors(histories), self.item_vectors(), items)

    def item_vectors(self) -> FloatArray:
        """Shape ``(n_items, dim)``, dim + 1 with a trend; rows of NaN for items with neither content nor an event."""
        return self._outputs if self._trend is None else np.column_stack([self._outputs, self._trend])

    def state(self) -> dict[str, np.ndarray]:
        """Item vectors as ``inputs`` and ``outputs``, the ``projection``, ``network.…``, and ``trend`` if any."""
        weights = {f"network.{name}": weight.cpu().numpy() for name, weight in self._network.state_dict().items()}
        vectors = {"inputs": self._inputs, "outputs": self._outputs, "projection": self._projection}
        return {**vectors, **weights, **({} if self._trend is None else {"trend": self._trend})}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` gave; the network is then on the CPU.

        Raises:
            ModelError: if an array is missing or has a wrong shape.
        """
        inputs, outputs, projection = (state.get(name) for name in ("inputs", "outputs", "projection"))
        width = (self._dim,)
        if inputs is None or outputs is None or inputs.shape != outputs.shape or inputs.shape[1:] != width:
            raise ModelError(f"the artifact's item vectors are missing or not {width[0]} wide; train this model again")
        if projection is None or projection.shape[1:] != width:
            raise ModelError(f"the artifact's projection is missing or not {width[0]} wide; train this model again")
        trend = state.get("trend")
        if (trend is None) != (self._trend is None) or (trend is not None and trend.shape != outputs.shape[:1]):
            raise ModelError("the artifact's trend is missing or not one number an item; train this model again")
        network = self.new_network()
        prefix = "network."
        weights = {n.removeprefix(prefix): torch.tensor(v) for n, v in state.items() if n.startswith(prefix)}
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelError("the artifact's weights do not fit its configuration; train this model again") from error
        self._network, self._inputs, self._outputs = network, np.array(inputs), np.array(outputs)
        self._projection = np.array(projection)
        self._trend = None if trend is None else np.array(trend)

    def use_device(self, device: str) -> None:
        """Compute user vectors on a device, wherever the model was trained."""
        self._network.to(device)

    def replace_network(self, change: Callable[[nn.Module], nn.Module]) -> None:
        """Score with another network of the same inputs and outputs."""
        self._network = change(self._network)

    def _take(self, trained: Trained) -> None:
        """Use these weights, and their item vectors, for scoring from now on."""
        self._network = trained.network
        self._inputs, self._outputs = trained.tables.arrays()
        self._projection = trained.tables.projection.detach().cpu().numpy().copy()


def _go_on(trained: Trained, start: Start) -> None:
    """Give a module the weights of a former version, whose items are mapped onto those of the module.

    Raises:
        ModelError: the version is of another configuration, or of content of another width.
    """
    state, tables = start.state, trained.tables
    network = {n.removeprefix("network."): torch.tensor(v) for n, v in state.items() if n.startswith("network.")}
    inputs, outputs, projection = (torch.tensor(state[name]) for name in ("inputs", "outputs", "projection"))
    if projection.shape != tables.projection.shape:
        raise ModelError("the former version was trained on content vectors of another model; train this model anew")
    try:
        trained.network.load_state_dict(network)
    except RuntimeError as error:
        raise ModelError("the former version's weights do not fit the configuration; train this model anew") from error
    with torch.no_grad():
        tables.projection.copy_(projection)
        if not tables.has_ids:
            return
        rows = torch.from_numpy(start.item_rows)
        was_known = rows >= 0
        # An item that it had, but knew nothing of.
        was_known[was_known.clone()] = torch.isfinite(outputs[rows[was_known]]).all(dim=1)
        fresh = tables.input_id.clone(), tables.output_id.clone()
        for ids in (tables.input_id, tables.output_id):
            ids.zero_()
        # An id is what its item's vector has beyond its content.
        placed, _ = tables()
        inputs, outputs = (vectors[rows[was_known]] for vectors in (inputs, outputs))
        for ids, new in zip((tables.input_id, tables.output_id), fresh, strict=True):
            ids.copy_(new)
        tables.input_id[was_known] = inputs - placed[was_known]
        tables.output_id[was_known] = outputs - inputs
