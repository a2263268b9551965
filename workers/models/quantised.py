"""Trained models in a quarter of their size: matrices of 8 bits a number, and layers that compute in 8 bits."""

import logging
import math
import warnings
from typing import NoReturn, cast

import numpy as np
import torch
from torch import nn

from recsql.errors import ModelError
from workers.models.base import FloatArray, IntArray, Model, ModelConfig, Sequences, TrainingData, TrainingOptions
from workers.models.inner_product import InnerProductModel

_log = logging.getLogger(__name__)

_SCALE = ":scale"
_LARGEST = 127


def quantise(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Matrices row by row as whole numbers of -127 to 127 and a scale, ``x ≈ q · scale``; vectors as they are.

    A row's scale is its largest absolute value over 127; that of a row of NaN is NaN.
    """
    packed: dict[str, np.ndarray] = {}
    for name, array in state.items():
        if array.ndim < 2 or array.dtype != np.float32:
            packed[name] = array
            continue
        rows = array.reshape(len(array), math.prod(array.shape[1:]))
        scales = np.abs(rows).max(axis=1, initial=0) / np.float32(_LARGEST)
        divisors = np.where(np.isfinite(scales) & (scales > 0), scales, 1)[:, None]
        packed[name] = np.rint(np.nan_to_num(rows) / divisors).astype(np.int8).reshape(array.shape)
        packed[f"{name}{_SCALE}"] = scales
    return packed


def dequantise(packed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What :func:`quantise` was given, but for what rounding took.

    Raises:
        ModelError: a scale is missing, or not one a row.
    """
    state: dict[str, np.ndarray] = {}
    for name, array in packed.items():
        if name.endswith(_SCALE):
            continue
        if array.dtype != np.int8:
            state[name] = array
            continue
        scales = packed.get(f"{name}{_SCALE}")
        if scales is None or scales.shape != array.shape[:1]:
            raise ModelError(f"the scales of the artifact's {name} are missing or not one a row; export it again")
        state[name] = array.astype(np.float32) * scales.reshape(-1, *[1] * (array.ndim - 1))
    return state


class Quantised(Model):
    """A trained :class:`InnerProductModel` whose matrices are rounded to 8 bits, and which scores as the model does.

    Item vectors are those of :func:`dequantise`. Linear and recurrent layers multiply in 8 bits, with inputs that are
    rounded by the largest of a batch, so a user's vector depends a little on whom it is computed with. On the CPU
    alone. It is the size that is saved, hardly any time where layers are small (``benchmarks.quantisation``).

    Args:
        model: trained, or with fresh weights to be restored.
    """

    name = "quantised"
    Config = ModelConfig

    def __init__(self, model: InnerProductModel) -> None:
        super().__init__(model.config)
        self._model = model
        self._state: dict[str, np.ndarray] = {}
        self.restore(quantise(model.state()))

    @property
    def of(self) -> type[Model]:
        """The kind of model that it is."""
        return type(self._model)

    def fit(self, data: TrainingData, options: TrainingOptions | None = None) -> NoReturn:
        """Refused.

        Raises:
            ModelError: always.
        """
        raise ModelError(f"a quantised {self.of.name} is not trained: train a {self.of.name} and export it with --int8")

    def score(self, histories: Sequences, items: IntArray) -> FloatArray:
        """As :meth:`Model.score`."""
        return self._model.score(histories, items)

    def item_vectors(self) -> FloatArray:
        """Shape ``(n_items, dim)``; rows of NaN as of the model."""
        return self._model.item_vectors()

    def user_vectors(self, histories: Sequences) -> FloatArray:
        """Shape ``(n_users, dim)``; rows of NaN for users without history."""
        return self._model.user_vectors(histories)

    def state(self) -> dict[str, np.ndarray]:
        """The arrays of the model as :func:`quantise` gives them."""
        return self._state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` gave.

        Raises:
            ModelError: if an array is missing or has a wrong shape.
        """
        self._model = type(self._model)(self.config)
        self._model.restore(dequantise(state))
        self._model.replace_network(_in_8_bits)
        self._state = state


def _in_8_bits(network: nn.Module) -> nn.Module:
    """A network whose linear and recurrent layers compute in 8 bits; the network itself where torch cannot."""
    try:
        from torch.ao.quantization.qconfig import default_dynamic_qconfig, per_channel_dynamic_qconfig
        from torch.ao.quantization.quantize import quantize_dynamic
    except ImportError:
        return _in_floats(network)
    if torch.backends.quantized.engine == "none":
        return _in_floats(network)
    kinds = {nn.Linear: per_channel_dynamic_qconfig, nn.GRU: default_dynamic_qconfig}
    with warnings.catch_warnings():
        # Superseded by a package of its own, which would be needed for this alone.
        warnings.simplefilter("ignore")
        return cast(nn.Module, quantize_dynamic(network.eval(), kinds))


def _in_floats(network: nn.Module) -> nn.Module:
    _log.warning("torch has no layers of 8 bits on this machine: the rounded weights are computed with in floats")
    return network
