"""The activity of a time: what was new, what the looks cost, the growth and the room left."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from kb.database import Database
from kb.jobs.queue import reasons
from kb.jobs.queue.reasons import EndedItem
from kb.library import Library
from kb.sources.looks import LookOutcome, Looks
from kb.storage.free_space import free_bytes

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Activity:
    """Numbers of a time of `days`.

    `new` are the items that were done or held. Of the looks: their number, those that failed, that
    wait for another try, that were interrupted or cancelled and that have not ended, their units of
    quota and the items that they queued. `grown_bytes` are the media of the new items,
    `library_bytes` all files of the library's media folder; None if they were not measured.
    """

    days: float
    new: tuple[EndedItem, ...]
    looks: int
    failed: int
    waiting: int
    interrupted: int
    running: int
    units: int
    queued: int
    grown_bytes: int | None
    library_bytes: int | None
    free_bytes: int | None

    @property
    def new_s(self) -> float:
        """The length of the new items in seconds, as far as it is known."""
        return sum(each.duration_s or 0.0 for each in self.new)

    @property
    def unmeasured(self) -> int:
        """The number of new items of unknown length."""
        return sum(not each.duration_s for each in self.new)

    @property
    def new_length(self) -> str:
        """The length of the new items in words, empty if none has a known one."""
        return length_text(self.new_s, self.unmeasured, len(self.new))

    @property
    def days_left(self) -> float | None:
        """The days until the disk is full at this rate; None if unknown."""
        if self.free_bytes is None or not self.grown_bytes:
            return None
        return self.free_bytes / (self.grown_bytes / self.days)


def length_text(seconds: float, unmeasured: int, count: int) -> str:
    """Return the length of new items in words, empty if none of `count` has a known one.

    `unmeasured` of them have no known length.
    """
    if not count or unmeasured >= count:
        return ""
    minutes = seconds / 60
    said = (
        f"{minutes / 60:.1f} h" if minutes >= 90
        else f"{minutes:.0f} min" if minutes >= 1.5 else f"{max(1, round(seconds))} s"
    )  # fmt: skip
    return said + (f", {unmeasured} of unknown length" if unmeasured else "")


def activity(
    database: Database, library: Library, begin: float, end: float, *, sizes: bool = True
) -> Activity:
    """Return the activity between `begin` and `end` (epoch seconds).

    With `sizes`, the files of the new items and of the whole media folder are measured. Raises
    LibraryError.
    """
    new = tuple(each for each in reasons.ended_between(database, begin, end) if each.title)
    looks = [look for look in Looks(database).since(begin) if look.started_at < end]
    ends = Counter(look.outcome for look in looks)
    return Activity(
        days=max((end - begin) / DAY_S, 1e-9),
        new=new,
        looks=len(looks),
        failed=ends[LookOutcome.FAILED],
        waiting=ends[LookOutcome.WAITING],
        interrupted=ends[LookOutcome.INTERRUPTED] + ends[LookOutcome.CANCELLED],
        running=ends[LookOutcome.RUNNING],
        units=sum(look.units for look in looks),
        queued=sum(look.queued for look in looks),
        grown_bytes=_media_bytes(library, {each.id for each in new}) if sizes else None,
        library_bytes=_folder_bytes(library.media_folder) if sizes else None,
        free_bytes=free_bytes(library.home),
    )


def _media_bytes(library: Library, ids: Collection[str]) -> int:
    """Return the bytes of the media of these items in the library folder."""
    total = 0
    for entry in library.find_all(ids) if ids else ():
        if entry.media_path is not None:
            try:
                total += entry.media_path.stat().st_size
            except OSError:
                continue
    return total


def _folder_bytes(folder: Path) -> int | None:
    """Return the bytes of the files in a folder, None if it cannot be read."""
    total = 0
    try:
        with os.scandir(folder) as found:
            for each in found:
                try:
                    total += each.stat(follow_symlinks=False).st_size
                except OSError:
                    continue  # it was moved away meanwhile
    except OSError:
        return None
    return total
