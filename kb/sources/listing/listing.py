"""A listing: the media of a reference as they arrive, and a report that is updated with them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol, runtime_checkable

from kb.errors import KBError
from kb.sources.base import Filters, Source
from kb.sources.listing.filters import VideoFilters
from kb.types import MediaItem


@dataclass(frozen=True, slots=True)
class ListingReport:
    """The state of a listing.

    `reported` is the service's own count (None if it gives none), `listed` the number of
    entries before filtering, `unavailable` the number of private, removed or blocked ones,
    `units` the API units spent, `via` the name of the lister. `picture` is the address of the
    channel's picture, empty if there is none. `complete` is true once the last entry was seen;
    `remarks` are facts for the reader, with code and values as errors have them.
    """

    reference: str
    kind: str
    title: str = ""
    reported: int | None = None
    listed: int = 0
    unavailable: int = 0
    units: int = 0
    via: str = "api"
    complete: bool = False
    remarks: tuple[KBError, ...] = field(default=())
    picture: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """The remarks as English sentences."""
        return tuple(f"{each.message} {each.hint}".rstrip() for each in self.remarks)


class Listing:
    """An iterator over the wanted items of a reference; `report` can be read at any time.

    `rejected` is the number of entries that the filters left out, `skipped` that of those that
    are known already; `on_known` is called with each of these.
    `channel_id` is the lasting id of the listed channel and `handle` its present handle, if the
    service has them. `notice` is an error to report although the listing goes on, such as a name
    that leads elsewhere.

    In a look at a followed reference (`followed`) the filter `limit` means the newest N, of which
    the known ones are left out, and not N unknown ones; with `selected` the producer applies it.

    A listing can be iterated once. The iteration raises the errors of the service: QuotaExhausted,
    MediaUnavailable, LanePaused, LibraryError.
    """

    def __init__(
        self,
        report: ListingReport,
        produce: Callable[[Listing], Iterator[MediaItem]],
        filters: VideoFilters,
        known: Container[str] = (),
        *,
        followed: bool = False,
        selected: bool = False,
    ) -> None:
        self._followed = followed
        self._selected = selected
        self.report = report
        self.filters = filters
        self.known = known
        self.rejected = self.skipped = 0
        self.channel_id = self.handle = ""
        self.notice: KBError | None = None
        self.on_known: Callable[[MediaItem], None] = lambda _: None
        self._items = self._filtered(produce(self))

    def __iter__(self) -> Iterator[MediaItem]:
        return self._items

    def update(self, **changes: object) -> None:
        """Change fields of the report."""
        self.report = replace(self.report, **changes)  # type: ignore[arg-type]

    def add_remark(self, remark: KBError) -> None:
        """Add a remark to the report, once."""
        if (remark.message, remark.hint) not in [(r.message, r.hint) for r in self.report.remarks]:
            self.update(remarks=(*self.report.remarks, remark))

    def _filtered(self, items: Iterator[MediaItem]) -> Iterator[MediaItem]:
        passing, limit = self._passing(items), self.filters.limit
        if self._selected or not limit:
            return self._unknown(passing)
        if self._followed:
            return self._unknown(_newest(passing, limit))
        return islice(self._unknown(passing), limit)

    def _passing(self, items: Iterator[MediaItem]) -> Iterator[MediaItem]:
        seen: set[str] = set()
        for item in items:
            # A playlist can contain a video twice, and its pages shift while it is listed.
            if item.id in seen:
                continue
            seen.add(item.id)
            if self.filters.keep(item):
                yield item
            else:
                self.rejected += 1

    def _unknown(self, items: Iterator[MediaItem]) -> Iterator[MediaItem]:
        for item in items:
            if self.filters.new and item.id in self.known:
                self.skipped += 1
                self.on_known(item)
            else:
                yield item


def _newest(items: Iterator[MediaItem], limit: int) -> Iterator[MediaItem]:
    """Yield the newest items by their dates; the first ones of a list without dates."""
    every = list(items)
    if all(item.published for item in every):
        every.sort(key=lambda item: item.published, reverse=True)
    yield from every[:limit]


@runtime_checkable
class ListingSource(Protocol):
    """A source whose listings have a report."""

    def open(
        self,
        reference: str,
        filters: Filters = ...,
        *,
        known: Container[str] = ...,
        check: Callable[[], None] = ...,
        followed: bool = ...,
    ) -> Listing:
        """Return the listing of a reference. Raises UsageError when it has no target."""
        ...


def open_listing(
    source: Source,
    reference: str,
    filters: Filters,
    *,
    known: Container[str] = (),
    check: Callable[[], None] = lambda: None,
    followed: bool = False,
) -> Listing:
    """Return a listing of any source with all filters applied.

    `known` holds ids for the filter `new`; `check` may raise Cancelled; `followed` is true for a
    look at a followed reference. Raises the errors of
    the source, and UsageError at once when the reference has no target.
    """
    if isinstance(source, ListingSource):
        return source.open(reference, filters, known=known, check=check, followed=followed)
    found = source.items(reference, Filters())

    def produce(listing: Listing) -> Iterator[MediaItem]:
        for item in found:
            check()
            listing.update(listed=listing.report.listed + 1)
            yield item
        for remark in getattr(source, "remarks", ()):
            listing.add_remark(remark)
        listing.update(reported=listing.report.listed, complete=True)

    report = ListingReport(reference, source.name, title=reference, via=source.name)
    return Listing(report, produce, VideoFilters.of(filters).checked(), known, followed=followed)
