"""``recsql fairness`` as its user sees it."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from offline_runs import begin_run, record


@pytest.fixture
def run_no(connection: psycopg.Connection[Any]) -> int:
    """A complete run of part test: four users of two genders, each with a list of six films."""
    for n in range(6):
        connection.execute(
            "select recsql_api.upsert_item(%s, null, p_attributes => jsonb_build_object('genres', %s::text[]))",
            (f"i{n}", ["war"] if n < 3 else ["love"]),
        )
    for hour in range(3):
        for user in range(4):
            record(connection, f"u{user}", f"i{(user + hour) % 6}", hour + user / 10)
    connection.execute(
        "update recsql.app_user set attributes = jsonb_build_object('gender', (array['F', 'M'])[1 + mod(user_no, 2)])"
    )
    number = begin_run(connection, "loo", core=1)
    connection.execute("select recsql.refresh_interaction(%s)", (number,))
    connection.execute("select recsql.refresh_item_popularity(%s)", (number,))
    connection.execute(
        "insert into recsql.recommendation (run_no, user_no, rank, item_no, score, parts) "
        "select %s, u.user_no, i.rank, i.item_no, 1.0 / i.rank, '{}' from recsql.app_user as u, "
        "(select o.item_no, row_number() over (order by o.item_id desc) as rank from recsql.item as o) as i",
        (number,),
    )
    connection.execute("update recsql.run set state = 'complete' where run_no = %s", (number,))
    return number


def test_report_tells_the_price_of_controls(cli: Callable[..., Any], run_no: int) -> None:
    done = cli("fairness", "report", "--controls", '{"exposure": 0.5}', "--k", 2, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["run_no"] == run_no
    # Everybody gets the same two love stories without control, and what was shown less with it.
    love = {row["group"]: row for row in found["items"]}["love"]
    assert love["before"] == 1 > love["after"]
    assert found["price"]["lo"] <= found["price"]["relative"] <= found["price"]["hi"]
    assert {row["group"] for row in found["users"]} == {"F", "M", "best - worst"}
    told = cli("fairness", "report", "--controls", '{"calibration": 0.5, "calibration_key": "genres"}', "--k", 2)
    assert "The controls change NDCG by" in told.stdout


def test_report_refuses_what_it_cannot_use(cli: Callable[..., Any], run_no: int) -> None:
    for controls, reason in {
        "{exposure": "is no JSON object",
        '{"exposure": NaN}': "NaN is no number of JSON",
        "{}": "names no control",
        '{"exposure": 2}': "from 0 to 1",
        '{"calibration": 0.5, "calibration_key": "Genre"}': "no item has categories by Genre",
    }.items():
        done = cli("fairness", "report", "--controls", controls)
        assert done.returncode == 1
        assert reason in done.stderr
    assert "no complete offline run 99" in cli("fairness", "report", "--run", 99).stderr


def test_update_and_prices(cli: Callable[..., Any], connection: psycopg.Connection[Any], run_no: int) -> None:
    assert "Nothing is served" in cli("fairness", "update").stderr
    assert "has no prices" in cli("fairness", "prices").stdout
    connection.execute("select recsql.publish(%s, (select min(policy_no) from recsql.fusion_policy))", (run_no,))
    for _ in range(3):
        connection.execute("select recsql_api.record_impressions(gen_random_uuid(), 'u1', '{i1,i2}')")
    connection.execute("update recsql.impression set at = now() - interval '1 minute'")
    assert json.loads(cli("fairness", "update", "--json").stdout) == {"default": 6}
    rows = json.loads(cli("fairness", "prices", "--json").stdout)
    assert [row["item_id"] for row in rows] == ["i1", "i2"]
    assert rows[0]["price"] > rows[1]["price"] > 0
    assert cli("defer", "update_exposure").returncode == 0
    assert cli("worker", "--once").returncode == 0
