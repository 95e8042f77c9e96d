"""Schedule of the later attempts after a failure whose cause can pass by itself.

A video for members may be opened, a private one published, an extractor repaired. The intervals
grow with the time since the first failure: hours, days, then one week, until the limit of the
settings. An update of yt-dlp makes an attempt due at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kb.types.clock import SLACK_S

HOUR_S = 3600.0
DAY_S = 86_400.0
FIRST_INTERVAL_S = 2 * HOUR_S
LONGEST_INTERVAL_S = 7 * DAY_S
GROWTH = 0.5  # an interval is half of the time since the first failure

# Codes of failures whose cause can pass without a change by the user.
PASSING = frozenset({
    "download.members_only", "download.age_restricted", "download.country_blocked",
    "download.private_or_removed", "download.extractor_failed", "download.forbidden",
    "download.not_found", "download.failed", "download.no_file", "download.damaged",
    "download.too_short", "download.cannot_ask",
    "file.unreadable", "file.not_there", "media.missing", "media.not_opened",
    "media.ffmpeg_silent",
})  # fmt: skip
# Codes of failures that an update of yt-dlp can mend and the time cannot.
MENDED_BY_UPDATE = frozenset({"download.address_unsupported"})
# Codes of waits for a medium that is not out yet.
NOT_OUT = frozenset({"download.still_live", "download.not_out_yet"})
NOT_OUT_LEAST_S = 900.0
NOT_OUT_LONGEST_S = DAY_S

_REMOVED = re.compile(
    r"has been removed|been deleted|account.{0,40}terminated|copyright|does not exist"
    r"|no longer exists|drm.protected|drm protection",
    re.IGNORECASE,
)


def can_pass(problem: Mapping[str, Any] | None) -> bool:
    """Return True if the cause of a stored error can pass without a change by the user."""
    if not problem or problem.get("code") not in PASSING:
        return False
    if problem["code"] != "download.private_or_removed":
        return True
    reason = (problem.get("values") or {}).get("reason", "")
    return not _REMOVED.search(str(reason))


def is_recorded(problem: Mapping[str, Any] | None) -> bool:
    """Return True if the version of yt-dlp is recorded with a failure: an update may mend it."""
    return can_pass(problem) or bool(problem and problem.get("code") in MENDED_BY_UPDATE)


def next_attempt(failing_since: float | None, now: float, days: float) -> float | None:
    """Return the time of the next attempt in epoch seconds, None if there is none.

    `failing_since` is the time of the first failure (None: it was just now), `days` the length
    of the schedule; the last attempt is made at its end.
    """
    elapsed = elapsed_s(failing_since, now)
    left_s = days * DAY_S - elapsed
    if left_s <= 0:
        return None
    interval_s = min(max(FIRST_INTERVAL_S, GROWTH * elapsed), LONGEST_INTERVAL_S)
    return now + min(interval_s, max(left_s, FIRST_INTERVAL_S))


def end_of_tries(failing_since: float | None, next_at: float | None, days: float) -> float | None:
    """Return the time of the last attempt of the schedule, None for an item that is not in it.

    `failing_since` is the time of the first failure, `next_at` that of the next attempt (epoch
    seconds); the last attempt is never before the next one.
    """
    if failing_since is None or next_at is None or not days:
        return None
    return max(failing_since + days * DAY_S, next_at)


def next_look_at_premiere(
    failing_since: float | None, now: float, until: float | None, days: float
) -> float | None:
    """Return the time to ask again for a medium that is not out yet; None at the schedule's end.

    `until` is the time that its site gives, None or within the hour if it gives none: then the
    intervals grow up to a day.
    """
    if until is not None and until > now + HOUR_S + SLACK_S:
        return until
    elapsed = elapsed_s(failing_since, now)
    if days and elapsed >= days * DAY_S:
        return None
    interval_s = min(max(NOT_OUT_LEAST_S, GROWTH * elapsed), NOT_OUT_LONGEST_S)
    return max(until or 0.0, now + interval_s)


def elapsed_s(since: float | None, now: float) -> float:
    """Return the seconds since a recorded time, 0 for an unknown one and one in the future."""
    return 0.0 if since is None or since > now else now - since
