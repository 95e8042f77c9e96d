"""The activity of a time: what was new, what the looks cost, the growth and the room left."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb.database import Database
from kb.jobs.digest.doubtful_times import Span, doubtful_spans
from kb.jobs.queue import reasons
from kb.jobs.queue.reasons import EndedItem
from kb.library import Library
from kb.sources.looks import Look, LookOutcome, Looks
from kb.storage.free_space import free_bytes

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Activity:
    """Numbers of a time of `days`.

    `new` are the items that were done or held for the first time, `renewed` those that were
    transcribed again. Of the looks: their number, those that failed, that
    wait for another try, that were interrupted or cancelled and that have not ended, their units of
    quota and the items that they queued. `grown_bytes` are the media of the new items,
    `library_bytes` all files of the library's media folder; None if they were not measured.

    `undated_items` and `undated_looks` may be of this time too: a wrong clock dated them
    (`kb.jobs.digest.doubtful_times`). No other number has them.
    """

    days: float
    new: tuple[EndedItem, ...]
    renewed: tuple[EndedItem, ...]
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
    undated_items: int = 0
    undated_looks: int = 0

    @property
    def is_unknown(self) -> bool:
        """True if there are only items and looks that a wrong clock dated."""
        undated = self.undated_items + self.undated_looks
        return bool(undated) and not (self.new or self.renewed or self.looks)

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

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values; items and their length as in a digest."""
        return {
            "days": self.days,
            "new_count": len(self.new),
            "new_s": self.new_s,
            "new_unmeasured": self.unmeasured,
            "renewed_count": len(self.renewed),
            "looks": self.looks_dict(),
            "undated_items": self.undated_items,
            **self.room_dict(),
        }

    def looks_dict(self) -> dict[str, Any]:
        """Return the numbers of the looks as plain JSON values."""
        return {
            "count": self.looks,
            "failed": self.failed,
            "waiting": self.waiting,
            "interrupted": self.interrupted,
            "running": self.running,
            "units": self.units,
            "queued": self.queued,
            "undated": self.undated_looks,
        }

    def room_dict(self) -> dict[str, Any]:
        """Return growth and room as plain JSON values."""
        return {
            "grown_bytes": self.grown_bytes,
            "library_bytes": self.library_bytes,
            "free_bytes": self.free_bytes,
            "days_left": self.days_left,
        }


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
    database: Database,
    library: Library,
    begin: float,
    end: float,
    *,
    now: float | None = None,
    sizes: bool = True,
) -> Activity:
    """Return the activity between `begin` and `end`; `now` is the present time (epoch seconds).

    Without `now`, the end is now. With `sizes`, the files of the new items and of the whole media
    folder are measured. Raises LibraryError.
    """
    now = end if now is None else now
    undated = _undated_items(database, now)
    ended = [
        each
        for each in reasons.ended_between(database, begin, end)
        if each.title and each.id not in undated
    ]
    new = tuple(each for each in ended if not each.is_renewed)
    found, undated_looks = _looks(database, begin, end, now)
    return _counted(
        found,
        days=max((end - begin) / DAY_S, 1e-9),
        new=new,
        renewed=tuple(each for each in ended if each.is_renewed),
        grown_bytes=_media_bytes(library, {each.id for each in new}) if sizes else None,
        library_bytes=_folder_bytes(library.media_folder) if sizes else None,
        free_bytes=free_bytes(library.home),
        undated_items=sum(span.meets(begin, end) for span in undated.values()),
        undated_looks=len(undated_looks),
    )


def looks_by_source(
    database: Database, begin: float, end: float, *, now: float | None = None
) -> dict[str, dict[str, Any]]:
    """Return the numbers of the looks between two times, by key of the subscription.

    They are those of `Activity.looks_dict`. Without `now`, the end is now. Raises LibraryError.
    """
    found, undated = _looks(database, begin, end, end if now is None else now)
    keys = {look.subscription for look in (*found, *undated)}
    return {
        key: _counted(
            [look for look in found if look.subscription == key],
            undated_looks=sum(look.subscription == key for look in undated),
        ).looks_dict()
        for key in keys
    }


def _counted(found: Sequence[Look], **others: Any) -> Activity:
    ends = Counter(look.outcome for look in found)
    nothing: dict[str, Any] = {
        "days": 1.0, "new": (), "renewed": (), "grown_bytes": None, "library_bytes": None,
        "free_bytes": None,
    }  # fmt: skip
    return Activity(
        looks=len(found),
        failed=ends[LookOutcome.FAILED],
        waiting=ends[LookOutcome.WAITING],
        interrupted=ends[LookOutcome.INTERRUPTED] + ends[LookOutcome.CANCELLED],
        running=ends[LookOutcome.RUNNING],
        units=sum(look.units for look in found),
        queued=sum(look.queued for look in found),
        **{**nothing, **others},
    )


NO_LOOKS = _counted(()).looks_dict()


def _looks(
    database: Database, begin: float, end: float, now: float
) -> tuple[list[Look], list[Look]]:
    """Return the looks that began between two times, and those that may have."""
    every = Looks(database)
    times = every.times()
    spans = doubtful_spans([at for _, at in times], now)
    numbers = {times[place][0]: span for place, span in spans.items()}
    found = [
        look for look in every.since(begin) if look.started_at < end and look.id not in numbers
    ]
    undated = [number for number, span in numbers.items() if span.meets(begin, end)]
    return found, every.numbered(undated)


def _undated_items(database: Database, now: float) -> dict[str, Span]:
    ended = reasons.ended_times(database)
    spans = doubtful_spans([at for _, at in ended], now, DAY_S)  # an attempt takes hours
    return {ended[place][0]: span for place, span in spans.items()}


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
