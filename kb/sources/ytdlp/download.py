"""Downloads through yt-dlp, which are resumed, verified and limited in rate."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from kb.database import Database
from kb.errors import LibraryError, MediaUnavailable, RetryLater
from kb.settings import Settings
from kb.sources.base import LISTED_S, MISSING, FetchResult, Progress, no_progress
from kb.sources.private_networks import private_networks_refused
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from kb.sources.redact import redact
from kb.sources.ytdlp.captions import save_track, select_track
from kb.sources.ytdlp.client import base_options, secrets_of
from kb.sources.ytdlp.errors import DEFAULT_RETRY_S, YtdlpFailure, classify, failure_error
from kb.sources.ytdlp.length_check import AttemptFailed, DamagedFile, LengthCheck, Measure
from kb.sources.ytdlp.metadata import item_from_info, merge_metadata
from kb.sources.ytdlp.ranges import RangeCheck
from kb.sources.ytdlp.tracks import fetched_language, format_selector, with_track_language
from kb.types import CaptionFile, MediaItem

_PROGRESS_EVERY_S = 0.2
_BLOCK = 1 << 20
_CAPTIONS_KEY = "kb_witness"  # key in an info for the captions that were saved with the medium

log = logging.getLogger(__name__)


class Downloader:
    """A client for downloads, one medium per call; it can be shared between threads."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        measure: Measure | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._measure = measure
        self._clock = clock or database.time
        self._secrets = secrets_of(settings)
        self.rate_limiter = DownloadRateLimiter(database, settings, clock=clock, sleep=sleep)

    def fetch(
        self,
        item: MediaItem,
        folder: Path,
        progress: Progress = no_progress,
        *,
        keep: str | None = None,
    ) -> FetchResult:
        """Download into `folder`, resuming an interrupted attempt.

        `keep` is `audio` (the site's own format, the default of the settings), `mp3` or `mp4`.
        The item of the result has the metadata of the download; a picture, if the settings
        enable it, is named in `extra["files"]`. Human captions are saved too, others if the
        settings request them. Files that the caller does not move stay in `folder`.

        Raises MediaUnavailable (`retryable` if another attempt may help), RetryLater for a
        medium that is not published yet, LanePaused when the site refuses for too many requests,
        LibraryError when the disk is full, and the error that `progress` raises to stop. The
        next call resumes a stopped download.
        """
        self._check_available(item)
        keep = keep or self._settings.keep
        check = LengthCheck(item, self._measure, self._settings.download_attempts)
        path, info = self._checked(item, folder, progress, keep, check.check)
        return self._result(item, path, info, folder, check.duration_s)

    def _checked(
        self,
        item: MediaItem,
        folder: Path,
        progress: Progress,
        keep: str,
        check: Callable[[Path, dict[str, Any]], None],
    ) -> tuple[Path, dict[str, Any]]:
        """Download until `check` raises no DamagedFile; return the file and yt-dlp's metadata."""
        fresh, failed = False, YtdlpFailure("transient", "network", "nothing was tried")
        forbidden = 0
        for _ in range(self._settings.download_attempts):
            self.rate_limiter.acquire(lambda: progress(0, 0))
            try:
                path, info = self._download(item, folder, progress, keep=keep, fresh=fresh)
                check(path, info)
            except DamagedFile as broken:
                failed, fresh = broken.failure, True
                self._remove(folder, item)
            except AttemptFailed as error:
                failed = error.failure
                if failed.kind == "disk":
                    raise LibraryError(
                        "download.disk_full",
                        "The disk is full; {what} cannot be fetched.",
                        hint="Free some space; it goes on where it stopped.",
                        retryable=True,
                        what=self._name(item),
                    ) from None
                if failed.kind in ("busy", "later", "gone"):
                    raise failure_error(failed, self.rate_limiter, self._name(item)) from None
                # The address of the file may have expired: a new one is tried once.
                forbidden += failed.kind == "forbidden"
                if forbidden > 1:
                    break
            else:
                self.rate_limiter.report_success()
                return path, info
        if failed.kind == "forbidden":
            paused = self.rate_limiter.report_forbidden(item.id, failed.message)
            if paused is not None:
                raise paused
        raise failure_error(failed, self.rate_limiter, self._name(item))

    def _check_available(self, item: MediaItem) -> None:
        if item.availability.is_unavailable:
            if item.availability.reason == MISSING:
                raise MediaUnavailable(
                    "download.missing",
                    "{what} cannot be fetched: it is private or removed, or never existed.",
                    hint="Only its owner can change that.",
                    what=self._name(item),
                )
            raise MediaUnavailable(
                "download.unavailable",
                "{what} cannot be fetched: its state is {state!r}.",
                hint="Only its owner can change that.",
                what=self._name(item),
                state=item.availability.reason,
            )
        moment = item.availability.starts_at
        if moment is not None and moment > self._clock():
            raise RetryLater(
                "download.scheduled",
                "{what} is not out yet.",
                hint="It is fetched by itself when it is.",
                until=moment,
                what=self._name(item),
            )

    def _download(
        self, item: MediaItem, folder: Path, progress: Progress, *, keep: str, fresh: bool
    ) -> tuple[Path, dict[str, Any]]:
        import yt_dlp

        hook = _ProgressHook(progress)
        options = self._options(item, folder, keep, fresh) | {"progress_hooks": [hook]}
        ranges: RangeCheck | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (
                private_networks_refused(self._settings, self._url(item)),
                yt_dlp.YoutubeDL(options) as ydl,
            ):
                ranges = RangeCheck(ydl)
                info = _first_entry(ydl.extract_info(self._url(item), download=True))
                if self._settings.witness and hook.stop_error is None:
                    hook.muted = True  # captions do not count in the progress of the medium
                    self._save_captions(ydl, item, info, folder)
        except MediaUnavailable:
            raise
        except Exception as error:  # extractors raise errors of any class
            if hook.stop_error is not None:
                raise hook.stop_error from None
            failure = classify(error, self._secrets, clock=self._clock)
            if ranges is not None and ranges.failed:
                raise DamagedFile(failure) from None
            raise AttemptFailed(failure) from None
        if hook.stop_error is not None:
            raise hook.stop_error
        if info.get("live_status") in ("is_live", "is_upcoming") or info.get("is_live"):
            until = info.get("release_timestamp") or 0
            until = until if until > self._clock() else self._clock() + DEFAULT_RETRY_S
            raise AttemptFailed(YtdlpFailure("later", "live", until=float(until)))
        done = info.get("requested_downloads") or [{}]
        path = Path(done[0].get("filepath") or "")
        # yt-dlp can return without an exception and without a file.
        if not path.is_file() or path.stat().st_size == 0:
            raise AttemptFailed(YtdlpFailure("transient", "no_file"))
        return path, info

    def captions(
        self, item: MediaItem, folder: Path, progress: Progress = no_progress
    ) -> tuple[MediaItem, tuple[CaptionFile, ...]]:
        """Download the captions alone into `folder`; return the item with its metadata too.

        The captions are in the item's language, human ones if there are any, else automatic
        ones; the tuple is empty if there are none. The call waits for the rate limit of
        downloads. Raises the errors of `fetch`.
        """
        import yt_dlp

        self._check_available(item)
        self.rate_limiter.acquire(lambda: progress(0, 0))
        hook = _ProgressHook(progress)
        options = self._options(item, folder, "audio", True) | {
            "skip_download": True,
            "ignore_no_formats_error": True,
            "progress_hooks": [hook],
        }
        saved: list[CaptionFile] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (
                private_networks_refused(self._settings, self._url(item)),
                yt_dlp.YoutubeDL(options) as ydl,
            ):
                info = _first_entry(ydl.extract_info(self._url(item), download=False))
                track = select_track(info, item.language, automatic=True)
                if track is not None:
                    saved.append(save_track(ydl, info, track, folder / f"{_stem(item)}-captions"))
        except MediaUnavailable:
            raise
        except Exception as error:
            if hook.stop_error is not None:
                raise hook.stop_error from None
            failure = classify(error, self._secrets, clock=self._clock)
            raise failure_error(failure, self.rate_limiter, self._name(item)) from None
        if hook.stop_error is not None:
            raise hook.stop_error
        self.rate_limiter.report_success()
        return merge_metadata(item, item_from_info(info, item.url)), tuple(saved)

    def _save_captions(self, ydl: Any, item: MediaItem, info: dict[str, Any], folder: Path) -> None:
        """Save human captions if there are any; an error is logged and not raised."""
        track = select_track(info, item.language)
        requested = info.get("requested_subtitles") or {}
        if track is None or track.language in requested:
            return
        try:
            info[_CAPTIONS_KEY] = save_track(ydl, info, track, folder / _stem(item))
        except Exception as error:  # the medium is complete and must not fail for its captions
            log.info("%s: no captions: %s", item.id, redact(error, self._secrets))

    def _options(self, item: MediaItem, folder: Path, keep: str, fresh: bool) -> dict[str, Any]:
        settings = self._settings
        # The name contains the format: a download in one format is never resumed in another.
        pattern = f"{folder.absolute()}/{_stem(item)}".replace("%", "%%")
        options = base_options(settings, self._secrets) | {
            "format": format_selector(keep, item.language),
            "outtmpl": {"default": f"{pattern}.%(format_id)s.%(ext)s"},
            "continuedl": not fresh,
            "overwrites": fresh or None,
            "noplaylist": True,
            "playlist_items": str(item.extra.get("place", 1)),
            "updatetime": False,
            "match_filter": _not_live,
            "postprocessors": [],
        }
        if keep == "mp3":
            options["final_ext"] = "mp3"
            options["postprocessors"] = [
                {"key": "FFmpegExtractAudio", "preferredcodec": "mp3", "preferredquality": "128"}
            ]
        if keep == "mp4":
            options["merge_output_format"] = options["final_ext"] = "mp4"
            options["postprocessors"] = [{"key": "FFmpegVideoRemuxer", "preferedformat": "mp4"}]
        if settings.captions:
            options["writesubtitles"] = options["writeautomaticsub"] = True
            options["subtitleslangs"] = [
                each.strip() for each in settings.captions.split(",") if each.strip()
            ]
        options["writethumbnail"] = settings.thumbnail
        return options

    def _result(
        self,
        item: MediaItem,
        path: Path,
        info: dict[str, Any],
        folder: Path,
        duration_s: float | None,
    ) -> FetchResult:
        human = info.get("subtitles") or {}
        captions = [
            CaptionFile(Path(each["filepath"]), language, automatic=language not in human)
            for language, each in (info.get("requested_subtitles") or {}).items()
            if each.get("filepath") and Path(each["filepath"]).is_file()
        ]
        if _CAPTIONS_KEY in info:
            captions.append(info[_CAPTIONS_KEY])
        beside = [
            str(each["filepath"])
            for each in info.get("thumbnails") or ()
            if each.get("filepath") and Path(each["filepath"]).is_file()
        ]
        keep_paths = {path, *map(Path, beside), *(each.path for each in captions)}
        self._remove(folder, item, but=keep_paths)
        found = merge_metadata(item, item_from_info(info, item.url))
        if duration_s is not None:
            extra = {**found.extra, LISTED_S: item.duration_s} if item.duration_s else found.extra
            found = replace(found, duration_s=duration_s, extra=extra)
        fetched = fetched_language(info)
        if fetched:
            found = with_track_language(found, fetched)
        if beside:
            found = replace(found, extra={**found.extra, "files": beside})
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return FetchResult(
            found, path, digest.hexdigest(), temporary=True, captions=tuple(captions)
        )

    def _remove(self, folder: Path, item: MediaItem, but: Container[Path] = ()) -> None:
        for path in folder.glob(f"{_stem(item)}.*"):
            if path not in but:
                # On Windows another program may have the file open; a later download overwrites it.
                with suppress(OSError):
                    path.unlink()

    def _url(self, item: MediaItem) -> str:
        if item.source == "youtube":
            return self._settings.yt_watch_url.replace("{id}", item.short_id)
        return item.url

    def _name(self, item: MediaItem) -> str:
        return redact(item.title or item.id, self._secrets)


