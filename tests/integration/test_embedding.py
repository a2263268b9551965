"""Embedding: what is queued and what is not, claims, guarded writes, failures, spaces."""

import threading
from typing import Any

import numpy as np
import psycopg
import pytest

from recsql.db import connect
from recsql.errors import InputError, ModelError, TemporaryError
from recsql.queries import QUERIES
from workers.embed import CLAIMED_AT_ONCE, embed
from workers.encoders.base import Decoded
from workers.spaces import Space, add_space, encoder_of, read_spaces

Connection = psycopg.Connection[Any]
DIM = 16
MODEL = f"hashing:{DIM}"


def put(connection: Connection, item_id: str, title: str | None, **more: Any) -> None:
    arguments = {"item_id": item_id, "title": title} | more
    names = ", ".join(f"p_{name} => %({name})s" for name in arguments)
    connection.execute(f"select recsql_api.upsert_item({names})".encode(), arguments)


def picture(connection: Connection, item_no: int, data: bytes = b"picture", modality: str = "image") -> None:
    connection.execute(
        "insert into recsql.item_media (item_no, sha256, modality, mime, bytes) "
        "values (%s, sha256(%s), %s, 'image/png', %s)",
        (item_no, data, modality, data),
    )


def tasks(connection: Connection, space_no: int = 1) -> list[int]:
    query = "select item_no from recsql.embedding_task where space_no = %s order by 1"
    return [item_no for (item_no,) in connection.execute(query, (space_no,))]


def embedded(connection: Connection, space_no: int = 1) -> list[int]:
    query = "select item_no from recsql.item_embedding where space_no = %s order by 1"
    return [item_no for (item_no,) in connection.execute(query, (space_no,))]


def failures(connection: Connection) -> list[tuple[int, str, int]]:
    query = "select item_no, error, attempts from recsql.embedding_failure order by 1"
    return connection.execute(query).fetchall()


def claim(connection: Connection, n: int, space_no: int = 1) -> list[int]:
    """Claim as a worker of the session's own."""
    number = connection.execute("select recsql.begin_embedding()").fetchone()
    assert number is not None
    parameters = {"space_no": space_no, "worker_no": number[0], "n": n}
    return sorted(item_no for item_no, _ in connection.execute(QUERIES["claim_embeddings"], parameters))


class Picky:
    """The hashing model, but for what happens to the words that it is told of."""

    def __init__(self, connection: Connection, space: Space, **faults: Exception) -> None:
        self.inner, self.faults, self.sizes = encoder_of(connection, space), faults, []
        self.before_decoding: list[Any] = []

    def decode(self, content: Any) -> Decoded:
        while self.before_decoding:
            self.before_decoding.pop()()
        for word, error in self.faults.items():
            if word in content and isinstance(error, TemporaryError):
                raise error
        decoded = self.inner.decode(content)
        return Decoded((content, decoded), decoded.size)

    def encode(self, decoded: Any) -> Any:
        self.sizes.append(len(decoded))
        for word, error in self.faults.items():
            if any(word in one.value[0] for one in decoded):
                raise error
        return self.inner.encode([one.value[1] for one in decoded])


@pytest.fixture
def text(connection: Connection) -> Connection:
    """A text space and five items, none embedded yet."""
    add_space(connection, "text", "text", MODEL)
    for number in range(1, 6):
        put(connection, f"i{number}", f"title {number}", body="words")
    return connection


def test_content_that_came_is_queued_once_and_embedded_once(text: Connection) -> None:
    assert tasks(text) == [1, 2, 3, 4, 5]
    assert embed(text).written == 5
    assert tasks(text) == []
    assert embed(text, everything=True).written == 0


def test_columns_that_no_template_reads_queue_nothing(text: Connection) -> None:
    embed(text)
    text.execute("update recsql.item set attributes = '{\"price\": 3}', available = false, published_at = now()")
    text.execute("update recsql.item set title = title, tags = tags")
    assert tasks(text) == []


def test_template_that_reads_only_titles_is_not_moved_by_bodies(connection: Connection) -> None:
    add_space(connection, "titles", "text", MODEL, "{title}")
    put(connection, "a", "title", body="one")
    embed(connection)
    put(connection, "a", "title", body="another")
    assert tasks(connection) == []
    put(connection, "a", "another title", body="another")
    assert tasks(connection) == [1]


