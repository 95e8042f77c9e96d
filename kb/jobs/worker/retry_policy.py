"""Retry policy: decides about a failed item and about pauses of the item lane.

An item is retried, postponed or failed.
"""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kb.database import Database
from kb.errors import KBError, LibraryError, ModelUnavailable, RetryLater
from kb.inference.crash import InferenceProcessCrashed
from kb.jobs.queue import retry_schedule
from kb.jobs.queue.item_states import FAILED, WAITING
from kb.jobs.queue.machine_needs import OF_THIS_MACHINE
from kb.storage.free_space import BELOW_FLOOR, NO_ROOM
from kb.types.clock import known_time

MAX_ATTEMPTS = 5
FIRST_BACKOFF_S = 5.0
LONGEST_BACKOFF_S = 900.0
LANE_PAUSE_S = 60.0  # after a full disk, a locked database or a missing folder
# A file of another account: that of a worker on another machine may be able to use it.
OF_ANOTHER_ACCOUNT = frozenset(("storage.of_another_account", "index.of_another_account"))
FULL_DISK_BYTES = 8 * 2**20
# A refused write of a folder that can be written to now: of this file alone, or of a share that was
# read-only for a moment.
MAY_HAVE_PASSED = frozenset(("storage.not_allowed",))

_QUOTA = getattr(errno, "EDQUOT", errno.ENOSPC)
_FULL_CODES = (
    BELOW_FLOOR, NO_ROOM, "storage.disk_full", "database.disk_full", "download.disk_full",
    "index.disk_full", "backup.disk_full", "model.disk_full",
)  # fmt: skip

# A system's error inside a message of LanceDB, whose errors have no number.
_OS_ERROR = re.compile(r"\(os error (\d+)\)")

# Errors of the whole disk, for whichever item they occur first.
_DISK_ERRNOS = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "ENODEV", "ESTALE")
    if hasattr(errno, name)
}
_WINDOWS_DISK_ERRORS = {19, 39, 64, 112}  # write-protected, full, share gone, full


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """The item's next state; `until`: time of the next attempt; `lane_reason` pauses the lane.

    `failing_since` is the time of the first failure of a series whose cause can pass, or the time
    at which a medium was to come out. All times are in epoch seconds.
    """

    state: str
    attempts: int
    until: float | None = None
    lane_reason: KBError | None = None
    failing_since: float | None = None


def decide(
    error: KBError,
    attempts: int,
    *,
    systemic: bool,
    now: float,
    failing_since: float | None = None,
    retry_days: float = 0.0,
) -> RetryDecision:
    """Decide about an item that failed with `error` after `attempts` earlier attempts.

    System-wide and not-yet-available errors do not count as attempts, nor do those of a model's
    fetch that may pass. A failure whose cause can pass is tried again by the schedule of
    `kb.jobs.queue.retry_schedule`, which lasts `retry_days` from `failing_since` on. `now` is the
    present time of the clock that all times are of: the database's.
    """
    since = known_time(failing_since, now)
    if isinstance(error, RetryLater) and error.code in retry_schedule.NOT_OUT:
        return _not_out(error, attempts, now, since, retry_days)
    if isinstance(error, RetryLater):
        until = error.until or now + LONGEST_BACKOFF_S
        return RetryDecision(WAITING, attempts, until, failing_since=since)
    if isinstance(error, ModelUnavailable) and error.retryable:
        # The hub or the disk of the models: items whose model is here go on.
        until = error.until or now + LANE_PAUSE_S
        return RetryDecision(WAITING, attempts, until, failing_since=since)
    if error.code in OF_THIS_MACHINE:
        # Another machine may serve the item. The wait is longer than an idle worker stays.
        until = now + LONGEST_BACKOFF_S + LANE_PAUSE_S
        return RetryDecision(WAITING, attempts, until, failing_since=since)
    if systemic:
        return RetryDecision(WAITING, attempts, now + LANE_PAUSE_S, error, since)
    attempts += 1
    if (error.retryable or error.code in MAY_HAVE_PASSED) and attempts < MAX_ATTEMPTS:
        return RetryDecision(WAITING, attempts, now + backoff_s(attempts), failing_since=since)
    if not retry_schedule.is_recorded(error.problem):
        return RetryDecision(FAILED, attempts)
    next_at = None
    if retry_schedule.can_pass(error.problem):
        next_at = retry_schedule.next_attempt(since, now, retry_days)
    return RetryDecision(FAILED, attempts, next_at, failing_since=now if since is None else since)


