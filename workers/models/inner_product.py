"""What models share whose score is an inner product of learned vectors: items, training, artifacts."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from recsql.errors import ModelError
from workers.models.base import FloatArray, IntArray, Model, ModelConfig, Sequences, TrainingData, TrainingOptions
from workers.models.batching import known_histories
from workers.models.checkpoint import fingerprint_of
from workers.models.item_tables import ItemParts, ItemTables, clean_content
from workers.models.training import Task, TrainingConfig, seeded, train
from workers.models.validation import ndcg_at_10
from workers.models.vectors import inner_products


class InnerProductConfig(TrainingConfig):
    """Hyperparameters that all of these models have."""

    dim: int = Field(64, ge=1)
    """Width of item and user vectors."""
    items: ItemParts = "both"
    """What item vectors are made of: an id of their own, a projection of the content, or both."""


class Trained(nn.Module):
    """All parameters that are learnt, so that one average and one optimizer hold them."""

    def __init__(self, network: nn.Module, tables: ItemTables) -> None:
        super().__init__()
        self.network = network
        self.tables = tables


class InnerProductModel(Model):
    """A model whose network makes user vectors out of item vectors: ``score(u, j) = u · v_j``.

    A subclass has ``new_network``, ``training_batches``, ``new_loss`` and ``user_vectors``, which reads the network and
    the items' input vectors. Shapes: item vectors ``(n_items, dim)``, user vectors ``(n_users, dim)``. Runs with the
    same seed, data, device and number of threads give the same weights.
    """

    Config = InnerProductConfig

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config)
        self._dim = cast(InnerProductConfig, self.config).dim
        self._network = self.new_network()
        self._inputs: FloatArray = np.zeros((0, self._dim), dtype=np.float32)
        self._outputs: FloatArray = self._inputs

    @abstractmethod
    def new_network(self) -> nn.Module:
        """A network with fresh weights."""

    @abstractmethod
    def training_batches(self, sequences: Sequences, rng: np.random.Generator) -> Iterator[Any]:
        """The batches of an epoch; see :class:`Task`."""

    @abstractmethod
    def new_loss(
        self, sequences: Sequences, counts: IntArray
    ) -> Callable[[nn.Module, Any, np.random.Generator], tuple[Tensor, float]]:
        """What is minimised (see :class:`Task`), of a module that is :class:`Trained`.

        Args:
            sequences: what users did.
            counts: how often each item occurs, shape ``(n_items,)``.
        """

    @abstractmethod
    def user_vectors(self, histories: Sequences) -> FloatArray:
        """Shape ``(n_users, dim)``; rows of NaN for users without history."""

    def fit(self, data: TrainingData, options: TrainingOptions | None = None) -> dict[str, float]:
        """Train; with targets, the epoch of the best NDCG@10 is kept and given as ``epochs``.

        Raises:
            ModelError: if the loss is no longer a number, or ``data.content`` has another number of items.
        """
        options = options or TrainingOptions()
        with seeded(options):
            return self._train(data, options)

    def _train(self, data: TrainingData, options: TrainingOptions) -> dict[str, float]:
        config, targets = cast(InnerProductConfig, self.config), data.targets
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
                self.new_loss(sequences, counts),
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
        width = (self._dim,)
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
