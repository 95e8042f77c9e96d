"""Downloads of the picture alone, for reading the text on the screen of what was kept as sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kb.errors import KBError, MediaUnavailable
from kb.sources.base import Progress, no_progress
from kb.sources.remote_fields import number
from kb.sources.ytdlp.download import Downloader
from kb.sources.ytdlp.errors import YtdlpFailure
from kb.sources.ytdlp.length_check import DamagedFile, Measure, tolerance_s
from kb.types import MediaItem

LEAST_LINES = 360  # text of a slide is still read at this height, and not below
NO_PICTURE = "download.no_picture"


class PictureDownloader(Downloader):
    """A client for downloads of the picture; its settings ask for no captions and no thumbnail."""

    def picture(
        self, item: MediaItem, folder: Path, progress: Progress = no_progress
    ) -> Path | None:
        """Download the smallest stream that has enough lines; return its path in `folder`.

        None if the source has no picture. The call waits for the rate limit of downloads. Raises
        the errors of `fetch`.
        """
        self._check_available(item)
        try:
            check = PictureCheck(item, self._measure, self._settings.download_attempts)
            return self._checked(item, folder, progress, "audio", check.check)[0]
        except MediaUnavailable as error:
            if error.code != NO_PICTURE:
                raise
            return None

    def _options(self, item: MediaItem, folder: Path, keep: str, fresh: bool) -> dict[str, Any]:
        options = super()._options(item, folder, "audio", fresh)
        return options | {"format": _smallest}


class PictureCheck:
    """The check that a picture has arrived whole; `attempts` is the largest number of downloads."""

    def __init__(self, item: MediaItem, measure: Measure | None, attempts: int) -> None:
        self._item, self._measure, self._attempts = item, measure, attempts
        self._size = -1

    def check(self, path: Path, info: Mapping[str, Any]) -> None:
        """Raise DamagedFile if the file is to be downloaded once more from its beginning.

        A picture may end before the sound: a whole file that arrives twice with the same size is
        taken as it is.
        """
        if self._measure is None:
            return
        try:
            measured = self._measure(path)
        except KBError as error:
            raise DamagedFile(YtdlpFailure("transient", "damaged", error=error)) from None
        expected_s = number(info.get("duration")) or self._item.duration_s
        size = path.stat().st_size
        repeated, self._size = size == self._size, size
        is_short = bool(expected_s and measured.duration_s < expected_s - tolerance_s(expected_s))
        if not measured.truncated and (not is_short or repeated or self._attempts == 1):
            return
        raise DamagedFile(
            YtdlpFailure(
                "transient", "short", measured_s=measured.duration_s, declared_s=expected_s
            )
            if expected_s and is_short
            else YtdlpFailure("transient", "damaged")
        )


def _smallest(context: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the format to download; a function of yt-dlp's option `format`.

    Raises MediaUnavailable, which ends the download at once, where no format has a picture.
    """
    chosen = smallest_picture(context["formats"])
    if chosen is None:
        raise MediaUnavailable(NO_PICTURE, "The source has no picture.")
    yield chosen


def smallest_picture(formats: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the smallest format with at least LEAST_LINES lines, else the tallest one.

    A format whose codec and height are both unknown is no picture: the sound came from it.
    """
    seen = [each for each in formats if has_picture(each)]
    enough = [each for each in seen if (each.get("height") or LEAST_LINES) >= LEAST_LINES]
    if enough:
        return min(enough, key=_weight)
    return max(seen, key=lambda each: each.get("height") or 0, default=None)


def has_picture(format_: Mapping[str, Any]) -> bool:
    """Return True if a format of yt-dlp declares a picture that can be downloaded."""
    codec = format_.get("vcodec")
    is_known = bool(codec and codec != "none") or bool(format_.get("height") and codec != "none")
    return is_known and not format_.get("has_drm") and format_.get("ext") not in ("mhtml", "jpg")


def _weight(format_: Mapping[str, Any]) -> tuple[bool, float, int]:
    """Return a key by which the smaller of two formats comes first; unknown sizes come last."""
    size = format_.get("filesize") or format_.get("filesize_approx") or format_.get("tbr") or 0
    return not size, float(size), int(format_.get("height") or 0)
