"""A listing: the media behind a reference as they come in, and the report that grows with them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol, runtime_checkable

from kb.sources.base import Filters, Source
from kb.sources.listing.filters import VideoFilters
from kb.types import MediaItem


@dataclass(frozen=True, slots=True)
class ListingReport:
    """What a listing has found out so far.

    `reported` is the service's own count (None if it tells none), `listed` how many were
    seen before filtering, `unavailable` those that are private, removed or blocked, `units`
    the API units spent, `via` who listed. `picture` is the address of the channel's own, empty
    if there is none. `complete` turns true at the true end; `notes` are sentences for the
    reader.
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
    notes: tuple[str, ...] = field(default=())
    picture: str = ""


class Listing:
    """Iterate over it for the wanted items; look at `report` at any time.

    It can be iterated once. Errors of the service come out of the iteration: QuotaExhausted,
    MediaUnavailable, LanePaused, LibraryError.
    """

    def __init__(
        self,
        report: ListingReport,
        produce: Callable[[Listing], Iterator[MediaItem]],
        filters: VideoFilters,
        known: Container[str] = (),
    ) -> None:
        self.report = report
        self.filters = filters
        self.known = known
        self._items = self._filtered(produce(self))

    def __iter__(self) -> Iterator[MediaItem]:
        return self._items

    def update(self, **changes: object) -> None:
        """Change fields of the report."""
        self.report = replace(self.report, **changes)  # type: ignore[arg-type]

    def add_note(self, sentence: str) -> None:
        """Add a sentence to the report's notes, once."""
        if sentence not in self.report.notes:
            self.update(notes=(*self.report.notes, sentence))

    def _filtered(self, items: Iterator[MediaItem]) -> Iterator[MediaItem]:
        seen: set[str] = set()

        def pass_through() -> Iterator[MediaItem]:
            for item in items:
                # A video may stand in a playlist twice, and pages shift while one is listed.
                if item.id in seen:
                    continue
                seen.add(item.id)
                if self.filters.new and item.id in self.known:
                    continue
                if self.filters.keep(item):
                    yield item

        return islice(pass_through(), self.filters.limit or None)


@runtime_checkable
class ListingSource(Protocol):
    """A source that reports while it lists."""

    def open(
        self,
        reference: str,
        filters: Filters = ...,
        *,
        known: Container[str] = ...,
        check: Callable[[], None] = ...,
    ) -> Listing:
        """A listing of what is behind a reference. Raises UsageError when that is nothing."""
        ...


def open_listing(
    source: Source,
    reference: str,
    filters: Filters,
    *,
    known: Container[str] = (),
    check: Callable[[], None] = lambda: None,
) -> Listing:
    """A listing from any source, with all filters, whether it reports itself or not.

    `known` holds ids for the filter `new`; `check` may raise Cancelled. Raises what the
    source raises, UsageError at once when the reference leads nowhere.
    """
    if isinstance(source, ListingSource):
        return source.open(reference, filters, known=known, check=check)
    found = source.items(reference, Filters())

    def produce(listing: Listing) -> Iterator[MediaItem]:
        for item in found:
            check()
            listing.update(listed=listing.report.listed + 1)
            yield item
        listing.update(reported=listing.report.listed, complete=True)

    report = ListingReport(reference, source.name, title=reference, via=source.name)
    return Listing(report, produce, VideoFilters.of(filters).checked(), known)
