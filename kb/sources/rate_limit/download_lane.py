"""The pace of downloads: one limiter and one brake for all processes on a machine.

Both live in a row of the database. Whoever wants to begin a download draws the next free
moment; a site that says "too much" stops the lane for everybody, each time in a row for twice
as long, while what is fetched already goes on through the other stages.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from kb.database import Database, lanes
from kb.errors import LanePaused
from kb.settings import Settings
from kb.sources.rate_limit.machine_lock import MachineWideLock

DOWNLOADS = "download"
# One medium may be forbidden for reasons of its own; so many different ones in a row mean us.
FORBIDDEN_IN_A_ROW = 3
# Without a further complaint for this many cool-downs the next one counts as the first again.
STRIKE_EXPIRY_COOLDOWNS = 4.0
_SLICE_S = 0.5


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """How a lane stands; `paused_until` in epoch seconds, None when it runs."""

    name: str
    paused_until: float | None
    reason: str
    strikes: int


class DownloadRateLimiter:
    """The lane of downloads on this machine; safe between threads and processes.

    `clock` gives epoch seconds, `sleep` waits, `draw(low, high)` picks a pause; `gate` is shared
    with the other libraries on the machine. Methods raise LibraryError when the database cannot
    be used.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
        machine_lock: MachineWideLock | None = None,
    ) -> None:
        # Machines that share a database have addresses of their own, and so do their limits.
        self.name = DOWNLOADS if database.is_sqlite else f"{DOWNLOADS}@{socket.gethostname()}"
        self._forbidden_name = f"{self.name}:403"
        self._database = database
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        # A clock of one's own says nothing about the machine's moments.
        self._machine_lock = machine_lock or (MachineWideLock() if clock is time.time else None)

    def acquire(self, check: Callable[[], None] = lambda: None) -> None:
        """Wait for the next free moment to begin a download, and take it.

        `check` is called while waiting and may raise Cancelled. Raises LanePaused.
        """
        while True:
            check()
            left_s = self._try_acquire()
            if left_s <= 0:
                return
            self._sleep(min(left_s, _SLICE_S))

    def _try_acquire(self) -> float:
        """Take the moment if it is free; the seconds until it may be, if it is not.

        Moments are never given out ahead: those of processes that died would be lost, and
        the lane would stand still for nothing.
        """
        low = self._settings.download_pause_s
        high = max(low, self._settings.download_pause_max_s) if low else 0.0
        if not low or self._machine_lock is None:
            return self._try_acquire_local(low, high)[0]
        with self._machine_lock.acquire():
            # More than the longest pause away: of a library with longer ones, or the clock was
            # set back.
            left_s = self._machine_lock.next_at() - self._clock()
            if 0 < left_s <= high:
                return left_s
            left_s, pause_s = self._try_acquire_local(low, high)
            if left_s <= 0:
                self._machine_lock.set_next_at(self._clock() + pause_s)
            return left_s

    def _try_acquire_local(self, low: float, high: float) -> tuple[float, float]:
        """The same by this library's own row; with the pause that was drawn."""
        with self._database.begin() as connection:
            row = self._row(connection, self.name)
            now = self._clock()
            paused_until = row.paused_until
            if paused_until is None or paused_until <= now:
                left_s: float = row.next_at - now
                # More than the longest pause away: the clock was set back.
                if 0 < left_s <= high:
                    return left_s, 0.0
                pause_s = self._uniform(low, high) if low else 0.0
                connection.execute(
                    sa.update(lanes).where(lanes.c.name == self.name).values(next_at=now + pause_s)
                )
                return 0.0, pause_s
        raise self._pause_error(paused_until, row.reason)

    def report_throttled(self, reason: str) -> LanePaused:
        """The site said that it is too much: pause the lane. Returns the error to raise.

        While the lane is paused already, complaints of downloads still under way change
        nothing.
        """
        with self._database.begin() as connection:
            row = self._row(connection, self.name)
            now = self._clock()
            if row.paused_until is not None and row.paused_until > now:
                return self._pause_error(row.paused_until, row.reason)
            quiet_s = now - (row.paused_until or 0.0)
            strikes = row.strikes
            if quiet_s > STRIKE_EXPIRY_COOLDOWNS * self._cooldown_s(max(strikes, 1)):
                strikes = 0
            strikes += 1
            until = now + self._cooldown_s(strikes)
            connection.execute(
                sa.update(lanes)
                .where(lanes.c.name == self.name)
                .values(paused_until=until, reason=reason, strikes=strikes, updated_at=now)
            )
        return self._pause_error(until, reason)

    def report_forbidden(self, item_id: str, reason: str) -> LanePaused | None:
        """Count a medium that was forbidden (403) to the end.

        Returns the error to raise when that many different ones in a row pause the lane.
        """
        with self._database.begin() as connection:
            row = self._row(connection, self._forbidden_name)
            if row.reason == item_id:
                return None  # the same one again tells nothing new
            count = row.strikes + 1
            connection.execute(
                sa.update(lanes)
                .where(lanes.c.name == self._forbidden_name)
                .values(
                    strikes=0 if count >= FORBIDDEN_IN_A_ROW else count,
                    reason=item_id,
                    updated_at=self._clock(),
                )
            )
        if count < FORBIDDEN_IN_A_ROW:
            return None
        return self.report_throttled(f"{count} media in a row were forbidden: {reason}")

    def report_success(self) -> None:
        """A download arrived: the row of forbidden ones is broken."""
        with self._database.begin() as connection:
            connection.execute(
                sa.update(lanes)
                .where(lanes.c.name == self._forbidden_name, lanes.c.strikes > 0)
                .values(strikes=0, reason="", updated_at=self._clock())
            )

    def status(self) -> LaneStatus:
        """How the lane stands now."""
        with self._database.begin() as connection:
            row = connection.execute(
                sa.select(lanes).where(lanes.c.name == self.name)
            ).one_or_none()
        if row is None:
            return LaneStatus(self.name, None, "", 0)
        paused = row.paused_until is not None and row.paused_until > self._clock()
        return LaneStatus(
            self.name,
            row.paused_until if paused else None,
            row.reason if paused else "",
            row.strikes,
        )

    def resume(self) -> None:
        """Lift the pause by hand; the growth of the next one is forgotten too."""
        with self._database.begin() as connection:
            connection.execute(
                sa.update(lanes)
                .where(lanes.c.name == self.name)
                .values(paused_until=None, reason="", strikes=0, updated_at=self._clock())
            )

    def _cooldown_s(self, strikes: int) -> float:
        longest = max(self._settings.download_cooldown_s, self._settings.download_cooldown_max_s)
        # The exponent is bounded: 2.0 ** 2000 is an error, not infinity.
        return float(min(longest, self._settings.download_cooldown_s * 2.0 ** min(strikes - 1, 30)))

    def _row(self, connection: sa.Connection, name: str) -> sa.Row[tuple[object, ...]]:
        """The lane's row, made if missing and held to the end of the transaction."""
        self._database.insert_if_missing(
            connection, lanes, name=name, reason="", strikes=0, next_at=0.0, updated_at=0.0
        )
        return connection.execute(
            sa.select(lanes).where(lanes.c.name == name).with_for_update()
        ).one()

    def _pause_error(self, until: float, reason: str) -> LanePaused:
        when = datetime.fromtimestamp(until).astimezone()
        error = LanePaused(
            f"Downloads rest until {when:%H:%M:%S}: {reason}",
            hint="They go on by themselves, more slowly if it happens again; recognition of what "
            "is fetched goes on meanwhile. A longer KB_DOWNLOAD_PAUSE_S avoids it.",
            until=until,
        )
        error.lane = self.name
        return error
