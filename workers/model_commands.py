"""``recsql model``: the versions of trained models, what they were made of and how good they are."""

import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsql.cli.output import Json, console, emit, rows, table, told
from recsql.errors import InputError, ModelError, NotFoundError

if TYPE_CHECKING:
    from workers.models.base import Model

app = typer.Typer(no_args_is_help=True, help="List, compare, promote, export and prune trained models.")

Version = Annotated[int, typer.Argument(help="Number of the version, as 'recsql model list' shows it.")]


@app.command("list")
def list_versions(
    model: Annotated[str | None, typer.Argument(help="Only versions of this model.")] = None,
    as_json: Json = False,
) -> None:
    """List the trained versions: on which events, how long, how good, how large, and which is served."""
    found = rows("model_versions", model=model)
    if model is not None and not found:
        raise NotFoundError(f"There is no version of a model '{model}': 'recsql model list' shows all versions.")
    emit(found, as_json, None if found else "No model is trained yet: 'recsql run' trains one.")


@app.command()
def show(version: Version, as_json: Json = False) -> None:
    """Show a version: configuration, figures, the events it has seen, its artifact and its vectors."""
    found = _one("model_version", version)
    quality = rows("model_quality", version=version)
    if as_json:
        emit({**found, "quality": quality}, True)
        return
    nested = {name: found.pop(name) for name in ("data", "artifact", "vectors", "config", "metrics")}
    emit({}, False, table(found, f"Version {version}"))
    for name, facts in nested.items():
        emit({}, False, table({key: told(value) for key, value in facts.items()}, name.capitalize()))
    if quality:
        emit({}, False, table(quality, f"Quality on what came after ({nested['data']['part']})"))


@app.command()
def compare(
    versions: Annotated[list[int], typer.Argument(help="Numbers of two versions or more.")],
    as_json: Json = False,
) -> None:
    """Compare versions: the options in which they differ, and their figures side by side."""
    if len(set(versions)) < 2:
        raise InputError("Name two versions or more: 'recsql model list' shows them.")
    facts = rows("compare_models", versions=versions)
    known = next((fact["by_version"] for fact in facts if fact["name"] == "model"), {})
    for version in versions:
        if str(version) not in known:
            raise _unknown(version)
    if as_json:
        emit({"versions": versions, "facts": facts}, True)
        return
    shown = [
        {"kind": fact["kind"], "name": fact["name"]}
        | {f"version {version}": told(fact["by_version"].get(str(version))) for version in versions}
        for fact in facts
        if fact["kind"] != "config" or fact["differs"]
    ]
    emit(shown, False)
    if any(fact["name"] in ("part", "last_event_no") and fact["kind"] == "data" and fact["differs"] for fact in facts):
        console.print("They were trained on different events, so their figures say little about which is better.")


@app.command()
def export(
    version: Version,
    file: Annotated[Path, typer.Argument(help="File to write, in the format safetensors.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if there is one.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Of 8 bits a number: a quarter of the size, rounded.")] = False,
    as_json: Json = False,
) -> None:
    """Write a version's artifact to a file, after loading it to see that it is whole."""
    if file.is_dir():
        raise InputError(f"{file} is a folder: name a file in it.")
    if file.exists() and not force:
        raise InputError(f"{file} exists: add --force to overwrite it.")
    found = _one("model_artifact", version)
    blob = found["artifact"]
    if blob is None:
        raise NotFoundError(
            f"Version {version} has no artifact any more, it was pruned: 'recsql model list' shows which have one."
        )
    model = _check(version, blob, found["sha256"], found["run_no"])
    if int8:
        from workers.models.registry import save_int8_artifact

        blob = save_int8_artifact(model)
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_bytes(blob)
        os.replace(part, file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}.") from None
    written = {"version": version, "file": str(file), "n_bytes": len(blob), "sha256": sha256(blob).hexdigest()}
    call = f"load_artifact(Path({str(file)!r}).read_bytes())"
    text = (
        f"Wrote {len(blob):,} bytes, SHA-256 {written['sha256']}. To load it:\n\n"
        f"  from pathlib import Path\n  from workers.models.registry import load_artifact\n  model = {call}"
    )
    emit(written | {"load": call}, as_json, text)


