"""The end of a listing: the order that allows an early one, and what the reader must know of it."""

from __future__ import annotations

from kb.sources.listing.listing import Listing
from kb.sources.youtube.links import Link
from kb.sources.youtube.page_cache import Page

# The service lists at most about this many uploads of a channel.
UPLOADS_LIMIT = 20_000


def note_ignored_page(listing: Listing, link: Link) -> None:
    if link.ignored:
        listing.add_note(
            f"The page {link.ignored!r} of a channel cannot be listed: all uploads of the channel "
            "are taken. For one playlist give its link or --playlist, for a search --title."
        )


class DateOrder:
    """The order of the pages of a listing; it is kept if at least two pages are newest first."""

    def __init__(self) -> None:
        self._pages = 0
        self._newest_first = True
        self._last = ""

    @property
    def is_kept(self) -> bool:
        return self._newest_first and self._pages > 1

    def add(self, page: Page) -> None:
        self._pages += 1
        for item in page.items:
            moment = str(item.extra.get("published_at") or item.published)
            if self._last and moment > self._last:
                self._newest_first = False
            self._last = moment


def note_early_end(listing: Listing, place: str) -> None:
    report = listing.report
    if report.reported is not None and report.listed < report.reported:
        listing.add_note(
            f"{report.listed:,} of {report.reported:,} videos were looked at: the listing ended "
            f"at {place}."
        )


def note_missing(listing: Listing) -> int:
    """Return the number of videos that the service counts and did not list; note it."""
    report = listing.report
    missing = (report.reported or 0) - report.listed
    if missing <= 0 or (report.reported or 0) > UPLOADS_LIMIT:
        return 0
    listing.add_note(
        f"YouTube counts {report.reported:,} videos and listed {report.listed:,}: {missing:,} may "
        "be missing, such as one that moved while others were removed. The next look at what is "
        "new goes through the whole list again."
    )
    return missing
