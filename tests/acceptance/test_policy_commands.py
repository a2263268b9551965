"""``recsql policy``, ``recsql ope`` and ``recsql promote``, as a user works with them."""

import pytest
from logged_requests import World, write_log
from outcome import refusal, told


@pytest.fixture
def released(connection):
    """Connection to a database that serves a run in slot ``default``."""
    (run_no,) = connection.execute("select recsql.begin_run(null, 'x', '{}')").fetchone()
    connection.execute(
        "insert into recsql.release (slot, run_no, policy_no) select 'default', %s, min(p.policy_no) "
        "from recsql.fusion_policy as p",
        (run_no,),
    )
    return connection


def served(connection):
    query = (
        "select p.policy from recsql.release as r "
        "left join recsql.ranking_policy as p on p.ranking_policy_no = r.ranking_policy_no"
    )
    return connection.execute(query).fetchone()[0]


def decisions(connection):
    query = "select policy, action, reason, evaluation_no is not null from recsql.policy_decision order by decision_no"
    return connection.execute(query).fetchall()


def test_policies_are_added_listed_and_dropped(cli, connection):
    assert "recsql policy add" in cli("policy", "list").stdout
    added = told(cli("policy", "add", "explorer", "--kind", "fused", "--explore", "0.1", "--json"))
    assert (added["policy"], added["kind"], added["explore"]) == ("explorer", "fused", pytest.approx(0.1))
    assert cli("policy", "add", "random", "--kind", "uniform").returncode == 0
    listed = told(cli("policy", "list", "--json"))
    assert [(row["policy"], row["slots"], row["verdict"]) for row in listed] == [
        ("explorer", [], None),
        ("random", [], None),
    ]
    assert "explorer" in cli("policy", "list").stdout
    assert told(cli("policy", "drop", "random", "--json")) == {"policy": "random"}
    assert len(told(cli("policy", "list", "--json"))) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("policy", "add", "x", "--kind", "model"), "takes --version"),
        (("policy", "add", "x", "--kind", "fused", "--version", "1"), "takes --version"),
        (("policy", "add", "x", "--kind", "model", "--version", "7"), "There is no model version 7"),
        (("policy", "add", " x", "--kind", "fused"), "without spaces"),
        (("policy", "drop", "nobody"), "There is no ranking policy 'nobody'"),
        (("ope", "nobody"), "There is no ranking policy 'nobody'"),
        (("promote", "nobody"), "There is no ranking policy 'nobody'"),
        (("promote",), "Name a policy to promote"),
        (("promote", "nobody", "--withdraw"), "Name a policy to promote"),
        (("promote", "--withdraw"), "Nothing is released in slot 'default'"),
        (("ope", "nobody", "--from", "yesterday"), "is no time"),
        (("ope", "nobody", "--segment", "de"), "is no JSON object"),
    ],
)
def test_policy_commands_refuse_what_there_is_not(cli, arguments, said):
    assert said in refusal(cli(*arguments))


def test_policy_add_refuses_a_taken_name(cli, connection):
    cli("policy", "add", "random", "--kind", "uniform")
    assert "There is a ranking policy 'random' already" in refusal(cli("policy", "add", "random", "--kind", "fused"))
    assert cli("policy", "add", "random", "--kind", "guess").returncode == 2
    assert cli("policy", "add", "other", "--kind", "fused", "--explore", "2").returncode == 2


def test_better_policy_is_promoted_and_withdrawn(cli, released):
    # The best item stands last in the pool, so that to draw at random is better than to show the pool as it is.
    write_log(released, 1500, 0.6, World(rates=(0.02, 0.02, 0.02, 0.3, 0.5, 0.9)))
    cli("policy", "add", "random", "--kind", "uniform")
    found = told(cli("ope", "random", "--json"))
    assert found["verdict"] == "better"
    dr = next(row for row in found["estimates"] if (row["estimator"], row["form"]) == ("dr", "position"))
    # Mean rate (0.02 x 3 + 0.3 + 0.5 + 0.9) / 6 = 0.2933, times 1 + 1/2 + 1/3 = 0.538.
    assert dr["lo"] < 0.538 < dr["hi"]
    assert dr["bootstrap_lo"] < 0.538 < dr["bootstrap_hi"]
    shown = cli("ope", "random")
    assert shown.stdout.splitlines()[-1].startswith("better: the difference to what was logged lies between +")
    assert "largest weight" in shown.stdout
    done = told(cli("promote", "random", "--json"))
    assert (done["action"], done["replaced"]) == ("promote", None)
    assert served(released) == "random"
    assert "is served in default" in refusal(cli("policy", "drop", "random"))
    assert told(cli("promote", "--withdraw", "--json"))["replaced"] == "random"
    assert served(released) is None
    assert "there is nothing to withdraw" in refusal(cli("promote", "--withdraw"))
    assert [(policy, action) for policy, action, _, _ in decisions(released)] == [
        ("random", "promote"),
        ("random", "withdraw"),
    ]


