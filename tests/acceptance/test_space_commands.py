"""``recsql space`` and ``recsql search``, as a user works with them."""

import json

import pytest

MODEL = "hashing:256"


@pytest.fixture
def films(cli, connection):
    """Three films, embedded."""
    for item_id, title, attributes in (
        ("a", "A space opera with robots", '{"year": 1999}'),
        ("b", "Robots in love", "{}"),
        ("c", "The quiet garden", "{}"),
    ):
        connection.execute(
            "select recsql_api.upsert_item(%s, %s, p_domain => 'films', p_attributes => %s)",
            (item_id, title, attributes),
        )
    assert cli("space", "add", "text", "--modality", "text", "--model", MODEL, "--template", "{title}").returncode == 0
    done = cli("embed", "--json")
    assert json.loads(done.stdout) == {"embedded": 3, "failed": 0}, done.stderr


def test_search_finds_what_a_text_means(cli, films):
    found = json.loads(cli("search", "robots space", "--json").stdout)
    assert [(row["rank"], row["item_id"]) for row in found] == [(1, "a"), (2, "b"), (3, "c")]
    # Two of its words, of five of the title: 2 / (√2 · √5), in a space where they do not collide.
    assert found[0]["similarity"] == pytest.approx(2 / 10**0.5, abs=0.2)
    assert "The quiet garden" in cli("search", "a garden", "-n", "1").stdout
    filtered = json.loads(cli("search", "robots", "--filter", '{"year": 1999}', "--json").stdout)
    assert [row["item_id"] for row in filtered] == ["a"]
    assert json.loads(cli("search", "robots", "--domain", "songs", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("!!!",), "Error: Nothing can be looked for by '!!!'"),
        (("robots", "--space", "none"), "Error: There is no space 'none'"),
        (("robots", "-n", "0"), "Error: p_n is 0"),
        (("robots", "--filter", "{"), "Error: --filter { is no JSON"),
        (("robots", "--filter", "[]"), "Error: --filter [] is no JSON object"),
    ],
)
def test_search_says_what_is_wrong(cli, films, arguments, message):
    done = cli("search", *arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(message)


def test_search_of_a_database_without_vectors_says_what_to_do(cli):
    done = cli("search", "robots")
    assert done.returncode == 1
    assert "recsql embed" in done.stderr


def test_new_model_is_added_watched_switched_and_the_old_one_dropped(cli, films, connection):
    added = json.loads(cli("space", "add", "better", "--modality", "text", "--model", "hashing:128", "--json").stdout)
    assert (added["status"], added["pending"], added["dim"]) == ("building", 3, 128)
    early = cli("space", "switch", "better")
    assert early.returncode == 1
    assert "0.0 %" in early.stderr
    served = cli("space", "drop", "text")
    assert served.returncode == 1
    assert "Switch to another one first" in served.stderr
    assert cli("embed").returncode == 0
    assert json.loads(cli("space", "switch", "better", "--json").stdout) == {"space": "better", "replaced": "text"}
    listed = {row["space"]: row["status"] for row in json.loads(cli("space", "list", "--json").stdout)}
    assert listed == {"text": "retired", "better": "active"}
    assert json.loads(cli("space", "drop", "text", "--json").stdout) == {"space": "text", "vectors": 3}
    assert "better" in cli("space", "list").stdout


def test_space_add_says_what_is_wrong(cli, films):
    for arguments, message in (
        (("x", "--modality", "smell"), "--modality is smell"),
        (("x", "--modality", "text", "--template", "{price}"), "reads nothing of an item"),
        (("x", "--modality", "image", "--template", "{title}"), "has none"),
        (("text", "--modality", "text", "--model", "hashing:8"), "belongs to model"),
        (("x", "--modality", "text", "--model", "/no/such/model"), "/no/such/model"),
    ):
        done = cli("space", "add", *arguments)
        assert done.returncode == 1, arguments
        assert message in " ".join(done.stderr.split()), done.stderr


def test_failures_are_shown_and_tried_again(cli, films, connection):
    assert cli("space", "failures").stdout.strip() == "Nothing failed."
    connection.execute("select recsql_api.upsert_item('odd', '!!!')")
    done = cli("embed")
    assert "recsql space failures" in done.stderr
    (failed,) = json.loads(cli("space", "failures", "--json").stdout)
    assert (failed["item_id"], failed["space"], failed["state"], failed["attempts"]) == ("odd", "text", "failed", 1)
    assert "no word" in failed["error"]
    assert json.loads(cli("embed", "--json").stdout)["failed"] == 0
    assert json.loads(cli("embed", "--retry", "--json").stdout)["failed"] == 1


def test_spaces_are_united_filled_served_and_searched(cli, films, connection):
    for number in range(40):
        connection.execute("select recsql_api.upsert_item(%s, %s)", (f"i{number}", f"Robots of garden {number % 8}"))
    # A second space of the same texts, as if it were another modality.
    assert cli("space", "add", "other", "--modality", "text", "--model", "hashing:32").returncode == 0
    assert cli("embed").returncode == 0
    made = cli("space", "unify", "one", "--space", "text", "--space", "other", "--json")
    assert made.returncode == 0, made.stderr
    united = json.loads(made.stdout)
    assert (united["space"], united["sources"], united["n_items"]) == ("one", ["text", "other"], 43)
    assert json.loads(cli("embed", "--json").stdout) == {"embedded": 43, "failed": 0}
    assert json.loads(cli("space", "switch", "one", "--json").stdout) == {"space": "one", "replaced": None}
    assert connection.execute("select space from recsql.content_space").fetchone() == ("one",)
    # The text finds the items that say the same.
    found = json.loads(cli("search", "Robots of garden 3", "-n", "5", "--json").stdout)
    assert {row["title"] for row in found} == {"Robots of garden 3"}
    again = cli("space", "unify", "one")
    assert again.returncode == 1
    assert "already" in again.stderr
    unknown = cli("space", "unify", "two", "--space", "none")
    assert unknown.returncode == 1
    assert "There is no space none" in unknown.stderr
