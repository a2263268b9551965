"""A causal transformer over what a user did, served by inner product."""

import copy
import logging
import time
from typing import cast

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from recsql.errors import ModelError
from workers.models.attention import ItemTables, Network, full_softmax_loss, sampled_softmax_loss
from workers.models.base import FloatArray, IntArray, Model, ModelConfig, Sequences, TrainingData, TrainingOptions
from workers.models.batching import Batch, NegativeSampler, history_batches, known_histories, training_batches
from workers.models.content import clean_content
from workers.models.validation import ndcg_at_10

_log = logging.getLogger(__name__)

_WARMUP_STEPS = 50
# While training is young, the average reaches back over a quarter of the steps so far.
_AVERAGE_LAG = 4
_INFERENCE_TOKENS = 8192
_USERS_AT_ONCE = 256


class TransformerConfig(ModelConfig):
    """Hyperparameters of the transformer."""

    dim: int = Field(64, ge=1)
    """Width of item and user vectors; a multiple of ``n_heads``."""
    n_layers: int = Field(2, ge=1)
    """Number of attention blocks."""
    n_heads: int = Field(2, ge=1)
    """Attention heads in each block."""
    max_length: int = Field(100, ge=1)
    """How many of a user's last items are read, and the length of the windows that training cuts."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Probability with which inputs and layer outputs are dropped in training."""
    learning_rate: float = Field(0.003, gt=0)
    """Step of AdamW after a short warm-up; constant, the averaged weights take the place of a schedule."""
    weight_decay: float = Field(0.1, ge=0)
    """Decoupled weight decay of all matrices."""
    average: float = Field(0.995, ge=0, lt=1)
    """Decay, per step, of the moving average of the weights, which is what is evaluated and kept; 0 for none."""
    epochs: int = Field(18, ge=1)
    """Passes over the data: at most so many with targets to stop by, exactly so many without."""
    patience: int = Field(5, ge=1)
    """Epochs without a better NDCG@10 after which training stops."""
    batch_tokens: int = Field(2048, ge=1)
    """Interactions in one step, padding included."""
    full_softmax_items: int = Field(10_000, ge=0)
    """Largest catalogue whose items all take part in each softmax; above it, negatives are sampled."""
    n_negatives: int = Field(1024, ge=1)
    """Negatives that a step draws by popularity ^ 0.75 and shares among its interactions."""

    @model_validator(mode="after")
    def _check(self) -> "TransformerConfig":
        if self.dim % self.n_heads:
            raise ValueError(f"dim ({self.dim}) must be a multiple of n_heads ({self.n_heads})")
        return self


class _Trained(nn.Module):
    """All parameters that are learnt, so that one average and one optimizer hold them."""

    def __init__(self, network: Network, tables: ItemTables) -> None:
        super().__init__()
        self.network = network
        self.tables = tables