@app.command()
def promote(version: Version, as_json: Json = False) -> None:
    """Let the following runs of a model use a version's configuration in place of the defaults."""
    from workers.promotions import promotable

    found = _one("version_config", version)
    promotable(version, found["model"], found["config"])
    before = rows("promote_model", version=version)[0]["replaced"]
    release = next(iter(rows("version_release", version=version)), None)
    done = {"version": version, "model": found["model"], "replaced": before, "is_new": before != version}
    if before == version:
        text = f"Version {version} is promoted already."
    else:
        instead = "the defaults" if before is None else f"version {before}"
        text = (
            f"The following runs of {found['model']} use the configuration of version {version} in place of {instead}."
        )
    emit(done | {"release": release}, as_json, f"{text} {_how_to_serve(release)}")


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(help="Name of the model: transformer …")], as_json: Json = False
) -> None:
    """Take the newest promotion of a model back; repeated, it goes further back, to the defaults at last."""
    version = rows("rollback_model", model=model)[0]["version"]
    now = "their defaults again" if version is None else f"the configuration of version {version} again"
    emit({"model": model, "version": version}, as_json, f"The following runs of {model} use {now}.")


def _how_to_serve(release: dict[str, Any] | None) -> str:
    """What to do to serve the run that trained a version, if it is one that can be served; else, a new one."""
    if release is None:
        return "'recsql run' makes one and serves it."
    if release["is_served"]:
        return f"Run {release['run_no']}, which trained it, is what is served."
    if release["was_served"]:
        return f"Run {release['run_no']}, which trained it, was served before: 'recsql rollback' goes back, run by run."
    call = f"select recsql.publish({release['run_no']}, {release['policy_no']})"
    return f"Run {release['run_no']}, which trained it, is complete: '{call}' in 'recsql db psql' serves it."


@app.command()
def prune(
    keep: Annotated[int, typer.Option(min=1, help="Complete runs of each protocol and part whose models stay.")] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove artifacts and vectors that neither the released run nor a kept one uses; figures stay.

    Runs that lose their models cannot be rolled back to.
    """
    pruned = rows("prune_models", keep=keep, dry_run=dry_run)
    n_bytes = sum(row["n_bytes"] for row in pruned)
    if as_json:
        emit({"dry_run": dry_run, "n_bytes": n_bytes, "pruned": pruned}, True)
        return
    if pruned:
        emit(pruned, False)
    emit({}, False, f"{'Would free' if dry_run else 'Freed'} {n_bytes:,} bytes of {len(pruned)} versions.")


@app.command()
def states(version: Version, as_json: Json = False) -> None:
    """Write what a version makes of every state in which a decision was taken to recsql.state_vector."""
    from recsql import db
    from workers.states import write_states

    with db.connect() as connection:
        n_states = write_states(connection, version)
    emit({"version": version, "n_states": n_states}, as_json, f"Wrote {n_states:,} states of version {version}.")


def _one(query: str, version: int) -> dict[str, Any]:
    """The one row of a statement about a version.

    Raises:
        NotFoundError: there is no such version.
    """
    found = rows(query, version=version)
    if not found:
        raise _unknown(version)
    return found[0]


def _unknown(version: int) -> NotFoundError:
    return NotFoundError(f"There is no model version {version}: 'recsql model list' shows them.")


def _check(version: int, blob: bytes, claimed: str | None, run_no: int) -> "Model":
    """Load an artifact, which compares its content with the digest inside it, and compare the whole with the table's.

    Raises:
        ModelError: it is damaged, or of a release that differs too much.
    """
    from workers.models.registry import load_artifact

    if sha256(blob).hexdigest() != claimed:
        raise ModelError(
            f"The artifact of version {version} is damaged: 'recsql run --since {run_no}' trains that model anew."
        )
    return load_artifact(blob)
