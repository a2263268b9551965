"""Which of the processes that train together this one is, and how many there are."""

from torch import distributed


def rank() -> int:
    """From 0; the first one writes what is written once."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """1 where a process trains alone."""
    return distributed.get_world_size() if distributed.is_initialized() else 1
