"""Log lines of one cause: the first one is written, the others are counted.

While a database is away, every thread of a worker and of its queue reports each of its attempts.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dbos import error as dbos_error

from kb.errors import KBError

EVERY_S = 60.0  # between two lines of one cause
FULL_EVERY_S = 3600.0  # a full disk stays so for hours
QUIET_S = 4.0  # after which the database counts as back
DATABASE, FULL_DISK, TAKEN_OVER = "database", "full disk", "taken over"
_FULL = re.compile(
    r"no space left on device|errno 28\b|disk is full|disk full|disk quota exceeded"
    r"|not enough space on the disk|are to stay free there",
    re.IGNORECASE,
)

# DBOS's words where an execution that goes on here is not the workflow's any more: another worker
# has taken the item over, or it was cancelled.
NOT_OURS = ("no longer owned by this execution", "was cancelled during execution")
_TRACEBACK = "Traceback (most recent call last):"
_ERROR = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Timeout)\b.*", re.MULTILINE)
_WORKFLOW = re.compile(r"\b(?:ingest|publish|captions):\S+")

log = logging.getLogger(__name__)


@dataclass
class _Cause:
    first: float
    shown: float
    last: float
    left_out: int = 0
    left_out_since_shown: int = 0


class CauseLog(logging.Filter):
    """A filter of log records. Safe to use from threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._causes: dict[str, _Cause] = {}

    def install(self) -> None:
        """Apply the filter to everything that this process logs from now on."""
        for logger in (logging.getLogger(), logging.getLogger("dbos")):
            for handler in logger.handlers:
                handler.addFilter(self)
        logging.getLogger("dbos").addFilter(self)

    def warn(self, error: KBError) -> None:
        """Log an error with its next step."""
        log.warning("%s %s", error.message, error.hint, extra={"cause": error.code})

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record whose cause was logged within the last minute.

        A full disk is logged once an hour.
        """
        if getattr(record, "counted", False):
            return True  # it has passed the filter of its logger
        record.counted = True
        cause = cause_of(record)
        if cause is None:
            return True
        now = self._clock()
        with self._lock:
            known = self._causes.get(cause)
            if known is None:
                self._causes[cause] = _Cause(now, now, now)
                _shorten(record, 0, cause)
                return True
            known.last = now
            if now - known.shown < (FULL_EVERY_S if cause == FULL_DISK else EVERY_S):
                known.left_out += 1
                known.left_out_since_shown += 1
                return False
            known.shown, count = now, known.left_out_since_shown
            known.left_out_since_shown = 0
        _shorten(record, count, cause)
        return True

    def answered(self) -> None:
        """Note that the database answers; after an outage its length and the count are logged."""
        now = self._clock()
        with self._lock:
            known = self._causes.get(DATABASE)
            if known is None or now - known.last < QUIET_S:
                return
            del self._causes[DATABASE]
        log.warning(
            "the database answers again; the trouble lasted %.0f s, %d further messages about it "
            "were left out", known.last - known.first, known.left_out,
        )  # fmt: skip


def cause_of(record: logging.LogRecord) -> str | None:
    """Return the cause of a record, None for one that is always logged."""
    if _is_full_disk(record):
        return FULL_DISK
    stated = getattr(record, "cause", None)
    if isinstance(stated, str):
        return DATABASE if stated.startswith("database.") else None
    if record.levelno < logging.WARNING:
        return None
    if _is_taken_over(record):
        return TAKEN_OVER
    text = str(record.msg)
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    kind = type(error).__module__ if error is not None else ""
    is_database = any(
        word in text for word in ("(psycopg", "sqlalche.me", "Database connection", "QueuePool")
    )
    if is_database or kind.startswith(("psycopg", "sqlalchemy")) or "sqlalchemy" in record.name:
        return DATABASE
    return None


def _is_full_disk(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    try:
        said = record.getMessage()
    except (TypeError, ValueError):  # a template that does not fit its values
        said = str(record.msg)
    return record.levelno >= logging.WARNING and bool(_FULL.search(f"{said} {error or ''}"))


def _is_taken_over(record: logging.LogRecord) -> bool:
    """Return True for DBOS's messages about an execution whose workflow goes on elsewhere."""
    if record.name != "dbos":
        return False
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return isinstance(error, dbos_error.DBOSAwaitedWorkflowCancelledError) or any(
        words in str(record.msg) for words in NOT_OURS
    )


def _shorten(record: logging.LogRecord, left_out: int, cause: str) -> None:
    """Keep the first line of a message: the others are the statement and its parameters.

    Of a traceback in the message, the last error is kept in its place.
    """
    said = record.getMessage()
    lines = said.splitlines() or [""]
    before, traceback, _ = lines[0].partition(_TRACEBACK)
    errors = _ERROR.findall(said) if traceback else []
    record.msg, record.args = before + (errors[-1] if errors else ""), ()
    if cause == TAKEN_OVER:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else ""
        found = _WORKFLOW.search(f"{record.msg} {error}")
        record.msg = (
            f"{found[0] if found else 'work'} was taken over by another worker or cancelled; what "
            "was made of it here is discarded"
        )
    record.exc_info = record.exc_text = None
    if left_out:
        record.msg += f" ({left_out} further messages of this cause were left out)"
