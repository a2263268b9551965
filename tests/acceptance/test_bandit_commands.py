"""``recsql bandit``, as a user works with it."""

import json

import pytest

REQUEST = "6f6f6f6f-0000-4000-8000-000000000001"


@pytest.fixture
def films(cli, connection):
    """Four films, embedded, of which two were shown to a user, who clicked on the second."""
    for item_id, title in (("a", "Robots in space"), ("b", "Robots in love"), ("c", "The garden"), ("d", "Garden war")):
        connection.execute("select recsql_api.upsert_item(%s, %s)", (item_id, title))
    assert cli("space", "add", "text", "--modality", "text", "--model", "hashing:64").returncode == 0
    assert cli("embed").returncode == 0
    connection.execute("select recsql_api.record_impressions(%s, 'ann', array['a', 'b'], array[0.5, 0.5])", (REQUEST,))
    connection.execute("select recsql_api.record_event('ann', 'b', 'click', p_request_id => %s)", (REQUEST,))


def test_bandit_is_added_learns_and_is_shown(cli, films, connection):
    assert "'recsql bandit add NAME'" in cli("bandit", "list").stdout
    done = cli("bandit", "add", "explorer", "--alpha", "1", "--content-dims", "2", "--json")
    assert done.returncode == 0, done.stderr
    added = json.loads(done.stdout)
    # Something came of the request, so that both of its impressions count at once.
    assert (added["kind"], added["space"], added["n_outcomes"], added["mean_reward"]) == ("thompson", "text", 2, 0.5)
    assert json.loads(cli("bandit", "update", "--json").stdout) == [
        {"policy": "explorer", "read": 0, "corrected": 0, "skipped": {}}
    ]
    shown = json.loads(cli("bandit", "show", "explorer", "--json").stdout)
    named = [row["feature"] for row in shown["weights"]]
    assert named == ["bias", "position", "score", "new", "taste", "content 1", "content 2"] + [
        f"content {n} by taste" for n in (1, 2)
    ]
    assert all(row["deviation"] > 0 for row in shown["weights"])
    assert "bias" in cli("bandit", "show", "explorer").stdout
    anew = cli("bandit", "update", "explorer", "--anew")
    assert "2 impressions read" in anew.stdout


def test_jobs_update_bandits(cli, films, connection):
    assert cli("bandit", "add", "explorer", "--draws", "3", "--content-dims", "2").returncode == 0
    assert connection.execute("select cardinality(draws) from recsql.bandit").fetchone() == (3,)
    connection.execute("select recsql_api.record_event('ann', 'a', 'like', p_request_id => %s)", (REQUEST,))
    assert cli("defer", "update_bandits").returncode == 0
    assert cli("worker", "--once").returncode == 0
    (row,) = json.loads(cli("bandit", "list", "--json").stdout)
    # A click and a like, of which the second is worth 2: (1 + 2) / 2.
    assert row["mean_reward"] == 1.5


def test_bandit_commands_say_what_is_wrong(cli, connection):
    for arguments, message in (
        (("update",), "There is no bandit: 'recsql bandit add NAME' makes one."),
        (("update", "x"), "There is no bandit 'x'"),
        (("add", "x"), "There is no content space yet"),
        (("add", "x", "--kind", "oracle"), "--kind is oracle, which is none of thompson, linucb, greedy"),
        (("add", "no release"), "'no release' is what requests without a ranking policy are logged by"),
        (("add", "x", "--draws", "257"), "--draws is 257: Input should be less than or equal to 256"),
        (("add", "x", "--ridge", "0"), "--ridge is 0.0: Input should be greater than 0"),
    ):
        done = cli("bandit", *arguments)
        assert done.returncode == 1, arguments
        assert message in " ".join(done.stderr.split()), done.stderr
