"""Downloads through yt-dlp: fetched whole, resumed, checked, politely."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from kb.database import Catalogue
from kb.errors import KBError, Later, LibraryError, MediaUnavailable
from kb.settings import Settings
from kb.sources.base import Fetched, Progress, no_progress
from kb.sources.rate_limit.download_lane import Lane
from kb.sources.redact import scrub
from kb.sources.ytdlp.captions import choose, save
from kb.sources.ytdlp.client import base_options, secrets_of
from kb.sources.ytdlp.errors import LATER_S, Verdict, judge, refusal
from kb.sources.ytdlp.metadata import enriched, item_of_info
from kb.types import CaptionFile, MediaItem

# The decoded length of a file in seconds; raises KBError for what cannot be decoded.
Measure = Callable[[Path], float]

# Declared lengths are rounded to seconds, and a sound track may end a moment before the
# picture; of a very short medium that leeway would be half.
SHORT_BY_S = 2.0
SHORT_BY_SHARE = 0.005
SHORT_BY_SHARE_MAX = 0.35
_PROGRESS_EVERY_S = 0.2
_BLOCK = 1 << 20
_WITNESS = "kb_witness"  # where an info holds the captions that were saved beside it

_FORMATS = {
    "audio": "bestaudio/best",
    "mp3": "bestaudio/best",
    "mp4": "bestvideo[ext=mp4]+bestaudio[ext=m4a]/best[ext=mp4]/bestvideo+bestaudio/best",
}

log = logging.getLogger(__name__)


class Downloader:
    """Fetches one medium at a time; make one per thread or share it, both are safe."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        *,
        measure: Measure | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._measure = measure
        self._clock = clock
        self._secrets = secrets_of(settings)
        self.lane = Lane(catalogue, settings, clock=clock, sleep=sleep)

    def fetch(
        self,
        item: MediaItem,
        folder: Path,
        progress: Progress = no_progress,
        *,
        keep: str | None = None,
    ) -> Fetched:
        """Download into `folder`, going on from what a broken attempt left there.

        `keep` is `audio` (as the site has it, the default of the settings), `mp3` or `mp4`.
        The item comes back with what the download told about it; a picture, when the settings
        ask for it, is named in `extra["files"]`. Captions made by people come along by
        themselves, others when the settings ask for them. What the caller does not move stays
        in `folder`.

        Raises MediaUnavailable (`retryable` tells whether another time may help), Later for
        what is not out yet, LanePaused when the site wants a rest, LibraryError when the disk
        is full, and whatever `progress` raises to stop; then the next call resumes.
        """
        self._refuse_hopeless(item)
        keep = keep or self._settings.keep
        fresh, failed = False, Verdict("transient", "nothing was tried")
        forbidden = 0
        for _ in range(self._settings.download_attempts):
            self.lane.wait(lambda: progress(0, 0))
            try:
                path, info = self._download(item, folder, progress, keep=keep, fresh=fresh)
                self._verify(path, item, info)
            except _Broken as broken:
                failed, fresh = broken.verdict, True
                self._remove(folder, item)
            except _Failed as error:
                failed = error.verdict
                if failed.kind == "disk":
                    raise LibraryError(
                        f"The disk is full; {self._name(item)} cannot be fetched.",
                        hint="Free some space; it goes on where it stopped.",
                        retryable=True,
                    ) from None
                if failed.kind in ("busy", "later", "gone"):
                    raise refusal(failed, self.lane, self._name(item)) from None
                # An address may have grown old meanwhile: once more with a new one.
                forbidden += failed.kind == "forbidden"
                if forbidden > 1:
                    break
            else:
                self.lane.succeeded()
                return self._fetched(item, path, info, folder)
        if failed.kind == "forbidden":
            paused = self.lane.forbidden(item.id, failed.message)
            if paused is not None:
                raise paused
        raise refusal(failed, self.lane, self._name(item))

    def _refuse_hopeless(self, item: MediaItem) -> None:
        if why := item.extra.get("unavailable"):
            raise MediaUnavailable(
                f"{self._name(item)} cannot be had: {why}.", hint="Only its owner can change that."
            )
        moment = item.extra.get("available_at")
        if isinstance(moment, int | float) and moment > self._clock():
            raise Later(
                f"{self._name(item)} is not out yet.",
                hint="It is fetched by itself when it is.",
                until=float(moment),
            )

    def _download(
        self, item: MediaItem, folder: Path, progress: Progress, *, keep: str, fresh: bool
    ) -> tuple[Path, dict[str, Any]]:
        import yt_dlp

        hook = _Hook(progress)
        options = self._options(item, folder, keep, fresh) | {"progress_hooks": [hook]}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with yt_dlp.YoutubeDL(options) as ydl:
                info = _single(ydl.extract_info(self._url(item), download=True))
                if self._settings.witness and hook.stopped is None:
                    hook.muted = True  # what is told is how much of the medium is there
                    self._add_witness(ydl, item, info, folder)
        except Exception as error:  # whatever an extractor stumbles over
            if hook.stopped is not None:
                raise hook.stopped from None
            raise _Failed(judge(error, self._secrets, clock=self._clock)) from None
        if hook.stopped is not None:
            raise hook.stopped
        if info.get("live_status") in ("is_live", "is_upcoming") or info.get("is_live"):
            until = info.get("release_timestamp") or 0
            until = until if until > self._clock() else self._clock() + LATER_S
            raise _Failed(Verdict("later", "it is still live or to come.", until=float(until)))
        done = info.get("requested_downloads") or [{}]
        path = Path(done[0].get("filepath") or "")
        # No exception is not yet success.
        if not path.is_file() or path.stat().st_size == 0:
            raise _Failed(Verdict("transient", "no file arrived."))
        return path, info

    def captions(
        self, item: MediaItem, folder: Path, progress: Progress = no_progress
    ) -> tuple[MediaItem, tuple[CaptionFile, ...]]:
        """The captions alone, in `folder`, and the item as its page describes it.

        In the item's language, made by people where there are such, else by a machine; empty
        where there are none. Waits its turn among the downloads. Raises as `fetch` does.
        """
        import yt_dlp

        self._refuse_hopeless(item)
        self.lane.wait(lambda: progress(0, 0))
        hook = _Hook(progress)
        options = self._options(item, folder, "audio", True) | {
            "skip_download": True,
            "ignore_no_formats_error": True,
            "progress_hooks": [hook],
        }
        saved: list[CaptionFile] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with yt_dlp.YoutubeDL(options) as ydl:
                info = _single(ydl.extract_info(self._url(item), download=False))
                offer = choose(info, item.language, automatic=True)
                if offer is not None:
                    saved.append(save(ydl, info, offer, folder / f"{_stem(item)}-captions"))
        except Exception as error:
            if hook.stopped is not None:
                raise hook.stopped from None
            verdict = judge(error, self._secrets, clock=self._clock)
            raise refusal(verdict, self.lane, self._name(item)) from None
        if hook.stopped is not None:
            raise hook.stopped
        self.lane.succeeded()
        return enriched(item, item_of_info(info, item.url)), tuple(saved)

    def _add_witness(self, ydl: Any, item: MediaItem, info: dict[str, Any], folder: Path) -> None:
        """Saves captions made by people, where there are any; without them it goes on."""
        offer = choose(info, item.language)
        asked = info.get("requested_subtitles") or {}
        if offer is None or offer.language in asked:
            return
        try:
            info[_WITNESS] = save(ydl, info, offer, folder / _stem(item))
        except Exception as error:  # the medium is here; it must not be lost for its captions
            log.info("%s: no captions: %s", item.id, scrub(error, self._secrets))

    def _options(self, item: MediaItem, folder: Path, keep: str, fresh: bool) -> dict[str, Any]:
        settings = self._settings
        # The format is part of the name, so that half of one is never continued with another.
        pattern = f"{folder.absolute()}/{_stem(item)}".replace("%", "%%")
        options = base_options(settings, self._secrets) | {
            "format": _FORMATS[keep],
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

    def _verify(self, path: Path, item: MediaItem, info: dict[str, Any]) -> None:
        declared = item.duration_s or info.get("duration")
        if self._measure is None:
            return
        try:
            measured = self._measure(path)
        except KBError as error:
            raise _Broken(Verdict("transient", f"what arrived is damaged: {error}")) from None
        if declared and measured < declared - _leeway_s(declared):
            log.info("%s: %.1f s of %.1f s arrived.", item.id, measured, declared)
            raise _Broken(
                Verdict("transient", f"only {measured:.1f} s of {declared:.1f} s arrived.")
            )

    def _fetched(self, item: MediaItem, path: Path, info: dict[str, Any], folder: Path) -> Fetched:
        human = info.get("subtitles") or {}
        captions = [
            CaptionFile(Path(each["filepath"]), language, automatic=language not in human)
            for language, each in (info.get("requested_subtitles") or {}).items()
            if each.get("filepath") and Path(each["filepath"]).is_file()
        ]
        if _WITNESS in info:
            captions.append(info[_WITNESS])
        beside = [
            str(each["filepath"])
            for each in info.get("thumbnails") or ()
            if each.get("filepath") and Path(each["filepath"]).is_file()
        ]
        kept = {path, *map(Path, beside), *(each.path for each in captions)}
        self._remove(folder, item, but=kept)
        found = enriched(item, item_of_info(info, item.url))
        if beside:
            found = replace(found, extra={**found.extra, "files": beside})
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return Fetched(found, path, digest.hexdigest(), temporary=True, captions=tuple(captions))

    def _remove(self, folder: Path, item: MediaItem, but: Container[Path] = ()) -> None:
        for path in folder.glob(f"{_stem(item)}.*"):
            if path not in but:
                # On Windows somebody may have it open; it is overwritten then.
                with suppress(OSError):
                    path.unlink()

    def _url(self, item: MediaItem) -> str:
        if item.source == "youtube":
            return self._settings.yt_watch_url.replace("{id}", item.short_id)
        return item.url

    def _name(self, item: MediaItem) -> str:
        return scrub(item.title or item.id, self._secrets)


class _Failed(Exception):
    """An attempt failed."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict


class _Broken(_Failed):
    """A file arrived and is not what was declared."""


class _Hook:
    """Passes progress on, a few times a second, and remembers what made it stop."""

    def __init__(self, progress: Progress) -> None:
        self.stopped: BaseException | None = None
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
            # yt-dlp would take some exceptions for failures of its own and try again.
            self.stopped = error
            raise DownloadCancelled from error


def _single(info: dict[str, Any] | None) -> dict[str, Any]:
    """The medium of an answer, which may be a list of one."""
    found = info or {}
    if "entries" not in found:
        return found
    entries = [entry for entry in found["entries"] or () if entry]
    return entries[0] if entries else {}


def _not_live(info: dict[str, Any], *, incomplete: bool = False) -> str | None:
    """yt-dlp's question whether to leave a medium out: a stream would run for ever."""
    if info.get("live_status") in ("is_live", "is_upcoming") or info.get("is_live"):
        return "It is still live or to come."
    return None


def _leeway_s(declared_s: float) -> float:
    """By how much a medium may be shorter than declared."""
    least = min(SHORT_BY_S, declared_s * SHORT_BY_SHARE_MAX)
    return max(least, declared_s * SHORT_BY_SHARE)


def _stem(item: MediaItem) -> str:
    # The hash tells apart ids that differ in case alone, which are one name on Windows.
    plain = "".join(c if c.isalnum() and c.isascii() else "_" for c in item.short_id)[:40]
    return f"{plain}-{hashlib.sha256(item.id.encode()).hexdigest()[:8]}"
