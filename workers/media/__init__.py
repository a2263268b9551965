"""Media of items: where their bytes come from and how they are decoded, under the limits of ``RECSQL_MEDIA_*``."""

from workers.media.images import decode_image
from workers.media.sounds import Excerpts, decode_audio
from workers.media.sources import read_medium

__all__ = ["Excerpts", "decode_audio", "decode_image", "read_medium"]
