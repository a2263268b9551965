"""``recsql fusion``: how sources are fused, and which policy fuses the runs of a slot."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from recsql.cli.json_option import read_object
from recsql.cli.output import Json, emit, rows, table
from recsql.errors import InputError, NotFoundError
from workers.fusion_compare import compare

app = typer.Typer(
    no_args_is_help=True,
    help="List, add, drop and compare fusion policies, and choose the one that a slot's runs are fused by.",
)
app.command()(compare)


class Kind(StrEnum):
    """How a policy fuses."""

    weighted = "weighted"
    rrf = "rrf"
    switching = "switching"
    mixed = "mixed"
    cascade = "cascade"


Name = Annotated[str, typer.Argument(metavar="POLICY", help="Name, as 'recsql fusion list' shows it.")]


@app.command("list")
def list_policies(as_json: Json = False) -> None:
    """List the fusion policies: kind, figure on validation, and where each is chosen and served."""
    found = rows("fusion_policies", policy=None)
    if as_json:
        emit(found, True)
        return
    shown = ("policy", "kind", "run_no", "ndcg@10", "chosen_in", "served_in", "part_of")
    emit({}, False, table([{name: _text(row[name]) for name in shown} for row in found]))


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show a fusion policy: its weights, its config, and where it is used."""
    found = _found(name)
    emit(found, as_json, table({key: _text(value) for key, value in found.items()}))


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="POLICY", help="A new name.")],
    kind: Annotated[
        Kind | None, typer.Option(help="How it fuses; docs/fusion.md has an example of every kind.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Weights of sources as JSON: '{\"sequential\": 1}'. Left out, they follow from the config."),
    ] = None,
    config: Annotated[str | None, typer.Option(help='Config as JSON: \'{"slots": {"content": 2}}\'.')] = None,
    file: Annotated[
        Path | None, typer.Option(help="JSON file with kind, weights and config, in place of the options.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a fusion policy; nothing is fused by it until it is used or named by another."""
    if not name or name.strip() != name or len(name) > 100 or not name.isprintable():
        raise InputError("The name of a policy is up to 100 characters on one line, without spaces around it.")
    spec: dict[str, Any] = {}
    if file is not None:
        if (kind, weights, config) != (None, None, None):
            raise InputError("A file says all of it: leave --kind, --weights and --config out.")
        spec = _read(file)
    if weights is not None:
        spec["weights"] = read_object(f"--weights {weights}", weights, '{"sequential": 1}')
    if config is not None:
        spec["config"] = read_object(f"--config {config}", config, '{"slots": {"content": 2}}')
    kind_name = kind.value if kind else spec.get("kind")
    if kind_name not in list(Kind):
        raise InputError(f"Say which kind of policy it is: {', '.join(Kind)}.")
    added = rows(
        "add_fusion_policy",
        policy=name,
        kind=kind_name,
        weights=json.dumps(spec.get("weights", {})),
        config=json.dumps(spec.get("config", {})),
    )
    if not added:
        raise InputError(
            f"There is a fusion policy '{name}' already: choose another name, or 'recsql fusion drop {name}'."
        )
    emit(added[0], as_json, f"Added policy {name}. 'recsql fusion use {name}' makes a run by it and serves that.")


@app.command()
def drop(name: Name, as_json: Json = False) -> None:
    """Drop a fusion policy that no slot, no run that is served or may be again, and no other policy uses."""
    if not rows("drop_fusion_policy", policy=name):
        _found(name)
    emit({"policy": name}, as_json, f"Dropped policy {name}.")


@app.command()
def use(
    name: Annotated[str | None, typer.Argument(metavar="POLICY", help="Name of the policy to fuse by.")] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Leave the policy to validation again.")] = False,
    slot: Annotated[str, typer.Option(help="Slot that is to serve by it.")] = "default",
    as_json: Json = False,
) -> None:
    """Fuse a run by a policy, with the models of what is served, and serve it; so do the slot's following runs."""
    from workers.commands import pipeline

    if withdraw == (name is not None):
        raise InputError("Name a policy to fuse by, or say --withdraw to leave it to validation again.")
    if not slot or slot.strip() != slot:
        raise InputError("The name of a slot is not empty and has no spaces around it.")
    if name is None:
        withdrawn = rows("withdraw_fusion_choice", slot=slot)
        if not withdrawn:
            raise NotFoundError(f"No policy was chosen for slot {slot}: 'recsql fusion list' shows what is.")
        then = (
            "The next 'recsql run' takes what validation chooses."
            if slot == "default"
            else "What it serves stays, and is refreshed no more."
        )
        emit(withdrawn[0], as_json, f"Slot {slot} is no longer fused by {withdrawn[0]['policy']}. {then}")
        return
    _found(name)
    policy_no = rows("fusion_policy_named", policy=name)[0]["policy_no"]
    with pipeline() as made:
        run_no, is_new = made.use(policy_no, slot)
    emit(
        {"policy": name, "slot": slot, "run_no": run_no, "is_new": is_new},
        as_json,
        f"Slot {slot} serves run {run_no}, fused by {name}. Following runs of this slot are fused by it as well, until "
        f"'recsql fusion use --withdraw{'' if slot == 'default' else f' --slot {slot}'}'.",
    )


def _found(name: str) -> dict[str, Any]:
    found = rows("fusion_policies", policy=name)
    if not found:
        raise NotFoundError(f"There is no fusion policy '{name}': 'recsql fusion list' shows them.")
    return found[0]


def _read(file: Path) -> dict[str, Any]:
    try:
        spec = read_object(str(file), file.read_text(), '{"kind": "rrf", "weights": {"content": 1}}')
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is no UTF-8 text.") from None
    if unknown := spec.keys() - {"kind", "weights", "config"}:
        raise InputError(f"{file} says {', '.join(sorted(unknown))}, but only kind, weights and config are known.")
    for key in ("weights", "config"):
        if not isinstance(spec.get(key, {}), dict):
            raise InputError(f"{key} in {file} must be a JSON object.")
    return spec


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(value)
    return json.dumps(value) if isinstance(value, dict) else value
