"""Where the SQL files and migrations are: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_SHARE = _PACKAGE / "share"
ROOT = _SHARE if _SHARE.is_dir() else _PACKAGE.parent

SQL_DIR = ROOT / "sql"
MIGRATIONS_DIR = ROOT / "migrations"
ALEMBIC_INI = ROOT / "alembic.ini"
