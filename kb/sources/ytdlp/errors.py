"""Classification of yt-dlp's failures by their messages, and the errors to raise for them."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from kb.errors import KBError, MediaUnavailable, RetryLater
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from kb.sources.redact import redact
from kb.storage import is_lasting

DEFAULT_RETRY_S = 3600.0

_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}

YtdlpFailureKind = Literal["busy", "forbidden", "later", "gone", "disk", "transient"]
Cause = Literal[
    "busy",
    "disk",
    "not_out",
    "live",
    "members",
    "age",
    "country",
    "owner",
    "address",
    "proxy",
    "browser",
    "extractor",
    "forbidden",
    "no_file",
    "damaged",
    "short",
    "network",
]


@dataclass(frozen=True, slots=True)
class YtdlpFailure:
    """The meaning of an error of yt-dlp.

    `kind` determines the reaction, `cause` the error to raise. `message` is redacted; `until` is
    in epoch seconds. The cause `damaged` has the `error` of the decoder, the cause `short` has
    `measured_s` and `declared_s`.
    """

    kind: YtdlpFailureKind
    cause: Cause
    message: str = ""
    until: float | None = None
    error: KBError | None = None
    measured_s: float = 0.0
    declared_s: float = 0.0


# Kind, cause and a pattern of the message, in order of precedence; the first match counts.
_WORDS: tuple[tuple[YtdlpFailureKind, Cause, str], ...] = (
    (
        "disk",
        "disk",
        r"no space left on device|errno 28\b|disk is full|not enough space on the disk",
    ),
    (
        "busy",
        "busy",
        r"not a (?:ro)?bot|captcha|rate.?limit|too many requests|unusual traffic"
        r"|content isn.t available, try again later",
    ),
    (
        "later",
        "not_out",
        r"premieres? (?:in|will)|will begin|live event (?:has not|hasn.t)"
        r"|not yet (?:started|aired)"
        r"|is not currently live|live stream is (?:still )?(?:running|being processed)"
        r"|processing this video|scheduled (?:for|to)|wait for the (?:live|stream)",
    ),
    (
        "gone",
        "members",
        r"members.only|join this channel|requires? (?:a )?(?:payment|purchase|subscription)",
    ),
    (
        "gone",
        "age",
        r"confirm your age|age.restricted|inappropriate for some users",
    ),
    (
        "gone",
        "country",
        r"not (?:made )?(?:this video )?available (?:in|from) your (?:country|location|region)"
        r"|geo.?restrict|blocked it in your country|not available in your country",
    ),
    (
        "gone",
        "owner",
        r"private video|video is private|this video is unavailable|video unavailable"
        r"|has been removed|been deleted|no longer available|account.{0,40}terminated"
        r"|copyright|does not exist|drm.protected|drm protection|no longer exists",
    ),
    (
        "gone",
        "address",
        r"unsupported url|no media found|is not a valid url",
    ),
    (
        "transient",
        "extractor",
        r"no video formats found|requested format is not available|unable to extract",
    ),
)


_PATTERNS = tuple((kind, cause, re.compile(words, re.IGNORECASE)) for kind, cause, words in _WORDS)
_PREFIX = re.compile(r"^(?:ERROR:\s*)?(?:\[[\w:+.-]+\]\s*)?(?:[\w.-]+:\s+)?")
_ADVICE = re.compile(
    r"\s*(?:;|\.)?\s*(?:please report this issue on|Confirm you are on the latest"
    r"|See\s+https?://|Use --cookies|\(caused by).*$",
    re.IGNORECASE | re.DOTALL,
)
_IN_TIME = re.compile(r"\bin (?:about )?(?:a |an )?(\d+)?\s*(minute|hour|day|week)", re.IGNORECASE)
_TIME_S = {"minute": 60.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0}


def classify(
    error: BaseException, secrets: tuple[str, ...] = (), *, clock: Callable[[], float]
) -> YtdlpFailure:
    """Classify an error by its message, then by its HTTP status.

    The message has precedence: a site answers 403 for a private video and for too many requests.
    """
    message = _ADVICE.sub("", _PREFIX.sub("", redact(error, secrets), count=1)) or "no reason given"
    for link in _chain(error):
        if isinstance(link, OSError) and link.errno in _DISK_FULL:
            return YtdlpFailure("disk", "disk", message)
    # A message of a site is never such an error, but it may quote one.
    if is_lasting(error):
        return YtdlpFailure("gone", "proxy", message)
    status = _status(error)
    for kind, cause, words in _PATTERNS:
        if words.search(message):
            until = _available_at(message, clock()) if kind == "later" else None
            return YtdlpFailure(kind, cause, message, until)
    if status == 429:
        return YtdlpFailure("busy", "busy", message)
    if status == 403:
        return YtdlpFailure("forbidden", "forbidden", message)
    if status in (401, 404, 410, 451):
        return YtdlpFailure("gone", "browser", message)
    if "GeoRestricted" in "".join(type(link).__name__ for link in _chain(error)):
        return YtdlpFailure("gone", "country", message)
    return YtdlpFailure("transient", "network", message)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, from every attribute in which yt-dlp stores them."""
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
    """Return the error to raise for a failure with the medium `what`.

    A site that refuses for too many requests pauses the lane of `rate_limiter`.
    """
    if failure.kind == "busy":
        return rate_limiter.report_throttled(failure.message)
    if failure.cause == "live":
        return RetryLater(
            "download.still_live",
            "{what} is not out yet: it is still live or to come.",
            hint="It is fetched by itself when it is out.",
            until=failure.until,
            what=what,
        )
    if failure.kind == "later":
        return RetryLater(
            "download.not_out_yet",
            "{what} is not out yet: {reason}",
            hint="It is fetched by itself when it is out.",
            until=failure.until,
            what=what,
            reason=failure.message,
        )
    error = _unavailable(failure, what)
    error.retryable = failure.kind != "gone"
    return error


