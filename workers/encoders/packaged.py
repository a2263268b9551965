"""Models whose weights lie in an installed package."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from recsql.errors import ModelError


def find_package(module: str, distribution: str, install: str, what: str) -> tuple[Path, str]:
    """The folder of a package and its version.

    Args:
        module: its name in Python.
        distribution: its name in the package index.
        install: what pip has to be told.
        what: the model, as messages name it.

    Raises:
        ModelError: it is not installed.
    """
    try:
        file = import_module(module).__file__
        found = version(distribution)
    except (ImportError, PackageNotFoundError) as error:
        raise ModelError(f"{what} is not installed: pip install {install}.") from error
    return Path(file or "").parent, found
