"""The check of a downloaded file against the length that its site declares.

A listing may be older than the medium: a video that was trimmed since is shorter than listed. The
length on the medium's own page is of the moment of the download and replaces the listed one. A page
without a length is no evidence: a whole file that arrives twice with the same size is the medium
of now.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kb.errors import KBError
from kb.sources.remote_fields import number
from kb.sources.ytdlp.errors import YtdlpFailure
from kb.types import MediaItem


class Measured(NamedTuple):
    """The decoded length of a file, True if the file ends early, and the length of its holes."""

    duration_s: float
    truncated: bool = False
    lost_s: float = 0.0


# Raises KBError if the file cannot be decoded.
Measure = Callable[[Path], Measured]

# Declared lengths are rounded to seconds, and a sound track may end shortly before the picture.
# A share limits the tolerance for a very short medium, of which it would be half.
SHORT_BY_S = 2.0
SHORT_BY_SHARE = 0.005
SHORT_BY_SHARE_MAX = 0.35

log = logging.getLogger(__name__)


class AttemptFailed(Exception):
    """A failed attempt of a download."""

    def __init__(self, failure: YtdlpFailure) -> None:
        super().__init__(failure.cause)
        self.failure = failure


class DamagedFile(AttemptFailed):
    """A file that arrived damaged or shorter than declared."""


class LengthCheck:
    """The check of the files of one download; `attempts` is the largest number of them.

    `duration_s` is the length of the medium as it is now, in seconds, where it differs from the
    listed one, else None.
    """

    def __init__(self, item: MediaItem, measure: Measure | None, attempts: int) -> None:
        self.duration_s: float | None = None
        self._item = item
        self._measure = measure
        self._attempts = attempts
        self._checked = 0
        self._size = -1

    def check(self, path: Path, info: dict[str, Any]) -> None:
        """Raise DamagedFile if the file is to be downloaded once more from its beginning."""
        self._checked += 1
        listed, declared = self._item.duration_s, number(info.get("duration")) or None
        self.duration_s = declared if _differ(declared, listed) else None
        if self._measure is None:
            return
        try:
            measured = self._measure(path)
        except KBError as error:
            raise DamagedFile(YtdlpFailure("transient", "damaged", error=error)) from None
        length_s, expected_s = measured.duration_s, declared or listed
        # A page to sign in, in the place of a fragment, leaves a hole and no error.
        incomplete = measured.truncated or measured.lost_s > 0
        size = path.stat().st_size
        # Twice the same number of bytes: the file is like that at its source.
        repeated, self._size = size == self._size, size
        if expected_s and length_s < expected_s - tolerance_s(expected_s):
            log.info("%s: %.1f s of %.1f s arrived.", self._item.id, length_s, expected_s)
            if declared or incomplete or not (repeated or self._attempts == 1):
                raise DamagedFile(
                    YtdlpFailure("transient", "short", measured_s=length_s, declared_s=expected_s)
                )
            log.warning(
                "%s is %.0f s long now; it was listed with %.0f s.",
                self._item.id, length_s, expected_s,
            )  # fmt: skip
            self.duration_s = length_s
        elif incomplete and not repeated and self._checked < self._attempts:
            raise DamagedFile(YtdlpFailure("transient", "damaged"))
        elif not declared and listed and length_s > listed + tolerance_s(listed):
            self.duration_s = length_s


def tolerance_s(declared_s: float) -> float:
    """Return the seconds by which a medium may differ from its declared length."""
    floor_s = min(SHORT_BY_S, declared_s * SHORT_BY_SHARE_MAX)
    return max(floor_s, declared_s * SHORT_BY_SHARE)


def _differ(declared: float | None, listed: float | None) -> bool:
    return declared is not None and listed is not None and declared != listed
