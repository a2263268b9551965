"""``recsql source``, and runs that keep an earlier one's models, as a user works with them."""

import json


def active(connection):
    return {source for (source,) in connection.execute("select source from recsql.source where is_active")}


def test_sources_are_listed_switched_on_and_off(cli, connection):
    before = active(connection)
    assert before == {"sequential", "ease", "cosine", "content", "transformer", "trending", "popularity", "slit"}
    listed = {row["source"]: row for row in json.loads(cli("source", "list", "--json").stdout)}
    assert {name for name, row in listed.items() if row["active"]} == before
    assert (listed["neumf"]["kind"], listed["neumf"]["model"], listed["content"]["model"]) == ("score", True, False)
    assert listed["slit_long"]["part_of"] == "slit"
    told = cli("source", "enable", "gru4rec", "neumf", "--json")
    assert told.returncode == 0, told.stderr
    assert {row["source"]: row["active"] for row in json.loads(told.stdout)} == {"gru4rec": True, "neumf": True}
    assert active(connection) == before | {"gru4rec", "neumf"}
    off = cli("source", "disable", "gru4rec", "neumf")
    assert off.returncode == 0
    assert "recsql run" in off.stderr
    assert active(connection) == before
    assert "gru4rec" in cli("source", "list").stdout


def test_source_commands_refuse_what_there_is_not(cli, connection):
    before = active(connection)
    for command in ("enable", "disable"):
        unknown = cli("source", command, "als", "no_such")
        assert unknown.returncode == 1
        assert unknown.stderr.startswith("Error: There is no source 'no_such': sources are als, bert4rec,")
    part = cli("source", "enable", "slit_long")
    assert part.returncode == 1
    assert part.stderr.splitlines()[-1] == (
        "Error: Source slit_long is a list of slit, read wherever that is active: enable slit."
    )
    assert cli("source", "enable").returncode == 2
    assert active(connection) == before


def test_publish_since_the_released_run_keeps_its_model(cli, connection):
    assert cli("load", "simulated").returncode == 0
    none = cli("publish", "--since", "released")
    assert none.returncode == 1
    assert none.stderr.splitlines()[-1] == "Error: No run is released yet: 'recsql run' makes one."
    first = json.loads(cli("publish", "--json").stdout)
    same = json.loads(cli("publish", "--since", "released", "--json").stdout)
    assert (same["run_no"], same["is_new"]) == (first["run_no"], False)
    connection.execute("select recsql_api.record_event('somebody', (select min(item_id) from recsql.item), 'like')")
    scored = json.loads(cli("score", "--since", "released", "--json").stdout)
    assert scored["run_no"] != first["run_no"]
    assert scored["stages"][-1]["stage"] == "fuse"
    (trained,) = (stage for stage in scored["stages"] if stage["stage"] == "train")
    assert "is kept" in trained["note"]
    second = json.loads(cli("publish", "--since", str(first["run_no"]), "--json").stdout)
    assert (second["run_no"], second["is_new"]) == (scored["run_no"], True)
    assert "is kept" in second["notes"]["train"]
    assert connection.execute("select run_no from recsql.release").fetchone() == (second["run_no"],)
    kept = connection.execute("select version_no, reused_no from recsql.model_version order by 1").fetchall()
    assert [reused for _, reused in kept] == [None, kept[0][0]]
    shown = json.loads(cli("model", "show", str(kept[1][0]), "--json").stdout)
    assert shown["data"]["reused"] == kept[0][0]
    assert (
        shown["data"]["n_interactions"]
        == connection.execute(
            "select count(*) from recsql.interaction where run_no = %s", (first["run_no"],)
        ).fetchone()[0]
    )


def test_since_refuses_what_is_no_run(cli):
    assert cli("score", "--since", "yesterday").stderr.splitlines()[-1] == (
        "Error: --since yesterday is no run: use its number, or 'released'."
    )
    offline = cli("score", "--part", "test", "--since", "1")
    assert offline.returncode == 1
    assert "--since is for production runs" in offline.stderr
    assert cli("publish", "--since", "7").stderr.startswith("Error: There is no run 7")
