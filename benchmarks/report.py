"""The report of a benchmark: one JSON object, printed as the last line and saved where it is to be committed."""

import argparse
import json
import os
import platform
import resource
import shlex
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark takes: ``--seed``, ``--json`` and ``--save``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="accepted for uniformity: the output is always JSON")
    parser.add_argument("--save", action="store_true", help="also write the report to benchmarks/results/")
    return parser


class Report:
    """What a benchmark found; its clock starts when it is made.

    Args:
        name: of the benchmark.
        dataset: what it ran on.
        protocol: offline protocol, None where there is none.
        seed: of whatever is random.
    """

    def __init__(self, name: str, dataset: str, protocol: str | None = None, seed: int = 0) -> None:
        self._head = {"name": name, "dataset": dataset, "protocol": protocol, "seed": seed}
        self._began = time.monotonic()

    def publish(self, results: dict[str, float], save: bool, **details: Any) -> None:
        """Print the report on stdout as one line.

        Args:
            results: figures by their names.
            save: whether to write it to ``benchmarks/results/NAME-DATASET[-PROTOCOL].json`` as well.
            details: further keys of the report beside ``results``.
        """
        report = self._head | {
            **self.origin(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "seconds": round(time.monotonic() - self._began, 1),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            **details,
            "results": results,
        }
        if save:
            self._write(report)
        print(json.dumps(report))

    def origin(self) -> dict[str, str]:
        """Where figures come from: ``date`` and ``command``."""
        command = shlex.join(["python", "-m", f"benchmarks.{self._head['name']}", *sys.argv[1:]])
        return {"date": date.today().isoformat(), "command": command}

    def saved(self) -> dict[str, Any]:
        """The report that a former call saved, empty if there is none."""
        return json.loads(self._path.read_text()) if self._path.exists() else {}

    @property
    def _path(self) -> Path:
        parts = [self._head[key] for key in ("name", "dataset", "protocol") if self._head[key]]
        return RESULTS / f"{'-'.join(map(str, parts))}.json"

    def _write(self, report: dict[str, Any]) -> None:
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")


class Collected:
    """Figures of several methods, published whenever one more is measured; each has the command that it came from.

    What other calls saved of other methods stays, where the report is saved.

    Args:
        report: to publish.
        save: whether it is saved.
    """

    def __init__(self, report: Report, save: bool) -> None:
        self._report, self._save = report, save
        self._results: dict[str, float] = {}
        self._origins: dict[str, dict[str, str]] = {}

    def of(self, name: str) -> dict[str, float]:
        """What is known of a method, its figures named without it; empty if nothing is."""
        self._read()
        return {key.removeprefix(f"{name}."): x for key, x in self._results.items() if key.startswith(f"{name}.")}

    def add(self, name: str, found: dict[str, float], more: str | None = None) -> None:
        """Put a method's figures, named without it, in the place of its former ones, and publish.

        Args:
            name: of the method, without a dot.
            found: its figures.
            more: what this call measured, where the others are of a former call; all of it when left out.
        """
        self._read()
        self._results = {key: value for key, value in self._results.items() if not key.startswith(f"{name}.")}
        self._results |= {f"{name}.{figure}": value for figure, value in found.items()}
        if more is None:
            # What was added to the former figures is gone with them.
            self._origins = {key: value for key, value in self._origins.items() if not key.startswith(f"{name}, ")}
        self._origins[name if more is None else f"{name}, {more}"] = self._report.origin()
        self._report.publish(self._results, self._save, origins=self._origins)

    def _read(self) -> None:
        if self._save:
            # Anew each time, since another call may have saved other methods meanwhile.
            saved = self._report.saved()
            self._origins = saved.get("origins", {})
            # Figures that nobody knows the origin of do not stay.
            found = saved.get("results", {})
            self._results = {key: value for key, value in found.items() if key.partition(".")[0] in self._origins}
