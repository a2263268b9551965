"""``recsql policy``, ``recsql ope`` and ``recsql promote``: ways of ordering lists, and what they would be worth."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsql.cli.json_option import read_object
from recsql.cli.output import Json, console, emit, rows, table, told
from recsql.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from workers.ope.store import Window

app = typer.Typer(
    no_args_is_help=True, help="List, add and drop ranking policies: ways of ordering the pool of a request."
)


class Kind(StrEnum):
    """How a policy orders a pool."""

    fused = "fused"
    uniform = "uniform"
    model = "model"


class FormOption(StrEnum):
    """On what the reward of an item is taken to depend."""

    position = "position"
    cascade = "cascade"


Name = Annotated[str, typer.Argument(metavar="POLICY", help="Name, as 'recsql policy list' shows it.")]
From = Annotated[str | None, typer.Option("--from", help="Only requests from this time on (ISO 8601).")]
Until = Annotated[str | None, typer.Option("--until", help="Only requests before this time (ISO 8601).")]
Slot = Annotated[str, typer.Option(help="Slot whose log is read.")]
Domain = Annotated[str | None, typer.Option(help="Only requests for this domain.")]
Segment = Annotated[str | None, typer.Option(help='Only users with these attributes, as JSON: \'{"country": "de"}\'.')]
Logging = Annotated[str | None, typer.Option(help="Only what this policy logged.")]
Form = Annotated[
    FormOption,
    typer.Option(help="Whether an item's reward depends on its position alone, or on what is above as well."),
]
Seed = Annotated[int, typer.Option(min=0, help="Of the folds of the reward model and of the bootstrap.")]


@app.command("list")
def list_policies(as_json: Json = False) -> None:
    """List the ranking policies: how each orders, where it is served, and the newest verdict."""
    found = rows("ranking_policies")
    if as_json or not found:
        emit(found, as_json, "No ranking policy is there yet: 'recsql policy add' adds one.")
        return
    shown = ("policy", "kind", "model", "version", "explore", "slots", "verdict", "evaluated_at")
    emit({}, False, table([{name: row[name] for name in shown} | {"slots": ", ".join(row["slots"])} for row in found]))


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="POLICY", help="A new name.")],
    kind: Annotated[
        Kind,
        typer.Option(help="fused: as the run orders; uniform: at random; model: by a version's scores."),
    ],
    version: Annotated[int | None, typer.Option(help="Model version that a policy of kind model ranks by.")] = None,
    explore: Annotated[
        float,
        typer.Option(min=0, max=1, help="Probability with which a position goes to one of those left, at random."),
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Add a ranking policy; nothing is served by it until it is promoted. Bandits: 'recsql bandit add'."""
    if not name or name.strip() != name or len(name) > 100 or not name.isprintable():
        raise InputError("The name of a policy is up to 100 characters on one line, without spaces around it.")
    if (kind is Kind.model) != (version is not None):
        raise InputError("A policy of kind model takes --version, and only such a one: 'recsql model list' shows them.")
    if kind is Kind.uniform and explore:
        raise InputError("A uniform policy draws every position: leave --explore out.")
    from workers.bandits.store import UNRELEASED

    if name == UNRELEASED or rows("fusion_policy_named", policy=name):
        raise InputError(f"'{name}' is what requests without a ranking policy are logged as: choose another name.")
    if version is not None and not rows("version_config", version=version):
        raise NotFoundError(f"There is no model version {version}: 'recsql model list' shows them.")
    added = rows(
        "add_ranking_policy",
        policy=name,
        kind=kind.value,
        version=version,
        explore=explore,
    )
    if not added:
        raise InputError(
            f"There is a ranking policy '{name}' already: choose another name, or 'recsql policy drop {name}'."
        )
    emit(added[0], as_json, f"Added policy {name}. 'recsql ope {name}' tells what it would be worth.")


@app.command()
def drop(name: Name, as_json: Json = False) -> None:
    """Drop a ranking policy that is not served, with its evaluations; decisions about it stay."""
    _check_known(name)
    if not rows("drop_ranking_policy", policy=name):
        slots = ", ".join(row["slot"] for row in rows("policy_slots", policy=name))
        raise InputError(f"Policy {name} is served in {slots}: 'recsql promote --withdraw' takes it off first.")
    emit({"policy": name}, as_json, f"Dropped policy {name}.")


