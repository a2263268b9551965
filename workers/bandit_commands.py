"""``recsql bandit``: rankings that explore, and learn from feedback as it comes."""

from typing import Annotated, Any

import typer

from recsql.cli.output import Json, console, emit, rows, table
from recsql.errors import InputError, NotFoundError

app = typer.Typer(no_args_is_help=True, help="Add, watch and update rankings that explore and learn from feedback.")

Name = Annotated[str, typer.Argument(help="Name of the bandit, as 'recsql bandit list' shows it.")]

KINDS = ("thompson", "linucb", "greedy")
FEATURES = ("bias", "position", "score", "new", "taste")
"""The features before the projected ones."""


@app.command("list")
def list_bandits(as_json: Json = False) -> None:
    """List the bandits: how they explore, what they have read, and where they are served."""
    found = rows("bandit_overview", policy=None)
    if as_json or not found:
        emit(found, as_json, None if found else "No bandit yet: 'recsql bandit add NAME' makes one.")
        return
    shown = ("policy", "kind", "n_outcomes", "n_items", "mean_reward", "slots", "updated_at")
    emit({}, False, table([{name: row[name] for name in shown} | {"slots": ", ".join(row["slots"])} for row in found]))


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What the bandit, a ranking policy, is to be called.")],
    kind: Annotated[
        str, typer.Option(help="How it explores: thompson, linucb, or greedy (with --explore).")
    ] = "thompson",
    alpha: Annotated[
        float | None,
        typer.Option(min=0, help="How much it explores, in standard deviations; by default 0.5, of linucb 1."),
    ] = None,
    ridge: Annotated[float | None, typer.Option(help="Prior precision of the weights; by default 1.")] = None,
    shrinkage: Annotated[
        float | None,
        typer.Option(help="How many impressions of an item weigh as much as what its features say; by default 5."),
    ] = None,
    content_dims: Annotated[
        int | None, typer.Option(help="Principal components of the contents that it reads, 1 to 13; by default 8.")
    ] = None,
    half_life_days: Annotated[
        float | None, typer.Option(help="Age at which an impression counts half; by default it never counts less.")
    ] = None,
    settle_seconds: Annotated[
        float | None,
        typer.Option(help="How old an impression is that counts as one of which nothing came; by default 300."),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(help="Of thompson, how many draws of the posterior are served, 1 to 256; by default 32."),
    ] = None,
    explore: Annotated[
        float, typer.Option(min=0, max=1, help="Probability with which a position goes to any of the items left.")
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Make a bandit and let it learn from what has come of impressions so far."""
    from pydantic import ValidationError

    from recsql import db
    from workers.bandits.base import BanditConfig
    from workers.bandits.store import add_bandit
    from workers.bandits.update import update_bandit

    if kind not in KINDS:
        raise InputError(f"--kind is {kind}, which is none of {', '.join(KINDS)}.")
    given = {
        "bandit": kind,
        "alpha": 1.0 if alpha is None and kind == "linucb" else alpha,
        "ridge": ridge,
        "shrinkage": shrinkage,
        "content_dims": content_dims,
        "half_life_days": half_life_days,
        "settle_seconds": settle_seconds,
        "n_draws": draws,
    }
    try:
        config = BanditConfig.model_validate({key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = f"--{str(first['loc'][0]).removeprefix('n_').replace('_', '-')}"
        raise InputError(f"{option} is {first['input']}: {first['msg']}.") from None
    with db.connect() as connection:
        add_bandit(connection, name, config, explore)
        update_bandit(connection, name)
    (found,) = rows("bandit_overview", policy=name)
    read = f"It has read {found['n_outcomes']:,} impressions" if found["n_outcomes"] else "There are no impressions yet"
    emit(
        found,
        as_json,
        f"Bandit {name} ({kind}) reads content space {found['space']}. {read}; workers update it every minute.",
    )


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show what a bandit has learnt: the weights of its features, and what it has read."""
    found = _overview(name)
    weights = rows("bandit_weights", policy=name)
    skipped = rows("bandit_skipped", policy=name)
    named = [
        {"feature": _feature(row["nth"], len(weights)), "weight": row["weight"], "deviation": row["deviation"]}
        for row in weights
    ]
    if as_json:
        emit(found | {"weights": named, "skipped": {row["reason"]: row["n"] for row in skipped}}, True)
        return
    emit({}, False, table({key: value for key, value in found.items() if key not in ("slots", "config")}))
    emit({}, False, table(named))
    for row in skipped:
        console.print(f"{row['n']:,} impressions are not counted: {row['reason']}.")
    if found["space_status"] != "active":
        console.print(
            f"Its content space is {found['space_status'] or 'gone'}: 'recsql bandit update {name} --anew' makes it "
            "read the present one."
        )


@app.command()
def update(
    name: Annotated[str | None, typer.Argument(help="Only this bandit; all by default.")] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Forget what it has learnt, and read all feedback again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Learn from the newest feedback now, as workers do every minute; what has been read is not read again."""
    from recsql import db
    from workers.bandits.store import reset_bandit
    from workers.bandits.update import update_bandit

    names = [name] if name is not None else [row["policy"] for row in rows("bandit_overview", policy=None)]
    if not names:
        raise NotFoundError("There is no bandit: 'recsql bandit add NAME' makes one.")
    found: list[dict[str, Any]] = []
    with db.connect() as connection:
        for one in names:
            try:
                if anew:
                    reset_bandit(connection, one)
                done = update_bandit(connection, one)
            except NotFoundError:
                if name is not None:
                    raise
                continue  # It has been dropped since it was listed.
            found.append(
                {"policy": one, "read": done.n_read, "corrected": done.n_corrected, "skipped": dict(done.skipped)}
            )
    lines = [
        f"Bandit {row['policy']}: {row['read']:,} impressions read, {row['corrected']:,} put right"
        + "".join(f", {n:,} not counted ({reason})" for reason, n in row["skipped"].items())
        + "."
        for row in found
    ]
    emit(found, as_json, "\n".join(lines))


def _overview(name: str) -> dict[str, Any]:
    found = rows("bandit_overview", policy=name)
    if not found:
        raise NotFoundError(
            f"There is no bandit '{name}': 'recsql bandit list' shows them, 'recsql bandit add' makes one."
        )
    return found[0]


def _feature(nth: int, n: int) -> str:
    """Name of a feature, counted from 1."""
    if nth <= len(FEATURES):
        return FEATURES[nth - 1]
    n_content = (n - len(FEATURES)) // 2
    place = nth - len(FEATURES)
    return f"content {place}" if place <= n_content else f"content {place - n_content} by taste"
