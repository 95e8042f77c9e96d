"""A clock that tests move: weeks pass at once, and the machine's clock may be wrong.

`install` replaces `time.time`, `time.monotonic` and `time.sleep` of this process. It comes before
the first import of `kb`, whose functions have `time.time` as the default of an argument. Processes
that are forked later share the time.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable

_real_time = time.time
_real_monotonic = time.monotonic
_real_sleep = time.sleep

START = 1_800_000_000.0  # 15 January 2027, 08:00 UTC


class MovedClock:
    """Epoch seconds of the world, and those that the machine shows.

    `pass_s` lets time pass; `asleep` time passes without the machine's monotonic clock. `set_wrong`
    sets the machine's clock off by some seconds, and 0 sets it right again.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 24)  # shared with forked processes
        self._began = _real_monotonic()
        self._write(0.0, 0.0, 0.0)

    def _read(self) -> tuple[float, float, float]:
        passed_s, slept_s, error_s = struct.unpack_from("ddd", self._memory)
        return passed_s, slept_s, error_s

    def _write(self, *values: float) -> None:
        struct.pack_into("ddd", self._memory, 0, *values)

    def pass_s(self, seconds: float) -> None:
        passed_s, slept_s, error_s = self._read()
        self._write(passed_s + seconds, slept_s, error_s)

    def asleep(self, seconds: float) -> None:
        passed_s, slept_s, error_s = self._read()
        self._write(passed_s, slept_s + seconds, error_s)

    def set_wrong(self, seconds: float) -> None:
        passed_s, slept_s, _ = self._read()
        self._write(passed_s, slept_s, seconds)

    def world_time(self) -> float:
        """Return the true time in epoch seconds."""
        passed_s, slept_s, _ = self._read()
        return START + passed_s + slept_s + _real_monotonic() - self._began

    def machine_time(self) -> float:
        """Return the time that the machine shows, in epoch seconds."""
        return self.world_time() + self._read()[2]

    def monotonic(self) -> float:
        return _real_monotonic() + self._read()[0]

    def sleep(self, seconds: float) -> None:
        """Let time pass instead of waiting."""
        self.pass_s(seconds)
        _real_sleep(0)


def really_sleep(seconds: float) -> None:
    """Wait by the real clock."""
    _real_sleep(seconds)


def install() -> MovedClock:
    """Replace the clocks of this process; return the clock that moves them."""
    clock = MovedClock()
    replaced: dict[str, Callable[..., object]] = {
        "time": clock.machine_time,
        "monotonic": clock.monotonic,
        "sleep": clock.sleep,
    }
    for name, function in replaced.items():
        setattr(time, name, function)
    return clock
