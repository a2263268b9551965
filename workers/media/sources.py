"""Where the bytes of a medium come from: the database, a file below an allowed folder, or a URL."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from recsql.errors import ContentError
from recsql.settings import get_settings
from workers.media.limits import too_large
from workers.media.web import fetch

if TYPE_CHECKING:
    from workers.encoders.base import Medium


def read_medium(medium: "Medium") -> bytes:
    """The bytes of a medium, at most ``RECSQL_MEDIA_BYTES`` of them.

    Raises:
        ContentError: it is too large, is not there, or lies where media may not be read from.
        TemporaryError: its host does not answer now.
    """
    if medium.bytes is not None:
        limit = get_settings().media_bytes
        if len(medium.bytes) > limit:
            raise too_large(len(medium.bytes), limit)
        return medium.bytes
    try:
        url = urlsplit(medium.uri or "")
    except ValueError:
        raise ContentError("its address is no URL") from None
    if url.scheme == "file":
        return _read_file(url)
    if url.scheme in get_settings().media_schemes:
        return fetch(medium.uri or "")
    raise ContentError(f"media are not fetched by '{url.scheme}': {_allowed_schemes()}")


def _read_file(url: SplitResult) -> bytes:
    settings = get_settings()
    if url.netloc not in ("", "localhost"):
        raise ContentError("a file:// URL names a file of this machine, as in file:///folder/file.jpg")
    try:
        path = Path(unquote(url.path)).resolve()
        folders = [folder.resolve() for folder in settings.media_folders]
    except (OSError, ValueError, RuntimeError):
        raise ContentError("its address is no path") from None
    # Links are followed before this is asked, so none leads out of the folders.
    if not any(path.is_relative_to(folder) for folder in folders):
        raise ContentError("the file is in no folder of RECSQL_MEDIA_FOLDERS")
    try:
        # What is no file, as a pipe, must not be waited for.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise ContentError(f"{path} is not a file")
            if state.st_size > settings.media_bytes:
                raise too_large(state.st_size, settings.media_bytes)
            content = file.read(settings.media_bytes + 1)
    except OSError as error:
        raise ContentError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > settings.media_bytes:
        raise too_large(None, settings.media_bytes)
    return content


def _allowed_schemes() -> str:
    settings = get_settings()
    schemes = sorted(settings.media_schemes) + (["file"] if settings.media_folders else [])
    return f"only by {', '.join(schemes)}" if schemes else "RECSQL_MEDIA_SCHEMES is empty"
