"""The unified space through a database: united, embedded, switched to and searched."""

from typing import Any

import numpy as np
import psycopg
import pytest

from recsql.errors import InputError, ModelError, NotFoundError
from workers.embed import embed
from workers.encoders.unified import UnifiedEncoder, load_unified
from workers.pipeline import Pipeline, PipelineConfig
from workers.spaces import Space, add_space, encoder_of
from workers.unified.network import UnifiedConfig
from workers.unify import UnifiedSpace, unify

Connection = psycopg.Connection[Any]
SMALL = UnifiedConfig(dim=8, input_dropout=0.0, epochs=40, batch_size=64, validation_share=0.0, learning_rate=0.01)
N_ITEMS, N_KINDS = 24, 4


def put(connection: Connection, item_id: str, title: str) -> None:
    connection.execute("select recsql_api.upsert_item(%s, %s)", (item_id, title))


def picture(connection: Connection, item_id: str, data: str) -> None:
    connection.execute(
        "insert into recsql.item_media (item_no, sha256, modality, mime, bytes) "
        "select item_no, sha256(%s::bytea), 'image', 'image/png', %s::bytea from recsql.item where item_id = %s",
        (data, data, item_id),
    )


def embed_all(connection: Connection) -> int:
    return embed(connection).written


def vector_of(connection: Connection, item_id: str, space: UnifiedSpace) -> Any:
    row = connection.execute(
        "select e.embedding from recsql.item_embedding as e inner join recsql.item as i on i.item_no = e.item_no "
        "where e.space_no = %s and i.item_id = %s",
        (space.space_no, item_id),
    ).fetchone()
    return row and np.array(row[0].to_numpy() if hasattr(row[0], "to_numpy") else row[0])


@pytest.fixture
def catalogue(connection: Connection) -> Connection:
    """24 items of 4 kinds, whose words say nothing of them but whose users do; pictures of half of them; embedded."""
    add_space(connection, "text", "text", "hashing:128", "{title}")
    add_space(connection, "looks", "image", "hashing:48")
    for number in range(N_ITEMS):
        put(connection, f"i{number}", f"word{number}")
        if number % 2:
            picture(connection, f"i{number}", f"picture {number}")
    for user in range(40):
        for step in range(5):
            item = (user + step * N_KINDS * (1 + user % 5)) % N_ITEMS
            connection.execute(
                "select recsql_api.record_event(%s, %s, 'like', p_at => to_timestamp(1704067200 + 3600 * %s))",
                (f"u{user}", f"i{item}", user * 10 + step),
            )
    embed_all(connection)
    return connection


def test_united_spaces_are_embedded_switched_to_and_searched(catalogue: Connection) -> None:
    space = unify(catalogue, "all", config=SMALL, seed=1)
    assert (space.space, space.sources, space.n_items) == ("all", ["text", "looks"], N_ITEMS)
    row = catalogue.execute(
        "select modality, model, dim, status, version_no, source_nos from recsql.embedding_space where space = 'all'"
    ).fetchone()
    assert row == ("unified", "unified", 8, "building", space.version_no, [1, 2])
    assert catalogue.execute("select space from recsql.content_space").fetchone() == ("text",)
    assert embed_all(catalogue) == N_ITEMS
    catalogue.execute("select recsql.switch_embedding_space('all')")
    assert catalogue.execute("select space, dim from recsql.content_space").fetchone() == ("all", 8)
    # Users never leave the items of one kind; 5 of the 23 others are of the same one.
    hits = [
        int(item_id[1:]) % N_KINDS == number % N_KINDS
        for number in range(N_ITEMS)
        for (item_id,) in catalogue.execute(
            "select item_id from recsql_api.similar_items(%s, 3, 'content')", (f"i{number}",)
        )
    ]
    assert len(hits) == 3 * N_ITEMS
    assert np.mean(hits) > 0.5


def test_new_item_is_placed_without_training(catalogue: Connection) -> None:
    space = unify(catalogue, config=SMALL)
    assert space.space == f"unified-{space.version_no}"
    embed_all(catalogue)
    put(catalogue, "new", "word3")
    # Its text, then where that lies.
    assert embed_all(catalogue) == 2
    by_text = vector_of(catalogue, "new", space)
    assert np.linalg.norm(by_text) == pytest.approx(1, abs=1e-5)
    encoder = load_unified(catalogue, space.space_no)
    text = encoder_of(catalogue, Space(1, "text", "text", "hashing:128", "1", 128, "{title}", "active"))
    vector = text.encode([text.decode("word3")])[0]
    assert np.allclose(by_text, encoder.encode([encoder.decode({1: vector})])[0], atol=1e-5)
    picture(catalogue, "new", "picture 3")
    assert embed_all(catalogue) == 2
    # Now it has all that item 3 has.
    assert np.allclose(vector_of(catalogue, "new", space), vector_of(catalogue, "i3", space), atol=1e-5)


