"""The report of a small simulated run: what it finds, what its page holds, and what is refused."""

import re

import pytest

from recsql import ingest
from recsql.errors import NotFoundError, PipelineError
from recsql.readers.simulated import SimulatedReader
from workers.pipeline import Pipeline, PipelineConfig
from workers.report.figures import collect
from workers.report.page import render

TINY = PipelineConfig(candidates=30, models={"transformer": {"epochs": 1, "dim": 8, "n_layers": 1, "n_heads": 1}})


def ignore(done, total, note):
    pass


@pytest.fixture
def measured(connection):
    ingest.load(connection, SimulatedReader(n_users=60, n_items=40, with_media=False))
    return connection, Pipeline(connection, TINY).refresh()


def test_report_of_the_newest_test_run(measured):
    connection, refresh = measured
    found = collect(connection, None, ignore)
    assert found["run"]["run_no"] == refresh.test_run_no
    whole = next(row for row in found["ablation"] if row["source"] is None)
    # Fused with all its sources, the ablation's own sum is the list that was evaluated.
    fused = next(
        row for row in found["quality"] if (row["method"], row["metric"], row["segment"]) == ("fused", "ndcg@10", "all")
    )
    assert whole["ndcg"] == pytest.approx(fused["value"], abs=1e-6)
    weighted = {name for name, weight in found["run"]["weights"].items() if weight > 0}
    assert {row["source"] for row in found["ablation"]} - {None} <= weighted
    for row in found["recall"]:
        assert 0 <= row["alone"] <= row["recall"] <= 1
    same = {(row["source"], row["other"]): row["share"] for row in found["overlap"]}
    assert all(share == 1 for (source, other), share in same.items() if source == other)
    for user in found["examples"]:
        for row in user["list"]:
            assert sum(row["parts"].values()) == pytest.approx(row["score"], rel=1e-5)

    page = render(found)
    # Nothing is fetched: names of namespaces are the only addresses.
    assert set(re.findall(r"https?://[^\"'\s)<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/2000/xmlns/",
    }
    assert page.count("<svg") >= 6
    assert "NaN" not in page
    for user in found["examples"]:
        assert f"<h3>{user['user_id']}</h3>" in page


def test_report_escapes_what_titles_hold(measured):
    connection, _ = measured
    connection.execute("update recsql.item set title = '<script>alert(1)</script>'")
    page = render(collect(connection, None, ignore, n_users=10))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_report_refuses_what_cannot_be_measured(measured):
    connection, refresh = measured
    with pytest.raises(NotFoundError, match="no run 999"):
        collect(connection, 999, ignore)
    with pytest.raises(PipelineError, match="nothing is left to measure it on"):
        collect(connection, refresh.run_no, ignore)
    connection.execute("update recsql.run set state = 'failed' where run_no = %s", (refresh.test_run_no,))
    with pytest.raises(PipelineError, match="is failed"):
        collect(connection, refresh.test_run_no, ignore)
    with pytest.raises(NotFoundError, match="'recsql run' makes one"):
        collect(connection, None, ignore, n_users=10)
