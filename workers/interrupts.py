"""Ctrl-C where it may strike: not in the middle of what is written through a library that it would confuse."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self


class Interrupts:
    """While it is entered, SIGINT raises ``KeyboardInterrupt`` only where :meth:`allowed` says so, else at its end.

    Attributes:
        is_asked: whether a signal has come.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._is_allowed = False
        self._before: Any = None

    def __enter__(self) -> Self:
        # Other threads get no signals.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(self, kind: type[BaseException] | None, *others: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if self.is_asked and kind is None:
            raise KeyboardInterrupt

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.is_asked = True
        if self._is_allowed:
            raise KeyboardInterrupt

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Where it may strike; at once if it has come before."""
        with self._set(True):
            self._strike()
            yield

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Within :meth:`allowed`, where it may not; what has come meanwhile strikes afterwards."""
        with self._set(False):
            yield
        self._strike()

    def _strike(self) -> None:
        if self.is_asked:
            raise KeyboardInterrupt

    @contextmanager
    def _set(self, is_allowed: bool) -> Iterator[None]:
        before, self._is_allowed = self._is_allowed, is_allowed
        try:
            yield
        finally:
            self._is_allowed = before
