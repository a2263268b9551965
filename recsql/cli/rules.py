"""``recsql rules`` and ``recsql control``: what the owner wants lists to obey, and what orders them beside scores."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from recsql.cli.json_option import read_object
from recsql.cli.output import Json, emit, rows, table, told
from recsql.errors import InputError, NotFoundError

app = typer.Typer(no_args_is_help=True, help="Rules of the owner: what lists must, must not, and would rather show.")
control_app = typer.Typer(no_args_is_help=True, help="How strongly lists are ordered by more than their scores.")


class Kind(StrEnum):
    """What a rule does."""

    filter = "filter"
    boost = "boost"
    bury = "bury"
    freshness = "freshness"
    cap = "cap"
    promote = "promote"
    pin = "pin"


class Method(StrEnum):
    """How lists are made diverse."""

    mmr = "mmr"
    msd = "msd"
    dpp = "dpp"


Name = Annotated[str, typer.Argument(metavar="RULE", help="Name, as 'recsql rules list' shows it.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="RULE", help="A new name, of a-z, 0-9, _ and -.")],
    kind: Annotated[Kind, typer.Option(help="What it does.")],
    where: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help='Items that it is about: \'{"attribute": "genres", "op": "contains", "value": "Horror"}\', or "all", '
            '"any", "not" of such.',
        ),
    ] = None,
    segment: Annotated[
        str | None, typer.Option(metavar="JSON", help="Users that it is for, by their attributes; all if left out.")
    ] = None,
    factor: Annotated[float | None, typer.Option(help="boost, bury: what scores are multiplied by.")] = None,
    half_life: Annotated[
        str | None, typer.Option(metavar="TIME", help="freshness: the age that halves a score, as '30 days'.")
    ] = None,
    attribute: Annotated[str | None, typer.Option(help="cap: whose values are counted, as brand.")] = None,
    max_items: Annotated[int | None, typer.Option(help="cap: so many items of one value.")] = None,
    share: Annotated[float | None, typer.Option(help="promote: of the places of a list, above 0, up to 1.")] = None,
    item: Annotated[str | None, typer.Option(help="pin: the item's id.")] = None,
    position: Annotated[int | None, typer.Option(help="pin: where it stands, from 1.")] = None,
    slot: Annotated[str, typer.Option(help="Slot whose lists obey it; 'all' for every one.")] = "default",
    priority: Annotated[int, typer.Option(help="Where rules compete, the higher goes first.")] = 0,
    starts_at: Annotated[str | None, typer.Option("--from", help="From this time on (ISO 8601).")] = None,
    ends_at: Annotated[str | None, typer.Option("--until", help="Before this time (ISO 8601).")] = None,
    active: Annotated[bool, typer.Option("--active", help="Obey it at once, without a dry run.")] = False,
    as_json: Json = False,
) -> None:
    """Add a rule as a draft: 'recsql rules dry-run' tells what it would do, 'recsql rules activate' has it obeyed."""
    if item is not None and not rows("item_named", item_id=item):
        raise NotFoundError(f"There is no item '{item}': --item takes an id of the catalogue.")
    added = rows(
        "add_rule",
        rule=name,
        kind=kind.value,
        condition=_condition(where, "--where"),
        segment=_condition(segment, "--segment"),
        factor=factor,
        half_life=half_life,
        attribute=attribute,
        max_items=max_items,
        share=share,
        item=item,
        position=position,
        slot=None if slot == "all" else slot,
        priority=priority,
        starts_at=starts_at,
        ends_at=ends_at,
        state="active" if active else "draft",
    )
    if not added:
        raise InputError(f"There is a rule '{name}' already: choose another name, or 'recsql rules drop {name}'.")
    emit(
        _rule(name),
        as_json,
        f"Added rule {name}. It is obeyed from now on."
        if active
        else f"Added rule {name} as a draft. "
        f"'recsql rules dry-run {name}' tells what it would do, 'recsql rules activate {name}' has it obeyed.",
    )


@app.command("list")
def list_rules(as_json: Json = False) -> None:
    """List the rules: what each does, where and when, and how many items it is about."""
    found = rows("rules", rule=None)
    if as_json or not found:
        emit(found, as_json, "No rule is there yet: 'recsql rules add' adds one.")
        return
    shown = ("rule", "kind", "state", "slot", "priority", "starts_at", "ends_at", "n_items")
    emit({}, False, table([{key: row[key] for key in shown} | {"settings": _told(row["settings"])} for row in found]))


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show a rule with its condition and segment."""
    found = _rule(name)
    emit(
        found, as_json, table({key: _told(value) if isinstance(value, dict) else value for key, value in found.items()})
    )


