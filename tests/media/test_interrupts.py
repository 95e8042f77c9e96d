"""Signals that come while PyAV reads: none is lost, at whatever step of the switch it comes."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from kb.media import interrupts
from kb.types.end_signals import END_SIGNALS

_SWITCH = (interrupts.__file__, contextlib.__file__)  # the code whose steps are interrupted


class Ended(BaseException):
    """Raised by the test's handlers."""


def end(number: int, frame: FrameType | None) -> None:
    raise Ended(signal.Signals(number).name)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Set handlers that raise, for all signals that ask a process to end."""
    earlier = {number: signal.signal(number, end) for number in END_SIGNALS}
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)


def interrupted(number: signal.Signals, step: int) -> tuple[str, bool]:
    """Send the signal before the step of the switch of this number.

    Return the name of the signal that ended the block, and whether there was such a step.
    """
    steps = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        if frame.f_code.co_filename not in _SWITCH:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            steps += 1
            if steps == step:
                signal.raise_signal(number)
        return trace

    said = ""
    before = sys.gettrace()
    try:
        sys.settrace(trace)
        with interrupts.interrupts_deferred():
            pass
    except Ended as ended:
        said = str(ended)
    finally:
        sys.settrace(before)
    return said, steps >= step


@pytest.mark.parametrize("number", END_SIGNALS, ids=lambda number: number.name)
def test_a_signal_at_any_step_ends_the_block(number: signal.Signals) -> None:
    step, lost, left = 1, [], []
    while True:
        said, is_there = interrupted(number, step)
        if not is_there:
            break
        if said != number.name:
            lost.append(step)
        # What the switch has left in place does what the handlers do
        for each in END_SIGNALS:
            try:
                signal.raise_signal(each)
            except Ended:
                continue
            left.append((step, each.name))
        step += 1
    assert step > 100
    assert not lost
    assert not left


def test_a_signal_in_the_block_waits_for_its_end() -> None:
    done = []
    with pytest.raises(Ended, match="SIGINT"), interrupts.interrupts_deferred():
        signal.raise_signal(signal.SIGINT)
        done.append("block")
    assert done == ["block"]
    assert all(signal.getsignal(number) is end for number in END_SIGNALS)


def test_the_handlers_are_back_behind_the_block() -> None:
    with interrupts.interrupts_deferred():
        assert not any(signal.getsignal(number) is end for number in END_SIGNALS)
    assert all(signal.getsignal(number) is end for number in END_SIGNALS)


def test_what_a_handler_sets_stays() -> None:
    """A task ends once: its handler ignores the signals that follow."""

    def once(number: int, frame: FrameType | None) -> None:
        for each in END_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Ended(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, once)
    with pytest.raises(Ended, match="SIGTERM"), interrupts.interrupts_deferred():
        signal.raise_signal(signal.SIGTERM)
    assert all(signal.getsignal(number) is signal.SIG_IGN for number in END_SIGNALS)
