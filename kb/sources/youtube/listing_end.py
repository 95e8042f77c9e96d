"""The end of a listing: the order that allows an early one, and what the reader must know of it."""

from __future__ import annotations

from collections.abc import Iterable

from kb.errors import KBError
from kb.sources.listing.listing import Listing
from kb.sources.youtube.links import Link
from kb.sources.youtube.page_cache import Page

# The service lists at most about this many uploads of a channel.
UPLOADS_LIMIT = 20_000

WITHOUT_KEY = KBError(
    "note.without_key",
    "Listed without a YouTube Data API key: slower, with approximate dates and without "
    "descriptions or tags.",
    hint="Put a key into the file that YT_API_KEYS_FILE names.",
)
DETAILS_LATER = KBError(
    "note.details_later", "Without a YouTube Data API key the details come with the download."
)
KEYS_USED_UP = KBError(
    "note.keys_used_up", "The keys have used up their day; the details come with the download."
)
ONE_VIDEO = KBError(
    "note.one_video", "Only this video was taken; for its playlist give the list's link."
)
NEWEST_UPLOADS = KBError(
    "note.newest_uploads",
    "YouTube lists only the newest {limit:,} or so uploads of a channel; older ones can be reached "
    "through its playlists.",
    limit=UPLOADS_LIMIT,
)
NO_NEW_VIDEO = KBError("clause.no_new_video", "the first page without a new video")


def page_before(day: str) -> KBError:
    """Return the clause for the first page whose videos are older than a day."""
    return KBError("clause.before_day", "the first page before {day}", day=day)


def note_ignored_page(listing: Listing, link: Link) -> None:
    if link.ignored:
        listing.add_remark(
            KBError(
                "note.page_ignored",
                "The page {page!r} of a channel cannot be listed: all uploads of the channel are "
                "taken.",
                hint="For one playlist give its link or --playlist, for a search --title.",
                page=link.ignored,
            )
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
        self.add_moments(
            str(item.extra.get("published_at") or item.published) for item in page.items
        )

    def add_moments(self, moments: Iterable[str]) -> None:
        """Add the moments of a page's entries, ISO texts in the order of the page."""
        self._pages += 1
        for moment in moments:
            if self._last and moment > self._last:
                self._newest_first = False
            self._last = moment


def note_early_end(listing: Listing, place: KBError) -> None:
    report = listing.report
    if report.reported is not None and report.listed < report.reported:
        listing.add_remark(
            KBError(
                "note.early_end",
                "{listed:,} of {reported:video was|videos were} looked at: the listing ended at "
                "{place}.",
                listed=report.listed,
                reported=report.reported,
                place=place,
            )
        )


def note_missing(listing: Listing, listed: int) -> int:
    """Return the number of videos that the service counts beside the `listed` ones; note it."""
    report = listing.report
    missing = (report.reported or 0) - listed
    if missing <= 0 or (report.reported or 0) > UPLOADS_LIMIT:
        return 0
    listing.add_remark(
        KBError(
            "note.missing",
            "YouTube counts {reported:,} videos and listed {listed:,}: {missing:,} may be missing, "
            "such as one that moved while others were removed.",
            hint="The next look at what is new goes through the whole list again.",
            reported=report.reported,
            listed=listed,
            missing=missing,
        )
    )
    return missing
