"""What an encoder is: content is decoded in threads, item by item, and encoded in batches."""

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsql.errors import ContentError


@dataclass(frozen=True)
class Medium:
    """A row of ``recsql.item_media``.

    Attributes:
        sha256: its identity within the item.
        mime: the type that it was declared to have; what counts is what the content is.
        bytes: its content, or None where ``uri`` says where it is.
        uri: an ``http``, ``https`` or ``file`` URL, or None.
    """

    sha256: bytes
    mime: str
    bytes: bytes | None
    uri: str | None


@dataclass(frozen=True)
class Decoded:
    """An item's content as its encoder computes with it.

    Attributes:
        value: the encoder's own form of it.
        size: how much there is to compute (tokens of a text, parts of media): items of like size make a good batch.
    """

    value: Any
    size: float


class Encoder(ABC):
    """A pretrained model that turns content into vectors of length 1.

    Attributes:
        modality: text, image, audio or unified.
        name: what it is called in ``recsql.embedding_space``, by which it can be loaded again.
        revision: which weights, and which preparation of the content, they are: vectors of two revisions never meet.
        dim: length of a vector.
    """

    modality: str
    name: str
    revision: str
    dim: int

    @abstractmethod
    def decode(self, content: Any) -> Decoded:
        """Prepare one item's content; called from several threads at once.

        Args:
            content: a text, or of media the list of an item's ``Medium``.

        Raises:
            ContentError: it can never be embedded; the message tells a person why.
            TemporaryError: it cannot be had now.
        """

    @abstractmethod
    def encode(self, decoded: Sequence[Decoded]) -> NDArray[np.float32]:
        """Compute the vectors of a batch; called from one thread.

        The vectors do not depend on the rest of the batch, but for rounding.

        Returns:
            Shape ``(len(decoded), dim)``, each row of length 1.

        Raises:
            RuntimeError: the batch cannot be computed: memory is not enough, or an item of it breaks the model.
        """


def check_words(text: str) -> None:
    """Refuse a text in which nothing means anything: no letter, digit, emoji or other symbol.

    Raises:
        ContentError: it holds only punctuation and spaces.
    """
    if not any(letter.isalnum() or unicodedata.category(letter) == "So" for letter in text):
        raise ContentError("there is no word in it")


def normalise(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The rows, shape ``(n, dim)``, each with length 1; a row of zeros stays one, and NaN stay in theirs."""
    vectors = vectors.astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))


def pool(vectors: NDArray[np.floating[Any]], counts: Sequence[int]) -> NDArray[np.float32]:
    """The mean of each group of consecutive rows, with length 1.

    Args:
        vectors: shape ``(sum(counts), dim)``.
        counts: rows of each group, each at least 1.

    Returns:
        Shape ``(len(counts), dim)``.
    """
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(int)
    return normalise(np.add.reduceat(vectors.astype(np.float32), starts, axis=0) / np.array(counts)[:, None])
