"""Classifies failures of yt-dlp by its messages."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from kb.errors import KBError, MediaUnavailable, RetryLater
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from kb.sources.redact import redact

DEFAULT_RETRY_S = 3600.0


_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


YtdlpFailureKind = Literal["busy", "forbidden", "later", "gone", "disk", "transient"]


@dataclass(frozen=True, slots=True)
class YtdlpFailure:
    """What an error of yt-dlp means; `message` is safe to show, `until` in epoch seconds."""

    kind: YtdlpFailureKind
    message: str
    hint: str = ""
    until: float | None = None


# Kind, hint and the words that show it, in this order; the first that matches counts.
_WORDS: tuple[tuple[YtdlpFailureKind, str, str], ...] = (
    ("disk", "", r"no space left on device|errno 28\b|disk is full|not enough space on the disk"),
    (
        "busy",
        "",
        r"not a (?:ro)?bot|captcha|rate.?limit|too many requests|unusual traffic"
        r"|content isn.t available, try again later",
    ),
    (
        "later",
        "It is fetched by itself when it is out.",
        r"premieres? (?:in|will)|will begin|live event (?:has not|hasn.t)"
        r"|not yet (?:started|aired)"
        r"|is not currently live|live stream is (?:still )?(?:running|being processed)"
        r"|processing this video|scheduled (?:for|to)|wait for the (?:live|stream)",
    ),
    (
        "gone",
        "It is for members only; an account's cookies (KB_COOKIES_FILE) could open it.",
        r"members.only|join this channel|requires? (?:a )?(?:payment|purchase|subscription)",
    ),
    (
        "gone",
        "It asks for a login to prove an age; an account's cookies (KB_COOKIES_FILE) could "
        "open it.",
        r"confirm your age|age.restricted|inappropriate for some users",
    ),
    (
        "gone",
        "It is not shown in this country; a proxy (KB_PROXY) elsewhere could fetch it.",
        r"not (?:made )?(?:this video )?available (?:in|from) your (?:country|location|region)"
        r"|geo.?restrict|blocked it in your country|not available in your country",
    ),
    (
        "gone",
        "Only its owner can change that.",
        r"private video|video is private|this video is unavailable|video unavailable"
        r"|has been removed|been deleted|no longer available|account.{0,40}terminated"
        r"|copyright|does not exist|drm.protected|drm protection|no longer exists",
    ),
    (
        "gone",
        "This address is not one that media can be fetched from.",
        r"unsupported url|no media found|is not a valid url",
    ),
    (
        "transient",
        "yt-dlp may be too old for this site; `kb doctor` tells its age.",
        r"no video formats found|requested format is not available|unable to extract",
    ),
)


_COMPILED_PATTERNS = tuple((k, hint, re.compile(words, re.IGNORECASE)) for k, hint, words in _WORDS)


_PREFIX = re.compile(r"^(?:ERROR:\s*)?(?:\[[\w:+.-]+\]\s*)?(?:[\w.-]+:\s+)?")


_ADVICE = re.compile(
    r"\s*(?:;|\.)?\s*(?:please report this issue on|Confirm you are on the latest"
    r"|See\s+https?://|Use --cookies|\(caused by).*$",
    re.IGNORECASE | re.DOTALL,
)


_IN_TIME = re.compile(r"\bin (?:about )?(?:a |an )?(\d+)?\s*(minute|hour|day|week)", re.IGNORECASE)


_TIME_S = {"minute": 60.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0}


def classify(
    error: BaseException, secrets: tuple[str, ...] = (), *, clock: Callable[[], float] = time.time
) -> YtdlpFailure:
    """What went wrong, from the words and the HTTP status of an error.

    Words come first: a site answers 403 to what is private and to what is too much.
    """
    message = _ADVICE.sub("", _PREFIX.sub("", redact(error, secrets), count=1)) or "no reason given"
    for link in _chain(error):
        if isinstance(link, OSError) and link.errno in _DISK_FULL:
            return YtdlpFailure("disk", message)
    status = _status(error)
    for kind, hint, words in _COMPILED_PATTERNS:
        if words.search(message):
            until = _available_at(message, clock()) if kind == "later" else None
            return YtdlpFailure(kind, message, hint, until)
    if status == 429:
        return YtdlpFailure("busy", message)
    if status == 403:
        return YtdlpFailure("forbidden", message, "The site may want a pause or a login.")
    if status in (401, 404, 410, 451):
        return YtdlpFailure("gone", message, "Check the address in a browser.")
    if "GeoRestricted" in "".join(type(link).__name__ for link in _chain(error)):
        return YtdlpFailure("gone", message, "It is not shown in this country.")
    return YtdlpFailure("transient", message, "Check the network; it is tried again.")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, in every way that yt-dlp links them."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        link = queue.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        info = getattr(link, "exc_info", None)
        queue.append(info[1] if isinstance(info, tuple) and len(info) > 1 else None)
        cause = getattr(link, "cause", None)
        queue.append(cause if isinstance(cause, BaseException) else None)
        queue += [link.__cause__, link.__context__]


def _status(error: BaseException) -> int | None:
    statuses = (getattr(link, "status", None) for link in _chain(error))
    return next((status for status in statuses if isinstance(status, int)), None)


def _available_at(message: str, now: float) -> float:
    match = _IN_TIME.search(message)
    if not match:
        return now + DEFAULT_RETRY_S
    return now + float(match[1] or 1) * _TIME_S[match[2].lower()]


def failure_error(failure: YtdlpFailure, rate_limiter: DownloadRateLimiter, what: str) -> KBError:
    """The error to raise for a verdict; a busy site pauses the lane."""
    if failure.kind == "busy":
        return rate_limiter.report_throttled(failure.message)
    if failure.kind == "later":
        return RetryLater(
            f"{what} is not out yet: {failure.message}", hint=failure.hint, until=failure.until
        )
    return MediaUnavailable(
        f"{what} cannot be fetched: {failure.message}",
        hint=failure.hint,
        retryable=failure.kind != "gone",
    )
