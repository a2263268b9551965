"""``recsql experiment``, as a user works with it."""

import pytest
from outcome import refusal, told


@pytest.fixture
def released(connection):
    """Connection to a database with five items that serves a run in the slots ``default`` and ``challenger``."""
    connection.execute("select recsql_api.upsert_item('i' || n, 'Item ' || n) from generate_series(1, 5) as n")
    (run_no,) = connection.execute("select recsql.begin_run(null, 'x', '{}')").fetchone()
    connection.execute("update recsql.run set state = 'complete'")
    for slot in ("default", "challenger"):
        connection.execute(
            "select recsql.publish(%s::integer, (select min(policy_no) from recsql.fusion_policy), %s)", (run_no, slot)
        )
    return connection


def test_experiment_from_its_creation_to_its_result(cli, released):
    assert "recsql experiment create" in cli("experiment", "list").stdout
    created = told(cli("experiment", "create", "deeper", "--planned-users", 400, "--json"))
    assert (created["experiment"], created["slot"], created["state"]) == ("deeper", "default", "draft")
    cli("experiment", "add-variant", "deeper", "now", "--control")
    for rule in ("fresh", "old"):
        released.execute(
            "insert into recsql.rule (rule, kind, half_life, condition) values (%s, 'freshness', '30 days', null)",
            (rule,),
        )
    options = ("--serve", "challenger", "--controls", '{"diversity": 0.3}', "--add-rule", "fresh", "--drop-rule", "old")
    added = told(cli("experiment", "add-variant", "deeper", "new", *options, "--json"))
    assert added == {
        "variant": "new",
        "weight": 1.0,
        "is_control": False,
        "slot": "challenger",
        "controls": {"diversity": 0.3},
        "add_rules": ["fresh"],
        "drop_rules": ["old"],
    }
    assert "runs in slot default" in cli("experiment", "start", "deeper").stdout
    for nth in range(12):
        released.execute("select from recsql_api.recommend(%s, 2, p_log => true)", (f"u{nth}",))
    found = told(cli("experiment", "report", "deeper", "--json"))
    assert [row["variant"] for row in found] == ["now", "new"]
    assert sum(row["n_users"] for row in found) == 12
    text = cli("experiment", "report", "deeper").stdout
    assert text.splitlines()[-1] == "new: cannot tell: there are fewer than 100 users in it or in the control"
    assert "now (control)" in text
    daily = told(cli("experiment", "report", "deeper", "--daily", "--json"))
    assert [row["n_users"] for row in daily] == [row["n_users"] for row in found]
    assert told(cli("experiment", "stop", "deeper", "--json"))["state"] == "stopped"
    assert "is stopped, and keeps its result" in refusal(cli("experiment", "start", "deeper"))
    (listed,) = told(cli("experiment", "list", "--json"))
    assert (listed["n_users"], len(listed["variants"])) == (12, 2)
    assert "deeper" in cli("experiment", "list").stdout


def test_experiment_commands_refuse_what_cannot_be(cli, released):
    cli("experiment", "create", "e")
    for arguments, said in (
        (("create", "f", "--slot", "nowhere"), "slot nowhere serves nothing"),
        (("create", "e"), "There is an experiment 'e' already"),
        (("create", " f"), "without spaces around it"),
        (("create", "f", "--traffic", "0"), "--traffic is 0"),
        (("create", "f", "--alpha", "nan"), "--alpha is nan"),
        (("start", "nobody"), "There is no experiment 'nobody'"),
        (("report", "nobody"), "There is no experiment 'nobody'"),
        (("add-variant", "e", "a", "--weight", "nan"), "--weight is nan"),
        (("add-variant", "e", "a", "--controls", "[1]"), "is no JSON object"),
        (("add-variant", "e", "a", "--controls", '{"diversity": NaN}'), "NaN is no number of JSON"),
    ):
        assert said in refusal(cli("experiment", *arguments))


def test_experiment_power_tells_users_and_days(cli):
    asked = ("experiment", "power", "--baseline-mean", 1.5, "--sd", 3, "--lift", 0.05)
    found = told(cli(*asked, "--users-per-day", 4000, "--json"))
    assert found == {"users": 101_121, "days": 26, "users_of_one_look": 52_808}
    assert "101,121 users" in cli(*asked).stdout
    assert "--users-per-day is 0" in refusal(cli(*asked, "--users-per-day", 0))
