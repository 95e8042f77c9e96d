"""One log line an hour about a disk without room, from every part of the process.

The library for durable workflows polls the database several times a second and logs each refusal:
two thousand lines in minutes, on a disk that is full.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable

EVERY_S = 3600.0
_FULL = re.compile(
    r"no space left on device|errno 28\b|disk is full|disk full|disk quota exceeded"
    r"|not enough space on the disk|are to stay free there",
    re.IGNORECASE,
)


class OnceAnHour(logging.Filter):
    """A filter that lets one record about a full disk pass in an hour, and all others.

    `clock` returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._passed_at: float | None = None
        self._passed: logging.LogRecord | None = None
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if the record is to be logged."""
        if not _FULL.search(_text(record)):
            return True
        with self._lock:
            now = self._clock()
            if record is self._passed:  # another handler asks about the same record
                return True
            if self._passed_at is not None and now - self._passed_at < EVERY_S:
                return False
            self._passed_at, self._passed = now, record
            return True


def limit_full_disk_lines() -> None:
    """Give all present handlers of this process one such filter."""
    limit = OnceAnHour()
    for name in ("", "dbos"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(limit)


def _text(record: logging.LogRecord) -> str:
    try:
        said = record.getMessage()
    except (TypeError, ValueError):  # a template that does not fit its values
        said = str(record.msg)
    cause = record.exc_info[1] if record.exc_info else None
    return f"{said} {cause}" if cause is not None else said
