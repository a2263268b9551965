"""Text: any sentence-transformers model, by name or path; the packaged one where none is set."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recsql.errors import ModelError
from recsql.settings import get_settings
from workers.encoders.base import Decoded, Encoder, check_words, normalise
from workers.encoders.sentence_model import PACKAGED, load_sentence_model

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_LETTERS_A_TOKEN = 32
"""Letters of a text that are looked at, for each token that the model reads: more than any language needs."""
_TOKENS_TOGETHER = 32_768
"""Tokens, padding included, that are computed at once: 64 texts of 512."""
_PROBES = ["A short text.", "Ein längerer Text, 1 and 2 🙂 مرحبا. " * 600]


class TextEncoder(Encoder):
    """A sentence encoder; its vectors are those of ``SentenceTransformer.encode`` with length 1.

    Where the model's tokeniser allows, texts become tokens in the decoding threads, and batches are of texts with about
    the same number of them. A text that is longer than the model reads is cut there.

    Args:
        modality: text.
        name: name or path for sentence-transformers; ``RECSQL_TEXT_MODEL``, else the packaged one, when None.

    Raises:
        ModelError: the model cannot be loaded, or embeds no texts; the message says what would serve.
    """

    def __init__(self, modality: str = "text", name: str | None = None) -> None:
        self.modality = modality
        self.name = name or get_settings().text_model or PACKAGED
        self._model, self.revision = load_sentence_model(self.name)
        if "text" not in self._model.modalities:
            raise ModelError(
                f"The model '{self.name}' embeds no texts, only: {', '.join(map(str, self._model.modalities))}."
            )
        self._max_tokens = min(self._model.max_seq_length or 512, 8192)
        self._tokenizer = _tokenizer(self._model)
        self.dim = len(self.encode([self.decode(_PROBES[0])])[0])

    def decode(self, content: str) -> Decoded:
        """The tokens of a text.

        Raises:
            ContentError: it holds only punctuation and spaces.
        """
        text = content.strip()[: self._max_tokens * _LETTERS_A_TOKEN]
        check_words(text)
        if self._tokenizer is None:
            return Decoded(text, len(text))
        encoding = self._tokenizer.encode(text)
        return Decoded(encoding.ids, len(encoding.ids))

    def encode(self, decoded: Sequence[Decoded]) -> NDArray[np.float32]:
        """Vectors of decoded texts."""
        if self._tokenizer is None:
            vectors = self._model.encode([one.value for one in decoded], show_progress_bar=False)
            return normalise(np.asarray(vectors, np.float32))
        n = max(1, _TOKENS_TOGETHER // max(int(one.size) for one in decoded))
        parts = [
            self._forward([one.value for one in decoded[start : start + n]]) for start in range(0, len(decoded), n)
        ]
        return normalise(np.concatenate(parts))

    def _forward(self, token_ids: list[list[int]]) -> NDArray[np.float32]:
        import torch

        features = _features(token_ids, self._model)
        with torch.inference_mode():
            features = {
                name: value.to(self._model.device) if isinstance(value, torch.Tensor) else value
                for name, value in features.items()
            }
            return self._model(features)["sentence_embedding"].float().cpu().numpy()


def _tokenizer(model: Any) -> "Tokenizer | None":
    """A tokeniser of the encoder's own, which threads may share since nothing sets it anew.

    None where the model makes more of a text than its tokens: then it prepares texts itself.
    """
    from tokenizers import Tokenizer

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    prompted = model.default_prompt_name is not None
    if backend is None or prompted or getattr(model[0], "can_flatten_inputs", False):
        return None
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_padding()
    if model.max_seq_length:
        tokenizer.enable_truncation(min(model.max_seq_length, 8192))
    expected = model.preprocess(_PROBES)
    found = _features([tokenizer.encode(text).ids for text in _PROBES], model)
    same = expected.keys() == found.keys() and all(
        bool(value.equal(found[name])) if hasattr(value, "equal") else value == found[name]
        for name, value in expected.items()
    )
    return tokenizer if same else None


def _features(token_ids: list[list[int]], model: Any) -> dict[str, Any]:
    """Token ids as the model's own preparation of texts would hand them over, padded to the longest."""
    import torch

    longest = max(len(ids) for ids in token_ids)
    padded = torch.full((len(token_ids), longest), model.tokenizer.pad_token_id or 0, dtype=torch.long)
    mask = torch.zeros_like(padded)
    for row, ids in enumerate(token_ids):
        columns = slice(0, len(ids)) if model.tokenizer.padding_side == "right" else slice(longest - len(ids), longest)
        padded[row, columns] = torch.tensor(ids, dtype=torch.long)
        mask[row, columns] = 1
    features = {"input_ids": padded, "attention_mask": mask, "modality": "text"}
    if "token_type_ids" in model.tokenizer.model_input_names:
        features["token_type_ids"] = torch.zeros_like(padded)
    return features
