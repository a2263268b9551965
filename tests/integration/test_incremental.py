"""Training that goes on from the version before: which one, what is new to it, and when there is none."""

from typing import Any

import psycopg
import pytest

from recsql import ingest
from recsql.readers.simulated import SimulatedReader
from workers.models.registry import load_artifact
from workers.pipeline import Pipeline, PipelineConfig

Connection = psycopg.Connection[Any]
OPTIONS = {"epochs": 3, "dim": 8, "n_layers": 1, "n_heads": 1, "fresh_epochs": 1}
WHOLE = PipelineConfig(candidates=30, models={"transformer": OPTIONS})
ON = PipelineConfig(candidates=30, models={"transformer": OPTIONS}, incremental=True)


@pytest.fixture
def simulated(connection: Connection) -> Connection:
    ingest.load(connection, SimulatedReader(n_users=60, n_items=40, with_media=False))
    return connection


def train(connection: Connection, config: PipelineConfig, part: Any = "production") -> tuple[int, list[str]]:
    """A run until its model is trained; its number and what was said."""
    notices: list[str] = []
    return Pipeline(connection, config, notice=notices.append).run(part, until="train"), notices


def like(connection: Connection, user: str, item: str, at: str = "now()") -> None:
    connection.execute(f"select recsql_api.upsert_item('{item}', 'A title')".encode())
    query = f"select recsql_api.record_event('{user}', '{item}', 'like', p_at => {at})"
    connection.execute(query.encode())


def test_version_that_is_damaged_is_not_gone_on_from(simulated: Connection) -> None:
    train(simulated, WHOLE)
    simulated.execute("update recsql.model_version set artifact = set_byte(artifact, length(artifact) - 1, 7)")
    like(simulated, "user-0001", "fresh")
    _, notices = train(simulated, ON)
    assert len(notices) == 1
    assert notices[0].startswith("transformer is trained whole: version 1 cannot be used: the artifact is damaged")
    assert versions(simulated)[1][2:] == (None, 3, None)


def test_training_on_nothing_new_tells_no_loss(simulated: Connection) -> None:
    train(simulated, ON)
    simulated.execute("select recsql_api.upsert_item('fresh', 'An item that nobody has')")
    train(simulated, ON)
    found = simulated.execute("select metrics ? 'loss' from recsql.model_version order by version_no").fetchall()
    assert found == [(True,), (False,)]


def versions(connection: Connection) -> list[tuple[Any, ...]]:
    query = (
        "select version_no, run_no, parent_version_no, (metrics ->> 'epochs')::float, "
        "(metrics ->> 'fresh_epochs')::float from recsql.model_version order by version_no"
    )
    return connection.execute(query.encode()).fetchall()


def test_training_goes_on_from_the_version_before(simulated: Connection) -> None:
    first, notices = train(simulated, ON)
    assert notices == [
        "transformer is trained whole: there is no version of earlier events of the production part to go on from."
    ]
    simulated.execute("select recsql_api.upsert_item('fresh', 'A fresh item')")
    like(simulated, "user-0001", "fresh")
    like(simulated, "newcomer", "fresh")
    second, notices = train(simulated, ON)
    assert notices == []
    assert versions(simulated) == [(1, first, None, 3, None), (2, second, 1, 3, 1)]
    # Who has something new, and how much they had before it.
    known = "select count(*)::integer from recsql.interaction as i inner join recsql.app_user as u using (user_no) "
    known += "where i.run_no = %s and i.step is not null and u.user_id = 'user-0001'"
    row = simulated.execute(known.encode(), (first,)).fetchone()
    assert row is not None
    found = simulated.execute(
        "select u.user_id, n.n_known from recsql.new_interaction(%s, %s) as n "
        "inner join recsql.app_user as u using (user_no) order by u.user_id",
        (second, first),
    ).fetchall()
    assert found == [("newcomer", 0), ("user-0001", row[0])]
    # Each row of the artifact's arrays has an item.
    for version in (1, 2):
        blob, item_nos = simulated.execute(
            "select artifact, item_nos from recsql.model_version where version_no = %s", (version,)
        ).fetchone() or (b"", [])
        assert len(load_artifact(blob).state()["outputs"]) == len(item_nos)
        assert item_nos == sorted(item_nos)
    # The same input again is the same run, and a whole training is another.
    assert train(simulated, ON) == (second, [])
    third, _ = train(simulated, WHOLE)
    assert versions(simulated)[2] == (3, third, None, 3, None)
    like(simulated, "user-0002", "fresh")
    train(simulated, ON)
    assert versions(simulated)[3][2] == 3


