"""Training by processes that ``torchrun`` started, on one machine or on several.

The first process does what the command says, and is the only one at the database. The others wait until it trains a
model that learns by gradients, train their share of it, and end with the command.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from recsql.cli.output import console

if TYPE_CHECKING:
    from workers.models.base import Model, TrainingData, TrainingOptions

_LONGEST_WAIT = timedelta(days=7)
"""Of one process for another: the stages between two trainings are part of it."""
_SECONDS_OF_GRACE = 5


class _Launch:
    """Where the first of the processes is.

    Attributes:
        is_led: whether the others wait for what it tells them.
        is_joined: whether they have met.
        has_failed: whether a training ended otherwise than it should, so that nobody waits for a word.
    """

    is_led = False
    is_joined = False
    has_failed = False


def is_other() -> bool:
    """Whether ``torchrun`` started this process, and another one is the first."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["RANK"]) > 0


def is_led() -> bool:
    """Whether there are others that train with this process."""
    return _Launch.is_led


@contextmanager
def leading() -> Iterator[None]:
    """Be the first of the processes that ``torchrun`` started, if it did; the others end afterwards."""
    _Launch.is_led = "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1
    if not _Launch.is_led:
        yield
        return
    from workers.models.processes import alone

    try:
        with alone():
            yield
    finally:
        # After a failure they may wait for a share of a step, and torchrun ends them.
        if not _Launch.has_failed:
            _tell(None)
        _Launch.is_led = False


def fit(model: "Model", data: "TrainingData", options: "TrainingOptions") -> dict[str, float]:
    """Train a model with the others, as ``model.fit(data, options)`` does alone."""
    from workers.models.base import ignore
    from workers.models.processes import together

    _tell((model.name, model.config, data, replace(options, progress=_silent, measured=ignore)))
    try:
        with together():
            return model.fit(data, replace(options, device=_own(options.device)))
    except BaseException:
        _Launch.has_failed = True
        raise


def train_shares() -> None:
    """Train with the first process whatever it trains, until it is done."""
    from torch import distributed

    from recsql.errors import ModelError
    from workers.device import get_device
    from workers.models.registry import get_model

    # Ctrl-C, also where torch waits for the others.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    device = _own(get_device())
    _join()
    while True:
        told: list[Any] = [None]
        distributed.broadcast_object_list(told)
        if told[0] is None:
            break
        name, config, data, options = told[0]
        try:
            get_model(name)(config).fit(data, replace(options, device=device))
        except ModelError as error:
            console.print(f"Process {distributed.get_rank()}: {error}", markup=False, highlight=False, soft_wrap=True)
            # Most often the first one has it too, and time to say so before torchrun ends them all.
            time.sleep(_SECONDS_OF_GRACE)
            sys.exit(1)
    distributed.destroy_process_group()


def _silent(done: int, total: int, note: str) -> None:
    """Progress that nobody is told of."""


def _own(device: str) -> str:
    """A GPU for each process of a machine."""
    if not device.startswith("cuda"):
        return device
    import torch

    nth = int(os.environ["LOCAL_RANK"])
    torch.cuda.set_device(nth)
    return f"cuda:{nth}"


def _join() -> None:
    import torch
    from torch import distributed

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=_LONGEST_WAIT)


def _tell(what: Any) -> None:
    """Hand the others what they are to train, or None: that it is over."""
    from torch import distributed

    if not _Launch.is_joined:
        _join()
        _Launch.is_joined = True
    distributed.broadcast_object_list([what])
    if what is None:
        distributed.destroy_process_group()
        _Launch.is_joined = False