class _ProgressHook:
    """A hook of yt-dlp that reports progress a few times a second and stores a stop error."""

    def __init__(self, progress: Progress) -> None:
        self.stop_error: BaseException | None = None
        self.muted = False
        self._progress = progress
        self._next = 0.0

    def __call__(self, status: dict[str, Any]) -> None:
        from yt_dlp.utils import DownloadCancelled

        now = time.monotonic()
        if self.muted or (status.get("status") == "downloading" and now < self._next):
            return
        self._next = now + _PROGRESS_EVERY_S
        total = status.get("total_bytes") or status.get("total_bytes_estimate") or 0
        try:
            self._progress(int(status.get("downloaded_bytes") or 0), int(total))
        except BaseException as error:
            # The error is stored: yt-dlp handles some exceptions as its own failures and retries.
            self.stop_error = error
            raise DownloadCancelled from error


def _first_entry(info: dict[str, Any] | None) -> dict[str, Any]:
    """Return the info of the medium; `info` may be a list with one entry, or empty."""
    found = info or {}
    if "entries" not in found:
        return found
    entries = [entry for entry in found["entries"] or () if entry]
    return entries[0] if entries else {}


def _not_live(info: dict[str, Any], *, incomplete: bool = False) -> str | None:
    """Return the reason why yt-dlp skips a live or upcoming medium, None for any other.

    The download of a live stream would never end.
    """
    if info.get("live_status") in ("is_live", "is_upcoming") or info.get("is_live"):
        return "It is still live or to come."
    return None


def _stem(item: MediaItem) -> str:
    # The hash distinguishes ids that differ only in case, which are the same name on Windows.
    plain = "".join(c if c.isalnum() and c.isascii() else "_" for c in item.short_id)[:40]
    return f"{plain}-{hashlib.sha256(item.id.encode()).hexdigest()[:8]}"
