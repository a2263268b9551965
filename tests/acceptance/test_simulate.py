"""``recsql simulate``: figures with intervals, and a log that the database takes as its own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from outcome import one, refusal, told
from warm_cli import Finished

Cli = Callable[..., Finished]
SMALL = ("simulate", "--users", 40, "--sessions", 2, "--items", 60)


def test_simulate_compares_policies(cli: Cli) -> None:
    found = told(cli(*SMALL, "--policies", "random,greedy,patient", "--json"))
    assert found["loaded"] is None
    by_name = {row["policy"]: row for row in found["policies"]}
    assert list(by_name) == ["random", "greedy", "patient"]
    assert by_name["greedy"]["ratio"] == 1
    assert by_name["random"]["reward.hi"] < by_name["greedy"]["reward.lo"]
    assert by_name["random"]["ratio.hi"] < 1
    assert by_name["patient"]["length"] > by_name["greedy"]["length"]
    again = told(cli(*SMALL, "--policies", "random greedy patient", "--json"))
    assert again == found


def test_simulate_trains_models(cli: Cli) -> None:
    found = told(cli(*SMALL, "--policies", "ease", "--set", "slate_size=2", "--json"))
    (row,) = found["policies"]
    assert row["policy"] == "ease"
    assert row["reward.lo"] < row["reward"] < row["reward.hi"]


def test_simulate_loads_what_was_logged(cli: Cli, database: str) -> None:
    loaded = told(cli(*SMALL, "--load", "--json"))["loaded"]
    assert loaded["is_new"]
    assert (loaded["n_items"], loaded["n_users"]) == (60, 40)
    assert loaded["n_impressions"] == 3 * loaded["n_requests"]
    counted = {
        "n_requests": "select count(*) from recsql.request where explore = 0.5 and cardinality(pool_nos) = 20",
        "n_impressions": "select count(*) from recsql.impression where policy = 'popular' and conditional > 0",
        "n_events": "select count(*) from recsql.event",
    }
    assert {name: one(database, query) for name, query in counted.items()} == {name: loaded[name] for name in counted}
    # Whatever was clicked had been shown by the request, from its pool; what users found for themselves has none.
    assert one(
        database,
        "select bool_and(i.item_no is not null) from recsql.event as e left join recsql.impression as i "
        "on i.request_id = e.request_id and i.item_no = e.item_no and i.user_no = e.user_no and i.at <= e.at "
        "where e.request_id is not null",
    )
    assert one(database, "select count(*) from recsql.event where request_id is null") == 40 * 2 * 2
    assert one(
        database,
        "select bool_and(i.item_no = any(r.pool_nos)) from recsql.impression as i "
        "inner join recsql.request as r using (request_id, user_no)",
    )
    # The best of the pool stands first with 0.5 + 0.5 / 20.
    assert one(
        database,
        "select bool_and(i.propensity = 0.525) from recsql.impression as i inner join recsql.request as r "
        "using (request_id) where i.position = 1 and i.item_no = r.pool_nos[1]",
    )

    repeated = told(cli(*SMALL, "--load", "--json"))["loaded"]
    assert not repeated["is_new"]
    assert (repeated["n_events"], repeated["n_requests"], repeated["n_impressions"]) == (0, 0, 0)
    other = cli(*SMALL, "--load", "--seed", 1)
    assert "a log of other options" in refusal(other)


def test_simulate_does_not_mix_with_real_users(cli: Cli, good_csv: Path) -> None:
    assert cli("load", "csv", good_csv).returncode == 0
    assert "user u1 of this database is not simulated" in refusal(cli(*SMALL, "--load"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--users", 0), "0 users cannot be simulated"),
        (("--sessions", 0), "0 sessions cannot be simulated"),
        (("--items", 2, "--set", "slate_size=5"), "a catalogue of 2 items cannot fill a slate of 5"),
        (("--set", "max_requests=100000"), "max_requests"),
        (("--set", "satiation"), "no NAME=VALUE"),
        (("--set", "nothing=1"), "fields are"),
        (("--policies", "clever"), "no policy 'clever'"),
        (("--policies", ","), "name a policy"),
        (("--catalogue", "books"), "no catalogue 'books'"),
        (("--log", "gru4rec"), "no policy 'gru4rec'"),
        (("--explore", 2), "probability"),
        (("--seed", -1), "a seed is"),
        (("--users", 2, "--sessions", 1, "--set", "session_gap=1000000", "--load"), "go on beyond today"),
    ],
)
def test_simulate_refuses_what_makes_no_sense(cli: Cli, arguments: tuple[object, ...], reason: str) -> None:
    assert reason in refusal(cli("simulate", *arguments))
