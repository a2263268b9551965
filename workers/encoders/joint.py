"""Images by a joint model: CLIP and its like, of sentence-transformers, by name or path.

Modality text takes the same name, and then texts and images lie in one space.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsql.errors import ModelError
from workers.encoders.media import MediaEncoder
from workers.encoders.sentence_model import load_sentence_model
from workers.media import decode_image

_PIXELS = 512
"""Width and height below which no image is decoded: such models look at 224 to 448 pixels."""


class JointImageEncoder(MediaEncoder):
    """The image side of a joint model.

    Args:
        modality: image.
        name: name or path for sentence-transformers.

    Raises:
        ModelError: the model cannot be loaded, or embeds no images; the message says what would serve.
    """

    def __init__(self, modality: str, name: str) -> None:
        self.modality, self.name = modality, name
        self._model, self.revision = load_sentence_model(name)
        if modality not in self._model.modalities:
            raise ModelError(
                f"The model '{name}' embeds no images, only {', '.join(map(str, self._model.modalities))}: give a "
                f"joint model as clip-ViT-B-32 or its path, or efficientnet-lite0, which is packaged."
            )
        from PIL import Image

        self.dim = self.encode_parts([self._prepared(Image.new("RGB", (_PIXELS, _PIXELS)))]).shape[1]

    def decode_medium(self, content: bytes) -> list[dict[str, Any]]:
        """An image as the model's own preparation makes it."""
        return [self._prepared(decode_image(content, _PIXELS))]

    def encode_parts(self, parts: Sequence[dict[str, Any]]) -> NDArray[np.float32]:
        """Vectors of prepared images."""
        if all(set(part) <= {"pixel_values", "modality"} for part in parts):
            import torch

            return self._forward(dict(parts[0]) | {"pixel_values": torch.cat([part["pixel_values"] for part in parts])})
        # Others than CLIP's like tie an image to more than its pixels, which is not theirs to join.
        return np.concatenate([self._forward(dict(part)) for part in parts])

    def _prepared(self, image: Any) -> dict[str, Any]:
        return dict(self._model.preprocess([image]))

    def _forward(self, features: dict[str, Any]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            for name, value in features.items():
                if isinstance(value, torch.Tensor):
                    features[name] = value.to(self._model.device)
                    if value.is_floating_point():
                        features[name] = features[name].to(self._model.dtype)
            return self._model(features)["sentence_embedding"].float().cpu().numpy()
