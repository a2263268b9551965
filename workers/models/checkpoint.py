"""Checkpoints: what a training that was killed goes on from, as if nothing had happened."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

import numpy as np
import torch

from recsql.errors import ModelError
from workers.models.base import ModelConfig, TrainingOptions

if TYPE_CHECKING:
    from workers.models.training import State


def fingerprint_of(config: ModelConfig, options: TrainingOptions, arrays: Mapping[str, np.ndarray | None]) -> str:
    """A digest of everything that decides a training's outcome."""
    digest = hashlib.sha256(json.dumps([config.model_dump(mode="json"), options.seed], sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {None if array is None else (array.dtype.str, array.shape)}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def save_checkpoint(state: "State", path: Path, fingerprint: str) -> None:
    """Write a training's state, so that a crash while writing leaves the checkpoint before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "fingerprint": fingerprint,
        "progress": json.dumps([state.epoch, state.step, state.best, state.rng.bit_generator.state]),
        "module": state.module.state_dict(),
        "averaged": state.averaged.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "kept": state.kept,
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state(state.device) if state.device.type == "cuda" else None,
    }
    # Two databases of one home may have runs of the same number.
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with fresh.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def resume(state: "State", path: Path, fingerprint: str) -> bool:
    """Put a training where its checkpoint is, if there is one of this very training; whether there was.

    Raises:
        ModelError: the file cannot be read.
    """
    if not path.exists():
        return False
    try:
        content = torch.load(path, map_location=state.device, weights_only=True)
        if content["fingerprint"] != fingerprint:
            return False
        state.epoch, state.step, state.best, random = json.loads(content["progress"])
        state.module.load_state_dict(content["module"])
        state.averaged.load_state_dict(content["averaged"])
        state.optimizer.load_state_dict(content["optimizer"])
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, UnpicklingError) as error:
        raise ModelError(f"the checkpoint {path} cannot be read ({error}); delete it and train again") from error
    state.kept = content["kept"]
    state.rng.bit_generator.state = random
    torch.set_rng_state(content["random"].cpu())
    if content["cuda_random"] is not None:
        torch.cuda.set_rng_state(content["cuda_random"].cpu(), state.device)
    return True
