"""What the command line prints where nobody looks at bars."""

import pytest

from recsql.cli import output
from recsql.cli.output import LogProgress


def test_logged_progress_estimates_what_remains(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(output.time, "monotonic", lambda: now)
    progress = LogProgress()
    task = progress.add_task("train")
    now = 140.0
    progress.update(task, completed=2, total=10, note="loss 1.5")
    now = 150.0
    progress.update(task, completed=3, total=10, note="too soon")
    now = 300.0
    progress.update(task, completed=10, total=10, note="")
    # 40 seconds for two of ten: 160 more for the other eight.
    assert capsys.readouterr().err.splitlines() == [
        "train: 2 of 10, 40 s, about 160 s more, loss 1.5",
        "train: 10 of 10, 200 s",
    ]