@app.command()
def activate(name: Name, as_json: Json = False) -> None:
    """Have a rule obeyed, from the next request within its period on."""
    _set_state(name, "active", as_json, f"Rule {name} is obeyed from now on.")


@app.command()
def deactivate(name: Name, as_json: Json = False) -> None:
    """Have a rule obeyed no more; it stays as a draft."""
    _set_state(name, "draft", as_json, f"Rule {name} is a draft again.")


@app.command()
def drop(name: Name, as_json: Json = False) -> None:
    """Remove a rule."""
    if not rows("drop_rule", rule=name):
        raise _unknown(name)
    emit({"rule": name}, as_json, f"Dropped rule {name}.")


@app.command("dry-run")
def dry_run(
    name: Name,
    users: Annotated[
        int, typer.Option(min=1, max=5000, help="Of how many users, at most, lists are made, twice each.")
    ] = 200,
    as_json: Json = False,
) -> None:
    """Tell what a rule would do: lists of ten without it and with it, of users that it is for. Nothing is changed."""
    from recsql import db
    from recsql.dry_run import dry_run

    with db.connect() as connection:
        found = dry_run(connection, name, users)
    if as_json:
        emit(found, True)
        return
    examples = found.pop("examples")
    emit({}, False, table({"items" if key == "n_items" else key: value for key, value in found.items()}))
    for example in examples:
        pairs = zip(*(example[side] + [""] * (10 - len(example[side])) for side in ("before", "after")), strict=True)
        emit({}, False, table([{"before": one, "after": other} for one, other in pairs], f"User {example['user_id']}"))


@control_app.command("show")
def show_controls(as_json: Json = False) -> None:
    """Show the controls of each slot that has any."""
    found = rows("controls")
    emit(found, as_json, None if found else "Lists are ordered by scores alone: 'recsql control set' changes that.")


@control_app.command("set")
def set_controls(
    diversity: Annotated[float | None, typer.Option(help="From 0 to 1: how unlike each other items are to be.")] = None,
    method: Annotated[Method | None, typer.Option(help="How lists are made diverse.")] = None,
    novelty: Annotated[
        float | None, typer.Option(help="From 0 to 1: how much what few users had is preferred.")
    ] = None,
    calibration: Annotated[
        float | None, typer.Option(help="From 0 to 1: how closely a list's shares follow the user's own.")
    ] = None,
    calibration_key: Annotated[str | None, typer.Option(help="The attribute of items whose shares these are.")] = None,
    exposure: Annotated[
        float | None, typer.Option(help="From 0 to 1: how much items get that are shown too little.")
    ] = None,
    slot: Annotated[str, typer.Option(help="Slot whose lists are meant.")] = "default",
    as_json: Json = False,
) -> None:
    """Order a slot's lists by more than scores, where a request does not say otherwise; what is left out stays."""
    given = {
        "diversity": diversity,
        "diversity_method": None if method is None else method.value,
        "novelty": novelty,
        "calibration": calibration,
        "calibration_key": calibration_key,
        "exposure": exposure,
    }
    try:
        controls = json.dumps({key: value for key, value in given.items() if value is not None}, allow_nan=False)
    except ValueError:
        raise InputError("A strength is a number from 0 to 1.") from None
    emit(rows("set_control", slot=slot, controls=controls)[0], as_json)


def _rule(name: str) -> dict[str, Any]:
    found = rows("rules", rule=name)
    if not found:
        raise _unknown(name)
    return found[0]


def _set_state(name: str, state: str, as_json: bool, text: str) -> None:
    found = rows("set_rule_state", rule=name, state=state)
    if not found:
        raise _unknown(name)
    emit(found[0], as_json, text)


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"There is no rule '{name}': 'recsql rules list' shows them.")


def _condition(text: str | None, option: str) -> Any:
    from psycopg.types.json import Jsonb

    if text is None:
        return None
    return Jsonb(read_object(f"{option} {text}", text, '{"attribute": "genres", "op": "contains", "value": "Horror"}'))


def _told(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {told(value)}" for key, value in settings.items())