def test_change_that_is_undone_before_it_is_embedded_leaves_no_task(text: Connection) -> None:
    embed(text)
    text.execute("update recsql.item set title = 'new' where item_no = 2")
    assert tasks(text) == [2]
    text.execute("update recsql.item set title = 'title 2' where item_no = 2")
    assert tasks(text) == []


def test_item_that_lost_its_text_loses_its_vector(text: Connection) -> None:
    embed(text)
    text.execute("update recsql.item set title = null, body = '' where item_no = 2")
    assert embedded(text) == [1, 3, 4, 5]
    assert tasks(text) == []


def test_deleted_item_takes_vector_and_task_with_it(text: Connection) -> None:
    embed(text)
    text.execute("update recsql.item set title = 'new' where item_no < 3")
    text.execute("delete from recsql.item where item_no in (2, 3)")
    assert embedded(text) == [1, 4, 5]
    assert tasks(text) == [1]


def test_copied_rows_are_queued_by_one_statement(text: Connection) -> None:
    embed(text)
    with text.cursor().copy("copy recsql.item (item_no, item_id, domain, title) from stdin") as copy:
        for number in range(100, 110):
            copy.write_row((number, f"c{number}", "default", f"copied {number}"))
    assert tasks(text) == list(range(100, 110))


def test_rolled_back_change_queues_nothing(text: Connection) -> None:
    embed(text)
    with text.transaction(force_rollback=True):
        put(text, "i1", "new")
        assert tasks(text) == [1]
    assert tasks(text) == []


def test_media_are_queued_when_they_come_change_and_go(text: Connection) -> None:
    add_space(text, "looks", "image", MODEL)
    picture(text, 1)
    picture(text, 2)
    picture(text, 3, modality="audio")
    assert tasks(text, 2) == [1, 2]
    embed(text)
    assert embedded(text, 2) == [1, 2]
    picture(text, 2, b"another")
    assert tasks(text, 2) == [2]
    text.execute("delete from recsql.item_media where item_no = 2 and bytes = 'another'")
    assert tasks(text, 2) == []
    text.execute("delete from recsql.item_media where item_no = 2")
    assert embedded(text, 2) == [1]
    text.execute("update recsql.item_media set item_no = 4 where item_no = 1")
    assert embedded(text, 2) == []
    assert tasks(text, 2) == [4]


def test_workers_are_told_when_the_transaction_commits(text: Connection, database: str) -> None:
    embed(text)
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("listen recsql_embedding")
        with text.transaction():
            put(text, "i9", "new")
            assert list(listener.notifies(timeout=0.2, stop_after=1)) == []
        assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1
        text.execute("update recsql.item set available = not available")
        assert list(listener.notifies(timeout=0.2, stop_after=1)) == []


def test_workers_never_claim_the_same_item(text: Connection, database: str) -> None:
    with connect(database) as one, connect(database) as other:
        assert claim(one, 2) == [1, 2]
        assert claim(other, 2) == [3, 4]
        assert claim(one, 10) == [5]
        assert claim(other, 10) == []


def test_claims_of_a_worker_that_died_are_free(text: Connection, database: str, await_unlocked: Any) -> None:
    with connect(database) as dies:
        assert claim(dies, 3) == [1, 2, 3]
    await_unlocked(text)
    assert claim(text, 10) == [1, 2, 3, 4, 5]


def test_two_workers_share_a_backlog(text: Connection, database: str) -> None:
    n = 3 * CLAIMED_AT_ONCE["text"]
    text.execute(
        "insert into recsql.item (item_id, domain, title) "
        "select 'n' || n, 'default', 'n ' || n from generate_series(1, %s) as n",
        (n,),
    )
    written = []

    def work() -> None:
        with connect(database) as connection:
            written.append(embed(connection).written)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(written) == n + 5
    assert len(embedded(text)) == n + 5


def test_vector_of_content_that_has_moved_on_is_not_written(text: Connection, database: str) -> None:
    with connect(database) as other:
        picky = Picky(text, read_spaces(text)[0])
        # The worker has claimed and read by the time that it decodes.
        picky.before_decoding = [lambda: other.execute("update recsql.item set title = 'newer' where item_no = 2")]
        assert embed(text, encoders=lambda space: picky).written == 5
    (vector,) = text.execute("select embedding from recsql.item_embedding where item_no = 2").fetchone() or ()
    encoder = encoder_of(text, read_spaces(text)[0])
    assert np.allclose(
        vector.to_numpy() if hasattr(vector, "to_numpy") else vector,
        encoder.encode([encoder.decode("newer. . words")])[0],
        atol=1e-6,
    )


