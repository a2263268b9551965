"""The page: figures and charts in one HTML file, with nothing fetched from anywhere."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from recsql import __version__
from workers.report import charts

COLOURS = ("#2563eb", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#06b6d4")
OTHERS = "#94a3b8"
"""Colour of the components for which there is no other, which are drawn as one."""


def render(found: dict[str, Any]) -> str:
    """The page of what :func:`workers.report.figures.collect` found.

    Raises:
        ConfigurationError: what draws charts is not installed.
    """
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("workers.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    colours = _colours(found["examples"])
    environment.filters["figure"] = lambda value: "-" if value is None else f"{value:.4g}"
    return environment.get_template("page.html.j2").render(
        found,
        charts=_charts(found),
        metrics=_by_method(found["quality"]),
        segments=_segments(found["quality"]),
        examples=[user | {"list": [_drawn(row, colours) for row in user["list"]]} for user in found["examples"]],
        made_at=datetime.now(UTC),
        version=__version__,
    )


def _charts(found: dict[str, Any]) -> dict[str, str]:
    """SVG by name of the chart; those for which there is nothing are left out."""
    ndcg = [row for row in found["quality"] if row["metric"] == "ndcg@10" and row["segment"] == "all"]
    losses = [row for row in found["ablation"] if row["source"] is not None]
    exposure = found["exposure"]
    made = {
        "quality": ndcg and charts.intervals(ndcg, "method", "value", "NDCG@10", highlight="fused"),
        "recall": found["recall"]
        and charts.stacked(
            [row | {"shared": row["recall"] - row["alone"]} for row in found["recall"]],
            "source",
            {"shared": "found by others too", "alone": "found by this source alone"},
            "share of what was relevant among the candidates",
        ),
        "overlap": found["overlap"] and charts.heatmap(found["overlap"], "source", "other", "share"),
        "ablation": losses and charts.intervals(losses, "source", "change", "change of NDCG@10 without the source"),
        "coverage": exposure["coverage"]
        and charts.curves(
            exposure["coverage"], "k", "coverage", "method", ("length of the list", "share of catalogue"), is_log=True
        ),
        "lorenz": exposure["lorenz"]
        and charts.curves(
            exposure["lorenz"], "items", "places", "method", ("share of items, least shown first", "share of places")
        ),
    }
    for control in dict.fromkeys(row["control"] for row in found["effects"]):
        rows = [row for row in found["effects"] if row["control"] == control]
        made[control] = charts.curves(
            rows, "strength", "change", "figure", (f"strength of {control}", "relative change")
        )
    return {name: chart for name, chart in made.items() if chart}


def _by_method(quality: list[dict[str, Any]]) -> dict[str, Any]:
    """Names of metrics, and their values for all users by method, the best by NDCG first."""
    rows = [row for row in quality if row["segment"] == "all"]
    known = Counter(row["metric"] for row in rows)
    # What is known of every method comes first.
    names = sorted(known, key=lambda name: (name != "ndcg@10", -known[name], name))
    values: dict[str, dict[str, Any]] = {}
    for row in rows:
        values.setdefault(row["method"], {})[row["metric"]] = row
    ordered = sorted(values.items(), key=lambda pair: -pair[1].get("ndcg@10", {"value": -1})["value"])
    return {"names": names, "methods": dict(ordered)}


def _segments(quality: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in quality if row["segment"] != "all" and row["metric"] == "ndcg@10"]


def _colours(examples: list[dict[str, Any]]) -> dict[str, str]:
    """The colour of each component, of as many as there are colours: those that add most to the scores."""
    totals: dict[str, float] = {}
    for user in examples:
        for row in user["list"]:
            for name, value in row["parts"].items():
                totals[name] = totals.get(name, 0) + abs(value)
    return dict(zip(sorted(totals, key=lambda name: (-totals[name], name)), COLOURS, strict=False))


def _drawn(row: dict[str, Any], colours: dict[str, str]) -> dict[str, Any]:
    """A recommendation whose parts have a colour and a width in per cent of its score."""
    parts = [
        {"name": name, "value": row["parts"][name], "colour": colour}
        for name, colour in colours.items()
        if name in row["parts"]
    ]
    others = [value for name, value in row["parts"].items() if name not in colours]
    if others:
        parts.append({"name": "others", "value": sum(others), "colour": OTHERS})
    total = sum(abs(part["value"]) for part in parts) or 1
    return row | {"parts": [part | {"width": 100 * abs(part["value"]) / total} for part in parts]}
