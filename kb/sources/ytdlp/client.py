"""yt-dlp as a library: how it is set up, what its errors mean, and listing without details."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kb.database import Database
from kb.errors import MediaUnavailable, SettingsError
from kb.settings import Settings
from kb.sources.keys.key_ring import read_keys
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from kb.sources.redact import redact
from kb.sources.ytdlp.errors import classify, failure_error
from kb.sources.ytdlp.metadata import item_from_info
from kb.types import MediaItem

TIMEOUT_S = 30.0
# Between the requests of one download, as the makers of yt-dlp recommend.
REQUEST_PAUSE_S = 0.75
_DEPTH = 2


log = logging.getLogger(__name__)


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


class _YtdlpLogger:
    """yt-dlp's messages in our log, scrubbed."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = secrets

    def debug(self, message: str) -> None:
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s", redact(message, self._secrets))

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
        "logger": _YtdlpLogger(secrets),
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
    database: Database,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    check: Callable[[], None] = lambda: None,
) -> Iterator[tuple[str, MediaItem]]:
    """What a page lists, without opening each entry; a page with one medium gives that one.

    Yields the list's title and an item. Raises LanePaused, RetryLater, MediaUnavailable.
    """
    import yt_dlp

    rate_limiter = DownloadRateLimiter(database, settings, clock=clock, sleep=sleep)
    secrets = secrets_of(settings)
    options = base_options(settings, secrets) | {
        "extract_flat": "in_playlist",
        "skip_download": True,
        "ignore_no_formats_error": True,
        "extractor_args": {"youtubetab": {"approximate_date": [""]}},
    }

    def extract(address: str, depth: int) -> Iterator[tuple[str, MediaItem]]:
        rate_limiter.acquire(check)
        try:
            with yt_dlp.YoutubeDL(options) as ydl:
                info = ydl.extract_info(address, download=False)
        except Exception as error:  # whatever an extractor stumbles over
            raise failure_error(
                classify(error, secrets, clock=clock), rate_limiter, address
            ) from None
        if not info:
            raise MediaUnavailable(f"Nothing was found at {redact(address, secrets)}.")
        if "entries" not in info:
            yield info.get("title") or "", item_from_info(info, address)
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
                    item_from_info(
                        entry, entry.get("url") if link else address, 0 if link else place
                    ),
                )

    yield from extract(url, _DEPTH)
