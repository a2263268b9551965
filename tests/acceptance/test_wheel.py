"""The wheel: built, installed where the checkout cannot be seen, and used."""

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from outcome import one
from warm_cli import REPOSITORY, environment

from recsql import __version__
from recsql.paths import MIGRATIONS_DIR, SQL_DIR


def run(command: list[object], cwd: Path, **variables: str) -> str:
    variables = environment(**variables)
    del variables["PYTHONPATH"]
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, REPOSITORY], folder)
    (path,) = folder.glob("recsql-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of an environment that holds the wheel, and sees this one's packages behind it."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    run([sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel], folder)
    # A path of a .pth file is searched, but its own .pth files, such as that of an editable checkout, are not read.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder.parent) for path in folder.rglob("*") if path.is_file())
    return {f"recsql/share/{path.as_posix()}" for path in found if "__pycache__" not in path.parts}


def test_wheel_carries_the_database(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shared = {name for name in archive.namelist() if name.startswith("recsql/share/")}
    assert shared == files(SQL_DIR) | files(MIGRATIONS_DIR) | {"recsql/share/alembic.ini"}


def test_wheel_carries_no_data_set_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"recsql", "workers", f"recsql-{__version__}.dist-info"}
    assert {Path(name).suffix for name in names if "dist-info" not in name} <= {
        ".py",
        ".sql",
        ".ini",
        ".typed",
        ".mako",
        ".j2",
    }


def test_installed_wheel_migrates_an_empty_database(installed: Path, empty_database: str, tmp_path: Path) -> None:
    python, recsql = installed / "python", installed / "recsql"
    imported = run([python, "-c", "import recsql, workers; print(recsql.__file__, *workers.__path__)"], tmp_path)
    assert [Path(path).is_relative_to(installed.parent) for path in imported.split()] == [True, True]
    assert run([recsql, "--version"], tmp_path) == f"recsql {__version__}\n"
    run([recsql, "db", "migrate"], tmp_path, RECSQL_DATABASE_URL=empty_database)
    status = json.loads(run([recsql, "db", "status", "--json"], tmp_path, RECSQL_DATABASE_URL=empty_database))
    assert status["is_current"] is True
    assert status["revision"] == status["head"]
    assert one(empty_database, "select count(*) from recsql_api.recommend('u1', 3)") == 0
    assert one(empty_database, "select recsql.is_valid_id('u1')") is True
