"""Checkpoints: what a training that was killed goes on from, as if nothing had happened."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, distributed

from recsql.errors import ModelError
from workers.models.base import ModelConfig, TrainingOptions
from workers.models.processes import rank, world_size

if TYPE_CHECKING:
    from workers.models.training import State

_FORMAT = 2
_UNREADABLE = (OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError, UnpicklingError)
"""What reading a damaged file raises."""
_SECONDS_KEPT = 14 * 86_400
"""How long a checkpoint is of use that no training has gone on from."""


def fingerprint_of(config: ModelConfig, options: TrainingOptions, arrays: Mapping[str, np.ndarray | None]) -> str:
    """A digest of everything that decides a training's outcome."""
    decisive = [_FORMAT, config.model_dump(mode="json"), options.seed]
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {None if array is None else (array.dtype.str, array.shape)}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def save_checkpoint(state: "State", path: Path, fingerprint: str) -> None:
    """Write a training's state, so that a crash while writing leaves the checkpoint before.

    Of several processes the first one writes, with the random numbers of all of them.

    Raises:
        ModelError: the file cannot be written.
    """
    randoms = _randoms(state)
    if rank():
        return
    content = {
        "fingerprint": fingerprint,
        "progress": json.dumps([state.epoch, state.step, state.seconds, state.best, state.rng.bit_generator.state]),
        "module": state.module.state_dict(),
        "averaged": state.averaged.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "kept": state.kept,
        "randoms": randoms,
    }
    # Two databases of one home may have runs of the same number.
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with _writing(path), fresh.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
            fresh.replace(path)
    except ModelError:
        with suppress(OSError):
            fresh.unlink()
        raise


def make_folder(path: Path) -> None:
    """See that a checkpoint can be written, before an epoch has been trained in vain.

    Raises:
        ModelError: it cannot.
    """
    if rank():
        return
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError("no permission")


def resume(state: "State", path: Path, fingerprint: str) -> bool:
    """Put a training where its checkpoint is, if there is one of this very training; whether there was.

    Of several processes the first one reads, since they may be on machines of their own.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        content = _of_first(lambda: _read(path, fingerprint))
        if content is None:
            return False
        state.epoch, state.step, state.seconds, state.best, random = json.loads(content["progress"])
        state.module.load_state_dict(content["module"])
        state.averaged.load_state_dict(content["averaged"])
        state.optimizer.load_state_dict(content["optimizer"])
        state.kept = {name: value.to(state.device) for name, value in content["kept"].items()}
        state.rng.bit_generator.state = random
        # Of more processes than there were the others go on with what their seed gives.
        of_cpu, of_gpu = dict(enumerate(content["randoms"])).get(rank(), (None, None))
    except _UNREADABLE as error:
        raise ModelError(f"the checkpoint {path} cannot be read ({error}); delete it and train again") from error
    if of_cpu is not None:
        torch.set_rng_state(of_cpu)
    if of_gpu is not None:
        torch.cuda.set_rng_state(of_gpu, state.device)
    return True


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What is wrong with a file that is written, in one line; RuntimeError is how torch tells that a disk is full."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"the checkpoint {path} cannot be written ({error}); make room there, or name another folder by "
            "RECSQL_CHECKPOINTS"
        ) from error


def _read(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """What a checkpoint holds, on the CPU; None where there is none of this training."""
    if not path.exists():
        return None
    content = torch.load(path, map_location="cpu", weights_only=True)
    return content if content["fingerprint"] == fingerprint else None


def _of_first(read: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
    """What the first of the processes reads; what it raises, all raise."""
    if world_size() == 1:
        return read()
    handed: list[Any] = [None]
    if rank() == 0:
        try:
            handed = [read()]
        except _UNREADABLE as error:
            handed = [error]
    distributed.broadcast_object_list(handed)
    if isinstance(handed[0], _UNREADABLE):
        raise handed[0]
    return handed[0]


def forget_stale(folder: Path) -> None:
    """Delete the checkpoints of a folder that nobody has gone on from for two weeks: of runs that were given up."""
    for path in folder.glob("run-*"):
        # Another process may be doing the same.
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - _SECONDS_KEPT:
                path.unlink()


def _randoms(state: "State") -> list[tuple[Tensor, Tensor | None]]:
    """Torch's random numbers of every process, on the CPU and on its GPU if it has one; of dropout each has its own."""
    own = torch.get_rng_state(), torch.cuda.get_rng_state(state.device) if state.device.type == "cuda" else None
    if world_size() == 1:
        return [own]
    of_all: list[tuple[Tensor, Tensor | None]] = [own] * world_size()
    distributed.all_gather_object(of_all, own)
    return of_all
