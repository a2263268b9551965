"""Hashing: vectors that follow from words or bytes alone, the same everywhere; for tests."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from recsql.errors import ModelError
from workers.encoders.base import Decoded, Encoder, Medium, check_words, normalise


class HashingEncoder(Encoder):
    """Each word, or medium, adds 1 or -1 to one of the dimensions, both by its hash.

    Args:
        modality: text, image or audio; media are not fetched, their sha256 is what counts.
        name: ``hashing:DIM``.

    Raises:
        ModelError: DIM is no number above 0.
    """

    def __init__(self, modality: str, name: str) -> None:
        dim = name.removeprefix("hashing:")
        if not dim.isdecimal() or int(dim) < 1:
            raise ModelError(f"Model '{name}' cannot be loaded: it is called hashing:DIM, as hashing:64.")
        self.modality, self.name, self.revision, self.dim = modality, name, "1", int(dim)

    def decode(self, content: str | Sequence[Medium]) -> Decoded:
        """The words of a text, or the sums of media."""
        if isinstance(content, str):
            check_words(content)
            words = content.lower().split()
        else:
            words = [medium.sha256.hex() for medium in content]
        return Decoded(words, len(words))

    def encode(self, decoded: Sequence[Decoded]) -> NDArray[np.float32]:
        """Vectors of word lists."""
        vectors = np.zeros((len(decoded), self.dim), np.float32)
        for row, one in enumerate(decoded):
            for word in one.value:
                number = int.from_bytes(sha256(word.encode()).digest()[:8], "little")
                vectors[row, number % self.dim] += 1 if number >> 63 else -1
        return normalise(vectors)
