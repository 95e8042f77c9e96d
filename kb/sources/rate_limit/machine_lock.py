"""One lock for the downloads of all libraries on this machine.

The start times of the lane (`kb.sources.rate_limit.download_lane`) are in a library's database.
Two libraries of one analyst would start twice as many downloads from one address, so the next
free time is also written to a small file that all of them share. It is in a folder of this user:
in a temporary folder that all users share, another one could put a link in its place.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from kb.storage import user_folder

log = logging.getLogger(__name__)

LOCK_WAIT_S = 10.0


class MachineWideLock:
    """A lock, and the time at which the next download on this machine may start (epoch seconds).

    The time is by this machine's own clock (`clock`): its libraries may be in the databases of
    several servers. Without a usable folder each library has its own rate.
    """

    def __init__(
        self, folder: Path | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._file = (folder or user_folder()) / "downloads.pace"

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Lock the time during the block, so that no other process reads or sets it."""
        lock = FileLock(f"{self._file}.lock", timeout=LOCK_WAIT_S)
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock.acquire()
        except (OSError, Timeout, NotImplementedError) as error:
            log.debug("no lock for the machine's downloads: %s", error)
            yield
            return
        try:
            yield
        finally:
            lock.release()

    def left_s(self) -> float:
        """Return the seconds until the next free time; 0 or less if it has come."""
        return self.next_at() - self._clock()

    def pause(self, seconds: float) -> None:
        """Let no download start for so many seconds."""
        self.set_next_at(self._clock() + seconds)

    def next_at(self) -> float:
        """Return the next free time in epoch seconds, 0.0 when none was set yet."""
        try:
            until = float(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0.0
        return until if math.isfinite(until) else 0.0

    def set_next_at(self, until: float) -> None:
        """Set the time (epoch seconds) before which no download may start."""
        try:
            self._file.write_text(repr(until), encoding="ascii")
        except OSError as error:
            log.debug("the time of the next download cannot be stored: %s", error)
