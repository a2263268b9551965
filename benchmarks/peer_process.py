"""Peers that live in an environment of their own, each run by a script beside this file."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peer_data import PeerData
from benchmarks.peers import Part
from recsql.errors import ConfigurationError
from workers.interactions import RunData


@dataclass(frozen=True)
class Library:
    """A library of peers.

    Attributes:
        script: what its interpreter runs, a file beside this one.
        environment: commands that make the environment.
    """

    script: str
    environment: str


LIBRARIES = {
    "rectools": Library(
        "rectools_peer.py",
        "python3 -m venv .venv-rectools && .venv-rectools/bin/pip install torch==2.13.0 'rectools[torch]'",
    ),
    "recbole": Library(
        "recbole_peer.py",
        "python3.11 -m venv .venv-recbole && .venv-recbole/bin/pip install torch==2.13.0"
        " && .venv-recbole/bin/pip install recbole==1.2.1 'numpy<2' 'pandas<3'",
    ),
}
"""By the name that an interpreter is asked for with, ``--NAME-python``."""


class PeerProcess:
    """A library's script on one run's data.

    Args:
        library: a key of ``LIBRARIES``.
        python: the interpreter that has it.
        folder: for the data and whatever the library logs.
        data: what it is trained on.

    Raises:
        ConfigurationError: there is no such interpreter.
    """

    def __init__(self, library: str, python: Path | None, folder: Path, data: PeerData) -> None:
        self.library, self.folder = library, folder
        if python is None or not python.exists():
            told = "not given" if python is None else f"{python} is not there"
            raise ConfigurationError(f"--{library}-python: {told}. {self._hint()}")
        folder.mkdir(exist_ok=True)
        data.save(folder / "data.npz")
        script = Path(__file__).parent / LIBRARIES[library].script
        # The interpreter's link is not followed: where it leads there is no environment.
        self._command = [str(python.absolute()), str(script), str((folder / "data.npz").absolute())]
        self._command += ["--threads", str(torch.get_num_threads())]

    def epochs(self, *arguments: str) -> Iterator[dict[str, float]]:
        """Train, and give what each epoch tells.

        Raises:
            ConfigurationError: the training failed.
        """
        # A file, since a pipe that nobody reads would stop a process that warns much.
        with (self.folder / "errors").open("w+") as errors:
            command = [*self._command, *arguments]
            # In the folder, where what a library logs beside itself is gone with it.
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=self.folder
            ) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.startswith("{"):
                        yield json.loads(line)
            if process.returncode:
                errors.seek(0)
                said = errors.read()[-2000:]
                raise ConfigurationError(f"{self.library} ended with {process.returncode}: {said}\n{self._hint()}")

    def _hint(self) -> str:
        return f"Its environment is made by: {LIBRARIES[self.library].environment}"


def peer_data(data: RunData, asked: Part | None = None) -> PeerData:
    """A run as a peer reads it, with what is asked of it, or nothing."""
    of_each: dict[int, Any] = {} if asked is None else dict(zip(asked.asked.tolist(), asked.relevant, strict=True))
    nothing, s = np.zeros(0, dtype=np.int64), data.sequences
    relevant = [of_each.get(user, nothing) for user in range(s.n_users)]
    offsets = np.cumsum([0, *map(len, relevant)], dtype=np.int64)
    n_new = 0 if asked is None else asked.n_new
    return PeerData(len(data.item_nos), s.items, s.offsets, np.concatenate([nothing, *relevant]), offsets, n_new)
