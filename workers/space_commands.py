"""``recsql space``: the models that items are embedded by."""

from typing import Annotated

import typer

from recsql.cli.output import Json, console, emit, rows, table
from recsql.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Add, watch, switch and drop the models that items are embedded by.")

Name = Annotated[str, typer.Argument(help="Name of the space, as 'recsql space list' shows it.")]

MODALITIES = ("text", "image", "audio")


@app.command("list")
def list_spaces(as_json: Json = False) -> None:
    """List the spaces: which model, which is served, how many items are embedded, wait and failed."""
    found = rows("space_overview")
    if as_json or not found:
        emit(found, as_json, None if found else "No space yet: 'recsql embed' makes that of text.")
        return
    shown = ("space", "modality", "model", "dim", "status", "embedded", "pending", "failed")
    emit({}, False, table([{name: row[name] for name in shown} for row in found]))


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What the space is to be called.")],
    modality: Annotated[str, typer.Option(help="What is embedded: text, image or audio.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Name or path of a sentence-transformers model; the packaged one of the modality by default."
        ),
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="Of text: what is embedded of an item, with {title}, {tags} and {body}.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give a model a space: all items are embedded in it, and again whenever what it reads of them changes."""
    from recsql import db
    from workers.spaces import TEXT_TEMPLATE, add_space

    if modality not in MODALITIES:
        raise InputError(f"--modality is {modality}, which is none of {', '.join(MODALITIES)}.")
    if template is not None and modality != "text":
        raise InputError(f"--template says what is read of texts: a space of {modality} has none.")
    with db.connect() as connection:
        add_space(connection, name, modality, model, template or TEXT_TEMPLATE)
    (found,) = (row for row in rows("space_overview") if row["space"] == name)
    if as_json:
        emit(found, True)
        return
    served = {
        "active": "it is what is served",
        "building": f"'recsql space switch {name}' serves it once it is complete",
    }
    emit(
        {},
        False,
        f"Space {name}: {found['model']}, {found['dim']} dimensions; {found['pending']:,} items wait for a worker or "
        f"'recsql embed', {served[found['status']]}.",
    )


@app.command()
def switch(
    name: Name,
    min_coverage: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the items with content that must be embedded.")
    ] = 0.99,
    as_json: Json = False,
) -> None:
    """Serve a space in place of its modality's present one, which is kept as it is, to switch back to."""
    before = rows("switch_embedding_space", space=name, min_coverage=min_coverage)[0]["switch_embedding_space"]
    instead = "" if before in (None, name) else f" in place of {before}; 'recsql space drop {before}' removes that"
    emit({"space": name, "replaced": before}, as_json, f"Space {name} is served{instead}.")


@app.command()
def drop(name: Name, as_json: Json = False) -> None:
    """Remove a space with its vectors; of a modality with several, not the one that is served."""
    n_vectors = rows("drop_embedding_space", space=name)[0]["drop_embedding_space"]
    emit({"space": name, "vectors": n_vectors}, as_json, f"Dropped space {name} with {n_vectors:,} vectors.")


@app.command()
def failures(
    name: Annotated[str | None, typer.Argument(help="Only of this space.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """Show what could not be embedded, and why; changed content is tried again, 'recsql embed --retry' tries all."""
    found = rows("embedding_failures", space=name, n=limit)
    if as_json or not found:
        emit(found, as_json, None if found else "Nothing failed.")
        return
    emit({}, False, table(found))
    waiting = sum(row["state"] == "waits" for row in found)
    if waiting:
        console.print(f"{waiting} of them wait to be tried again.")


@app.command()
def unify(
    name: Annotated[
        str | None, typer.Argument(help="What the space is to be called; unified and its version's number by default.")
    ] = None,
    spaces: Annotated[
        list[str] | None,
        typer.Option("--space", help="A space to unite, given twice or more; by default all served ones."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Learn projections of several spaces into one: what is of one item, and what is used together, is to be near."""
    from recsql import db
    from recsql.cli.output import progress_bars
    from workers.commands import stage_bars
    from workers.unify import unify as unify_spaces

    with db.connect() as connection, progress_bars() as progress:
        done = unify_spaces(connection, name, spaces, progress=stage_bars(progress)("unify"))
    told = (
        f"Space {done.space} unites {', '.join(done.sources)} (model version {done.version_no}). A worker or "
        f"'recsql embed' fills it, then 'recsql space switch {done.space}' serves it."
    )
    emit(vars(done), as_json, told)
