"""The model of a unified space: projections of several modalities into one space."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from recsql.errors import ModelError
from workers.models.base import FloatArray, Sequences, TrainingOptions
from workers.models.training import Task, seeded, train
from workers.unified.inputs import Inputs, without
from workers.unified.network import Network, UnifiedConfig
from workers.unified.training import Loss, steps
from workers.unified.validation import HeldOut, all_vectors, measure


class Unified:
    """Projections into one space.

    With ``x_m`` an item's vector of modality ``m``, shape ``(width of m,)``, and each ``f_m`` a linear map of its
    principal components to length 1 (see :class:`workers.unified.network.Tower`)::

        v = n(Σ_m softplus(a_m) f_m(x_m))       over the modalities that the item has; n(x) = x / |x|

    Training begins with canonical correlations (see :mod:`workers.unified.alignment`) and goes on by AdamW on the sum
    of two contrasts (InfoNCE). For items ``i`` that have modalities ``m`` and ``l``, with the batch's other items as
    negatives, and the same the other way, times ``aligned``::

        -log exp(f_m(x_mi) · f_l(x_li) / τ) / Σ_j exp(f_m(x_mi) · f_l(x_lj) / τ)

    and for an event on item ``i`` of a user who had items ``h_0`` (the newest), ``h_1``, … before::

        u = n(Σ_k w_k v[h_k]),   -log exp(u · v_i / σ - q_i) / Σ_j exp(u · v_j / σ - q_j)

    over the items ``j`` of the batch's events, where ``w_k`` is the weight of a step back that ``recsql.query_vector``
    gives, ``q`` the log of the chance that a batch has the item, and ``σ`` is learnt. In this contrast modalities are
    dropped at random, so that items with some of them missing lie where they would with all. There is no vector of an
    item's own: a new item lies where its content says.

    Of a joint model nothing is learnt, and ``v`` is ``n(x)`` of its one input: such vectors are used as they are.

    References:
        Radford et al., Learning Transferable Visual Models From Natural Language Supervision (CLIP), ICML 2021.
        van den Oord, Li and Vinyals, Representation Learning with Contrastive Predictive Coding (InfoNCE), 2018.
        Barkan et al., CB2CF: A Neural Multiview Content-to-Collaborative Filtering Model, RecSys 2019.
        Volkovs, Yu and Poutanen, DropoutNet: Addressing Cold Start in Recommender Systems, NIPS 2017.
        Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations, RecSys 2019.

    Args:
        widths: length of each input's vectors.
        config: the hyperparameters.
        is_joint: whether there is one input that is one space already.
    """

    def __init__(self, widths: Sequence[int], config: UnifiedConfig | None = None, *, is_joint: bool = False) -> None:
        self.config = config or UnifiedConfig.model_validate({})
        self.widths = list(widths)
        self.is_joint = is_joint
        with torch.random.fork_rng(devices=[]):
            self._network = Network(self.widths, self.config)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.widths[0] if self.is_joint else self.config.dim

    def fit(
        self, inputs: Sequence[FloatArray], sequences: Sequences, options: TrainingOptions | None = None
    ) -> dict[str, float]:
        """Learn the projections; the same seed, data, device and number of threads give the same ones.

        Args:
            inputs: vectors of each input, shape ``(n_items, width)``, rows of NaN where an item has none.
            sequences: what users did, as item rows; may be empty.
            options: seed, device and progress.

        Returns:
            What was measured: ``epochs``, ``loss``, ``seconds``; with items held out, ``ndcg@10`` among those.

        Raises:
            ModelError: there is nothing to learn from, or the loss is no longer a number.
        """
        options = options or TrainingOptions()
        if self.is_joint:
            return {"epochs": 0.0, "loss": 0.0, "seconds": 0.0}
        started = time.perf_counter()
        given = Inputs.of(list(inputs), options.device)
        if not (given.n_modalities() > 1).any() and not (np.diff(sequences.offsets) > 1).any():
            raise ModelError(
                "there is nothing to learn a unified space from: no item has vectors of two spaces, and no user had "
                "two items. Embed the items first (recsql embed), or load events."
            )
        # Items without a vector tell nothing.
        sequences = without(sequences, given.n_modalities()[sequences.items] == 0)
        epochs, measured = self.config.epochs, {}
        drawn = HeldOut.draw(given, sequences, self.config, np.random.default_rng([options.seed, 1]))
        if drawn is not None:
            held_out, visible = drawn
            measured = self._train(given, visible, held_out, epochs, options)
            epochs = max(1, int(measured["epochs"]))
        final = self._train(given, sequences, None, epochs, options)
        return measured | final | {"seconds": time.perf_counter() - started}

    def _train(
        self, inputs: Inputs, sequences: Sequences, held_out: HeldOut | None, epochs: int, options: TrainingOptions
    ) -> dict[str, float]:
        config = self.config.model_copy(update={"epochs": epochs})
        is_visible = np.ones(len(inputs.is_there), dtype=bool)
        if held_out is not None:
            is_visible[held_out.rows] = False
        several = np.flatnonzero(is_visible & (inputs.n_modalities() > 1))
        with seeded(options):
            network = Network(self.widths, config).to(options.device)
            network.start(inputs.take(np.flatnonzero(is_visible)))
            reduced = network.reduce(inputs)
            task = Task(
                network,
                lambda rng: steps(sequences, several, config, rng),
                Loss(reduced, sequences, config),
                None if held_out is None else lambda module: measure(cast(Network, module), reduced, held_out),
            )
            # Over in minutes: there is nothing to go on from, and so nothing to tell apart.
            trained, measured = train(task, config, replace(options, checkpoint=None), "")
        self._network = cast(Network, trained.cpu().eval())
        return measured

    def project(self, inputs: Sequence[FloatArray]) -> FloatArray:
        """Vectors of items.

        Args:
            inputs: vectors of each input, shape ``(n_items, width)``, rows of NaN where an item has none.

        Returns:
            Unit vectors, shape ``(n_items, dim)``; rows of NaN for items that have none at all, or of which the
            projections know no direction.
        """
        if self.is_joint:
            return unit(inputs[0])
        given = Inputs.of(list(inputs))
        self._network.eval()
        with torch.no_grad():
            vectors = all_vectors(self._network, self._network.reduce(given)).numpy()
        return np.where(vectors.any(axis=1, keepdims=True), vectors, np.nan).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """The configuration as JSON."""
        return self.config.model_dump(mode="json")

    def state(self) -> dict[str, np.ndarray]:
        """The learned arrays by name; none of a joint model."""
        weights = self._network.state_dict()
        return {} if self.is_joint else {name: weight.cpu().numpy() for name, weight in weights.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` gave.

        Raises:
            ModelError: an array is missing or has a wrong shape.
        """
        if self.is_joint:
            return
        try:
            self._network.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
        except RuntimeError as error:
            raise ModelError("the artifact's weights do not fit its configuration; unify the spaces again") from error


def unit(vectors: FloatArray) -> FloatArray:
    """Vectors of length 1, of the same shape; NaN where a row is NaN or 0."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, np.nan)).astype(np.float32)
