"""Settings: environment variables with the prefix ``RECSQL_``, and an optional ``.env`` in the working folder."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from recsql.errors import ConfigurationError


def default_home() -> Path:
    """The folder of the embedded server: under root a place that the server's own user can reach."""
    if os.name == "posix" and os.geteuid() == 0:
        return Path("/var/lib/recsql")
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "recsql"


Names = Annotated[frozenset[str], NoDecode]
"""Names with commas between them, in lower case."""


class Settings(BaseSettings):
    """What can be set from outside; every field is ``RECSQL_<NAME>`` in the environment."""

    model_config = SettingsConfigDict(env_prefix="RECSQL_", env_file=".env", extra="ignore")

    database_url: SecretStr | None = None
    """Connection URL of a server of one's own; without it ``PG*``, and without those the embedded server."""
    home: Path = Field(default_factory=default_home)
    """Folder of the embedded server: its data, socket, log and password."""
    pg_bin: Path | None = None
    """Folder with ``initdb``, ``pg_ctl`` and ``postgres`` to use in place of the packaged binaries."""
    data: Path = Path("../shared/data")
    """Folder with data sets that are already on this machine."""
    text_model: str | None = None
    """Name or path of a sentence-transformers model; the packaged one when unset."""
    media_schemes: Names = frozenset({"http", "https"})
    """How media may be fetched: ``http``, ``https`` or both."""
    media_hosts: Names = frozenset()
    """Hosts that media may be fetched from, ``*.example.com`` for all below one; any public host when empty."""
    media_private_hosts: Names = frozenset()
    """Hosts that may have an address which is not public (in the own network, or this machine), as URLs name them."""
    media_folders: Annotated[tuple[Path, ...], NoDecode] = ()
    """Folders below which ``file://`` media are read, with commas between them; none when empty."""
    media_bytes: int = Field(default=64 * 2**20, ge=1)
    """Bytes that a medium may have."""
    media_pixels: int = Field(default=50_000_000, ge=1)
    """Pixels that an image may have, width times height."""
    media_seconds: float = Field(default=3600, gt=0)
    """Seconds that audio may last."""
    media_timeout: float = Field(default=30, gt=0)
    """Seconds that fetching a medium may take, redirects included."""
    model_options: Path | None = None
    """JSON file of hyperparameters that differ from the defaults, by name of the model; ``recsql tune`` prints one."""
    threads: int | None = Field(default=None, ge=1)
    """Threads that torch may use; torch's own default when unset."""
    processes: int = Field(default=1, ge=1)
    """Processes that train a model together, each on a GPU of its own or on its share of the threads."""
    connections: int = Field(default_factory=lambda: min(os.cpu_count() or 1, 8), ge=1)
    """Connections over which stages that the database does alone are spread: about its processor cores."""
    checkpoints: Path | None = None
    """Folder of what trainings go on from when they were killed; ``checkpoints`` in the home when unset."""
    curves: Path | None = None
    """Folder for TensorBoard's curves of trainings, one below it for each run; none are written when unset."""
    wandb_project: str | None = None
    """Project of Weights & Biases that shows the same curves; what else it needs is in the ``WANDB_`` variables."""
    cron_follow: str = "*/5 * * * *"
    """When workers bring the served similarities up to the newest event (UTC); empty for never."""
    cron_publish: str = "7 * * * *"
    """When workers make and serve a new run (UTC); empty for never."""
    cron_learn: str = ""
    """When workers make and serve a run whose models are trained on from the versions before (UTC); empty for never."""
    cron_evaluate: str = "17 3 * * *"
    """When workers choose epochs and weights anew and measure every method (UTC); empty for never."""

    @field_validator("media_schemes", "media_hosts", "media_private_hosts", "media_folders", mode="before")
    @classmethod
    def _listed(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",") if part.strip()]
        return parts if info.field_name == "media_folders" else [part.lower() for part in parts]

    @field_validator("media_schemes")
    @classmethod
    def _schemes_are_known(cls, value: frozenset[str]) -> frozenset[str]:
        if value - {"http", "https"}:
            raise ValueError("media are fetched by http and https (files: RECSQL_MEDIA_FOLDERS)")
        return value

    @field_validator(
        "database_url",
        "pg_bin",
        "text_model",
        "model_options",
        "threads",
        "checkpoints",
        "curves",
        "wandb_project",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        """``RECSQL_DATABASE_URL=`` in a file of variables leaves it out."""
        return None if value == "" else value


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the settings once a process.

    Raises:
        ConfigurationError: a variable has a value that means nothing.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(f"RECSQL_{name} cannot be used: {first['msg']}. Set it anew, or unset it.") from None
