"""yt-dlp as a library: how it is set up, what its errors mean, and listing without details."""

from __future__ import annotations

import errno
import io
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kb.catalogue import Catalogue
from kb.errors import KBError, Later, MediaUnavailable, SettingsError
from kb.settings import Settings
from kb.sources.infos import item_of_info
from kb.sources.keys import read_keys
from kb.sources.pace import Lane
from kb.sources.scrub import scrub
from kb.types import MediaItem

TIMEOUT_S = 30.0
# Between the requests of one download, as the makers of yt-dlp recommend.
REQUEST_PAUSE_S = 0.75
LATER_S = 3600.0
_DEPTH = 2
_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}

VerdictKind = Literal["busy", "forbidden", "later", "gone", "disk", "transient"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an error of yt-dlp means; `message` is safe to show, `until` in epoch seconds."""

    kind: VerdictKind
    message: str
    hint: str = ""
    until: float | None = None


# Kind, hint and the words that show it, in this order; the first that matches counts.
_WORDS: tuple[tuple[VerdictKind, str, str], ...] = (
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
_SIGNS = tuple((k, hint, re.compile(words, re.IGNORECASE)) for k, hint, words in _WORDS)
_PREFIX = re.compile(r"^(?:ERROR:\s*)?(?:\[[\w:+.-]+\]\s*)?(?:[\w.-]+:\s+)?")
_ADVICE = re.compile(
    r"\s*(?:;|\.)?\s*(?:please report this issue on|Confirm you are on the latest"
    r"|See\s+https?://|Use --cookies|\(caused by).*$",
    re.IGNORECASE | re.DOTALL,
)
_IN_TIME = re.compile(r"\bin (?:about )?(?:a |an )?(\d+)?\s*(minute|hour|day|week)", re.IGNORECASE)
_TIME_S = {"minute": 60.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0}


def judge(
    error: BaseException, secrets: tuple[str, ...] = (), *, clock: Callable[[], float] = time.time
) -> Verdict:
    """What went wrong, from the words and the HTTP status of an error.

    Words come first: a site answers 403 to what is private and to what is too much.
    """
    message = _ADVICE.sub("", _PREFIX.sub("", scrub(error, secrets), count=1)) or "no reason given"
    for link in _chain(error):
        if isinstance(link, OSError) and link.errno in _DISK_FULL:
            return Verdict("disk", message)
    status = _status(error)
    for kind, hint, words in _SIGNS:
        if words.search(message):
            until = _until(message, clock()) if kind == "later" else None
            return Verdict(kind, message, hint, until)
    if status == 429:
        return Verdict("busy", message)
    if status == 403:
        return Verdict("forbidden", message, "The site may want a pause or a login.")
    if status in (401, 404, 410, 451):
        return Verdict("gone", message, "Check the address in a browser.")
    if "GeoRestricted" in "".join(type(link).__name__ for link in _chain(error)):
        return Verdict("gone", message, "It is not shown in this country.")
    return Verdict("transient", message, "Check the network; it is tried again.")


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


def _until(message: str, now: float) -> float:
    match = _IN_TIME.search(message)
    if not match:
        return now + LATER_S
    return now + float(match[1] or 1) * _TIME_S[match[2].lower()]


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """What must never be shown: keys, the proxy with its password, cookies' values."""
    found = [settings.proxy.get_secret_value()]
    try:
        found += [key.secret for key in read_keys(settings)]
        for line in _cookies(settings).splitlines():
            fields = line.split("\t")
            if len(fields) == 7 and len(fields[6]) >= 8:
                found.append(fields[6].strip())
    except SettingsError:
        pass  # said elsewhere; what cannot be read cannot leak
    return tuple(filter(None, found))


class _Log:
    """yt-dlp's messages in our log, scrubbed."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = secrets

    def debug(self, message: str) -> None:
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s", scrub(message, self._secrets))

    # Errors are raised too, and our callers say what became of them.
    info = warning = error = debug


def base_options(settings: Settings, secrets: tuple[str, ...] = ()) -> dict[str, Any]:
    """What every use of yt-dlp has in common. Raises SettingsError for the cookies file."""
    cookies = _cookies(settings)
    return {
        "quiet": True,
        "noprogress": True,
        "no_warnings": False,
        "color": "no_color",
        "logger": _Log(secrets),
        "socket_timeout": TIMEOUT_S,
        # Not set by default when it is used as a library.
        "retries": settings.download_retries,
        "fragment_retries": settings.download_retries,
        "extractor_retries": 3,
        "retry_sleep_functions": dict.fromkeys(
            ("http", "fragment", "extractor"),
            lambda n: min(30.0, settings.download_pause_s / 10 * 2.0 ** min(n, 10)),
        ),
        "sleep_interval_requests": min(REQUEST_PAUSE_S, settings.download_pause_s),
        "ratelimit": settings.download_rate or None,
        "proxy": settings.proxy.get_secret_value() or None,
        # A stream, because yt-dlp writes its cookies back, and many downloads run at once.
        "cookiefile": io.StringIO(cookies) if cookies else None,
        "js_runtimes": {"deno": {"path": javascript_runtime()}},
        "ffmpeg_location": ffmpeg_path(),
    }


def _cookies(settings: Settings) -> str:
    if not settings.cookies_file:
        return ""
    path = Path(settings.cookies_file).expanduser()
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingsError(
            f"Cannot read the cookies file {path}: {reason}.", hint="Correct KB_COOKIES_FILE."
        ) from None


def javascript_runtime() -> str | None:
    """The path of the JavaScript runtime that YouTube needs, None if there is none."""
    try:
        from deno import find_deno_bin  # type: ignore[import-untyped]

        return str(find_deno_bin())
    except (ImportError, OSError):
        return None


def ffmpeg_path() -> str | None:
    """The path of the ffmpeg program, None if there is none."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


def flat_items(
    url: str,
    settings: Settings,
    catalogue: Catalogue,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    check: Callable[[], None] = lambda: None,
) -> Iterator[tuple[str, MediaItem]]:
    """What a page lists, without opening each entry; a page with one medium gives that one.

    Yields the list's title and an item. Raises LanePaused, Later, MediaUnavailable.
    """
    import yt_dlp

    lane = Lane(catalogue, settings, clock=clock, sleep=sleep)
    secrets = secrets_of(settings)
    options = base_options(settings, secrets) | {
        "extract_flat": "in_playlist",
        "skip_download": True,
        "ignore_no_formats_error": True,
        "extractor_args": {"youtubetab": {"approximate_date": [""]}},
    }

    def extract(address: str, depth: int) -> Iterator[tuple[str, MediaItem]]:
        lane.wait(check)
        try:
            with yt_dlp.YoutubeDL(options) as ydl:
                info = ydl.extract_info(address, download=False)
        except Exception as error:  # whatever an extractor stumbles over
            raise refusal(judge(error, secrets, clock=clock), lane, address) from None
        if not info:
            raise MediaUnavailable(f"Nothing was found at {scrub(address, secrets)}.")
        if "entries" not in info:
            yield info.get("title") or "", item_of_info(info, address)
            return
        for place, entry in enumerate(info["entries"] or (), start=1):
            if not entry:
                continue
            inner = "entries" in entry or entry.get("ie_key") == "YoutubeTab"
            if inner and depth:
                # A channel's page lists its tabs, each a list of its own.
                yield from extract(entry.get("url") or entry["webpage_url"], depth - 1)
            elif not inner:
                link = entry.get("_type") in ("url", "url_transparent")
                # Several media of one page share its address: their place tells them apart.
                yield (
                    info.get("title") or "",
                    item_of_info(
                        entry, entry.get("url") if link else address, 0 if link else place
                    ),
                )

    yield from extract(url, _DEPTH)


def refusal(verdict: Verdict, lane: Lane, what: str) -> KBError:
    """The error to raise for a verdict; a busy site pauses the lane."""
    if verdict.kind == "busy":
        return lane.strike(verdict.message)
    if verdict.kind == "later":
        return Later(
            f"{what} is not out yet: {verdict.message}", hint=verdict.hint, until=verdict.until
        )
    return MediaUnavailable(
        f"{what} cannot be fetched: {verdict.message}",
        hint=verdict.hint,
        retryable=verdict.kind != "gone",
    )
