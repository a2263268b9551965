"""Fairness before and after controls, side by side."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from recsql.errors import PipelineError
from recsql.queries import QUERIES
from workers.fairness import GAP, Measured, divergence, group_figures, keys, mean_interval, measure


@dataclass(frozen=True)
class Report:
    """Figures of what is fused and, where controls are given, of what they make of it.

    Attributes:
        run_no: the run.
        controls: what is compared with; empty for nothing.
        price: change of the mean NDCG (``difference``), and as a share of it (``relative``) with its 95 % interval
            (``lo``, ``hi``) over users; None without controls, or where nothing relevant is on any list.
        whole: one row a figure of all lists, None where it is not known.
        users: one row a key, group and metric.
        items: one row a key and group of items.
    """

    run_no: int
    controls: dict[str, Any]
    price: dict[str, float] | None
    whole: list[dict[str, Any]]
    users: list[dict[str, Any]]
    items: list[dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return vars(self)


def compare(
    connection: psycopg.Connection[Any], run_no: int, controls: dict[str, Any], k: int = 10, seed: int = 0
) -> Report:
    """Measure what a run fused, and the same with controls.

    Args:
        connection: in autocommit mode.
        run_no: an offline run.
        controls: as ``recsql.controlled`` has them; empty for none.
        k: length of the lists.
        seed: of the bootstrap.
    """
    methods = ["fused"]
    if controls:
        if controls.get("calibration"):
            connection.execute(QUERIES["check_category_key"], {"key": controls.get("calibration_key")})
        methods.append(controlled_method(controls, k))
    sides = [measure(connection, run_no, method, k) for method in methods]
    names = ("before", "after")[: len(sides)]
    divergences = {
        f"kl {key}": [divergence(connection, run_no, side.method, key, k) for side in sides]
        for key in keys(connection, "item")
        if key not in ("popularity", "domain")
    }
    figures = [_figures(side, seed) for side in sides]
    whole = [
        {"figure": figure} | dict(zip(names, (side[figure] for side in figures), strict=True)) for figure in figures[0]
    ]
    whole += [
        {"figure": figure} | dict(zip(names, values, strict=True))
        for figure, values in divergences.items()
        if values[0] is not None
    ]
    price = relative_change(sides[0].ndcg, sides[1].ndcg, seed) if controls and sides[0].ndcg.any() else None
    return Report(
        run_no, controls, price, whole, _user_rows(connection, sides, names, seed),
        _item_rows(connection, run_no, sides, names, k),
    )  # fmt: skip


def controlled_method(controls: dict[str, Any], k: int = 10) -> str:
    """The method of ``recsql.ranked`` that is what was fused with controls, for lists of ``k``."""
    return f"fused {json.dumps({'n': k} | controls)}"


def relative_change(before: NDArray[np.float64], after: NDArray[np.float64], seed: int = 0) -> dict[str, float]:
    """Change of a mean over users, and as a share of the mean before with its 95 % interval over the same users.

    Users are drawn anew in pairs, before and after together; what is divided by is the mean before of all of them.

    Raises:
        PipelineError: the mean before is 0.
    """
    mean = float(before.mean())
    value, lo, hi = mean_interval(after - before, seed)
    if mean == 0:
        raise PipelineError("Nobody meets anything relevant in the lists as they are, so there is nothing to lose.")
    return {"difference": value, "relative": value / mean, "lo": lo / mean, "hi": hi / mean}


def _figures(measured: Measured, seed: int) -> dict[str, float | None]:
    value, lo, hi = mean_interval(measured.ndcg, seed)
    arp, aplt = measured.popularity[:, :2].mean(axis=0) if len(measured.popularity) else (np.nan, np.nan)
    found = {
        "ndcg": value,
        "ndcg lo": lo,
        "ndcg hi": hi,
        "recall": float(measured.quality[:, 1].mean()),
        "coverage": measured.coverage,
        "gini": measured.gini,
        "arp": float(arp),
        "aplt": float(aplt),
        "popularity lift": measured.lift(seed)[0],
    }
    return {name: None if np.isnan(figure) else figure for name, figure in found.items()}


def _user_rows(
    connection: psycopg.Connection[Any], sides: list[Measured], names: tuple[str, ...], seed: int
) -> list[dict[str, Any]]:
    """The gap of a key is that between the best and the worst group of its side, which controls may change."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for side, name in zip(sides, names, strict=True):
        for key in keys(connection, "user"):
            for figure in group_figures(side, key, seed):
                row = {"key": key, "group": figure.user_group, "metric": figure.metric, "n_users": figure.n_users}
                kept = found.setdefault((key, figure.user_group, figure.metric), row)
                kept |= {name: figure.value, f"{name} lo": figure.lo, f"{name} hi": figure.hi}
    return sorted(found.values(), key=lambda row: (row["key"], row["metric"], row["group"] == GAP, row["group"]))


def _item_rows(
    connection: psycopg.Connection[Any], run_no: int, sides: list[Measured], names: tuple[str, ...], k: int
) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for side, name in zip(sides, names, strict=True):
        asked = {"run_no": run_no, "method": side.method, "k": k}
        for key, group, n_items, exposure, relevance, catalogue in connection.execute(
            QUERIES["item_group_exposure"], asked
        ).fetchall():
            row = {"key": key, "group": group, "n_items": n_items, "catalogue": catalogue, "relevance": relevance}
            kept = found.setdefault((key, group), row)
            kept |= {name: exposure, f"{name} disparity": exposure / relevance if relevance else None}
    return list(found.values())