def _unavailable(failure: YtdlpFailure, what: str) -> MediaUnavailable:
    reason = failure.message
    match failure.cause:
        case "members":
            return MediaUnavailable(
                "download.members_only",
                "{what} cannot be fetched: {reason}",
                hint="It is for members only; an account's cookies (KB_COOKIES_FILE) could open "
                "it.",
                what=what,
                reason=reason,
            )
        case "age":
            return MediaUnavailable(
                "download.age_restricted",
                "{what} cannot be fetched: {reason}",
                hint="It asks for a login to prove an age; an account's cookies "
                "(KB_COOKIES_FILE) could open it.",
                what=what,
                reason=reason,
            )
        case "country":
            return MediaUnavailable(
                "download.country_blocked",
                "{what} cannot be fetched: {reason}",
                hint="It is not shown in this country; a proxy (KB_PROXY) elsewhere could fetch "
                "it.",
                what=what,
                reason=reason,
            )
        case "owner":
            return MediaUnavailable(
                "download.private_or_removed",
                "{what} cannot be fetched: {reason}",
                hint="Only its owner can change that.",
                what=what,
                reason=reason,
            )
        case "address":
            return MediaUnavailable(
                "download.address_unsupported",
                "{what} cannot be fetched: {reason}",
                hint="This address is not one that media can be fetched from.",
                what=what,
                reason=reason,
            )
        case "proxy":
            return MediaUnavailable(
                "download.cannot_ask",
                "{what} cannot be fetched: {reason}",
                hint="Correct the address or KB_PROXY; another attempt does not help.",
                what=what,
                reason=reason,
            )
        case "browser":
            return MediaUnavailable(
                "download.not_found",
                "{what} cannot be fetched: {reason}",
                hint="Check the address in a browser.",
                what=what,
                reason=reason,
            )
        case "extractor":
            return MediaUnavailable(
                "download.extractor_failed",
                "{what} cannot be fetched: {reason}",
                hint="yt-dlp may be too old for this site; `kb doctor` shows its age.",
                what=what,
                reason=reason,
            )
        case "forbidden":
            return MediaUnavailable(
                "download.forbidden",
                "{what} cannot be fetched: {reason}",
                hint="The site may want a pause or a login.",
                what=what,
                reason=reason,
            )
        case "disk":
            return MediaUnavailable(
                "download.disk",
                "{what} cannot be fetched: {reason}",
                hint="Free some space on the disk. What is queued is tried again by itself.",
                what=what,
                reason=reason,
            )
        case "no_file":
            return MediaUnavailable(
                "download.no_file",
                "{what} cannot be fetched: no file arrived.",
                hint="Check the network. What is queued is tried again by itself.",
                what=what,
            )
        case "damaged":
            return MediaUnavailable(
                "download.damaged",
                "{what} cannot be fetched: what arrived is damaged: {reason}",
                hint="Check the network. What is queued is tried again by itself.",
                what=what,
                reason=failure.error or reason,
            )
        case "short":
            return MediaUnavailable(
                "download.too_short",
                "{what} cannot be fetched: only {measured:.1f} s of {declared:.1f} s arrived.",
                hint="Check the network. What is queued is tried again by itself.",
                what=what,
                measured=failure.measured_s,
                declared=failure.declared_s,
            )
        case _:
            return MediaUnavailable(
                "download.failed",
                "{what} cannot be fetched: {reason}",
                hint="Check the network. What is queued is tried again by itself.",
                what=what,
                reason=reason,
            )