def test_poison_item_is_found_among_the_others(text: Connection) -> None:
    picky = Picky(text, read_spaces(text)[0], **{"title 3": ValueError("cannot be read")})
    done = embed(text, encoders=lambda space: picky)
    assert (done.written, done.failed) == (4, 1)
    assert failures(text) == [(3, "cannot be read", 1)]
    assert embedded(text) == [1, 2, 4, 5]
    # It is left alone until its content changes.
    assert embed(text, encoders=lambda space: picky, everything=True).failed == 0
    put(text, "i3", "wholesome")
    assert embed(text, encoders=lambda space: picky).written == 1
    assert failures(text) == []


def test_model_that_fails_with_everything_sets_no_item_aside(text: Connection) -> None:
    picky = Picky(text, read_spaces(text)[0], title=RuntimeError("the device is gone"))
    with pytest.raises(ModelError, match=r"Space text: .*fails with every item: the device is gone"):
        embed(text, encoders=lambda space: picky)
    assert failures(text) == []
    assert tasks(text) == [1, 2, 3, 4, 5]
    assert embed(text).written == 5


def test_content_without_words_fails_with_a_reason(text: Connection) -> None:
    put(text, "odd", "!!!")
    assert embed(text).failed == 1
    assert "word" in failures(text)[0][1]


def test_batches_are_halved_when_memory_runs_out(text: Connection) -> None:
    class Small(Picky):
        def encode(self, decoded: Any) -> Any:
            if len(decoded) > 2:
                raise RuntimeError("CUDA out of memory. Tried to allocate")
            return super().encode(decoded)

    for number in range(6, 14):
        put(text, f"i{number}", f"title {number}")
    small = Small(text, read_spaces(text)[0])
    done = embed(text, encoders=lambda space: small)
    assert (done.written, done.failed) == (13, 0)
    assert max(small.sizes) == 2


def test_source_that_does_not_answer_is_given_time_and_then_up(text: Connection) -> None:
    text.execute("update recsql.embedding_task set provider = 'host' where item_no < 3")
    picky = Picky(text, read_spaces(text)[0], **{"title 1": TemporaryError("no answer", "host")})
    done = embed(text, encoders=lambda space: picky)
    # Item 2 was claimed together with item 1; from then on nothing is fetched from the host.
    assert (done.written, done.failed) == (4, 1)
    assert failures(text) == []
    assert text.execute("select n_failures, not_before > now() from recsql.embedding_provider").fetchall() == [
        (1, True)
    ]
    text.execute("update recsql.embedding_task set not_before = null")
    assert embed(text, encoders=lambda space: picky).failed == 0
    for _ in range(5):
        text.execute("update recsql.embedding_task set not_before = null")
        text.execute("update recsql.embedding_provider set not_before = now()")
        assert embed(text, encoders=lambda space: picky).failed == 1
    assert failures(text) == [(1, "no answer", 6)]
    assert tasks(text) == []


def test_pause_doubles_and_ends_at_an_hour(text: Connection) -> None:
    found = []
    for _ in range(14):
        text.execute("select recsql.give_up_embedding(1, 0, 1, '', 'no answer', 'host')")
        found.append(
            text.execute(
                "select extract(epoch from not_before - now())::integer from recsql.embedding_provider"
            ).fetchone()
        )
    # 2 s at first, then 4, 8, …, 2,048, and never above 3,600.
    assert [seconds for (seconds,) in found if seconds is not None][:4] == [2, 4, 8, 16]
    assert found[-1] == (3600,)


def test_failed_items_are_tried_again_when_asked_for(text: Connection) -> None:
    picky = Picky(text, read_spaces(text)[0], **{"title 3": ValueError("cannot be read")})
    embed(text, encoders=lambda space: picky)
    text.execute(QUERIES["retry_embedding"])
    assert embed(text, everything=True).written == 1