def _not_out(
    error: RetryLater, attempts: int, now: float, since: float | None, retry_days: float
) -> RetryDecision:
    """Decide about a medium that is not out yet, or live."""
    until = retry_schedule.next_look_at_premiere(since, now, error.until, retry_days)
    if until is None:
        return RetryDecision(FAILED, attempts + 1, failing_since=since)
    # With a known day the waits grow from that day on.
    begin = until if until == error.until else now if since is None else since
    return RetryDecision(WAITING, attempts, until, failing_since=begin)


def is_systemic(error: KBError, home: Path) -> bool:
    """Return whether an error concerns no single item.

    Examples: a full disk, a read-only folder, a locked database, a recognizer that cannot start, a
    file that belongs to another account.
    """
    if error.code in OF_ANOTHER_ACCOUNT:
        return True
    if isinstance(error, InferenceProcessCrashed):
        return True
    if isinstance(error, LibraryError):
        if error.code.startswith("database.") and error.code != "database.refused":
            return True  # of the server and its login too: no item is to blame for them
        cause = error.__cause__
        if error.retryable or (isinstance(cause, OSError) and cause.errno in _DISK_ERRNOS):
            return True
        if isinstance(cause, PermissionError) and not os.access(home / "media", os.W_OK):
            return True
    return _index_on_bad_disk(error) or _disk_is_full(home)


def concerns_folder(code: str) -> bool:
    """Return True for the code of an error of the folder's disk, which may pass at any moment."""
    return code.startswith(("storage.", "index.")) or code in _FULL_CODES


def is_full_disk(error: KBError) -> bool:
    """Return True for an error of a disk without room, by its code or by its cause."""
    cause = error.__cause__
    full = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, _QUOTA)
    return full or error.code in _FULL_CODES


def library_missing_too_long(home: Path, waited_s: float) -> LibraryError:
    """Return the error of a worker whose library folder stayed missing."""
    return LibraryError(
        "library.missing_too_long",
        "The library folder {home} has been gone for {waited_s:.0f} s: this worker ends.",
        hint="Bring it back, or set KB_HOME to where it is now; then start it again: kb worker",
        home=home,
        waited_s=waited_s,
    )


def unexpected(error: Exception, database: Database) -> KBError:
    """Return an unexpected error as a KBError for the item's row.

    An error of the database that reached this place keeps its meaning: a lock passes.
    """
    found = database.explain(error)
    if found is not None:
        return found
    first = (str(error).splitlines() or [""])[0]
    return KBError(
        "item.unexpected",
        "{kind}: {reason}",
        hint="This should not happen; the worker's log has the details.",
        kind=type(error).__name__,
        reason=first,
    )


def backoff_s(attempt: int, pick: Callable[[float, float], float] = random.uniform) -> float:
    """Return the seconds before the next attempt: doubled each time, with random jitter.

    The result is uniformly distributed over the upper half of the interval.
    """
    longest = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** max(0, attempt - 1))
    return pick(longest / 2, longest)


def _index_on_bad_disk(error: KBError) -> bool:
    """Return True if the disk, not the content of the index, is the cause of its error."""
    if not error.code.startswith("index."):
        return False
    numbers = {int(number) for number in _OS_ERROR.findall(error.message)}
    return bool(numbers & (_WINDOWS_DISK_ERRORS if os.name == "nt" else _DISK_ERRNOS))


def _disk_is_full(home: Path) -> bool:
    # An index or a downloader reports a full disk with other errors.
    try:
        return shutil.disk_usage(home).free < FULL_DISK_BYTES
    except OSError:
        return False
