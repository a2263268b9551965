"""What image and audio encoders share: media are read and decoded in threads, and an item's are averaged."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsql.errors import ContentError
from workers.encoders.base import Decoded, Encoder, Medium, pool
from workers.media import read_medium

logger = logging.getLogger(__name__)

MAX_MEDIA = 16
"""Media of one item that are read; an item's vector hardly moves by more of them."""
_TOGETHER = 32
"""Parts that are computed at once, whatever the batch: an item of many media must not need more memory than others."""


class MediaEncoder(Encoder):
    """An encoder of media, each of which is decoded into parts (an image into one, a sound into several)."""

    @abstractmethod
    def decode_medium(self, content: bytes) -> Sequence[Any]:
        """The parts of one medium.

        Raises:
            ContentError: it cannot be decoded.
        """

    @abstractmethod
    def encode_parts(self, parts: Sequence[Any]) -> NDArray[np.float32]:
        """Vectors of parts, shape ``(len(parts), dim)``, of any length."""

    def decode(self, content: Sequence[Medium]) -> Decoded:
        """Parts of all media of an item that can be read, each medium's apart.

        An item is embedded by those of its media that are good. The others are logged.

        Raises:
            ContentError: none of them can be read.
            TemporaryError: one cannot be had now; the item waits for it, so that its vector is not of a part of them.
        """
        media, problem = [], ContentError("it has no media")
        for medium in content[:MAX_MEDIA]:
            try:
                media.append(self.decode_medium(read_medium(medium)))
            except ContentError as error:
                problem = error
                logger.info("medium left out", extra={"sha256": medium.sha256.hex(), "error": str(error)})
        if not media:
            raise problem
        return Decoded(media, sum(len(parts) for parts in media))

    def encode(self, decoded: Sequence[Decoded]) -> NDArray[np.float32]:
        """Vectors of items: the mean of their media, each of which is the mean of its parts."""
        media = [parts for one in decoded for parts in one.value]
        parts = [part for medium in media for part in medium]
        vectors = np.concatenate(
            [self.encode_parts(parts[start : start + _TOGETHER]) for start in range(0, len(parts), _TOGETHER)]
        )
        return pool(pool(vectors, [len(medium) for medium in media]), [len(one.value) for one in decoded])