def test_worse_policy_is_refused_unless_forced(cli, released):
    write_log(released, 1000, 0.5, World(rates=(0.8, 0.3, 0.05, 0.02, 0.02, 0.02)))
    cli("policy", "add", "random", "--kind", "uniform")
    assert told(cli("ope", "random", "--json"))["verdict"] == "worse"
    assert refusal(cli("promote", "random")).startswith("Error: Policy 'random' is not promoted: worse, the difference")
    assert served(released) is None
    assert told(cli("promote", "random", "--force", "--json"))["action"] == "force"
    assert served(released) == "random"
    assert [(action, has_number) for _, action, _, has_number in decisions(released)] == [
        ("refuse", True),
        ("force", True),
    ]
    saved = released.execute("select verdict, n_requests, logging_policy from recsql.policy_evaluation").fetchall()
    assert saved == [("worse", 1000, "fused")] * 3


def verdict_on(cli, *arguments):
    """The verdict and the reason of ``recsql ope``, with ``--json`` and without, which must agree."""
    found = told(cli("ope", *arguments, "--json"))
    assert cli("ope", *arguments).stdout.splitlines()[-1].startswith(f"{found['verdict']}: ")
    return found["verdict"], found["reason"]


def test_ope_cannot_tell_without_a_log(cli, released):
    cli("policy", "add", "random", "--kind", "uniform")
    assert verdict_on(cli, "random") == ("cannot tell", "there are no logged requests.")
    assert "not promoted: cannot tell, there are no logged requests." in refusal(cli("promote", "random"))
    assert decisions(released) == [("random", "refuse", "cannot tell: there are no logged requests.", True)]


def test_ope_cannot_tell_without_overlap(cli, connection):
    write_log(connection, 300, 0.0)
    cli("policy", "add", "random", "--kind", "uniform")
    verdict, reason = verdict_on(cli, "random")
    # One of six items was certain at each position.
    assert (verdict, reason[:48]) == ("cannot tell", "no overlap for 83.3% of what the policy would sh")


def test_ope_cannot_tell_when_all_rewards_are_zero(cli, connection):
    write_log(connection, 300, 0.5, World(rates=(0.0,) * 6))
    cli("policy", "add", "random", "--kind", "uniform")
    assert verdict_on(cli, "random") == ("cannot tell", "all rewards are zero.")


def test_ope_cannot_tell_of_few_requests_or_unknown_propensities(cli, connection):
    write_log(connection, 150, 0.5)
    cli("policy", "add", "random", "--kind", "uniform")
    assert verdict_on(cli, "random", "--until", "2026-01-01T00:50:00+00:00") == (
        "cannot tell",
        "a log of 50 requests is too short, it takes 100.",
    )
    connection.execute(
        "update recsql.impression set propensity = null where position = 1 and at >= '2026-01-01 02:00+00'"
    )
    verdict, reason = verdict_on(cli, "random")
    # Minutes 120 to 149.
    assert (verdict, reason[:43]) == ("cannot tell", "30 of 150 requests cannot be used (a propen")


def test_promote_asks_for_more_than_the_log_that_explored(cli, released):
    # The pool is in the right order, and half of the positions were drawn: what is served without that is better than
    # the log, and the same order is no better than itself.
    write_log(released, 600, explore=0.5, world=World(rates=(0.5, 0.4, 0.3, 0.2, 0.1, 0.05)))
    assert cli("policy", "add", "plain", "--kind", "fused").returncode == 0
    assert told(cli("ope", "plain", "--json"))["verdict"] == "better"
    assert "better than what was logged, which explored, but" in refusal(cli("promote", "plain"))
    assert served(released) is None


def test_names_are_no_markup(cli):
    assert cli("policy", "add", "[/red]", "--kind", "uniform").returncode == 0
    assert "[/red]" in cli("policy", "list").stdout
    assert "is not before --until" in refusal(cli("ope", "[/red]", "--from", "2026-02-01", "--until", "2026-01-01"))
    assert "leave --explore out" in refusal(cli("policy", "add", "x", "--kind", "uniform", "--explore", "0.5"))
    assert "choose another name" in refusal(cli("policy", "add", "rrf", "--kind", "fused"))
