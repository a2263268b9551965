"""``recsql experiment``: what serves users better, found out on users."""

import json
import math
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer

from recsql.cli.json_option import read_object
from recsql.cli.output import Json, emit, rows, table
from recsql.errors import InputError, NotFoundError
from recsql.sequential import needed_users

app = typer.Typer(no_args_is_help=True, help="Serve users by variants, and tell which one they are better off with.")


class Metric(StrEnum):
    """What is compared."""

    user = "user"
    request = "request"


FEWEST_PLANNED = 200
Name = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Name, as 'recsql experiment list' shows it.")]
Alpha = Annotated[float, typer.Option(help="Probability of a verdict where there is no difference, below 0.5.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="A new name.")],
    slot: Annotated[str, typer.Option(help="Slot in whose requests it runs.")] = "default",
    metric: Annotated[Metric, typer.Option(help="Reward per user, or per request.")] = Metric.user,
    traffic: Annotated[float, typer.Option(help="Share of the users who take part, above 0 and up to 1.")] = 1.0,
    alpha: Alpha = 0.05,
    planned_users: Annotated[
        int,
        typer.Option(
            min=FEWEST_PLANNED,
            max=2**31 - 1,
            help="Users to expect: 'recsql experiment power' tells how many it takes.",
        ),
    ] = 10_000,
    lookback_days: Annotated[
        int, typer.Option(min=1, help="Days before a user's first request that tell what he was like (CUPED).")
    ] = 28,
    as_json: Json = False,
) -> None:
    """Create an experiment; nobody takes part before it has variants and is started."""
    _check_name(name, "an experiment")
    if not 0 < traffic <= 1:
        raise InputError(f"--traffic is {traffic:g}: it must be above 0 and up to 1.")
    if not 1e-6 <= alpha < 0.5:
        raise InputError(f"--alpha is {alpha:g}: it must be from 0.000001 to below 0.5.")
    added = rows(
        "add_experiment",
        experiment=name,
        slot=slot,
        metric=metric.value,
        traffic=traffic,
        alpha=alpha,
        planned_users=planned_users,
        lookback_days=lookback_days,
    )
    if not added:
        raise InputError(f"There is an experiment '{name}' already: choose another name.")
    emit(added[0], as_json, f"Created experiment {name}. 'recsql experiment add-variant {name}' says what to compare.")


@app.command("add-variant")
def add_variant(
    name: Name,
    variant: Annotated[str, typer.Argument(metavar="VARIANT", help="A new name.")],
    weight: Annotated[float, typer.Option(help="Its share of the users is in proportion to it.")] = 1.0,
    control: Annotated[bool, typer.Option("--control", help="The variant that the others are compared with.")] = False,
    serve: Annotated[
        str | None, typer.Option(metavar="SLOT", help="Slot whose release is served in place of the experiment's.")
    ] = None,
    controls: Annotated[
        str, typer.Option(metavar="JSON", help="Controls of the lists, as '{\"diversity\": 0.3}'.")
    ] = "{}",
    add_rule: Annotated[
        list[str] | None, typer.Option(help="Name of a rule that holds in this variant; may be repeated.")
    ] = None,
    drop_rule: Annotated[
        list[str] | None, typer.Option(help="Name of a rule that does not hold in it; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a variant to an experiment that has not been started; one without options is what is served anyway."""
    _check_known(name)
    _check_name(variant, "a variant")
    if not (weight > 0 and math.isfinite(weight)):
        raise InputError(f"--weight is {weight:g}: it must be a number above 0, as 1 and 1 for halves.")
    added = rows(
        "add_variant",
        experiment=name,
        variant=variant,
        weight=weight,
        is_control=control,
        slot=serve,
        controls=json.dumps(read_object(f"--controls {controls}", controls, '{"diversity": 0.3}')),
        add_rules=add_rule or [],
        drop_rules=drop_rule or [],
    )
    if not added:
        raise InputError(f"Experiment {name} has a variant '{variant}' already: choose another name.")
    emit(added[0], as_json, f"Added variant {variant}.")


@app.command()
def start(name: Name, as_json: Json = False) -> None:
    """Serve users by the variants from now on; nothing of the experiment changes after that."""
    _set_state(name, "running", as_json, "Experiment {experiment} runs in slot {slot}.")


@app.command()
def stop(name: Name, as_json: Json = False) -> None:
    """Serve everybody the slot itself again; the result stays."""
    _set_state(name, "stopped", as_json, "Experiment {experiment} is stopped: slot {slot} serves everybody alike.")


@app.command("list")
def list_experiments(as_json: Json = False) -> None:
    """List the experiments: where they run, their variants, and how many users they served."""
    found = rows("experiments")
    if as_json or not found:
        emit(found, as_json, "No experiment is there yet: 'recsql experiment create' makes one.")
        return
    shown = ("experiment", "slot", "state", "metric", "n_users", "started_at", "ended_at")
    names = [", ".join(variant["variant"] for variant in row["variants"]) for row in found]
    picked = ({key: row[key] for key in shown} for row in found)
    emit({}, False, table([row | {"variants": listed} for row, listed in zip(picked, names, strict=True)]))


@app.command()
def report(
    name: Name,
    daily: Annotated[bool, typer.Option("--daily", help="As it was at the end of each day.")] = False,
    as_json: Json = False,
) -> None:
    """Tell what an experiment says: better, worse, or cannot tell; it may be asked at any time."""
    _check_known(name)
    found = rows("experiment_daily" if daily else "experiment_result", experiment=name)
    if as_json:
        emit(found, True)
        return
    if daily:
        shown = ("day", "variant", "n_users", "mean", "lift", "verdict")
        emit({}, False, table([{key: row[key] for key in shown} for row in found]))
        return
    emit({}, False, table([_told(row) for row in found], "All but the mean is adjusted for what users did before"))
    for row in found:
        if not row["is_control"]:
            reason = f": {row['reason']}" if row["reason"] else ""
            typer.echo(f"{row['variant']}: {row['verdict']}{reason}")


@app.command()
def power(
    baseline_mean: Annotated[float, typer.Option(help="Mean reward of a user (or request) of the control.")],
    sd: Annotated[float, typer.Option(help="Its standard deviation over users.")],
    lift: Annotated[float, typer.Option(help="Relative lift that is not to be missed, as 0.05.")],
    users_per_day: Annotated[
        float | None, typer.Option(help="New users who come into the experiment a day: tells how long it takes.")
    ] = None,
    share: Annotated[float, typer.Option(help="Of the users of variant and control, the variant's.")] = 0.5,
    probability: Annotated[float, typer.Option("--power", help="Probability of finding the lift.")] = 0.8,
    correlation: Annotated[
        float, typer.Option(help="Of a user's reward and what he did before: what CUPED takes off.")
    ] = 0.0,
    alpha: Alpha = 0.05,
    as_json: Json = False,
) -> None:
    """Tell how many users it takes to find a lift, looking as often as one likes."""
    if users_per_day is not None and not (users_per_day > 0 and math.isfinite(users_per_day)):
        raise InputError(f"--users-per-day is {users_per_day:g}: it must be a number above 0.")
    needed = partial(
        needed_users, baseline_mean, sd, lift, alpha=alpha, power=probability, share=share, correlation=correlation
    )
    users = needed()
    found = {
        "users": users,
        "days": None if users_per_day is None else math.ceil(users / users_per_day),
        "users_of_one_look": needed(is_sequential=False),
    }
    lasting = "" if found["days"] is None else f", in {found['days']:,} days"
    emit(
        found,
        as_json,
        f"{users:,} users, variant and control together{lasting}: a lift of {lift:.2%} is found with a probability of "
        f"at least {probability:.0%} by then, looking as often as you like. Create the experiment with --planned-users "
        f"{max(users, FEWEST_PLANNED)}. A single look at the end would take {found['users_of_one_look']:,}.",
    )


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A variant as a row of the table: intervals as text."""

    def interval(low: float | None, high: float | None, digits: str) -> str:
        return "" if low is None or high is None else f"{low:{digits}} to {high:{digits}}"

    return {
        "variant": row["variant"] + (" (control)" if row["is_control"] else ""),
        "users": f"{row['n_users']:,}",
        "mean": row["mean"],
        "lift": "" if row["lift"] is None else f"{row['lift']:+.2%}",
        "always valid": interval(row["lift_lo"], row["lift_hi"], "+.2%"),
        "difference": row["cuped_difference"],
        "its always valid interval": interval(row["cuped_always_lo"], row["cuped_always_hi"], "+.4f"),
        "for one look": interval(row["cuped_fixed_lo"], row["cuped_fixed_hi"], "+.4f"),
        "split p": "" if row["split_p"] is None else f"{row['split_p']:.3g}",
    }


def _set_state(name: str, state: str, as_json: bool, text: str) -> None:
    changed = rows("set_experiment_state", experiment=name, state=state)
    if not changed:
        _check_known(name)
    emit(changed[0], as_json, text.format(**changed[0]))


def _check_known(name: str) -> None:
    if not rows("experiment_named", experiment=name):
        raise NotFoundError(f"There is no experiment '{name}': 'recsql experiment list' shows them.")


def _check_name(name: str, what: str) -> None:
    if not name or name.strip() != name or len(name) > 100 or not name.isprintable():
        raise InputError(f"The name of {what} is up to 100 characters on one line, without spaces around it.")
