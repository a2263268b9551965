"""``recsql``: the command line. It sits here, above both packages, since commands start workers."""

import sys
from typing import Annotated

import typer

from recsql import __version__
from recsql.cli import data, database, experiments, results, rules
from recsql.cli.output import console
from recsql.errors import RecsqlError
from workers import (
    bandit_commands,
    commands,
    fairness_commands,
    fusion_commands,
    launched,
    model_commands,
    policy_commands,
    report_commands,
    source_commands,
    space_commands,
)
from workers.demo import demo
from workers.simulate_commands import simulate

INTERRUPTED = 130
"""Exit code that Typer gives to Ctrl-C."""

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="A recommender that lives inside PostgreSQL."
)
app.add_typer(database.app, name="db")
app.add_typer(fusion_commands.app, name="fusion")
app.add_typer(model_commands.app, name="model")
app.add_typer(policy_commands.app, name="policy")
app.add_typer(source_commands.app, name="source")
app.add_typer(space_commands.app, name="space")
app.add_typer(bandit_commands.app, name="bandit")
app.add_typer(experiments.app, name="experiment")
app.add_typer(fairness_commands.app, name="fairness")
app.add_typer(rules.app, name="rules")
app.add_typer(rules.control_app, name="control")
for panel, members in {
    "Data": (data.load, data.inbox, data.activity, data.rejected, data.redrive),
    "Pipeline": (
        commands.run,
        commands.embed,
        commands.refresh,
        commands.train,
        commands.tune,
        commands.score,
        commands.evaluate,
        commands.publish,
        commands.follow,
        commands.worker,
        commands.defer,
    ),
    "Feedback": (simulate,),
    "Results": (
        results.recommend,
        commands.search,
        report_commands.report,
        results.status,
        results.audit,
        results.rollback,
        results.prune,
    ),
    "Policies": (policy_commands.ope, policy_commands.promote),
    "Start here": (demo,),
}.items():
    for member in members:
        app.command(rich_help_panel=panel)(member)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"recsql {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A recommender that lives inside PostgreSQL."""


def main() -> None:
    """Run a command; what recsql can explain is one line on stderr and exit code 1.

    Of several processes that ``torchrun`` started the first one runs it, and the others train with it.
    """
    if launched.is_other():
        launched.train_shares()
        return
    import psycopg

    from recsql.db import explain

    try:
        with launched.leading():
            app(standalone_mode=True)
    except (RecsqlError, psycopg.Error) as error:
        told = explain(error) if isinstance(error, psycopg.Error) else error
        console.print(f"Error: {told}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except SystemExit as done:
        if done.code == INTERRUPTED:
            console.print("Stopped; nothing half done is published, and the same command goes on with it.", style="red")
        raise


if __name__ == "__main__":
    main()