def test_progress_counts_what_waits_what_is_there_and_what_failed(text: Connection) -> None:
    query = "select n_embedded, n_pending, n_failed, items_per_s > 0, time_left from recsql_api.embedding_progress"
    assert text.execute(query).fetchone() == (0, 5, 0, False, None)
    embed(text)
    put(text, "odd", "!!!")
    embed(text)
    put(text, "i1", "new")
    row = text.execute(query).fetchone()
    assert row is not None
    assert row[:4] == (5, 1, 1, True)
    assert row[4].total_seconds() == pytest.approx(12)  # 1 of 5 a minute


def test_space_is_of_one_model(text: Connection) -> None:
    with pytest.raises(psycopg.Error, match="belongs to model hashing:16") as caught:
        add_space(text, "text", "text", "hashing:32")
    assert caught.value.sqlstate == "RS004"
    with pytest.raises(psycopg.Error, match="keeps its modality") as caught:
        text.execute("update recsql.embedding_space set model = 'another'")
    assert caught.value.sqlstate == "RS004"
    with pytest.raises(psycopg.errors.CheckViolation):
        text.execute("insert into recsql.item_embedding values (1, 1, '', '[1,2,3]')")


def test_model_that_is_not_what_the_space_was_made_by_is_refused_and_the_rest_goes_on(text: Connection) -> None:
    text.execute("select recsql.add_embedding_space('old', 'text', %s, 'another', 16, '{title}')", (MODEL,))
    with pytest.raises(ModelError, match=r"Space old: .*revision another"):
        embed(text)
    assert embedded(text, 1) == [1, 2, 3, 4, 5]
    assert embedded(text, 2) == []


def test_new_model_is_built_beside_and_switched_when_it_is_complete(text: Connection) -> None:
    embed(text)
    add_space(text, "better", "text", "hashing:32")
    assert text.execute("select space from recsql.content_space").fetchone() == ("text",)
    with pytest.raises(psycopg.Error, match=r"vectors of 0.0 %") as caught:
        text.execute("select recsql.switch_embedding_space('better')")
    assert caught.value.sqlstate == "RS004"
    embed(text)
    assert text.execute("select recsql.switch_embedding_space('better')").fetchone() == ("text",)
    assert text.execute("select space, dim from recsql.content_space").fetchone() == ("better", 32)
    # The old one is kept as it is, and there to switch back to once it has caught up.
    put(text, "i1", "new")
    assert tasks(text, 1) == []
    with pytest.raises(psycopg.Error, match=r"vectors of 80.0 %"):
        text.execute("select recsql.switch_embedding_space('text')")
    assert text.execute("select recsql.switch_embedding_space('text', 0.5)").fetchone() == ("better",)
    assert tasks(text, 1) == [1]
    embed(text)
    assert text.execute("select recsql.drop_embedding_space('better')").fetchone() == (5,)
    assert text.execute("select to_regclass('recsql.item_embedding_2')").fetchone() == (None,)


def test_space_that_another_unites_is_embedded_on_after_a_switch(text: Connection) -> None:
    embed(text)
    add_space(text, "better", "text", "hashing:32")
    embed(text)
    text.execute("insert into recsql.model (model) values ('unified')")
    text.execute(
        "insert into recsql.model_version (model_no, config) "
        "select model_no, '{}' from recsql.model where model = 'unified'"
    )
    text.execute("select recsql.add_embedding_space('one', 'unified', 'unified', '1', 8, '', 1, '{1}')")
    assert text.execute("select recsql.switch_embedding_space('better')").fetchone() == ("text",)
    statuses = dict(text.execute("select space, status from recsql.embedding_space").fetchall())
    assert statuses == {"text": "building", "better": "active", "one": "building"}
    put(text, "i1", "new")
    assert tasks(text, 1) == [1]


def test_active_space_is_not_dropped_while_there_are_others(text: Connection) -> None:
    add_space(text, "better", "text", "hashing:32")
    with pytest.raises(psycopg.Error, match="is the active one") as caught:
        text.execute("select recsql.drop_embedding_space('text')")
    assert caught.value.sqlstate == "RS004"
    with pytest.raises(psycopg.Error, match="there is no space") as caught:
        text.execute("select recsql.drop_embedding_space('none')")
    assert caught.value.sqlstate == "RS001"


def test_template_that_reads_nothing_is_refused(connection: Connection) -> None:
    with pytest.raises(InputError, match="reads nothing"):
        add_space(connection, "text", "text", MODEL, "{price}")
