"""Use of yt-dlp as a library: its options, and listings without details."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from kb.database import Database
from kb.errors import MediaUnavailable, SettingsError
from kb.settings import Settings
from kb.sources.keys.key_ring import read_keys
from kb.sources.private_networks import private_networks_refused
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from kb.sources.redact import redact
from kb.sources.ytdlp.cookies import cookie_secrets, read_cookies
from kb.sources.ytdlp.errors import classify, failure_error
from kb.sources.ytdlp.metadata import item_from_info
from kb.types import MediaItem

TIMEOUT_S = 30.0
# Seconds between the requests of one download, as yt-dlp's manual recommends.
REQUEST_PAUSE_S = 0.75
_DEPTH = 2


log = logging.getLogger(__name__)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return the texts that must never be shown: keys, proxy address, values of cookies."""
    found = [settings.proxy.get_secret_value()]
    with suppress(SettingsError):  # other code reports it; an unreadable file has no text to hide
        found += [key.secret for key in read_keys(settings)]
    return tuple(filter(None, (*found, *cookie_secrets(settings))))


class _YtdlpLogger:
    """A logger that writes yt-dlp's messages to our log, redacted."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = secrets

    def debug(self, message: str) -> None:
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s", redact(message, self._secrets))

    # yt-dlp also raises its errors, and our callers report them.
    info = warning = error = debug


def base_options(settings: Settings, secrets: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the options common to all uses of yt-dlp.

    Raises SettingsError when the cookies file cannot be read.
    """
    cookies = read_cookies(settings).text
    return {
        "quiet": True,
        "noprogress": True,
        "no_warnings": False,
        "color": "no_color",
        "logger": _YtdlpLogger(secrets),
        "socket_timeout": TIMEOUT_S,
        # yt-dlp sets these only for its command line.
        "retries": settings.download_retries,
        "fragment_retries": settings.download_retries,
        # A skipped fragment is a hole in the medium that its length does not show.
        "skip_unavailable_fragments": False,
        "extractor_retries": 3,
        "retry_sleep_functions": dict.fromkeys(
            ("http", "fragment", "extractor"),
            lambda n: min(30.0, settings.download_pause_s / 10 * 2.0 ** min(n, 10)),
        ),
        "sleep_interval_requests": min(REQUEST_PAUSE_S, settings.download_pause_s),
        "ratelimit": settings.download_rate or None,
        "proxy": settings.proxy.get_secret_value() or None,
        # The cookies are a stream, because yt-dlp writes them back, and many downloads run at once.
        "cookiefile": io.StringIO(cookies) if cookies else None,
        "js_runtimes": {"deno": {"path": javascript_runtime()}},
        "ffmpeg_location": ffmpeg_path(),
    }


def javascript_runtime() -> str | None:
    """Return the path of the JavaScript runtime that YouTube needs, None if there is none."""
    try:
        from deno import find_deno_bin  # type: ignore[import-untyped]

        return str(find_deno_bin())
    except (ImportError, OSError):
        return None


def ffmpeg_path() -> str | None:
    """Return the path of the ffmpeg program, None if there is none."""
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
    clock: Callable[[], float] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    check: Callable[[], None] = lambda: None,
    on_list: Callable[[dict[str, Any]], None] = lambda _: None,
    most: int = 0,
) -> Iterator[tuple[str, MediaItem]]:
    """Yield the title of a list and an item, for each medium that a page lists.

    The entries are not opened. A page with one medium gives that medium. `on_list` is called with
    yt-dlp's metadata of the list before its entries are read. `most` is the largest number of
    entries of each list, 0 for all. Raises LanePaused, RetryLater and MediaUnavailable.
    """
    import yt_dlp

    clock = clock or database.time
    rate_limiter = DownloadRateLimiter(database, settings, clock=clock, sleep=sleep)
    secrets = secrets_of(settings)
    options = base_options(settings, secrets) | {
        "extract_flat": "in_playlist",
        "skip_download": True,
        "playlistend": most or None,
        "ignore_no_formats_error": True,
        "extractor_args": {"youtubetab": {"approximate_date": [""]}},
    }

    def extract(address: str, depth: int) -> Iterator[tuple[str, MediaItem]]:
        rate_limiter.acquire(check)
        try:
            with private_networks_refused(settings, address), yt_dlp.YoutubeDL(options) as ydl:
                info = ydl.extract_info(address, download=False)
        except MediaUnavailable:
            raise
        except Exception as error:  # extractors raise errors of any class
            raise failure_error(
                classify(error, secrets, clock=clock), rate_limiter, redact(address, secrets)
            ) from None
        if not info:
            raise MediaUnavailable(
                "listing.nothing_found",
                "Nothing was found at {address}.",
                hint="Check the address in a browser.",
                address=redact(address, secrets),
            )
        if "entries" not in info:
            yield info.get("title") or "", item_from_info(info, address)
            return
        if depth == _DEPTH:
            on_list(info)
        for place, entry in enumerate(info["entries"] or (), start=1):
            if not entry:
                continue
            inner = "entries" in entry or entry.get("ie_key") == "YoutubeTab"
            if inner and depth:
                # A channel's page lists its tabs, and each is a list.
                yield from extract(entry.get("url") or entry["webpage_url"], depth - 1)
            elif not inner:
                link = entry.get("_type") in ("url", "url_transparent")
                # Several media of one page have the same address: their place distinguishes them.
                yield (
                    info.get("title") or "",
                    item_from_info(
                        entry, entry.get("url") if link else address, 0 if link else place
                    ),
                )

    yield from extract(url, _DEPTH)
