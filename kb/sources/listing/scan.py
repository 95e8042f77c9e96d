"""Scans: the number, length and cost of the media of a reference, before any is queued."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb.errors import UsageError
from kb.settings import Settings
from kb.sources.listing.listing import Listing, ListingReport
from kb.types import AvailabilityState, MediaItem

# Bytes on disk per second of medium: 128 kbit/s for sound, 2.5 Mbit/s for picture.
BYTES_PER_S = {"audio": 128_000 / 8, "mp3": 128_000 / 8, "mp4": 2_500_000 / 8}
# The smallest stream of a picture with 360 lines, 200 kbit/s: it is deleted after it was read.
PICTURE_BYTES_PER_S = 200_000 / 8
# Seconds to open a page and choose a format, in addition to the pause and the transfer.
OVERHEAD_S = 3.0
# States that an ingest would queue: not requested before, or ended without a transcript.
_NEW = ("new", "upcoming", "live")
_RETRY_STATES = ("failed", "cancelled")


@dataclass(frozen=True, slots=True)
class ScannedItem:
    """An item and its state.

    The state is `new`, `upcoming`, `live`, `unavailable`, or the one in the library or queue.
    """

    item: MediaItem
    state: str

    @property
    def should_ingest(self) -> bool:
        """True if an ingest would queue it."""
        return self.state in (*_NEW, *_RETRY_STATES)

    @property
    def category(self) -> str:
        """`new`, `known`, `failed`, `cancelled` or `unavailable`."""
        if self.state in _NEW:
            return "new"
        return self.state if self.state in (*_RETRY_STATES, "unavailable") else "known"


@dataclass(frozen=True, slots=True)
class Scan:
    """The result of a scan. Times are in seconds, sizes in bytes, both for the items to be queued.

    `unmeasured` counts those items whose length the source does not give: they are missing in
    the sums. `recognition_s` is None without a measured speed; `disk_free` is None if unknown.
    `picture_bytes` are downloaded for the text on the screen and do not stay on the disk.
    """

    report: ListingReport
    items: tuple[ScannedItem, ...]
    audio_s: float
    unmeasured: int
    disk_bytes: int
    disk_free: int | None
    download_s: float
    recognition_s: float | None
    picture_bytes: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of items by category; `known` ones are done, held or queued.

        `unavailable` counts the entries that cannot be fetched.
        """
        found = dict.fromkeys(("new", "known", *_RETRY_STATES, "unavailable"), 0)
        for each in self.items:
            found[each.category] += 1
        # The report counts the unavailable entries of a list; a single unavailable video is an
        # item.
        found["unavailable"] = max(found["unavailable"], self.report.unavailable)
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the reader: those of the listing, and a warning about a small disk."""
        short = disk_shortage(self.disk_bytes, self.disk_free)
        return (*self.report.notes, *([f"{short.message} {short.hint}"] if short else []))

    @property
    def estimate_s(self) -> float | None:
        """The whole wall time in seconds, None if unknown; downloads and recognition overlap."""
        if self.recognition_s is None:
            return None
        return max(self.download_s, self.recognition_s)

    def as_dict(self) -> dict[str, Any]:
        """Return the document of `kb scan --json`."""
        return {
            "source": self.report.reference,
            "kind": self.report.kind,
            "title": self.report.title,
            "reported": self.report.reported,
            "listed": self.report.listed,
            "matching": len(self.items),
            **self.counts,
            "audio_s": self.audio_s,
            "unmeasured": self.unmeasured,
            "api_units": self.report.units,
            "via": self.report.via,
            "disk_bytes": self.disk_bytes,
            "disk_free": self.disk_free,
            "picture_bytes": self.picture_bytes,
            "download_s": self.download_s,
            "recognition_s": self.recognition_s,
            "estimate_s": self.estimate_s,
            "notes": list(self.notes),
            "items": [
                {
                    "id": each.item.id,
                    "title": each.item.title,
                    "published": each.item.published,
                    "duration_s": each.item.duration_s,
                    "state": each.state,
                    "url": each.item.url,
                }
                for each in self.items
            ],
        }


def scan(
    listing: Listing,
    settings: Settings,
    *,
    states_of: Callable[[Sequence[str]], Mapping[str, str]] = lambda _: {},
    rtfx: float | None = None,
    pictures: bool = False,
) -> Scan:
    """Read a listing to its end and return its sums.

    `states_of` returns the states of those ids that the library or the queue has; `rtfx` is the
    measured speed of recognition (seconds of sound per second), None if unknown. With `pictures`
    those of what is kept as sound are fetched too.
    Raises the errors of the listing.
    """
    found = list(listing)
    states = states_of([item.id for item in found])
    items = tuple(ScannedItem(item, states.get(item.id) or _state(item)) for item in found)
    to_ingest = [each.item for each in items if each.should_ingest]
    audio_s = sum(item.duration_s or 0.0 for item in to_ingest)
    local = listing.report.via == "file"
    disk_bytes = media_bytes(to_ingest, settings.keep, settings.home)
    fetched = picture_bytes(to_ingest, settings.keep) if pictures else 0
    return Scan(
        report=listing.report,
        items=items,
        audio_s=audio_s,
        unmeasured=sum(item.duration_s is None for item in to_ingest),
        disk_bytes=disk_bytes,
        disk_free=_free_bytes(settings.home),
        download_s=0.0
        if local
        else downloads_s(len(to_ingest) * (2 if fetched else 1), disk_bytes + fetched, settings),
        recognition_s=audio_s / rtfx if rtfx else None,
        picture_bytes=fetched,
    )


def downloads_s(starts: int, size: int, settings: Settings) -> float:
    """Return the expected seconds of so many downloads of `size` bytes in all.

    Two bounds apply: the pauses of the limiter between starts, and the time of the transfers.
    """
    low = settings.download_pause_s
    pause_s = (low + max(low, settings.download_pause_max_s)) / 2 if low else 0.0
    transfer_s = size / settings.download_rate if settings.download_rate else 0.0
    return max(starts * max(pause_s, OVERHEAD_S), transfer_s)


def media_bytes(items: Sequence[MediaItem], keep: str, home: Path) -> int:
    """Return the estimated disk space of the items' media in the library, in bytes.

    Downloads count by their length and `keep` (the setting of that name). Local files count where
    they are copied: those on the library's own disk are linked.
    """
    device = _device(home)
    total = 0.0
    for item in items:
        if item.source != "file":
            total += (item.duration_s or 0.0) * BYTES_PER_S[keep]
        elif device is None or _device(Path(str(item.extra.get("path", "")))) != device:
            total += int(item.extra.get("size", 0))
    return int(total)


def picture_bytes(items: Sequence[MediaItem], keep: str) -> int:
    """Return the estimated bytes of the pictures that are fetched for the text on the screen.

    What is kept with its picture needs none, and a local file has no other place.
    """
    if keep == "mp4":
        return 0
    return int(
        sum((item.duration_s or 0.0) * PICTURE_BYTES_PER_S for item in items
            if item.source != "file")
    )  # fmt: skip


def disk_shortage(needed: int, free: int | None) -> UsageError | None:
    """Return the error of a disk that is too small for `needed` bytes; None if it is not."""
    if free is None or needed <= free:
        return None
    return UsageError(
        "scan.disk_too_small",
        "The disk is too small: {needed_gb:.1f} GB are needed, {missing_gb:.1f} GB more than the "
        "{free_gb:.1f} GB that are free.",
        hint="Take fewer media (the newest N), keep the sound only (mp3), free some space, or set "
        "KB_HOME to a folder on another disk.",
        needed_gb=needed / 1e9,
        missing_gb=(needed - free) / 1e9,
        free_gb=free / 1e9,
    )


def _device(path: Path) -> int | None:
    """Return the number of the disk of a path, or of its next parent that exists."""
    for place in (path, *path.parents):
        try:
            return place.stat().st_dev
        except OSError:
            continue
    return None


def _state(item: MediaItem) -> str:
    state = item.availability.state
    if state in (AvailabilityState.AVAILABLE, AvailabilityState.UNREADABLE):
        return "new"
    return str(state)


def _free_bytes(home: Path) -> int | None:
    """Return the free bytes on the disk of the library, which may not exist yet."""
    for folder in (home, *home.parents):
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            continue
    return None
