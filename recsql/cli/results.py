"""``recsql recommend|status|audit|rollback|prune``: what came out."""

from typing import Annotated

import typer

from recsql.cli.json_option import read_object
from recsql.cli.output import Json, emit, rows, table


def recommend(
    user_id: Annotated[str, typer.Argument(help="The application's id of the user; an unknown one is welcome.")],
    n: Annotated[int, typer.Option("-n", help="How many.")] = 10,
    domain: Annotated[str | None, typer.Option(help="Only items of this domain.")] = None,
    explore: Annotated[
        float | None, typer.Option(help="From 0 to 1: the share of places that are explored; logs the request.")
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Log the request, its pool and what it shows.")] = False,
    diversity: Annotated[
        float | None,
        typer.Option(help="From 0 to 1: how unlike each other items are to be; as the slot does if left out."),
    ] = None,
    novelty: Annotated[
        float | None, typer.Option(help="From 0 to 1: how much what few users had is preferred; likewise.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Recommend items to a user, as recsql_api.recommend does."""
    found = rows(
        "api_recommend",
        user_id=user_id,
        n=n,
        domain=domain,
        explore=explore,
        log=log,
        diversity=diversity,
        novelty=novelty,
    )
    if as_json:
        emit(found, True)
        return
    shown = [{name: value for name, value in row.items() if name != "request_id"} for row in found]
    emit(shown, False, None if shown else "There is nothing to recommend here.")
    if found and (log or explore):
        emit({}, False, f"Logged as request {found[0]['request_id']}: record what comes of it under this id.")


def status(as_json: Json = False) -> None:
    """Show the newest loads and runs and what is served, what waits to be embedded, and jobs by state."""
    rows("fail_lost_loads")
    report = {
        "loads": rows("load_status"),
        "runs": rows("run_status"),
        "embedding": rows("embedding_status"),
        "jobs": rows("job_status"),
    }
    if as_json:
        emit(report, True)
        return
    for title, found in report.items():
        if found:
            emit({}, False, table(found, title.capitalize()))
    if not report["runs"]:
        emit({}, False, "No run yet: 'recsql run' makes one.")


def audit(
    queries: Annotated[int, typer.Option(help="Searches of each set of vectors, drawn at random.")] = 50,
    n: Annotated[int, typer.Option("-n", help="Items to find in each.")] = 10,
    domain: Annotated[str | None, typer.Option(help="Find only items of this domain.")] = None,
    wanted: Annotated[
        str, typer.Option("--filter", metavar="JSON", help="Find only items whose attributes contain this.")
    ] = "{}",
    as_json: Json = False,
) -> None:
    """Replay vector searches beside the exact answer; recsql_api.vector_search_quality keeps what they missed."""
    read_object(f"--filter {wanted}", wanted, '{"genre": "Comedy"}')
    found = rows("audit_vector_search", n_queries=queries, k=n, filter=wanted, domain=domain)
    shown = ("vectors", "strategy", "n_searches", "recall", "p50_ms", "exact_p50_ms")
    emit(found, as_json, None if as_json else table([{name: row[name] for name in shown} for row in found]))


def rollback(as_json: Json = False) -> None:
    """Serve the run that was served before."""
    emit({"run_no": rows("rollback")[0]["rollback"]}, as_json)


def prune(
    keep: Annotated[int, typer.Option(help="Complete runs of each protocol and part that stay.")] = 2,
    as_json: Json = False,
) -> None:
    """Forget old runs but for their figures; what is served stays."""
    emit({"pruned": [row["run_no"] for row in rows("prune_runs", keep=keep)]}, as_json)