def test_repetition_of_a_known_item_and_a_late_event_are_new(simulated: Connection) -> None:
    first, _ = train(simulated, ON)
    items = simulated.execute(
        "select i.item_id from recsql.interaction as n inner join recsql.item as i using (item_no) "
        "inner join recsql.app_user as u using (user_no) where n.run_no = %s and u.user_id = 'user-0003' "
        "and n.step is not null order by n.step desc",
        (first,),
    ).fetchall()
    like(simulated, "user-0003", items[0][0])
    simulated.execute("select recsql_api.upsert_item('early', 'Was had long ago')")
    like(simulated, "user-0004", "early", "'2001-01-01'")
    second, _ = train(simulated, ON)
    found = dict(
        simulated.execute(
            "select u.user_id, n.n_known from recsql.new_interaction(%s, %s) as n "
            "inner join recsql.app_user as u using (user_no)",
            (second, first),
        ).fetchall()
    )
    # The item of user 3 has moved to the end; that of user 4 came in at the beginning, so all after it counts as new.
    assert found == {"user-0003": len(items) - 1, "user-0004": 0}


def test_training_is_whole_where_the_configuration_differs(simulated: Connection) -> None:
    train(simulated, WHOLE)
    like(simulated, "user-0001", "i1")
    other = PipelineConfig(models={"transformer": OPTIONS | {"dim": 4, "dropout": 0.3}}, incremental=True)
    _, notices = train(simulated, other)
    assert notices == ["transformer is trained whole: version 1 has another configuration (dim, dropout)."]
    assert versions(simulated)[1][2] is None
    # Of two, that of the same configuration is gone on from, though the other is newer; epochs are no part of it.
    like(simulated, "user-0001", "i2")
    _, notices = train(simulated, PipelineConfig(models={"transformer": OPTIONS | {"epochs": 9}}, incremental=True))
    assert notices == []
    assert versions(simulated)[2][2] == 1


def test_training_never_goes_on_from_what_lies_after_its_cut(simulated: Connection) -> None:
    for part in ("validation", "test", "production"):
        train(simulated, WHOLE, part)
    like(simulated, "user-0001", "i1")
    # Each part goes on from its own, and the production version has seen what the others are measured by.
    for part, parent in (("validation", 1), ("test", 2), ("production", 3)):
        run_no, notices = train(simulated, ON, part)
        assert notices == []
        assert [row[2] for row in versions(simulated) if row[1] == run_no] == [parent]
    # As if the former cut of one user had lain later: its version has then seen what this one is asked for.
    simulated.execute(
        "update recsql.split_cut set cut_at = 'infinity' where (split_no, user_no) in ("
        "select c.split_no, min(c.user_no) from recsql.split_cut as c group by c.split_no)"
    )
    like(simulated, "user-0001", "i2")
    _, notices = train(simulated, ON, "validation")
    assert notices == [
        "transformer is trained whole: there is no version of earlier events of the validation part to go on from."
    ]


def test_training_is_whole_after_another_embedding_model(simulated: Connection) -> None:
    train(simulated, WHOLE)
    simulated.execute("select recsql.add_embedding_space('other', 'text', 'other', '1', 3, '{title}')")
    simulated.execute(
        "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) "
        "select s.space_no, i.item_no, '', '[1,2,3]' from recsql.embedding_space as s, recsql.item as i"
    )
    _, notices = train(simulated, ON)
    assert notices == ["transformer is trained whole: version 1 was trained on other content vectors."]
    assert versions(simulated)[1][2] is None


def test_whole_refresh_goes_on_and_what_it_chose_serves_a_later_whole_one(simulated: Connection) -> None:
    before = Pipeline(simulated, WHOLE).refresh()
    like(simulated, "user-0001", "i1")
    refresh = Pipeline(simulated, ON).refresh()
    assert refresh.is_new
    assert refresh.run_no != before.run_no
    rows = versions(simulated)
    assert [row[2] for row in rows] == [None, None, None, 1, 2, 3]
    # Epochs are those of training from the beginning, also in what validation says now.
    assert len({row[3] for row in rows}) == 1
    served = simulated.execute("select run_no from recsql.release").fetchone()
    assert served == (refresh.run_no,)
