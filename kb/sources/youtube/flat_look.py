"""Looks at what is new in a list of YouTube without a key: by the feed, else through yt-dlp."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kb.database import Database
from kb.errors import Cancelled
from kb.sources.listing.known_list import KnownList
from kb.sources.listing.listing import Listing
from kb.sources.listing.selection import select_missing, select_newest
from kb.sources.youtube.feed import FeedEntry
from kb.sources.youtube.found_items import found_items
from kb.sources.youtube.walker import PREFIX, WHOLE_EVERY_S
from kb.types import MediaItem
from kb.types.clock import is_younger

QUICK_ENTRIES = 50  # entries of each tab that a quick look reads
_AT_ONCE = 50

# Returns the entries of the list; with a number, at most so many of each of its tabs.
ReadFlat = Callable[[int], Iterator[MediaItem]]


class FlatLook:
    """One look at a list whose entries yt-dlp reads.

    `list_id` is the id of the list, empty for a channel whose id is not known yet: the listing has
    it (`Listing.channel_id`) once the first entry arrives. `feed` returns the newest
    videos, empty without a feed. In a look at a followed list (`followed`) the filter `limit`
    means the newest N.
    """

    def __init__(
        self,
        database: Database,
        listing: Listing,
        read: ReadFlat,
        *,
        list_id: str,
        followed: bool,
        feed: Callable[[], Sequence[FeedEntry]] = lambda: (),
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._database = database
        self._listing = listing
        self._read = read
        self._list_id = list_id
        self._followed = followed
        self._feed = feed
        self._clock = clock or database.time
        self._known: KnownList | None = None
        self._number = 0

    def items(self) -> Iterator[MediaItem]:
        """Yield the wanted videos: the new ones as they are read, then all others.

        Raises the errors of yt-dlp after what was found so far.
        """
        return found_items(self._look(), lambda is_final: self._wanted(is_final=is_final))

    def _look(self) -> Iterator[MediaItem]:
        known = self._open()
        if known is not None and not self._is_whole_due(known):
            if self._nothing_new(known):
                return
            before = self._listing.skipped
            yield from self._take(self._read(QUICK_ENTRIES))
            if self._listing.skipped > before:
                return  # it joins the known list
        self._listing.update(listed=0)
        yield from self._take(self._read(0))
        known = self._open()
        if known is not None:
            known.end_whole_walk(
                self._number, extent="", reported=None, missing=0, is_complete=True
            )
        self._listing.update(complete=True, reported=self._listing.report.listed)

    def _open(self) -> KnownList | None:
        """Return the known list, None while its id is not known."""
        if self._known is None:
            channel_id = self._listing.channel_id
            list_id = self._list_id or (f"UU{channel_id[2:]}" if channel_id else "")
            if list_id:
                self._known = KnownList(self._database, list_id, clock=self._clock)
                self._number = self._known.begin_look()
        return self._known

    def _is_whole_due(self, known: KnownList) -> bool:
        return not is_younger(known.state().whole_at, WHOLE_EVERY_S, self._clock())

    def _nothing_new(self, known: KnownList) -> bool:
        """Return True if the feed has only known videos."""
        ids = [f"{PREFIX}{each.id}" for each in self._feed()]
        there = known.entries(ids)
        if not ids or len(there) < len(ids):
            return False
        self._listing.update(listed=len(ids))
        self._listing.skipped += len(ids)
        return True

    def _take(self, found: Iterator[MediaItem]) -> Iterator[MediaItem]:
        part: list[MediaItem] = []
        place = 0
        try:
            for item in found:
                part.append(item)
                if len(part) >= _AT_ONCE:
                    yield from self._record(part, place)
                    place += len(part)
                    part = []
        except Cancelled:
            raise
        except Exception:
            yield from self._record(part, place)
            raise
        yield from self._record(part, place)

    def _record(self, part: Sequence[MediaItem], place: int) -> Iterator[MediaItem]:
        """Record entries and yield those that are new; a list without an id is not recorded."""
        known = self._open() if part else None
        if known is None:
            yield from part
            return
        before = known.entries([item.id for item in part])
        fresh = [
            item for item in part if item.id not in before or before[item.id].read_at is None
        ]  # fmt: skip
        known.add_page([item.id for item in part], self._number, place=place)
        known.record(fresh)  # details that a key brought are not replaced
        self._listing.skipped += len(part) - len(fresh)
        if not (self._followed and self._listing.filters.limit):
            yield from fresh

    def _wanted(self, *, is_final: bool) -> Iterator[MediaItem]:
        known = self._open()
        if known is None:
            return
        filters, there = self._listing.filters, self._listing.known
        if self._followed and filters.limit:
            yield from select_newest(known, filters, there, lambda item: item, is_final=is_final)
        else:
            yield from select_missing(known, filters, there, lambda item: item, by_date=False)
