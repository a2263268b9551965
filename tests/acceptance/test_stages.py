"""The demo and the pipeline as a user runs them, Ctrl-C and kill -9 included, on the simulated catalogue."""

import json
import signal
import time

import psycopg
import pytest
import torch


def wait_until(connection, query, seconds=120):
    deadline = time.monotonic() + seconds
    while not connection.execute(query).fetchone()[0]:
        assert time.monotonic() < deadline, query
        time.sleep(0.05)


def test_demo_shows_all_and_the_second_time_does_nothing(cli):
    first = cli("demo", "--source", "simulated", "--json")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert told["is_new"]
    assert len(told["recommendations"]) == 3
    assert {len(found) for found in told["recommendations"].values()} == {5}
    assert {row["method"] for row in told["quality"]} >= {"popularity", "sequential", "transformer", "fused"}
    again = cli("demo", "--source", "simulated")
    assert again.returncode == 0, again.stderr
    assert "nothing has changed" in again.stdout
    for wanted in ("Recommendations for somebody-new", "Quality on the test part", "recsql db psql"):
        assert wanted in again.stdout


def test_stages_by_their_own_commands_end_in_a_served_run(cli, connection):
    assert cli("load", "simulated").returncode == 0
    done = [json.loads(cli(command, "--json").stdout) for command in ("refresh", "train", "score")]
    assert [run["stages"][-1]["stage"] for run in done] == ["segments", "train", "fuse"]
    assert len({run["run_no"] for run in done}) == 1
    published = json.loads(cli("publish", "--json").stdout)
    assert published["run_no"] == done[0]["run_no"]
    assert published["is_new"]
    assert not json.loads(cli("publish", "--json").stdout)["is_new"]
    assert len(json.loads(cli("recommend", "nobody", "-n", "3", "--json").stdout)) == 3
    status = json.loads(cli("status", "--json").stdout)
    assert status["runs"][0]["served"]
    assert json.loads(cli("prune", "--json").stdout) == {"pruned": []}


def test_commands_that_compute_refuse_what_they_cannot_do(cli):
    empty = cli("publish")
    assert empty.returncode == 1
    assert "recsql load" in empty.stderr.splitlines()[-1]
    wrong = cli("train", "--part", "tomorrow")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("Error: There is no part 'tomorrow'")
    protocol = cli("evaluate", "--protocol", "random")
    assert protocol.returncode == 1
    assert "protocols are loo and global" in protocol.stderr
    rollback = cli("rollback")
    assert rollback.returncode == 1
    assert "Publish a run first" in rollback.stderr
    task = cli("defer", "nothing")
    assert task.returncode == 1
    assert "tasks are" in task.stderr


SLOW = """
    create or replace function recsql.refresh_similarity_cosine(
        p_run_no integer, p_shrinkage real default 10, p_history integer default 100, p_neighbours integer default 200,
        p_part integer default 0, p_parts integer default 1
    ) returns bigint language sql as 'select count(pg_sleep(60))'
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_publish_stopped_in_a_sql_stage_goes_on_where_it_was(cli, start_cli, connection, sent, code):
    assert cli("load", "simulated").returncode == 0
    original = connection.execute(
        "select pg_get_functiondef(p.oid) from pg_proc as p where p.proname = 'refresh_similarity_cosine'"
    ).fetchone()[0]
    connection.execute(SLOW)
    process = start_cli("publish")
    wait_until(connection, "select exists (select from pg_stat_activity where wait_event = 'PgSleep')")
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    if sent == signal.SIGINT:
        assert stderr.splitlines()[-1].startswith("Stopped; nothing half done is published")
    # A killed client's statement ends when the server notices, at the latest at its own end.
    connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'")
    wait_until(connection, "select not exists (select from pg_locks where locktype = 'advisory')")
    assert connection.execute("select count(*) from recsql.release").fetchone() == (0,)
    before = connection.execute("select run_no, stage, finished_at from recsql.run_stage order by 3").fetchall()
    assert [stage for _, stage, _ in before] == ["interactions", "popularity", "sequential"]

    connection.execute(original)
    again = cli("publish", "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert told["run_no"] == before[0][0]
    assert next(iter(told["seconds"])) == "production: cosine"
    assert connection.execute("select run_no from recsql.release").fetchone() == (told["run_no"],)


def test_publish_stopped_while_training_goes_on_with_training(cli, start_cli, connection):
    assert cli("load", "simulated").returncode == 0
    with connection.transaction():
        # However fast a machine trains, it cannot be done before the signal: the version waits for this lock.
        connection.execute("lock table recsql.model_version in share mode")
        process = start_cli("publish")
        wait_until(connection, "select exists (select from recsql.run_stage where stage = 'slit')")
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert connection.execute("select count(*) from recsql.model_version").fetchone() == (0,)
    assert connection.execute("select state from recsql.run").fetchone() == ("failed",)
    again = cli("publish", "--json")
    assert again.returncode == 0, again.stderr
    assert next(iter(json.loads(again.stdout)["seconds"])) == "production: train"
    assert connection.execute("select count(*) from recsql.model_version").fetchone() == (1,)


def test_training_killed_goes_on_at_its_last_epoch_when_more_has_happened(cli, start_cli, connection, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert cli("load", "simulated").returncode == 0
    options, checkpoint = tmp_path / "models.json", tmp_path / "checkpoints" / "run-1-transformer"
    options.write_text(json.dumps({"transformer": {"epochs": 40, "dim": 8, "n_layers": 1, "n_heads": 1}}))
    env = {
        "RECSQL_MODEL_OPTIONS": str(options),
        "RECSQL_CHECKPOINTS": str(checkpoint.parent),
        "RECSQL_CURVES": str(tmp_path / "curves"),
    }

    def epochs():
        events = accumulator.EventAccumulator(str(tmp_path / "curves" / "run-1-transformer"))
        events.Reload()
        return [point.step for point in events.Scalars("loss")]

    process = start_cli("train", env=env)
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    wait_until(connection, "select not exists (select from pg_locks where locktype = 'advisory')")
    assert connection.execute("select count(*) from recsql.model_version").fetchone() == (0,)
    reached, *_ = json.loads(torch.load(checkpoint, weights_only=True)["progress"])
    assert reached < 40
    (tmp_path / "curves" / "run-1-transformer").rename(tmp_path / "curves" / "killed")
    connection.execute("select recsql_api.record_event('user-0001', 'film-0001', 'like')")

    again = cli("train", "--json", env=env)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["run_no"] == 1
    assert "Run 1 (production) of 20" in again.stderr
    assert epochs() == list(range(reached + 1, 41))
    metrics = connection.execute("select (metrics ->> 'epochs')::float from recsql.model_version").fetchall()
    assert metrics == [(40,)]
    assert not list(checkpoint.parent.iterdir())


def test_worker_publishes_what_was_deferred(cli, connection):
    assert cli("load", "simulated").returncode == 0
    assert json.loads(cli("defer", "publish", "--json").stdout)["job_id"] > 0
    assert json.loads(cli("defer", "publish", "--json").stdout)["job_id"] is None
    done = cli("worker", "--once")
    assert done.returncode == 0, done.stderr
    assert connection.execute("select count(*) from recsql.release").fetchone() == (1,)


def test_worker_refuses_an_unknown_queue(cli):
    done = cli("worker", "--queue", "nothing", "--once")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "Error: There is no queue 'nothing': queues are events, embed, pipeline."


def test_psycopg_error_is_one_line(cli, server):
    done = cli("status", env={"RECSQL_DATABASE_URL": psycopg.conninfo.make_conninfo(server.base, dbname="no_such")})
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
