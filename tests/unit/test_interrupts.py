"""Ctrl-C strikes where it may, and is not forgotten elsewhere."""

import signal

import pytest

from workers.interrupts import Interrupts


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_interrupt_strikes_at_once_where_it_is_allowed() -> None:
    reached = []

    def work() -> None:
        with Interrupts() as interrupts, interrupts.allowed():
            press()
            reached.append("behind")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == []


def test_interrupt_waits_for_the_end_elsewhere() -> None:
    reached = []

    def work() -> None:
        with Interrupts() as interrupts:
            press()
            reached.append(interrupts.is_asked)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == [True]


def test_interrupt_that_came_before_strikes_on_entering() -> None:
    reached = []

    def work() -> None:
        with Interrupts() as interrupts:
            press()
            with interrupts.allowed():
                reached.append("within")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == []


def test_interrupt_that_was_held_back_strikes_afterwards() -> None:
    reached = []

    def work() -> None:
        with Interrupts() as interrupts, interrupts.allowed():
            with interrupts.held_back():
                press()
                reached.append("held back")
            reached.append("behind")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["held back"]


def test_interrupts_give_the_signal_back_and_do_not_hide_errors() -> None:
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        with Interrupts():
            press()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        work()
    assert signal.getsignal(signal.SIGINT) is before
