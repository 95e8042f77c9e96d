"""Checks of the sources for `kb doctor`: keys, yt-dlp and its programs, the download lane."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

from kb.database import Database
from kb.errors import KBError, restored
from kb.jobs.queue.heartbeat import list_workers
from kb.service.health_check import HealthCheck, with_semicolons
from kb.settings import Settings
from kb.sources.keys.key_file import key_file_path
from kb.sources.keys.key_ring import KeyRing, KeyStatus, read_keys, unused_keys_file
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from kb.sources.ytdlp.client import ffmpeg_path, javascript_runtime
from kb.sources.ytdlp.cookies import read_cookies
from kb.sources.ytdlp.version import as_written, newer_version

# Sites change: a yt-dlp older than this often fails to download from YouTube.
YTDLP_OLD_DAYS = 60

_NO_JAVASCRIPT = KBError(
    "check.no_javascript",
    "not found",
    hint="YouTube cannot be fetched from without it: pip install deno",
)
_NO_FFMPEG = KBError("check.no_ffmpeg", "not found", hint="Run: pip install imageio-ffmpeg")


def ytdlp_age_days(today: date | None = None) -> int | None:
    """Return the days since the installed yt-dlp was released (its version is a date).

    None if the version is unknown.
    """
    try:
        from yt_dlp.version import __version__

        year, month, day = (int(part) for part in str(__version__).split(".")[:3])
        return ((today or date.today()) - date(year, month, day)).days
    except (ImportError, ValueError):
        return None


def check_sources(
    settings: Settings, database: Database, *, clock: Callable[[], float] = time.time
) -> tuple[HealthCheck, ...]:
    """Return the checks of the parts that listing and downloading need. Raises nothing."""
    return (
        _keys(settings, database, clock),
        _ytdlp(datetime.fromtimestamp(clock(), UTC).date()),
        *_outdated_workers(database),
        _program("JavaScript runtime", javascript_runtime(), _NO_JAVASCRIPT),
        _program("ffmpeg", ffmpeg_path(), _NO_FFMPEG),
        *_cookies(settings),
        _lane(settings, database, clock),
    )


def _keys(settings: Settings, database: Database, clock: Callable[[], float]) -> HealthCheck:
    name = "YouTube Data API keys"
    try:
        statuses = KeyRing(read_keys(settings), database, clock=clock).statuses()
    except KBError as error:
        return HealthCheck.of(name, "fail", error)
    here = unused_keys_file(settings.yt_api_keys_file)
    if not statuses and here is not None:
        unread = KBError(
            "check.keys_unread",
            "none: {here} is not read, because a file of the current folder may come from anybody",
            hint="Move it to {path}, or set YT_API_KEYS_FILE to it.",
            here=here,
            path=key_file_path(settings),
        )
        return HealthCheck.of(name, "warn", unread)
    if not statuses:
        absent = KBError(
            "check.keys_absent",
            "none: channels are listed more slowly and with fewer details",
            hint="Put a key into {path}. It is made in the Google Cloud console: APIs, YouTube "
            "Data API v3, Credentials.",
            path=key_file_path(settings),
        )
        return HealthCheck.of(name, "warn", absent)
    shown = with_semicolons([key_clause(status) for status in statuses])
    ready = sum(status.state == "ready" for status in statuses)
    if ready == len(statuses):
        well = KBError(
            "check.keys",
            "{ready} of {count} ready: {keys}",
            ready=ready,
            count=len(statuses),
            keys=shown,
        )
        return HealthCheck.of(name, "ok", well)
    used = KBError(
        "check.keys_unready",
        "{ready} of {count} ready: {keys}",
        hint="Replace what is not valid; what is used up comes back at midnight Pacific time.",
        ready=ready,
        count=len(statuses),
        keys=shown,
    )
    return HealthCheck.of(name, "warn", used)


def key_clause(status: KeyStatus) -> KBError:
    """Return a key without its secret, with its state and what was used of its quota."""
    reason: KBError | str = ""
    if status.reason:
        reason = KBError("clause.in_brackets", " ({reason})", reason=status.reason)
    if status.allowance is None:
        return KBError(
            "clause.key_used",
            "{key} {state}, {units:,} units of today's quota{reason}",
            key=status.shown,
            state=status.state,
            units=status.units_today,
            reason=reason,
        )
    return KBError(
        "clause.key_used_of",
        "{key} {state}, {units:,} of {allowance:,} units of today's quota{reason}",
        key=status.shown,
        state=status.state,
        units=status.units_today,
        allowance=status.allowance,
        reason=reason,
    )


def _ytdlp(today: date) -> HealthCheck:
    age = ytdlp_age_days(today)
    if age is None:
        absent = KBError(
            "check.ytdlp_absent",
            "not installed, or its version cannot be read",
            hint="Run: pip install -U yt-dlp yt-dlp-ejs",
        )
        return HealthCheck.of("yt-dlp", "fail", absent)
    if age > YTDLP_OLD_DAYS:
        old = KBError(
            "check.ytdlp_old",
            "{age:day|days} old; sites have changed since",
            hint="Run: pip install -U yt-dlp yt-dlp-ejs",
            age=age,
        )
        return HealthCheck.of("yt-dlp", "warn", old)
    fresh = KBError("check.ytdlp", "{age:day|days} old", age=max(age, 0))
    return HealthCheck.of("yt-dlp", "ok", fresh)


def _outdated_workers(database: Database) -> Iterator[HealthCheck]:
    """Yield a warning for each worker of this machine that runs an older yt-dlp than this one."""
    try:
        here = [each for each in list_workers(database) if each.is_here and each.is_alive()]
    except KBError:
        return  # the check of the database names the cause
    for worker in here:
        if newer := newer_version(worker.ytdlp):
            outdated = KBError(
                "check.worker_ytdlp",
                "worker {worker} runs {version}, and {newer} is installed",
                hint="Restart it: kb worker --stop, then kb worker. Items that failed with the "
                "older one are then tried again at once.",
                worker=worker.executor_id,
                version=as_written(worker.ytdlp),
                newer=newer,
            )
            yield HealthCheck.of("yt-dlp", "warn", outdated)


def _cookies(settings: Settings) -> Iterator[HealthCheck]:
    """Yield the check of the cookies file, if one is set; no text of the file is in it."""
    if not settings.cookies_file:
        return
    name = "Cookies"
    try:
        damaged = read_cookies(settings).damaged
    except KBError as error:
        yield HealthCheck.of(name, "fail", error)
        return
    if not damaged:
        read = KBError("check.cookies", "{path}", path=settings.cookies_file)
        yield HealthCheck.of(name, "ok", read)
        return
    lines: KBError | str = ", ".join(map(str, damaged[:5]))
    if len(damaged) > 5:
        lines = KBError(
            "clause.and_more", "{names} and {more} more", names=lines, more=len(damaged) - 5
        )
    rows = KBError(
        "check.cookies_damaged",
        "{path}: damaged rows are left out: line {lines}",
        hint="Export the cookies again in Netscape format (cookies.txt): seven columns, parted by "
        "tabs.",
        path=settings.cookies_file,
        lines=lines,
    )
    yield HealthCheck.of(name, "warn", rows)


def _program(name: str, path: str | None, absent: KBError) -> HealthCheck:
    if path:
        return HealthCheck.of(name, "ok", KBError("check.program", "{path}", path=path))
    return HealthCheck.of(name, "fail", absent)


def _lane(settings: Settings, database: Database, clock: Callable[[], float]) -> HealthCheck:
    try:
        status = DownloadRateLimiter(database, settings, clock=clock).status()
    except KBError as error:
        return HealthCheck.of("Downloads", "fail", error)
    if status.paused_until is None:
        free = KBError("check.downloads", "none is held back")
        return HealthCheck.of("Downloads", "ok", free)
    until = datetime.fromtimestamp(status.paused_until).astimezone()
    rest = KBError(
        "check.downloads_rest",
        "at rest until {end}: {reason}",
        hint="They go on by themselves; `kb resume` lifts the pause now.",
        end=f"{until:%Y-%m-%d %H:%M}",
        reason=restored(status.reason, problem=status.problem),
    )
    return HealthCheck.of("Downloads", "warn", rest)
