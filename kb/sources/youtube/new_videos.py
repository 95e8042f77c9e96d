"""Looks at what is new in a list of YouTube, with the Data API.

A quick look reads the channel's feed (no quota) or the first page; a whole one goes through the
list, once a week or when the service's count differs from the known list. Only the details of
unknown videos are requested. What is wanted then comes from the known list, so that a video that
a filter left out, or a look that broke off, is found without a request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import replace

from kb.sources.listing.known_list import KnownList, ListState, Walk
from kb.sources.listing.listing import Listing
from kb.sources.listing.selection import (
    is_within,
    newest_extent,
    select_missing,
    select_newest,
)
from kb.sources.youtube.answers import by_id
from kb.sources.youtube.api import PAGE_SIZE, ApiRefused, YouTubeApi
from kb.sources.youtube.feed import FeedEntry
from kb.sources.youtube.found_items import found_items
from kb.sources.youtube.items import item_from_resource
from kb.sources.youtube.listing_end import (
    NO_NEW_VIDEO,
    DateOrder,
    note_early_end,
    note_missing,
    page_before,
)
from kb.sources.youtube.shorts import Shorts
from kb.sources.youtube.walker import PREFIX, SPREAD, WHOLE_EVERY_S, WalkedPage, Walker
from kb.types import MediaItem
from kb.types.clock import is_younger
from kb.types.days import local_day_of_iso

WALK_PAGES = 20  # of a repeated whole walk in one look: a long list is spread over several
REFRESH_S = 7 * 86_400.0  # the age at which the metadata of a known video is read again
UNAVAILABLE_S = 20 * 3600.0  # of a video that the service does not show
COUNT_EVERY_S = 86_400.0  # between whole walks through a long list for its count's sake


class NewVideos:
    """One look at a list.

    `known` is its known list; `by_date` is true for a list with the newest videos first. In a look
    at a followed list (`followed`) a repeated whole walk is spread over several looks, metadata is
    refreshed, and the filter `limit` means the newest N. `feed` returns the newest
    videos, empty without a feed; `shorts` are the channel's shorts, None without that filter.
    """

    def __init__(
        self,
        api: YouTubeApi,
        known: KnownList,
        listing: Listing,
        *,
        by_date: bool,
        followed: bool,
        feed: Callable[[], Sequence[FeedEntry]] = lambda: (),
        shorts: Shorts | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._known = known
        self._listing = listing
        self._by_date = by_date
        self._followed = followed
        self._feed = feed
        self._shorts = shorts
        self._clock = clock
        self._filters = listing.filters
        self._newest = followed and self._filters.limit > 0
        self._extent = newest_extent(self._filters) if self._is_partial else ""
        self._number = known.begin_look()
        self._walker = Walker(api, known, self._number, known.state().walks)
        self._passing: dict[str, bool] = {}
        self._orders: dict[int, DateOrder] = {}
        self._reads = 0
        self._restarted = False

    @property
    def _is_partial(self) -> bool:
        """True if the filters make the older part of the list unnecessary."""
        return self._by_date and (bool(self._filters.after) or self._newest)

    def items(self) -> Iterator[MediaItem]:
        """Yield the wanted videos: those of each page as it is read, then all others.

        Raises the errors of the API after what was found so far.
        """
        return found_items(self._look(), lambda is_final: self._wanted(is_final=is_final))

    def _look(self) -> Iterator[MediaItem]:
        state = self._known.state()
        open_whole = any(walk.whole for walk in state.walks)
        by_feed = False
        if self._is_whole_due(state) and not open_whole:
            self._walker.begin(whole=True)
            yield from self._go_through(first=state.whole_at is None)
        else:
            by_feed = yield from self._read_feed()
            if not by_feed:
                self._walker.begin(whole=False)
                yield from self._go_through_head()
            yield from self._read(self._known.unread())
            if self._filters.limit and not self._newest:
                yield from self._wanted(is_final=True)  # before the older pages
            yield from self._go_through(first=state.whole_at is None)
        if by_feed and self._differs():
            self._walker.begin(whole=False)
            yield from self._go_through_head()
        under_way = any(walk.whole for walk in self._walker.walks)
        if self._differs() and not under_way and self._may_walk_for_count():
            self._walker.begin(whole=True)
            yield from self._go_through(first=True)
        if self._followed and not self._reads:
            yield from self._read(())
        self._listing.update(units=self._api.units)

    # The end of a look

    def _wanted(self, *, is_final: bool) -> Iterator[MediaItem]:
        """Yield the videos of the known list that are wanted and not in the library."""

        def resolve(item: MediaItem) -> MediaItem | None:
            return self._resolved(item, may_ask=is_final)

        known, filters = self._listing.known, self._filters
        if self._newest:
            yield from select_newest(self._known, filters, known, resolve, is_final=is_final)
        else:
            yield from select_missing(self._known, filters, known, resolve, by_date=self._by_date)
        self._listing.update(units=self._api.units)

    def _resolved(self, item: MediaItem, *, may_ask: bool) -> MediaItem | None:
        """Return a video with the mark of a short, None if that cannot be said now."""
        if self._shorts is None:
            return item
        if not replace(self._filters, no_shorts=False).keep(item):
            return item  # left out anyway
        return self._shorts.mark(item, may_ask=may_ask)

    # Pages

    def _is_whole_due(self, state: ListState) -> bool:
        if state.whole_at is None:
            return True
        if state.extent and not is_within(self._extent, state.extent):
            return True
        digest = hashlib.sha256(self._known.id.encode()).digest()
        share = 1 - SPREAD * digest[0] / 255
        return not is_younger(state.whole_at, WHOLE_EVERY_S * share, self._clock())

    def _read_feed(self) -> Generator[MediaItem, None, bool]:
        """Read the feed; return True if it joins the known list, so that no page is needed."""
        ids = [f"{PREFIX}{each.id}" for each in self._feed()]
        before = self._known.entries(ids)
        if not before:
            return False
        report = self._listing.report
        self._listing.update(listed=report.listed + len(ids))
        self._listing.skipped += len(before)
        fresh = [each for each in ids if each not in before]
        self._known.add_page(fresh, self._number)
        yield from self._read(fresh)
        return True

    def _go_through_head(self) -> Iterator[MediaItem]:
        """Read the pages of the walk that this look began."""
        while any(walk.number == self._number for walk in self._walker.walks):
            yield from self._read_page()
        report = self._listing.report
        if not report.complete and self._by_date:
            note_early_end(self._listing, NO_NEW_VIDEO)

    def _go_through(self, *, first: bool) -> Iterator[MediaItem]:
        """Read the pages of all open walks; a repeated whole walk reads a few of them.

        `first` lets a whole walk go on to its end.
        """
        pages = 0
        while self._walker.walks:
            walk = self._walker.walks[0]
            if walk.number != self._number and self._has_enough(0):
                return
            if self._followed and walk.whole and not first and pages >= WALK_PAGES:
                return
            pages += 1
            yield from self._read_page()

    def _read_page(self) -> Iterator[MediaItem]:
        walk = self._walker.walks[0]
        try:
            page = self._walker.read_page()
        except ApiRefused as error:
            if error.reason == "invalidPageToken" and walk.token and not self._restarted:
                # The list has changed too much: everything is looked at again, once in a look.
                self._restarted = True
                self._walker.begin(whole=True)
                return
            if error.reason == "playlistNotFound" and self._known.id.startswith("UU"):
                self._end(walk, 0)  # a channel without uploads
                return
            raise
        self._note_page(page)
        yield from self._read(self._without_details(page))
        early = self._early_end(walk, page)
        if early:
            self._walker.close(walk)
        if walk.whole and (early or page.reached_end):
            self._end(walk, page.size, complete=page.reached_end)
        elif page.reached_end and walk.number == self._number and not walk.token:
            self._end(walk, page.size)  # the first page is the whole list

    def _end(self, walk: Walk, size: int, *, complete: bool = True) -> None:
        """Record the end of a walk through the whole list; `size` is that of its last page."""
        self._walker.close(replace(walk, whole=True))
        missing = note_missing(self._listing, walk.place + size) if complete else 0
        self._known.end_whole_walk(
            walk.number,
            extent="" if complete else self._extent,
            reported=self._listing.report.reported,
            missing=missing,
            is_complete=complete,
        )
        if complete and walk.number == self._number:
            self._listing.update(complete=True)

    def _early_end(self, walk: Walk, page: WalkedPage) -> bool:
        """Return True if the rest of the list is not wanted."""
        if not self._by_date or not page.ids or page.reached_end:
            return False
        if walk.whole and self._has_enough(walk.number):
            return True
        entries = self._known.entries(page.ids)
        moments = [entries[each].moment for each in page.ids if entries[each].moment]
        order = self._orders.setdefault(walk.number, DateOrder())
        order.add_moments(moments)
        after = self._filters.after
        if after and order.is_kept and all(local_day_of_iso(each) < after for each in moments):
            note_early_end(self._listing, page_before(after))
            return True
        return False

    def _has_enough(self, since: int) -> bool:
        """Return True if the newest N are known, of the entries seen since this look's number."""
        if not (self._newest and self._by_date):
            return False
        ids = self._known.ids(by_date=True, seen_since=since)
        unknown = [each for each in ids if each not in self._passing]
        for item in self._known.items(unknown):
            self._passing[item.id] = self._filters.keep(item)
        return sum(self._passing.get(each, False) for each in ids) >= self._filters.limit

    def _note_page(self, page: WalkedPage) -> None:
        listing, report = self._listing, self._listing.report
        listing.update(units=self._api.units, listed=report.listed + len(page.ids))
        listing.skipped += len(page.before)
        if report.reported is None and page.total is not None:
            listing.update(reported=page.total)

    # Details

    def _without_details(self, page: WalkedPage) -> list[str]:
        now = self._clock()
        return [
            each
            for each in page.ids
            if (entry := page.before.get(each)) is None
            or entry.read_at is None
            or not (entry.available or is_younger(entry.read_at, UNAVAILABLE_S, now))
        ]

    def _read(self, ids: Sequence[str]) -> Iterator[MediaItem]:
        """Read the details of entries, and of as many stale ones as fit into the last request.

        Yields the videos that can be queued now; those that may be shorts are left to the end.
        """
        wanted = list(ids)
        stale = self._known.stale(
            PAGE_SIZE, available_s=REFRESH_S, unavailable_s=UNAVAILABLE_S
        )  # fmt: skip
        room = -len(wanted) % PAGE_SIZE if wanted else PAGE_SIZE
        wanted += [each for each in stale if each not in set(wanted)][:room]
        for start in range(0, len(wanted), PAGE_SIZE):
            part = wanted[start : start + PAGE_SIZE]
            yield from self._read_details(part, frozenset(ids))

    def _read_details(self, part: Sequence[str], new: Collection[str]) -> Iterator[MediaItem]:
        videos = [each.removeprefix(PREFIX) for each in part]
        resources = by_id(self._api.videos(videos), videos, "videos")
        self._reads += 1
        items = [item_from_resource(resources[each]) for each in videos if each in resources]
        found = {item.id for item in items}
        self._known.record(items, [each for each in part if each not in found])
        hidden = [
            each for each in part if each not in found
        ] + [item.id for item in items if item.availability.is_unavailable]  # fmt: skip
        listing, report = self._listing, self._listing.report
        listing.update(
            units=self._api.units,
            unavailable=report.unavailable + len([each for each in hidden if each in new]),
        )
        for item in items:
            if item.id in new and not item.availability.is_unavailable:
                if self._newest or self._resolved(item, may_ask=False) is None:
                    continue  # decided at the end of the look
                yield self._resolved(item, may_ask=False) or item
            elif item.id in listing.known:
                listing.on_known(item)

    # The service's count

    def _differs(self) -> bool:
        """Return True if the service's count shows an entry that the known list does not have.

        A smaller count that stays is a removal; a count may also lag behind the list.
        """
        reported = self._listing.report.reported
        if reported is None:
            return False
        state, surplus = self._known.state(), reported - self._known.count()
        if state.surplus is None:
            self._known.update(surplus=surplus, low=None)
            return False
        if surplus == state.surplus:
            if state.low is not None:
                self._known.update(low=None)
            return False
        if surplus > state.surplus or reported <= 2 * PAGE_SIZE:
            return True
        if surplus == state.low:
            self._known.update(surplus=surplus, low=None)
        else:
            self._known.update(low=surplus)
        return False

    def _may_walk_for_count(self) -> bool:
        """Return True if the list is short, or the last such walk is a day ago; record it."""
        counted_at = self._known.state().counted_at
        pages = (self._listing.report.reported or 0) / PAGE_SIZE
        if pages > WALK_PAGES and is_younger(counted_at, COUNT_EVERY_S, self._clock()):
            return False
        self._known.update(counted_at=self._clock())
        return True
