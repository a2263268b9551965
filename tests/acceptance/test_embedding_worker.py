"""Workers that embed: woken by what comes, and killed at any moment."""

import time

from benchmarks.faults import embed_and_kill


def test_worker_embeds_an_item_when_it_comes(cli, start_cli, connection):
    assert cli("space", "add", "text", "--modality", "text", "--model", "hashing:16").returncode == 0
    worker = start_cli("worker", "--queue", "embed")
    for number in range(2):
        connection.execute("select recsql_api.upsert_item(%s, %s)", (f"i{number}", f"Item {number}"))
        end = time.monotonic() + 50  # below the minute after which a schedule would have come to it
        while connection.execute("select count(*) from recsql.item_embedding").fetchone() != (number + 1,):
            assert time.monotonic() < end, "the item was not embedded"
            assert worker.poll() is None, worker.communicate()
            time.sleep(0.01)


def test_killed_workers_lose_nothing_and_do_nothing_twice(database):
    found = embed_and_kill(database, seed=1, n_items=3000, n_poison=30, n_kills=4, model="hashing:16")
    assert found.violations == []
    assert found.kills > 0
