"""Which of the processes that train together this one is, and how many there are."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import distributed


class _Sharing:
    """Whether what a process of a group trains is shared with the others."""

    is_on = True


def rank() -> int:
    """From 0; the first one writes what is written once."""
    return distributed.get_rank() if _is_shared() else 0


def world_size() -> int:
    """1 where a process trains alone."""
    return distributed.get_world_size() if _is_shared() else 1


@contextmanager
def alone() -> Iterator[None]:
    """Whatever is trained inside, this process trains by itself, also if it belongs to a group."""
    with _sharing(False):
        yield


@contextmanager
def together() -> Iterator[None]:
    """Within :func:`alone`, what all processes of the group train."""
    with _sharing(True):
        yield


@contextmanager
def _sharing(is_on: bool) -> Iterator[None]:
    before, _Sharing.is_on = _Sharing.is_on, is_on
    try:
        yield
    finally:
        _Sharing.is_on = before


def _is_shared() -> bool:
    return _Sharing.is_on and distributed.is_initialized()