class Transformer(Model):
    """Next-item prediction by causal self-attention.

    With ``e`` the input and ``v`` the output vectors of the items, both ``id + content W`` with an id of their own on
    top, and a user who had the items ``i_1 … i_n``::

        u = LayerNorm(blocks(e[i_1], …, e[i_n]))[n]        score(u, j) = u · v_j

    A block is pre-norm attention, whose logits have a learned bias per head and distance, and a feed-forward layer.
    The loss is the cross-entropy of every next item against the catalogue (or sampled negatives with logQ correction).
    Items that training does not see have no id part, so their content alone places them, and are no negatives.

    Shapes: item vectors ``(n_items, dim)``, user vectors ``(n_users, dim)``. Runs with the same seed, data, device and
    number of threads give the same weights.

    References:
        Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018.
        Petrov and Macdonald, gSASRec, RecSys 2023 (why a full softmax). Raffel et al., T5, JMLR 2020 (distance bias).
        Yi et al., Sampling-Bias-Corrected Neural Modeling, RecSys 2019 (logQ).
    """

    name = "transformer"
    Config = TransformerConfig

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config)
        self._options = cast(TransformerConfig, self.config)
        self._network = self._new_network()
        self._inputs: FloatArray = np.zeros((0, self._options.dim), dtype=np.float32)
        self._outputs: FloatArray = self._inputs

    def fit(self, data: TrainingData, options: TrainingOptions | None = None) -> dict[str, float]:
        """Train; with targets, the epoch of the best NDCG@10 is kept and given as ``epochs``.

        Raises:
            ModelError: if the loss is no longer a number, or ``data.content`` has another number of items.
        """
        options = options or TrainingOptions()
        with torch.random.fork_rng(devices=None if options.device.startswith("cuda") else []):
            torch.manual_seed(options.seed)
            return self._train(data, options)

    def _train(self, data: TrainingData, options: TrainingOptions) -> dict[str, float]:
        started = time.perf_counter()
        config = self._options
        device = torch.device(options.device)
        rng = np.random.default_rng(options.seed)
        sequences = known_histories(data.sequences, data.n_items)
        counts = np.bincount(sequences.items, minlength=data.n_items)
        tables = ItemTables(torch.from_numpy(clean_content(data)), torch.from_numpy(counts > 0), config.dim)
        trained = _Trained(self._new_network(), tables).to(device)
        averaged = AveragedModel(
            trained,
            avg_fn=lambda average, new, n: average.lerp(
                new, 1 - min(config.average, float(n) / (float(n) + _AVERAGE_LAG))
            ),
        )
        optimizer = _new_optimizer(trained, config)
        warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / _WARMUP_STEPS))
        draw = NegativeSampler(counts, config.n_negatives, rng) if data.n_items > config.full_softmax_items else None
        best = {"epochs": 0.0, "loss": 0.0}
        kept: tuple[Network, FloatArray, FloatArray] | None = None

        for epoch in range(1, config.epochs + 1):
            trained.train()
            total, n_places = torch.zeros((), device=device), 0
            for batch in training_batches(sequences, config.max_length, config.batch_tokens, rng):
                loss, n_targets = _batch_loss(trained, batch, draw)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
                optimizer.step()
                warmup.step()
                averaged.update_parameters(trained)
                total += loss.detach() * n_targets
                n_places += n_targets
            mean_loss = float(total) / max(n_places, 1)
            if not np.isfinite(mean_loss):
                raise ModelError(
                    f"training diverged: the loss of epoch {epoch} is {mean_loss}; "
                    f"lower learning_rate (now {config.learning_rate:g}) and train again"
                )
            self._take(cast(_Trained, averaged.module))
            measured = {"epochs": float(epoch), "loss": mean_loss}
            if data.targets is not None:
                measured["ndcg@10"] = self._validate(sequences, data.targets)
            options.progress(
                epoch, config.epochs, ", ".join(f"{k} {v:.4f}" for k, v in measured.items() if k != "epochs")
            )
            _log.info("epoch trained", extra=measured)
            if data.targets is None or kept is None or measured["ndcg@10"] > best["ndcg@10"]:
                best, kept = measured, (copy.deepcopy(self._network), self._inputs, self._outputs)
            if epoch - best["epochs"] >= config.patience:
                break
        if kept is not None:
            self._network, self._inputs, self._outputs = kept
        return {**best, "seconds": time.perf_counter() - started}

    def score(self, histories: Sequences, items: IntArray) -> FloatArray:
        """Inner products of user and item vectors, shape ``(n_users, n_candidates)``; see :meth:`Model.score`."""
        users = self.user_vectors(histories)
        scores = np.full(items.shape, np.nan, dtype=np.float32)
        for begin in range(0, len(users), _USERS_AT_ONCE):
            chunk = slice(begin, begin + _USERS_AT_ONCE)
            known = (items[chunk] >= 0) & (items[chunk] < len(self._outputs))
            if known.any():
                vectors = self._outputs[np.where(known, items[chunk], 0)]
                # Not a matrix product: that would round differently with the place of a candidate.
                scores[chunk] = np.where(known, np.einsum("ud,ucd->uc", users[chunk], vectors), np.nan)
        return scores

    def item_vectors(self) -> FloatArray:
        """Shape ``(n_items, dim)``; rows of NaN for items that have neither content nor an event in training."""
        return self._outputs

    def user_vectors(self, histories: Sequences) -> FloatArray:
        """Shape ``(n_users, dim)``; rows of NaN for users without history."""
        known = known_histories(histories, len(self._inputs))
        users = np.full((histories.n_users, self._options.dim), np.nan, dtype=np.float32)
        device = next(self._network.parameters()).device
        inputs = torch.from_numpy(self._inputs).to(device)
        self._network.eval()
        with torch.no_grad():
            for batch in history_batches(known, self._options.max_length, _INFERENCE_TOKENS):
                states = self._network(torch.from_numpy(batch.inputs).to(device), inputs)
                last = states[torch.arange(len(batch.rows)), torch.from_numpy(batch.lengths - 1).to(device)]
                users[batch.rows] = last.cpu().numpy()
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
        network = self._new_network()
        prefix = "network."
        weights = {n.removeprefix(prefix): torch.tensor(v) for n, v in state.items() if n.startswith(prefix)}
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelError("the artifact's weights do not fit its configuration; train this model again") from error
        self._network, self._inputs, self._outputs = network, np.array(inputs), np.array(outputs)

    def _new_network(self) -> Network:
        c = self._options
        return Network(dim=c.dim, n_layers=c.n_layers, n_heads=c.n_heads, max_length=c.max_length, dropout=c.dropout)

    def _take(self, trained: "_Trained") -> None:
        """Use these weights, and their item vectors, for scoring from now on."""
        self._network = trained.network
        with torch.no_grad():
            inputs, outputs = trained.tables()
            is_known = trained.tables.is_seen | (trained.tables.content != 0).any(dim=1)
            outputs = outputs.masked_fill(~is_known.unsqueeze(1), torch.nan)
            self._inputs, self._outputs = inputs.cpu().numpy(), outputs.cpu().numpy()

    def _validate(self, sequences: Sequences, targets: IntArray) -> float:
        users = self.user_vectors(sequences)
        return ndcg_at_10(lambda rows: users[rows] @ self._outputs.T, sequences, targets)


def _new_optimizer(trained: _Trained, config: TransformerConfig) -> torch.optim.AdamW:
    matrices = [weight for weight in trained.parameters() if weight.dim() > 1]
    vectors = [weight for weight in trained.parameters() if weight.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)


def _batch_loss(trained: _Trained, batch: Batch, draw: NegativeSampler | None) -> tuple[Tensor, int]:
    """Mean loss of a batch's transitions, and how many they are; ``draw`` gives negatives, None for all items."""
    device = trained.tables.is_seen.device
    inputs, outputs = trained.tables()
    targets = torch.from_numpy(batch.targets).to(device)
    is_place = targets >= 0
    states = trained.network(torch.from_numpy(batch.inputs).to(device), inputs)[is_place]
    targets = targets[is_place]
    if draw is None:
        return full_softmax_loss(states, outputs, targets, trained.tables.is_seen), len(targets)
    negatives, log_expected = (torch.from_numpy(array).to(device) for array in draw())
    return sampled_softmax_loss(states, outputs, targets, negatives, log_expected), len(targets)
