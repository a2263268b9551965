"""``recsql fusion compare``: every way of fusing, on the newest validation run."""

from typing import Annotated, Any

import typer

from recsql.cli.output import Json, console, emit, table
from recsql.errors import PipelineError

Protocol = Annotated[str, typer.Option(help="Offline protocol whose newest validation run is read: loo or global.")]
Apply = Annotated[bool, typer.Option("--apply", help="Fuse by what is proposed from the next run on.")]
By = Annotated[
    list[str] | None,
    typer.Option(
        "--by", metavar="ATTRIBUTE", help="Attribute of users to fit weights by too, as gender; can be repeated."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of the folds of users, of training and of the bootstrap.")]


def compare(
    protocol: Protocol = "loo", by: By = None, apply: Apply = False, seed: Seed = 0, as_json: Json = False
) -> None:
    """Compare fusion policies and single sources on the newest validation run, and propose the best policy.

    What is learnt is learnt anew and measured on users that it was not fitted on, in place of policies that earlier
    runs fitted on the same users; gain is the NDCG@10 over the best single source.
    """
    from recsql import db
    from recsql.cli.output import progress_bars
    from recsql.queries import QUERIES
    from workers.commands import stage_bars
    from workers.ranker import comparison
    from workers.run import PipelineConfig, Run

    with db.connect() as connection, progress_bars() as progress:
        row = connection.execute(QUERIES["compared_run"], {"protocol": protocol}).fetchone()
        if row is None:
            raise PipelineError(
                f"No validation run of protocol '{protocol}' is complete and has its candidates: "
                f"make one first (recsql evaluate --protocol {protocol})."
            )
        run = Run(connection, row[0], "validation", PipelineConfig(protocol, seed=seed))
        found = comparison.compare(run, seed, by or (), stage_bars(progress)("compare"))
        policy_no = found.choose() if apply else None
    methods, proposed = found.rows(), found.proposed
    gain = next(method for method in methods if method["is_policy"] and method["method"] == proposed)
    told = {"run_no": row[0], "best_single": found.best_single, "proposed": proposed}
    told |= {"is_beyond_chance": gain["gain_lo"] > 0, "policy_no": policy_no, "methods": methods}
    emit(told, as_json, table([_shown(method) for method in methods]))
    if not as_json:
        console.print(
            f"Proposed: {proposed}, NDCG@10 {gain['gain']:+.4f} ({gain['gain_lo']:+.4f} to {gain['gain_hi']:+.4f}) "
            f"against {found.best_single} alone{'' if gain['gain_lo'] > 0 else ', which may be chance'}."
        )
        console.print("The next run fuses by it: 'recsql run'." if apply else "'--apply' has the next runs fuse by it.")


def _shown(method: dict[str, Any]) -> dict[str, Any]:
    return {
        "method": method["method"] if method["is_policy"] else f"{method['method']} alone",
        "ndcg@10": method["ndcg@10"],
        "95 %": f"{method['lo']:.4f} to {method['hi']:.4f}",
        "recall@10": method["recall@10"],
        "gain": f"{method['gain']:+.4f}",
        "95 % of it": f"{method['gain_lo']:+.4f} to {method['gain_hi']:+.4f}",
    }
