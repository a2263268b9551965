"""Readers by the name of their source."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from recsql.errors import InputError
from recsql.readers.base import Reader
from recsql.readers.delimited import CsvReader
from recsql.readers.jsonl import JsonlReader
from recsql.readers.mapping import Mapping
from recsql.readers.movielens import LAYOUTS, MovieLensReader
from recsql.readers.parquet import ParquetReader
from recsql.readers.simulated import SimulatedReader
from recsql.readers.sources import Notice, Progress, obtain
from recsql.settings import Settings

FILE_READERS: dict[str, Callable[..., Reader]] = {"csv": CsvReader, "parquet": ParquetReader, "jsonl": JsonlReader}
SOURCES = (*LAYOUTS, *FILE_READERS, "simulated")


def open_reader(
    source: str,
    path: Path | None = None,
    mapping: Mapping | None = None,
    settings: Settings | None = None,
    notice: Notice | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Reader:
    """Open a source.

    Args:
        source: one of :data:`SOURCES`.
        path: the file; of a MovieLens data set the zip or the folder, looked for when left out.
        mapping: which columns mean what, for a file.
        settings: those of the process when left out.
        notice: is given the terms of a data set.
        progress: is told how a download goes.
        options: of the reader: ``quoting`` of a csv; ``n_users``, ``n_items``, ``seed`` … of simulated data.

    Raises:
        InputError: the source is not known, cannot be read, or takes no such path, mapping or option.
    """
    if source not in SOURCES:
        raise InputError(f"{source} is no source; known are {', '.join(SOURCES)}")
    if source in FILE_READERS:
        if path is None:
            raise InputError(f"{source} needs the path of a file: recsql load {source} PATH")
        return _build(source, FILE_READERS[source], path, mapping, **options)
    if mapping is not None:
        raise InputError(f"{source} has a layout of its own; leave the mapping out, or load a file with csv")
    if source in LAYOUTS:
        return _build(source, MovieLensReader, source, obtain(source, path, settings, notice, progress), **options)
    if path is not None:
        raise InputError("simulated data come from no file; leave the path out")
    return _build(source, SimulatedReader, **options)


def _build(source: str, reader: Callable[..., Reader], *arguments: Any, **options: Any) -> Reader:
    try:
        return reader(*arguments, **options)
    except TypeError as error:
        if not options or "unexpected keyword" not in str(error):
            raise
        raise InputError(f"{source} has no such option: {', '.join(options)}") from error
