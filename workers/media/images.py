"""Images: Pillow's decoders, under limits."""

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from recsql.errors import ContentError, ModelError
from recsql.settings import get_settings

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000")
"""Formats that are read, whatever the name or the declared type says; others' decoders see no bytes from outside."""


def decode_image(content: bytes, pixels: int) -> "Image.Image":
    """An image as it is meant to be seen, in RGB: turned by its EXIF, of an animation the first frame, on white.

    Args:
        content: the file.
        pixels: width and height that the caller needs: a much larger JPEG is decoded smaller, though never below it.

    Raises:
        ContentError: it is no image that can be read, is cut off, or has more pixels than ``RECSQL_MEDIA_PIXELS``.
        ModelError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise ModelError("Images need Pillow: pip install 'recsql[media]'.") from error

    if not content:
        raise ContentError("the image is empty: it has 0 bytes")
    limit = get_settings().media_pixels
    try:
        image = Image.open(io.BytesIO(content), formats=_formats())
        if image.width * image.height > limit:
            raise ContentError(
                f"the image has {image.width:,} by {image.height:,} pixels, more than the {limit:,} of "
                "RECSQL_MEDIA_PIXELS"
            )
        image.draft("RGB", (pixels, pixels))
        image.load()
        return _in_rgb(ImageOps.exif_transpose(image))
    except ContentError:
        raise
    except UnidentifiedImageError as error:
        raise ContentError(f"it is no image that can be read ({', '.join(FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise ContentError(f"the image has more pixels than the {limit:,} of RECSQL_MEDIA_PIXELS") from error
    except Exception as error:  # Decoders raise whatever they stumble upon when a file is damaged.
        what = "cut off" if "truncated" in str(error) else "damaged"
        raise ContentError(f"the image is {what} ({str(error) or type(error).__name__})") from error


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Those formats that this Pillow was built with."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _in_rgb(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits a pixel, which a plain conversion would clip
        values = np.asarray(image).astype(np.float32)
        image = Image.fromarray((values / (257 if values.max(initial=0) > 255 else 1)).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
