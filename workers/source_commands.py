"""``recsql source``: which sources of candidates and scores runs use."""

from typing import Annotated, Any

import typer

from recsql.cli.output import Json, console, emit, rows, table
from recsql.errors import InputError, NotFoundError

app = typer.Typer(no_args_is_help=True, help="List the sources of candidates and scores, and switch them on and off.")

Names = Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Names, as 'recsql source list' shows them.")]


@app.command("list")
def list_sources(as_json: Json = False) -> None:
    """List all sources: what kind they are, which are active, and what stands behind them."""
    found = _sources()
    if as_json:
        emit(found, True)
        return
    shown = ("source", "kind", "active", "model", "description")
    emit({}, False, table([{name: row[name] for name in shown} for row in found]))


@app.command()
def enable(names: Names, as_json: Json = False) -> None:
    """Have the next run use sources; models among them are trained by it."""
    known = _checked(names)
    for name in names:
        part_of = known[name]["part_of"]
        if part_of is not None:
            raise InputError(f"Source {name} is a list of {part_of}, read wherever that is active: enable {part_of}.")
        model = known[name]["vectors_of"]
        if model is not None and model not in names and not known[model]["active"]:
            raise InputError(
                f"Source {name} reads the vectors of {model}, which is not active: enable {model} as well."
            )
    _switch(names, True, as_json)
    missing = [name for name in names if known[name]["model"] and _missing(name)]
    for name in missing:
        console.print(f"Whatever trains {name} needs what is not installed here: {_missing(name)}.", style="yellow")


@app.command()
def disable(names: Names, as_json: Json = False) -> None:
    """Have the next run leave sources out; what is served stays as it is."""
    _checked(names)
    _switch(names, False, as_json)


def _sources() -> list[dict[str, Any]]:
    from workers.models.registry import MODELS

    found = rows("source_overview")
    for row in found:
        row["model"] = row["source"] in MODELS
    return found


def _checked(names: list[str]) -> dict[str, dict[str, Any]]:
    known = {row["source"]: row for row in _sources()}
    for name in names:
        if name not in known:
            raise NotFoundError(f"There is no source '{name}': sources are {', '.join(sorted(known))}.")
    return known


def _switch(names: list[str], is_active: bool, as_json: bool) -> None:
    changed = rows("switch_sources", sources=names, is_active=is_active)
    emit(changed, as_json, table(changed))
    if not as_json:
        console.print("The next run is made by this: 'recsql run'.")


def _missing(name: str) -> str:
    """How to install what training a model needs and is not here; empty where nothing is missing."""
    from importlib.util import find_spec

    from workers.models.registry import get_model

    extras = {extra for module, extra in get_model(name).needs.items() if find_spec(module) is None}
    return ", ".join(f"pip install 'recsql[{extra}]'" for extra in sorted(extras))
