"""What commands print: results on stdout (text or JSON), progress and messages on stderr."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

console = Console(stderr=True)
SECONDS_BETWEEN_LINES = 30
_stdout = Console()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


def emit(data: Mapping[str, Any] | Sequence[Any], as_json: bool, text: RenderableType | None = None) -> None:
    """Print a result: one JSON document for machines, else the text (or the data as a table)."""
    if as_json:
        print(json.dumps(data, default=_plain))  # noqa: T201
    else:
        # What names hold is no markup, and a line that is to be copied is not broken.
        _stdout.print(text if text is not None else table(data), markup=False, soft_wrap=isinstance(text, str))


def table(data: Mapping[str, Any] | Sequence[Any], title: str | None = None) -> Table:
    """A table of rows that are mappings, or of one mapping's keys and values."""
    result = Table(title=title, title_justify="left", header_style="bold")
    if isinstance(data, Mapping):
        result.show_header = False
        result.add_column()
        result.add_column(overflow="fold")
        for key, value in data.items():
            result.add_row(str(key), _cell(value))
        return result
    for name in data[0] if data else ():
        numeric = all(isinstance(row[name], int | float) for row in data)
        result.add_column(str(name), justify="right" if numeric else "left", overflow="fold")
    for row in data:
        result.add_row(*(_cell(value) for value in row.values()))
    return result


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, datetime):
        return f"{value.astimezone():%m-%d %H:%M}"
    return escape(str(value))


def told(value: Any) -> str:
    """A value out of JSON for people: numbers with as many digits as tell small ones apart, lists item by item."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(told, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class LogProgress:
    """Progress where bars would only fill a log: a line a task that took a while, and one every half minute."""

    def __init__(self) -> None:
        self._tasks: list[tuple[str, float]] = []
        self._told = time.monotonic()

    def add_task(self, description: str, total: float | None = None, note: str = "") -> int:
        """Begin a task; returns its number."""
        self._tasks.append((description, time.monotonic()))
        self._told = time.monotonic()
        return len(self._tasks) - 1

    def update(self, task: int, *, completed: float, total: float | None, note: str) -> None:
        """Tell how far a task is."""
        description, began = self._tasks[task]
        now = time.monotonic()
        # What took no time needs no line, and what is done is told once.
        if now - self._told > (1 if completed == total else SECONDS_BETWEEN_LINES):
            self._told = now
            done = f"{completed:,.0f} of {total:,.0f}" if total else f"{completed:,.0f}"
            remaining = ""
            if total and 0 < completed < total:
                remaining = f", about {(now - began) * (total - completed) / completed:.0f} s more"
            line = f"{description}: {done}, {now - began:.0f} s{remaining}{', ' if note else ''}{note}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bars() -> Iterator[Any]:
    """Bars on stderr with an estimate of what remains; lines where stderr is not a terminal."""
    if not console.is_terminal:
        yield LogProgress()
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    ) as progress:
        yield progress


def rows(query: str, **parameters: Any) -> list[dict[str, Any]]:
    """Rows of a named statement on the configured database."""
    from psycopg.rows import dict_row

    from recsql import db
    from recsql.queries import QUERIES

    with db.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(QUERIES[query], parameters or None).fetchall()
