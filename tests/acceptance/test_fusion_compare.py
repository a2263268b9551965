"""``recsql fusion compare``, as a user works with it."""

import json

import pytest

from recsql import ingest
from recsql.readers.simulated import SimulatedReader
from workers.pipeline import Pipeline, PipelineConfig


def test_compare_without_a_validation_run_says_how_to_make_one(cli, connection):
    told = cli("fusion", "compare", "--protocol", "global")
    assert told.returncode == 1
    assert "recsql evaluate --protocol global" in told.stderr


def test_compare_proposes_a_policy_and_applies_it(cli, connection):
    ingest.load(connection, SimulatedReader(n_users=60, n_items=40, with_media=False))
    connection.execute("update recsql.source set is_active = source in ('sequential', 'trending')")
    run_no = Pipeline(connection, PipelineConfig(candidates=30)).run("validation")
    told = cli("fusion", "compare", "--apply", "--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["run_no"] == run_no
    assert found["best_single"] in ("sequential", "trending")
    policies = {row["method"]: row for row in found["methods"] if row["is_policy"]}
    assert found["proposed"] in policies
    best = next(row for row in found["methods"] if row["method"] == found["best_single"])
    proposed = policies[found["proposed"]]
    assert proposed["gain"] == pytest.approx(proposed["ndcg@10"] - best["ndcg@10"])
    chosen = connection.execute("select policy_no from recsql.fusion_choice").fetchone()
    assert chosen == (found["policy_no"],)
    text = cli("fusion", "compare")
    assert text.returncode == 0, text.stderr
    assert f"against {found['best_single']} alone" in text.stderr
    told = cli("fusion", "compare", "--by", "shoe_size")
    assert told.returncode == 1
    assert "Weights by an attribute need 50 users" in told.stderr
