"""Reports that several calls of a benchmark put together."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report as report_file
from benchmarks.report import Collected, Report


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report_file, "RESULTS", tmp_path)
    return tmp_path / "some-data-loo.json"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str, save: bool = True) -> Collected:
    monkeypatch.setattr(sys, "argv", ["some.py", *arguments])
    return Collected(Report("some", "data", "loo"), save)


def read(path: Path) -> tuple[dict[str, float], dict[str, str]]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found["results"], {name: origin["command"] for name, origin in found["origins"].items()}


def test_report_keeps_the_figures_of_other_calls(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(monkeypatch, "first").add("a", {"ndcg@10": 0.1, "epochs": 3})
    # Two calls at once: the later one keeps what the other saved after it began.
    second = call(monkeypatch)
    call(monkeypatch, "third").add("ab", {"ndcg@10": 0.2})
    monkeypatch.setattr(sys, "argv", ["some.py", "second"])
    second.add("a", {"ndcg@10": 0.3})
    results, commands = read(saved)
    assert results == {"ab.ndcg@10": 0.2, "a.ndcg@10": 0.3}
    assert commands == {"ab": "python -m benchmarks.some third", "a": "python -m benchmarks.some second"}


def test_report_tells_what_was_added_to_the_figures_of_a_former_call(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(monkeypatch, "first").add("a", {"ndcg@10": 0.1})
    more = call(monkeypatch, "second")
    assert more.of("a") == {"ndcg@10": 0.1}
    assert more.of("b") == {}
    more.add("a", more.of("a") | {"range": 0.2}, "more seeds")
    results, commands = read(saved)
    assert results == {"a.ndcg@10": 0.1, "a.range": 0.2}
    assert {name: command.split()[-1] for name, command in commands.items()} == {
        "a": "first",
        "a, more seeds": "second",
    }
    # Measured anew, nothing is left of either.
    call(monkeypatch, "third").add("a", {"ndcg@10": 0.3})
    results, commands = read(saved)
    assert results == {"a.ndcg@10": 0.3}
    assert commands == {"a": "python -m benchmarks.some third"}


def test_report_drops_what_has_no_origin(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved.write_text(json.dumps({"results": {"a.ndcg@10": 0.1, "pairs": 7}}))
    call(monkeypatch, "first").add("b", {"ndcg@10": 0.2})
    assert read(saved)[0] == {"b.ndcg@10": 0.2}


def test_report_that_is_not_saved_holds_this_call_alone(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, "first").add("a", {"ndcg@10": 0.1})
    before = saved.read_text()
    collected = call(monkeypatch, "second", save=False)
    collected.add("b", {"ndcg@10": 0.2})
    collected.add("c", {"ndcg@10": 0.3})
    assert saved.read_text() == before
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["results"] == {"b.ndcg@10": 0.2, "c.ndcg@10": 0.3}
