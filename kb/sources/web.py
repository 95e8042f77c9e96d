"""The source of web pages: every site that yt-dlp supports."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator

from kb.errors import UsageError
from kb.sources.base import Filters
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.listing import Listing, ListingReport
from kb.sources.ytdlp.online_source import OnlineSource
from kb.types import MediaItem


class WebSource(OnlineSource):
    """Pages of all sites of yt-dlp: TikTok, Instagram, Vimeo, podcasts, plain media files."""

    name = "web"

    def accepts(self, reference: str) -> bool:
        """Return True for a web address."""
        return reference.strip().lower().startswith(("http://", "https://"))

    def items(self, reference: str, filters: Filters = Filters()) -> Iterator[MediaItem]:  # noqa: B008
        """Return the media of a page; see `open`."""
        return iter(self.open(reference, filters))

    def open(
        self,
        reference: str,
        filters: Filters = Filters(),  # noqa: B008
        *,
        known: Container[str] = (),
        check: Callable[[], None] = lambda: None,
        followed: bool = False,
    ) -> Listing:
        """Return a listing of the media of a page or feed, in its own order.

        Raises UsageError for text that is not a web address. The iteration of the listing raises
        LanePaused, RetryLater and MediaUnavailable.
        """
        if not self.accepts(reference):
            raise UsageError(
                "web.address",
                "{reference!r} is no web address.",
                hint="It begins with https://",
                reference=reference,
            )

        def produce(listing: Listing) -> Iterator[MediaItem]:
            yield from self._list_flat(listing, reference.strip(), check)
            listing.update(reported=listing.report.listed)

        report = ListingReport(reference, "web", via="yt-dlp")
        return Listing(
            report, produce, VideoFilters.of(filters).checked(), known, followed=followed
        )
