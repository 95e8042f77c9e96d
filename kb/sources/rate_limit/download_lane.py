"""The rate limit of downloads: start times and pauses, shared by all processes of a machine.

Both are stored in a row of the database. A download starts at the next free time. A site that
refuses for too many requests pauses the whole lane; each further refusal in a row doubles the
pause. The other stages process media that are fetched already during a pause.
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
from kb.errors import KBError, LanePaused, MediaUnavailable, StoredProblem, restored
from kb.settings import Settings
from kb.sources.rate_limit.machine_lock import MachineWideLock
from kb.types.clock import age_s, has_come

DOWNLOADS = "download"
# One forbidden medium may have its own cause; this many in a row show that the site blocks us.
FORBIDDEN_IN_A_ROW = 3
# After this many cool-down times without a refusal, the next refusal counts as the first again.
STRIKE_EXPIRY_COOLDOWNS = 4.0
_SLICE_S = 0.5


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """The state of a lane; `paused_until` is in epoch seconds, None when the lane runs."""

    name: str
    paused_until: float | None
    reason: str
    strikes: int
    problem: StoredProblem | None = None  # code and values of the reason


class DownloadRateLimiter:
    """The lane of downloads on this machine; safe between threads and processes.

    `clock` returns epoch seconds, without one the database's clock counts; `sleep` waits;
    `uniform(low, high)` draws a pause in seconds; `machine_lock` is shared with the other libraries
    on the machine. Methods raise LibraryError when the database cannot be used.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
        machine_lock: MachineWideLock | None = None,
    ) -> None:
        # Machines that share a database have their own addresses, and so their own limits.
        self.name = DOWNLOADS if database.is_sqlite else f"{DOWNLOADS}@{socket.gethostname()}"
        self._forbidden_name = f"{self.name}:403"
        self._database = database
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        # A test's clock is unrelated to the start times of the machine.
        self._machine_lock = machine_lock or (MachineWideLock() if clock is None else None)

    def acquire(self, check: Callable[[], None] = lambda: None) -> None:
        """Wait until a download may start, and store its start time.

        `check` is called while waiting and may raise Cancelled. Raises LanePaused.
        """
        while True:
            check()
            left_s = self._try_acquire()
            if left_s <= 0:
                return
            self._sleep(min(left_s, _SLICE_S))

    def _try_acquire(self) -> float:
        """Store a start at the current time and return 0.0, or return the seconds to wait.

        Times are never reserved in advance: a process that died would keep its reserved times,
        and no download would start then.
        """
        low = self._settings.download_pause_s
        high = max(low, self._settings.download_pause_max_s) if low else 0.0
        if not low or self._machine_lock is None:
            return self._try_acquire_local(low, high)[0]
        with self._machine_lock.acquire():
            # A time further away than the longest pause is ignored: a library with longer pauses
            # set it, or the clock was set back.
            left_s = self._machine_lock.left_s()
            if 0 < left_s <= high:
                return left_s
            left_s, pause_s = self._try_acquire_local(low, high)
            if left_s <= 0:
                self._machine_lock.pause(pause_s)
            return left_s

    def _try_acquire_local(self, low: float, high: float) -> tuple[float, float]:
        """Do the same with this library's own row; also return the drawn pause in seconds."""
        with self._database.begin() as connection:
            row = self._row(connection, self.name)
            now = self._now(connection)
            paused_until = row.paused_until
            if has_come(paused_until, now, written_at=row.updated_at):
                left_s: float = row.next_at - now
                # A time further away than the longest pause: the clock was set back.
                if 0 < left_s <= high:
                    return left_s, 0.0
                pause_s = self._uniform(low, high) if low else 0.0
                connection.execute(
                    sa.update(lanes).where(lanes.c.name == self.name).values(next_at=now + pause_s)
                )
                return 0.0, pause_s
        raise self._pause_error(paused_until, restored(row.reason, problem=row.problem))

    def report_throttled(self, reason: str | KBError) -> LanePaused:
        """Pause the lane after a refusal for too many requests; return the error to raise.

        `reason` is the site's own message, or an error with a code. Refusals of running
        downloads do not change a lane that is already paused.
        """
        cause = reason if isinstance(reason, KBError) else restored(reason)
        with self._database.begin() as connection:
            row = self._row(connection, self.name)
            now = self._now(connection)
            if not has_come(row.paused_until, now, written_at=row.updated_at):
                return self._pause_error(
                    row.paused_until, restored(row.reason, problem=row.problem)
                )
            quiet_s = age_s(row.paused_until, now)
            strikes = row.strikes
            longest_s = STRIKE_EXPIRY_COOLDOWNS * self._cooldown_s(max(strikes, 1))
            if quiet_s is None or quiet_s > longest_s:
                strikes = 0
            strikes += 1
            until = now + self._cooldown_s(strikes)
            connection.execute(
                sa.update(lanes)
                .where(lanes.c.name == self.name)
                .values(
                    paused_until=until,
                    reason=cause.message,
                    problem=cause.problem,
                    strikes=strikes,
                    updated_at=now,
                )
            )
        return self._pause_error(until, cause)

    def report_forbidden(self, item_id: str, reason: str) -> LanePaused | None:
        """Count a medium that was forbidden (403) in all attempts.

        Returns the error to raise when `FORBIDDEN_IN_A_ROW` different media pause the lane.
        """
        with self._database.begin() as connection:
            row = self._row(connection, self._forbidden_name)
            if row.reason == item_id:
                return None  # the same medium again is no new evidence
            count = row.strikes + 1
            connection.execute(
                sa.update(lanes)
                .where(lanes.c.name == self._forbidden_name)
                .values(
                    strikes=0 if count >= FORBIDDEN_IN_A_ROW else count,
                    reason=item_id,
                    updated_at=self._now(connection),
                )
            )
        if count < FORBIDDEN_IN_A_ROW:
            return None
        return self.report_throttled(
            MediaUnavailable(
                "downloads.forbidden_series",
                "{count} media in a row were forbidden: {reason}",
                hint="The site may want a pause or a login.",
                count=count,
                reason=reason,
            )
        )

    def report_success(self) -> None:
        """Record a complete download: the count of forbidden media in a row returns to zero."""
        with self._database.begin() as connection:
            connection.execute(
                sa.update(lanes)
                .where(lanes.c.name == self._forbidden_name, lanes.c.strikes > 0)
                .values(strikes=0, reason="", updated_at=self._now(connection))
            )

    def status(self) -> LaneStatus:
        """Return the current state of the lane."""
        with self._database.begin() as connection:
            row = connection.execute(
                sa.select(lanes).where(lanes.c.name == self.name)
            ).one_or_none()
            now = self._now(connection)
        if row is None:
            return LaneStatus(self.name, None, "", 0)
        paused = not has_come(row.paused_until, now, written_at=row.updated_at)
        return LaneStatus(
            self.name,
            row.paused_until if paused else None,
            row.reason if paused else "",
            row.strikes,
            row.problem if paused else None,
        )

    def resume(self) -> None:
        """End the pause; the next pause has the length of a first one."""
        with self._database.begin() as connection:
            connection.execute(
                sa.update(lanes)
                .where(lanes.c.name == self.name)
                .values(
                    paused_until=None,
                    reason="",
                    problem=None,
                    strikes=0,
                    updated_at=self._now(connection),
                )
            )

    def _now(self, connection: sa.Connection) -> float:
        """Return the time of pauses and starts in epoch seconds, within a transaction."""
        return self._database.time(connection) if self._clock is None else self._clock()

    def _cooldown_s(self, strikes: int) -> float:
        longest = max(self._settings.download_cooldown_s, self._settings.download_cooldown_max_s)
        # The exponent is bounded: 2.0 ** 2000 is an error, not infinity.
        return float(min(longest, self._settings.download_cooldown_s * 2.0 ** min(strikes - 1, 30)))

    def _row(self, connection: sa.Connection, name: str) -> sa.Row[tuple[object, ...]]:
        """Return the lane's row, created if missing and locked to the end of the transaction."""
        self._database.insert_if_missing(
            connection, lanes, name=name, reason="", strikes=0, next_at=0.0, updated_at=0.0
        )
        return connection.execute(
            sa.select(lanes).where(lanes.c.name == name).with_for_update()
        ).one()

    def _pause_error(self, until: float, cause: KBError) -> LanePaused:
        when = datetime.fromtimestamp(until).astimezone()
        error = LanePaused(
            "downloads.paused",
            "Downloads rest until {time}: {reason}",
            hint="They go on by themselves, more slowly if it happens again; recognition of what "
            "is fetched goes on meanwhile. A longer KB_DOWNLOAD_PAUSE_S avoids it.",
            until=until,
            time=f"{when:%H:%M:%S}",
            reason=cause if cause.code else cause.message,
        )
        error.lane = self.name
        return error
