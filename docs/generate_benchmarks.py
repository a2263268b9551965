"""Write the tables of docs/benchmarks.md from the committed reports under benchmarks/results: run by ``make docs``.

A table stands between ``<!-- NAME -->`` and ``<!-- end -->``, where NAME is the report's file without its ending. The
text around the tables is written by hand.
"""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "benchmarks" / "results"
_BLOCK = re.compile(r"(<!-- (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(text: str) -> str:
    """The page with its tables replaced."""
    return _BLOCK.sub(lambda block: f"{block[1]}{_section(json.loads(_path(block[2]).read_text()))}{block[3]}", text)


def _path(name: str) -> Path:
    return RESULTS / f"{name}.json"


def _section(report: dict[str, Any]) -> str:
    machine = f"{report['machine']}, peak of the benchmark's own process {report['peak_mib']:,} MiB"
    if "origins" in report:
        head = f"{_origins(report['origins'])}; {machine}.\n\n"
    else:
        head = f"`{report['command']}`, {report['date']}, {report['seconds']:,.0f} s, {machine}.\n\n"
    if report["name"] in ("models", "neural_peers"):
        # There each method has one, and methods are chosen by it.
        report = report | {"results": {_of_validation(key): value for key, value in report["results"].items()}}
    ranks = any(key.endswith(".ndcg@10") for key in report["results"])
    is_quality = ranks and report["name"] in ("quality", "cf", "models", "neural_peers", "auc")
    own = {
        "ablation": _changes,
        "fairness": _fairness,
        "effects": _effects,
        "fusion": _fusion,
        "ope": _estimates,
        "ope_intervals": _coverage,
        "simulator-ope": _cells,
        "experiments": _false_positives,
        "explanations": _deletions,
    }
    name = "simulator-ope" if (report["name"], report["dataset"]) == ("simulator", "ope") else report["name"]
    render_table = _quality if is_quality else own.get(name, _plain)
    return head + render_table(report["results"]) + "\n"


def _of_validation(key: str) -> str:
    """A figure's name as one of its method's columns."""
    return key.replace(".validation.ndcg@10", ".validation")


def _origins(origins: dict[str, dict[str, str]]) -> str:
    """The commands that a report was put together from, each with what it measured."""
    measured: dict[tuple[str, str], list[str]] = {}
    for name, origin in origins.items():
        measured.setdefault((origin["command"], origin["date"]), []).append(name)
    return "; ".join(f"{', '.join(names)}: `{command}`, {day}" for (command, day), names in measured.items())


def _changes(results: dict[str, float]) -> str:
    """One row a variant, the best of each group first, with what it changes against the group's first variant."""
    has_new = any(key.endswith(".new_items.ndcg@10") for key in results)
    columns = ["group", "variant", "ndcg@10", "range over seeds", "change", *(["new_items.ndcg@10"] if has_new else [])]
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    named = (key.removesuffix(".ndcg@10") for key in results if key.endswith(".ndcg@10"))
    labels = [label for label in named if not label.endswith(".new_items")]
    for label in sorted(labels, key=lambda label: (label.partition(".")[0], -results[f"{label}.ndcg@10"])):
        group, _, variant = label.partition(".")
        value = results[f"{label}.ndcg@10"]
        change, error = results.get(f"{label}.change"), results.get(f"{label}.change.error")
        told = "" if change is None else f"{change:+.4f}" + ("" if error is None else f" ± {error:.4f}")
        cells = [group, variant, f"{value:.4f}", f"{results[f'{label}.range']:.4f}", told]
        if has_new:
            of_new = results.get(f"{label}.new_items.ndcg@10")
            cells.append("" if of_new is None else f"{of_new:.4f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _fusion(results: dict[str, float]) -> str:
    """One row a method, the best on validation first; ratios to the best single source, where it is a policy."""
    gaps = {
        f"gap.{key.partition('.gap.')[2]}" for key in results if ".gap." in key and not key.endswith((".lo", ".hi"))
    }
    columns = ["validation", "ndcg@10", "recall@10", "ratio", "ratio_to_test_best", *sorted(gaps)]
    lines = ["| method | " + " | ".join(columns) + " |", "|" + " --- |" * (1 + len(columns))]
    methods = (key.removesuffix(".validation") for key in results if key.endswith(".validation"))
    for method in sorted(methods, key=lambda name: (-results[f"{name}.validation"], name)):
        keys = [f"{method}.{column}" for column in columns]
        cells = [f"{results[key]:.3f}{_interval(results, key)}" if key in results else "" for key in keys]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _estimates(results: dict[str, float]) -> str:
    """One row an estimator, ours beside the peer's; what is no estimate below."""

    def told(name: str) -> tuple[str, str]:
        return f"{results[name]:.6f}", f"{results[f'{name}.lo']:.4f} to {results[f'{name}.hi']:.4f}"

    columns = ["estimator", "ours", "95 %", "bootstrap", "obp", "its bootstrap", "difference"]
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    names = [key.removesuffix(".difference") for key in results if key.endswith(".difference")]
    for name in names:
        (ours, interval), (_, resampled), (theirs, peers) = (
            told(f"{name}{part}") for part in ("", ".bootstrap", ".obp")
        )
        difference = f"{results[f'{name}.difference']:.0e}"
        lines.append("| " + " | ".join([name, ours, interval, resampled, theirs, peers, difference]) + " |")
    rest = {key: value for key, value in results.items() if key.split(".")[0] not in names}
    return "\n".join(lines) + "\n\n" + _plain(rest)


def _coverage(results: dict[str, float]) -> str:
    """One row an estimator and kind of interval, one column a band: coverage, and the median width over the truth."""
    bands = sorted((key[2:] for key in results if key.startswith("n.")), key=lambda band: int(band.partition("-")[0]))
    lines = ["| interval | " + " | ".join(f"{band} ({results[f'n.{band}']:.0f} logs)" for band in bands) + " |"]
    lines.append("|" + " --- |" * (1 + len(bands)))
    for kind in dict.fromkeys(".".join(key.split(".")[:2]) for key in results if not key.startswith("n.")):
        cells = []
        for band in bands:
            width = results.get(f"{kind}.{band}.width")
            wide = "no bound" if width is None else f"{width:.2f} wide"
            cells.append(f"{results[f'{kind}.{band}']:.3f}, {wide}")
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _deletions(results: dict[str, float]) -> str:
    """One row a way to choose the event that is deleted: what became of the rank; what is no such share below."""
    ways = [key.removesuffix(".as_served.worse") for key in results if key.endswith(".as_served.worse")]
    columns = [
        f"{among.replace('_', ' ')}: {what}"
        for among in ("as_served", "others")
        for what in ("worse", "same", "better")
    ]
    lines = ["| deleted | " + " | ".join(columns) + " |", "|" + " --- |" * (1 + len(columns))]
    for way in ways:
        cells = []
        for among in ("as_served", "others"):
            key = f"{way}.{among}.worse"
            cells += [f"{results[key]:.3f}{_interval(results, key)}"]
            cells += [f"{results[f'{way}.{among}.{what}']:.3f}" for what in ("same", "better")]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    rest = {key: value for key, value in results.items() if key.split(".")[0] not in ways}
    return "\n".join(lines) + "\n\n" + _plain(rest)


def _effects(results: dict[str, float]) -> str:
    """One row a control and strength: NDCG and the other figures, with their changes to the lists without controls."""
    metrics = ("diversity", "novelty", "coverage")
    lines = ["| control | strength | ndcg@10 | change | " + " | ".join(metrics) + " |", "|" + " --- |" * 7]
    for label in (key.removesuffix(".ndcg@10") for key in results if key.endswith(".ndcg@10")):
        name, _, strength = label.partition(".")
        cells = [name, strength, f"{results[f'{label}.ndcg@10']:.4f}{_interval(results, f'{label}.ndcg@10')}"]
        change = f"{label}.ndcg_change"
        bounds = (results.get(f"{change}.lo"), results.get(f"{change}.hi"))
        cells.append("" if None in bounds else f"{results[change]:+.1%} ({bounds[0]:+.1%} to {bounds[1]:+.1%})")
        for metric in metrics:
            by = results.get(f"{label}.{metric}_change")
            cells.append(f"{results[f'{label}.{metric}@10']:.3f}" + ("" if by is None else f" ({by:+.1%})"))
        lines.append("| " + " | ".join(cells) + " |")
    chosen = {key: value for key, value in results.items() if ".chosen" in key}
    return "\n".join(lines) + "\n\n" + _plain(chosen)


def _quality(results: dict[str, float]) -> str:
    """One row a method, the best first; an interval where there is one."""
    metrics = [
        metric
        for metric in ("validation", "ndcg@10", "recall@10", "mrr@10", "map@10", "coverage@10", "novelty@10",
                       "popularity_share@10", "diversity@10", "auc", "pooled_auc", "new_items.ndcg@10", "epochs",
                       "seconds")
        if any(key.endswith(f".{metric}") for key in results)
    ]  # fmt: skip
    if any(key.endswith(".seeds.mean") for key in results):
        metrics.append("seeds.mean")
    # Of a model's new items and of its seeds there are columns, not rows.
    named = (key.removesuffix(".ndcg@10") for key in results if key.endswith(".ndcg@10"))
    methods = {name for name in named if not name.endswith(".new_items") and ".seeds." not in name}
    lines = ["| method | " + " | ".join(metrics) + " |", "| --- |" + " --- |" * len(metrics)]
    for method in sorted(methods, key=lambda name: (name.count("."), -results[f"{name}.ndcg@10"], name)):
        cells = [_figure(results, f"{method}.{metric}") for metric in metrics]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _figure(results: dict[str, float], key: str) -> str:
    if key not in results:
        return ""
    if key.endswith(".seeds.mean"):
        return f"{results[key]:.3f}, range {results[key.replace('.mean', '.range')]:.3f}"
    if key.endswith((".epochs", ".seconds")):
        return f"{results[key]:,.0f}"
    return f"{results[key]:.3f}{_interval(results, key) if 'ndcg' in key or key.endswith('auc') else ''}"


def _interval(results: dict[str, float], key: str) -> str:
    if f"{key}.lo" not in results:
        return ""
    return f" ({results[f'{key}.lo']:.3f} to {results[f'{key}.hi']:.3f})"


def _cells(results: dict[str, float]) -> str:
    """What sums up, then one row a logging policy and size of log: error and coverage of each estimator."""
    is_cell = re.compile(r"(\w+(?:\.\d)?)\.(\d+)\.(\w+)\.rmse")
    found = (match.groups() for match in map(is_cell.fullmatch, results) if match)
    cells = sorted(found, key=lambda cell: (cell[0], int(cell[1])))
    estimators = list(dict.fromkeys(estimator for _, _, estimator in cells))
    of_cells = {f"{policy}.{size}." for policy, size, _ in cells}
    rest = {key: value for key, value in results.items() if not key.startswith(tuple(of_cells))}
    lines = ["| logging policy | requests | " + " | ".join(estimators) + " |", "|" + " --- |" * (2 + len(estimators))]
    for policy, size in dict.fromkeys((policy, size) for policy, size, _ in cells):
        told = [
            f"{results[f'{policy}.{size}.{name}.rmse']:.4f}, {results[f'{policy}.{size}.{name}.coverage']:.0%}"
            for name in estimators
        ]
        lines.append(f"| {policy} | {int(size):,} | " + " | ".join(told) + " |")
    return _plain(rest) + "\n" + "\n".join(lines) + "\n"


def _false_positives(results: dict[str, float]) -> str:
    """One row a scenario of A/A experiments, with the share that each way of looking finds; what is none below."""
    kinds = {
        "peeking": "usual interval, daily",
        "one_look": "usual interval, once",
        "always_valid": "always valid, daily",
        "cuped": "always valid with CUPED, daily",
        "split_alarm": "split alarm, daily",
    }
    lines = ["| same on both sides | " + " | ".join(kinds.values()) + " |", "|" + " --- |" * (1 + len(kinds))]
    for scenario in dict.fromkeys(key.split(".")[0] for key in results if ".aa." in key):
        keys = [f"{scenario}.aa.{kind}" for kind in kinds]
        told = [f"{results[key]:.1%} ({results[f'{key}.lo']:.1%} to {results[f'{key}.hi']:.1%})" for key in keys]
        lines.append(f"| {scenario} | " + " | ".join(told) + " |")
    rest = {key: value for key, value in results.items() if ".aa." not in key}
    return "\n".join(lines) + "\n\n" + _plain(rest)


def _fairness(results: dict[str, float]) -> str:
    """What there was before, then one row a part, control and strength: what it changes."""
    is_effect = re.compile(r"(validation|test)\.(\w+)\.([\d.]+)\.ndcg")
    rows = [match.groups() for match in map(is_effect.fullmatch, results) if match]
    figures = ("gini", "kl", "coverage", "arp", "aplt")
    lines = [
        "| part | control | strength | ndcg@10 | " + " | ".join(figures) + " |",
        "|" + " --- |" * (4 + len(figures)),
    ]
    for part, control, strength in rows:
        of_row = f"{part}.{control}.{strength}"
        ends = " to ".join(f"{results[f'{of_row}.ndcg.{end}']:+.1%}" for end in ("lo", "hi"))
        cells = [
            f"{results[f'{of_row}.ndcg']:+.1%} ({ends})",
            *(f"{results[f'{of_row}.{name}']:+.1%}" for name in figures),
        ]
        lines.append("| " + " | ".join([part, control, strength, *cells]) + " |")
    rest = {key: value for key, value in results.items() if not key.startswith(("validation.", "test."))}
    return _plain(rest) + "\n" + "\n".join(lines) + "\n"


def _plain(results: dict[str, float]) -> str:
    lines = ["| figure | value |", "| --- | --- |"]
    for name, value in results.items():
        if not name.endswith((".lo", ".hi")):
            told = f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
            lines.append(f"| {name} | {told}{_interval(results, name)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