def test_offline_run_is_learnt_from_alone(catalogue: Connection) -> None:
    config = PipelineConfig(protocol="global", models={})
    run_no = Pipeline(catalogue, config).run("test", until="popularity")
    space = unify(catalogue, "then", run_no=run_no, config=SMALL, seed=1)
    version = catalogue.execute(
        "select m.model, v.run_no, v.metrics ? 'epochs', v.dim from recsql.model_version as v "
        "inner join recsql.model as m on m.model_no = v.model_no where v.version_no = %s",
        (space.version_no,),
    ).fetchone()
    assert version == ("unified", run_no, True, None)
    # What is done after the cut changes nothing.
    for number in range(0, N_ITEMS, 2):
        catalogue.execute("select recsql_api.record_event('late', %s, 'like')", (f"i{number}",))
    with pytest.raises(InputError, match="Space then is that very projection"):
        unify(catalogue, "then too", run_no=run_no, config=SMALL, seed=1)
    assert catalogue.execute("select count(*) from recsql.model_version").fetchone() == (1,)
    assert unify(catalogue, "now", config=SMALL, seed=1).metrics["loss"] != space.metrics["loss"]


def test_joint_model_is_averaged(catalogue: Connection) -> None:
    add_space(catalogue, "clip texts", "text", "hashing:16", "{title}")
    add_space(catalogue, "clip images", "image", "hashing:16")
    embed_all(catalogue)
    space = unify(catalogue, "clip", ["clip texts", "clip images"])
    assert space.metrics["epochs"] == 0
    embed_all(catalogue)
    sources = dict(
        catalogue.execute(
            "select s.space, e.embedding from recsql.item_embedding as e "
            "inner join recsql.embedding_space as s on s.space_no = e.space_no "
            "where s.space like 'clip %%' and e.item_no = (select item_no from recsql.item where item_id = 'i3')"
        ).fetchall()
    )
    total = sum(np.array(v.to_numpy() if hasattr(v, "to_numpy") else v) for v in sources.values())
    assert np.allclose(vector_of(catalogue, "i3", space), total / np.linalg.norm(total), atol=1e-5)


def test_what_cannot_be_united_is_refused(catalogue: Connection) -> None:
    with pytest.raises(NotFoundError, match="no space nowhere"):
        unify(catalogue, space_names=["text", "nowhere"], config=SMALL)
    with pytest.raises(InputError, match="a space 'text' already"):
        unify(catalogue, "text", config=SMALL)
    catalogue.execute("delete from recsql.item_embedding")
    with pytest.raises(ModelError, match="recsql embed"):
        unify(catalogue, config=SMALL)
    assert catalogue.execute("select count(*) from recsql.model_version").fetchone() == (0,)


def test_no_space_at_all_is_refused(connection: Connection) -> None:
    with pytest.raises(InputError, match="no space to unite"):
        unify(connection, config=SMALL)


def test_projection_that_is_gone_damaged_or_of_other_spaces_is_refused(catalogue: Connection) -> None:
    space = unify(catalogue, config=SMALL)
    assert isinstance(load_unified(catalogue, space.space_no), UnifiedEncoder)
    with pytest.raises(ModelError, match="no projection"):
        load_unified(catalogue, 1)
    catalogue.execute("update recsql.embedding_space set source_nos = '{2,1}' where space_no = %s", (space.space_no,))
    with pytest.raises(ModelError, match="not those that"):
        load_unified(catalogue, space.space_no)
    catalogue.execute(
        "update recsql.model_version set artifact = set_byte(artifact, 100, 0) where version_no = %s",
        (space.version_no,),
    )
    with pytest.raises(ModelError, match="damaged"):
        load_unified(catalogue, space.space_no)
    catalogue.execute("update recsql.model_version set artifact = null where version_no = %s", (space.version_no,))
    with pytest.raises(ModelError, match="no projection"):
        load_unified(catalogue, space.space_no)
