"""``recsql rules`` and ``recsql control`` as processes of their own."""

import json

import pytest
from ruled_shop import open_shop, shown, where


@pytest.fixture
def shop(connection):
    open_shop(connection)
    return connection


def test_rule_is_tried_activated_and_dropped(shop, cli):
    condition = json.dumps(where("brand", "=", "b"))
    added = cli("rules", "add", "b", "--kind", "filter", "--where", condition, "--json")
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout) | {"n_items": 6, "state": "draft"} == json.loads(added.stdout)
    tried = json.loads(cli("rules", "dry-run", "b", "--users", "5", "--json").stdout)
    # Of ten places six are of brand a: they go, and nothing comes.
    assert tried == {
        "rule": "b", "kind": "filter", "slot": "default", "n_items": 6, "n_published": 2, "n_meant": 2, "n_asked": 2,
        "n_changed": 2, "n_entering": 4, "n_leaving": 12, "slots_before": 8, "slots_after": 12,
        "examples": [
            {"user_id": user, "before": [f"i{n}" for n in range(1, 11)], "after": [f"i{n}" for n in range(7, 13)]}
            for user in [example["user_id"] for example in tried["examples"]]
        ],
    }  # fmt: skip
    assert {example["user_id"] for example in tried["examples"]} == {"de1", "at1"}
    assert shown(shop) == ["i1", "i2", "i3", "i4"]
    assert json.loads(cli("rules", "show", "b", "--json").stdout)["state"] == "draft"

    assert cli("rules", "activate", "b").returncode == 0
    assert shown(shop) == ["i7", "i8", "i9", "i10"]
    assert [row["is_in_force"] for row in json.loads(cli("rules", "list", "--json").stdout)] == [True]
    assert cli("rules", "deactivate", "b").returncode == 0
    assert shown(shop) == ["i1", "i2", "i3", "i4"]
    assert cli("rules", "drop", "b").returncode == 0
    assert shop.execute("select count(*) from recsql_api.rule_overview").fetchone() == (0,)


def test_rules_are_refused_with_what_to_do(shop, cli):
    for arguments, part in (
        (("add", "r", "--kind", "boost", "--factor", "nan"), "factor must be"),
        (("add", "r", "--kind", "filter", "--where", "year > 1"), "is no JSON"),
        (
            ("add", "r", "--kind", "filter", "--where", json.dumps(where("colour", "=", "x"))),
            "no item has an attribute colour",
        ),
        (("add", "r", "--kind", "pin", "--item", "nothing", "--position", "1"), "There is no item 'nothing'"),
        (("add", "r", "--kind", "freshness", "--half-life", "soon"), "Write it like '30 days'"),
        (("show", "r"), "There is no rule 'r'"),
        (("dry-run", "r"), "There is no rule 'r'"),
    ):
        done = cli("rules", *arguments)
        assert done.returncode == 1
        assert part in " ".join(done.stderr.split())


def test_control_is_set_and_shown(shop, cli):
    assert (
        json.loads(cli("control", "set", "--diversity", "0.4", "--method", "dpp", "--json").stdout)["diversity"] == 0.4
    )
    assert cli("control", "set", "--novelty", "0.1").returncode == 0
    (row,) = json.loads(cli("control", "show", "--json").stdout)
    assert (row["slot"], row["diversity"], row["diversity_method"], row["novelty"]) == ("default", 0.4, "dpp", 0.1)
    refused = cli("control", "set", "--diversity", "1.5")
    assert refused.returncode == 1
    assert "from 0 to 1" in refused.stderr
    assert (
        len(json.loads(cli("recommend", "de1", "-n", "3", "--diversity", "0", "--novelty", "0", "--json").stdout)) == 3
    )