def ope(
    name: Name,
    from_at: From = None,
    until_at: Until = None,
    slot: Slot = "default",
    domain: Domain = None,
    segment: Segment = None,
    logging_policy: Logging = None,
    form: Form = FormOption.position,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Tell what a ranking policy would have been worth where others served: better, worse, or cannot tell."""
    from recsql import db
    from workers.ope.rankers import find_policy
    from workers.policies import described, evaluate_policy

    window = _window(from_at, until_at, slot, domain, segment, logging_policy)
    with db.connect() as connection:
        policy = find_policy(connection, name)
        with _progress() as progress:
            number, found = evaluate_policy(connection, policy, window, form.value, seed, progress)
    judged = {"verdict": found.verdict, "reason": found.reason}
    document = {
        "policy": name,
        "evaluation_no": number,
        "n_requests": found.n_requests,
        **described(found),
        **judged,
    }
    if as_json:
        emit(document, True)
        return
    if found.estimates:
        emit({}, False, table([_estimate(row) for row in document["estimates"]], "Reward of a request"))
        emit({}, False, table(_diagnosis(document), f"Support ({form.value} form)"))
        swept = [row | {"clip": told(row["clip"]) or "none"} for row in document["clipping"]]
        emit({}, False, table(swept, "DR with weights clipped"))
    # One line, however long, which scripts can read.
    typer.echo(f"{found.verdict}: {found.reason}")


def promote(
    name: Annotated[str | None, typer.Argument(metavar="POLICY", help="Name of the policy to serve.")] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the slot's policy off again.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Serve it whatever its evaluation says.")] = False,
    slot: Annotated[str, typer.Option(help="Slot whose lists it is to order, and whose log is read.")] = "default",
    from_at: From = None,
    until_at: Until = None,
    logging_policy: Logging = None,
    form: Form = FormOption.position,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Serve a ranking policy if a fresh evaluation finds it better than what was logged; decisions are recorded."""
    from recsql import db
    from workers.ope.rankers import find_policy
    from workers.policies import promote_policy, serve_policy

    if withdraw == (name is not None):
        raise InputError("Name a policy to promote, or say --withdraw to take the slot's policy off.")
    with db.connect() as connection:
        if name is None:
            before = serve_policy(connection, slot, None, "withdraw", "withdrawn by command")
            done: dict[str, Any] = {"slot": slot, "action": "withdraw", "replaced": before}
            emit(
                done, as_json, f"Slot {slot} is ordered by no policy again, but as its run says, in place of {before}."
            )
            return
        policy = find_policy(connection, name)
        window = _window(from_at, until_at, slot, None, None, logging_policy)
        with _progress() as progress:
            done = promote_policy(connection, policy, window, force, form.value, seed, progress)
    instead = "" if done["replaced"] is None else f" in place of {done['replaced']}"
    forced = " (forced)" if done["action"] == "force" else ""
    emit(
        done,
        as_json,
        f"Policy {name} orders what slot {slot} serves{instead}{forced}. {done['verdict']}: {done['reason']}",
    )


def _estimate(row: dict[str, Any]) -> dict[str, Any]:
    """An estimate as a row of the table: intervals as text."""
    digits = "{:.4g}".format
    bounds = {
        "95 % interval": (row["lo"], row["hi"]),
        "bootstrap": (row["bootstrap_lo"], row["bootstrap_hi"]),
        "difference": (row["difference_lo"], row["difference_hi"]),
    }
    shown: dict[str, Any] = {
        "estimator": row["estimator"],
        "form": row["form"],
        "value": "" if row["value"] is None else digits(row["value"]),
    }
    for key, ends in bounds.items():
        shown[key] = " to ".join("?" if end is None else digits(end) for end in ends)
    return shown | {"effective size": f"{row['effective_size']:,.1f}"}


def _diagnosis(document: dict[str, Any]) -> dict[str, Any]:
    """What is known of the support, as the table's rows."""
    support = document["support"]
    return {
        "requests": f"{document['n_requests']:,}, and {document['n_rejected']:,} that cannot be used",
        "effective size": f"{support['effective_size']:,.1f} requests, "
        f"{support['effective_rewarded']:,.1f} with a reward",
        "unsupported": f"{support['unsupported']:.2%} of what the policy would show",
        "largest weight": told(support["largest_weight"]),
        "mean weight": f"{told(support['mean_weight'])} (99 %: {told(support['mean_weight_lo'])} to "
        f"{told(support['mean_weight_hi'])}), 1 expected",
    }


def _check_known(name: str) -> None:
    if not rows("ranking_policy", policy=name):
        raise NotFoundError(f"There is no ranking policy '{name}': 'recsql policy list' shows them.")


def _window(
    from_at: str | None, until_at: str | None, slot: str, domain: str | None, segment: str | None, logging: str | None
) -> "Window":
    from workers.ope.store import Window

    begin, end = _time(from_at, "--from"), _time(until_at, "--until")
    if begin is not None and end is not None and begin >= end:
        raise InputError(f"--from {from_at} is not before --until {until_at}.")
    return Window(
        begin,
        end,
        slot,
        domain,
        None if segment is None else read_object(f"--segment {segment}", segment, '{"country": "de"}'),
        logging,
    )


def _time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise InputError(
            f"{option} {text} is no time: write it like 2026-01-31 or 2026-01-31T12:00:00+01:00."
        ) from None


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A function that is told each stage."""
    if not console.is_terminal:
        yield lambda stage: None
        return
    with console.status("") as status:
        yield lambda stage: status.update(f"{stage} …")
