"""Where torch computes."""

from recsql.settings import get_settings


def get_device() -> str:
    """``cuda`` where there is a GPU, else ``cpu`` with as many threads as ``RECSQL_THREADS`` allows."""
    import torch

    threads = get_settings().threads
    if threads:
        torch.set_num_threads(threads)
    return "cuda" if torch.cuda.is_available() else "cpu"
