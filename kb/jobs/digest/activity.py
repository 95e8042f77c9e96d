"""The activity of a time: what was new, what the looks cost, the growth and the room left."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

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

    `new` are the items that were done or held. Of the looks: their number, those that failed,
    their units of quota and the items that they queued. `grown_bytes` are the media of the new
    items, None if they were not measured.
    """

    days: float
    new: tuple[EndedItem, ...]
    looks: int
    failed: int
    units: int
    queued: int
    grown_bytes: int | None
    free_bytes: int | None

    @property
    def new_s(self) -> float:
        """The length of the new items in seconds."""
        return sum(each.duration_s or 0.0 for each in self.new)

    @property
    def days_left(self) -> float | None:
        """The days until the disk is full at this rate; None if unknown."""
        if self.free_bytes is None or not self.grown_bytes:
            return None
        return self.free_bytes / (self.grown_bytes / self.days)


def activity(
    database: Database, library: Library, begin: float, end: float, *, sizes: bool = True
) -> Activity:
    """Return the activity between `begin` and `end` (epoch seconds).

    With `sizes`, the files of the new items are looked up in the library folder. Raises
    LibraryError.
    """
    new = tuple(each for each in reasons.ended_between(database, begin, end) if each.title)
    looks = [look for look in Looks(database).since(begin) if look.started_at < end]
    return Activity(
        days=max((end - begin) / DAY_S, 1e-9),
        new=new,
        looks=len(looks),
        failed=sum(look.outcome == LookOutcome.FAILED for look in looks),
        units=sum(look.units for look in looks),
        queued=sum(look.queued for look in looks),
        grown_bytes=_media_bytes(library, {each.id for each in new}) if sizes else None,
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
