"""``recsql fusion`` as a user works with it."""

import pytest
from outcome import refusal, told

SLOTS = '{"slots": {"sequential": 2, "trending": 1}}'


def test_fusion_policies_are_added_shown_listed_and_dropped(cli, tmp_path):
    added = told(cli("fusion", "add", "shelves", "--kind", "mixed", "--config", SLOTS, "--json"))
    # Two of three slots are sequential's.
    assert added["weights"] == {
        "sequential": pytest.approx(2 / 3, abs=1e-6),
        "trending": pytest.approx(1 / 3, abs=1e-6),
    }
    file = tmp_path / "policy.json"
    file.write_text(
        '{"kind": "switching", "config": {"branches": [{"max_history": 3, "use": "shelves"}], "else": "rrf"}}'
    )
    assert cli("fusion", "add", "careful", "--file", file).returncode == 0
    listed = told(cli("fusion", "list", "--json"))
    assert [(row["policy"], row["kind"], row["part_of"]) for row in listed] == [
        ("rrf", "rrf", ["careful"]),
        ("shelves", "mixed", ["careful"]),
        ("careful", "switching", []),
    ]
    assert told(cli("fusion", "show", "shelves", "--json"))["config"] == {"slots": {"sequential": 2, "trending": 1}}
    assert "policy shelves is used by policy careful" in refusal(cli("fusion", "drop", "shelves"))
    assert cli("fusion", "drop", "careful").returncode == 0
    assert cli("fusion", "drop", "shelves").returncode == 0
    assert [row["policy"] for row in told(cli("fusion", "list", "--json"))] == ["rrf"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("add", "x", "--kind", "weighted", "--weights", '{"content": NaN}'),
            '--weights {"content": NaN}: NaN is no number of JSON',
        ),
        (("add", "x", "--kind", "weighted", "--weights", '{"content": -1}'), "policy x has weight -1 of content"),
        (("add", "x", "--kind", "weighted", "--weights", '{"nowhere": 1}'), "weighs nowhere, which is no source"),
        (("add", "x", "--kind", "mixed", "--config", "{"), "--config { is no JSON object"),
        (("add", "x", "--kind", "mixed", "--config", "[]"), "--config [] is no JSON object"),
        (("add", "x"), "Say which kind of policy it is: weighted, rrf, switching, mixed, cascade."),
        (("add", "rrf", "--kind", "rrf", "--weights", '{"content": 1}'), "There is a fusion policy 'rrf' already"),
        (("add", " x", "--kind", "rrf", "--weights", '{"content": 1}'), "The name of a policy is up to 100 characters"),
        (("add", "x", "--file", "/nowhere.json"), "/nowhere.json cannot be read"),
        (("show", "x"), "There is no fusion policy 'x'"),
        (("drop", "x"), "There is no fusion policy 'x'"),
        (("use", "x"), "There is no fusion policy 'x'"),
        (("use",), "Name a policy to fuse by, or say --withdraw"),
        (("use", "--withdraw"), "No policy was chosen for slot default"),
    ],
)
def test_fusion_commands_refuse_and_say_what_to_do(cli, arguments, message):
    assert message in refusal(cli("fusion", *arguments))


def test_fusion_policy_is_used_until_it_is_withdrawn(cli, connection):
    assert cli("load", "simulated").returncode == 0
    assert cli("source", "disable", "transformer").returncode == 0
    first = told(cli("publish", "--json"))
    assert cli("fusion", "add", "shelves", "--kind", "mixed", "--config", SLOTS).returncode == 0
    used = told(cli("fusion", "use", "shelves", "--slot", "beta", "--json"))
    assert used["run_no"] != first["run_no"]
    serving = "select run_no from recsql.release where slot = %s"
    assert connection.execute(serving, ("beta",)).fetchone() == (used["run_no"],)
    assert connection.execute(serving, ("default",)).fetchone() == (first["run_no"],)
    assert "policy shelves is used by slot beta" in refusal(cli("fusion", "drop", "shelves"))
    # A source that is not active has proposed nothing, so nobody would have a list.
    assert cli("fusion", "add", "idle", "--kind", "weighted", "--weights", '{"jaccard": 1}').returncode == 0
    refused = cli("fusion", "use", "idle", "--slot", "beta")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "none of its sources is active" in refused.stderr.splitlines()[-1]
    assert connection.execute(serving, ("beta",)).fetchone() == (used["run_no"],)
    (row,) = (row for row in told(cli("fusion", "list", "--json")) if row["policy"] == "shelves")
    assert (row["chosen_in"], row["served_in"]) == (["beta"], ["beta"])
    withdrawn = told(cli("fusion", "use", "--withdraw", "--slot", "beta", "--json"))
    assert withdrawn == {"slot": "beta", "policy": "shelves"}
