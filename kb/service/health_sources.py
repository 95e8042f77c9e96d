"""Checks of the sources for `kb doctor`: keys, yt-dlp and its programs, the download lane."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from kb.database import Database
from kb.errors import KBError, StoredProblem
from kb.jobs.queue.heartbeat import list_workers
from kb.settings import Settings
from kb.sources.keys.key_file import key_file_path
from kb.sources.keys.key_ring import KeyRing, KeyStatus, read_keys, unused_keys_file
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from kb.sources.ytdlp.client import ffmpeg_path, javascript_runtime
from kb.sources.ytdlp.cookies import read_cookies
from kb.sources.ytdlp.version import as_written, newer_version
from kb.types.sentences import counted

# Sites change: a yt-dlp older than this often fails to download from YouTube.
YTDLP_OLD_DAYS = 60


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """The result of one check; `state` is `ok`, `warning` or `failed`, `hint` is the next step."""

    name: str
    state: str
    detail: str
    hint: str = ""
    problem: StoredProblem | None = None


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
) -> tuple[SourceCheck, ...]:
    """Return the checks of the parts that listing and downloading need. Raises nothing."""
    return (
        _keys(settings, database, clock),
        _ytdlp(datetime.fromtimestamp(clock(), UTC).date()),
        *_outdated_workers(database),
        _program(
            "JavaScript runtime",
            javascript_runtime(),
            "YouTube cannot be fetched from without it: pip install deno",
        ),
        _program("ffmpeg", ffmpeg_path(), "Run: pip install imageio-ffmpeg"),
        *_cookies(settings),
        _lane(settings, database, clock),
    )


def _keys(settings: Settings, database: Database, clock: Callable[[], float]) -> SourceCheck:
    name = "YouTube Data API keys"
    try:
        statuses = KeyRing(read_keys(settings), database, clock=clock).statuses()
    except KBError as error:
        return SourceCheck(name, "failed", error.message, error.hint, error.problem)
    here = unused_keys_file(settings.yt_api_keys_file)
    if not statuses and here is not None:
        return SourceCheck(
            name,
            "warning",
            f"none: {here} is not read, because a file of the current folder may come from anybody",
            f"Move it to {key_file_path(settings)}, or set YT_API_KEYS_FILE to it.",
        )
    if not statuses:
        return SourceCheck(
            name,
            "warning",
            "none: channels are listed more slowly and with fewer details",
            f"Put a key into {key_file_path(settings)}; the README says how to get one.",
        )
    shown = "; ".join(
        f"{status.shown} {status.state}, {status.units_today:,}{_of(status)} units of today's quota"
        + (f" ({status.reason})" if status.reason else "")
        for status in statuses
    )
    ready = sum(status.state == "ready" for status in statuses)
    well = ready == len(statuses)
    return SourceCheck(
        name,
        "ok" if well else "warning",
        f"{ready} of {len(statuses)} ready: {shown}",
        ""
        if well
        else "Replace what is not valid; what is used up comes back at midnight Pacific time.",
    )


def _ytdlp(today: date) -> SourceCheck:
    age = ytdlp_age_days(today)
    update = "Run: pip install -U yt-dlp yt-dlp-ejs"
    if age is None:
        return SourceCheck(
            "yt-dlp", "failed", "not installed, or its version cannot be read", update
        )
    if age > YTDLP_OLD_DAYS:
        return SourceCheck(
            "yt-dlp", "warning", f"{counted(age, 'day')} old; sites have changed since", update
        )
    return SourceCheck("yt-dlp", "ok", f"{counted(max(age, 0), 'day')} old")


def _outdated_workers(database: Database) -> Iterator[SourceCheck]:
    """Yield a warning for each worker of this machine that runs an older yt-dlp than this one."""
    try:
        here = [each for each in list_workers(database) if each.is_here and each.is_alive()]
    except KBError:
        return  # the check of the database names the cause
    for worker in here:
        if newer := newer_version(worker.ytdlp):
            yield SourceCheck(
                "yt-dlp",
                "warning",
                f"worker {worker.executor_id} runs {as_written(worker.ytdlp)}, and {newer} is "
                "installed",
                "Restart it: kb worker --stop, then kb worker. Items that failed with the older "
                "one are then tried again at once.",
            )


def _cookies(settings: Settings) -> Iterator[SourceCheck]:
    """Yield the check of the cookies file, if one is set; no text of the file is in it."""
    if not settings.cookies_file:
        return
    name = "Cookies"
    try:
        damaged = read_cookies(settings).damaged
    except KBError as error:
        yield SourceCheck(name, "failed", error.message, error.hint, error.problem)
        return
    if not damaged:
        yield SourceCheck(name, "ok", str(settings.cookies_file))
        return
    lines = ", ".join(map(str, damaged[:5]))
    more = f" and {len(damaged) - 5} more" if len(damaged) > 5 else ""
    yield SourceCheck(
        name,
        "warning",
        f"{settings.cookies_file}: damaged rows are left out: line {lines}{more}",
        "Export the cookies again in Netscape format (cookies.txt): seven columns, parted by tabs.",
    )


def _program(name: str, path: str | None, hint: str) -> SourceCheck:
    return SourceCheck(name, "ok", path) if path else SourceCheck(name, "failed", "not found", hint)


def _lane(settings: Settings, database: Database, clock: Callable[[], float]) -> SourceCheck:
    try:
        status = DownloadRateLimiter(database, settings, clock=clock).status()
    except KBError as error:
        return SourceCheck("Downloads", "failed", error.message, error.hint, error.problem)
    if status.paused_until is None:
        return SourceCheck("Downloads", "ok", "none is held back")
    until = datetime.fromtimestamp(status.paused_until).astimezone()
    return SourceCheck(
        "Downloads",
        "warning",
        f"at rest until {until:%Y-%m-%d %H:%M}: {status.reason}",
        "They go on by themselves; `kb resume` lifts the pause now.",
    )


def _of(status: KeyStatus) -> str:
    return f" of {status.allowance:,}" if status.allowance is not None else ""
