"""Training by several processes of this machine, one a GPU or a few cores each.

Only they train: what they need is handed to them, and what they have learnt is handed back, so that the process that
asked is the only one at the database.
"""

import json
import os
import pickle
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import ProcessException, spawn

from recsql.errors import ModelError
from workers import launched
from workers.models.base import Model, TrainingData, TrainingOptions, ignore
from workers.models.registry import get_model, load_artifact, save_artifact
from workers.models.training import TrainingConfig

_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_OF_GRACE = 5
_PREFIX = "recsql-training-"


def fit_together(model: Model, data: TrainingData, options: TrainingOptions, n_processes: int) -> dict[str, float]:
    """Train a model as ``model.fit(data, options)`` does, each step's batch shared out among processes.

    Every process makes the step that one alone would make, so the result is the same but for rounding, and for dropout,
    which each draws for its own share. They go on from the same checkpoint.

    Where ``torchrun`` started several processes, it is these that share it. A model with a training of its own, as ALS,
    is trained in this process alone.

    Args:
        model: it takes over what was learnt.
        data: what to learn from.
        options: how.
        n_processes: how many; 1 trains in this process.

    Raises:
        ModelError: training failed, a process ended before it was done, there are fewer GPUs than processes, or
            processes are asked for under ``torchrun``.
    """
    if not isinstance(model.config, TrainingConfig):
        return model.fit(data, options)
    if launched.is_led():
        if n_processes > 1:
            raise ModelError("torchrun has started the processes: leave out --processes and RECSQL_PROCESSES")
        return launched.fit(model, data, options)
    if n_processes == 1:
        return model.fit(data, options)
    if options.device.startswith("cuda") and torch.cuda.device_count() < n_processes:
        raise ModelError(f"there are {torch.cuda.device_count()} GPUs for {n_processes} processes; use fewer processes")
    _forget_killed()
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as name:
        folder = Path(name)
        told = get_context("spawn").SimpleQueue()
        n_threads = max(1, torch.get_num_threads() // n_processes)
        handed = (model.name, model.config, data, replace(options, progress=_silent, measured=ignore))
        # Through a file, since to write to a process that has ended already would end this one as well.
        (folder / "handed").write_bytes(pickle.dumps(handed))
        context: Any = spawn(
            _train_share, (n_processes, n_threads, folder, told), nprocs=n_processes, join=False, daemon=True
        )
        try:
            while not context.join(_SECONDS_BETWEEN_LOOKS, _SECONDS_OF_GRACE):
                _pass_on(told, options)
        except ProcessException as error:
            raise _explained(folder, error) from error
        except BaseException:
            for process in context.processes:
                process.kill()
                process.join()
            raise
        _pass_on(told, options)
        model.restore(load_artifact((folder / "artifact").read_bytes()).state())
        model.use_device(options.device)
        return json.loads((folder / "measured").read_text())


def _forget_killed() -> None:
    """Delete what a training that was killed had handed to its processes."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):
            if pid.isdecimal() and folder.stat().st_uid == os.getuid() and not Path(f"/proc/{pid}").exists():
                shutil.rmtree(folder)


def _silent(done: int, total: int, note: str) -> None:
    """Progress that nobody is told of."""


def _pass_on(told: Any, options: TrainingOptions) -> None:
    while not told.empty():
        options.progress(*told.get())


def _explained(folder: Path, error: ProcessException) -> ModelError:
    """Why training failed: what a process said of it, else that it ended."""
    reason = folder / "error"
    if reason.exists():
        return ModelError(reason.read_text())
    last = str(error).strip().splitlines()[-1]
    return ModelError(f"a process of the training ended before it was done ({last}); train with fewer processes")


def _train_share(rank: int, n_processes: int, n_threads: int, folder: Path, told: Any) -> None:
    """What one of the processes does; the first one tells of progress and writes down the result."""
    # Ctrl-C, or the end of the process that asked, also where torch waits for the others.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    name, config, data, options = pickle.loads((folder / "handed").read_bytes())  # noqa: S301 - we wrote it just now
    torch.set_num_threads(n_threads)
    is_first, on_gpu = rank == 0, options.device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(rank)
        options = replace(options, device=f"cuda:{rank}")
    if is_first:
        options = replace(options, progress=lambda *progress: told.put(progress))
    with _group("nccl" if on_gpu else "gloo", folder, rank, n_processes):
        model = get_model(name)(config)
        try:
            measured = model.fit(data, options)
        except ModelError as error:
            (folder / "error").write_text(str(error))
            sys.exit(1)
        if is_first:
            (folder / "artifact").write_bytes(save_artifact(model))
            (folder / "measured").write_text(json.dumps(measured))


@contextmanager
def _group(backend: str, folder: Path, rank: int, n_processes: int) -> Iterator[None]:
    place = (folder / "rendezvous").as_uri()
    distributed.init_process_group(backend, init_method=place, rank=rank, world_size=n_processes)
    yield
    distributed.destroy_process_group()
