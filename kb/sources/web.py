"""Any page that yt-dlp knows, and what YouTube shares with it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator

from kb.errors import UsageError
from kb.sources.base import Filters
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.listing import Listing, ListingReport
from kb.sources.ytdlp.online_source import OnlineSource
from kb.types import MediaItem


class WebSource(OnlineSource):
    """Any page that yt-dlp knows: TikTok, Instagram, Vimeo, podcasts, plain media files."""

    name = "web"

    def accepts(self, reference: str) -> bool:
        """Whether it is a web address."""
        return reference.strip().lower().startswith(("http://", "https://"))

    def items(self, reference: str, filters: Filters = Filters()) -> Iterator[MediaItem]:  # noqa: B008
        """The media of a page; see `open`."""
        return iter(self.open(reference, filters))

    def open(
        self,
        reference: str,
        filters: Filters = Filters(),  # noqa: B008
        *,
        known: Container[str] = (),
        check: Callable[[], None] = lambda: None,
    ) -> Listing:
        """A listing of the media of a page or feed, in its own order.

        Raises UsageError for what is no web address; iterating it raises LanePaused, RetryLater
        and MediaUnavailable.
        """
        if not self.accepts(reference):
            raise UsageError(f"{reference!r} is no web address.", hint="It begins with https://")

        def produce(listing: Listing) -> Iterator[MediaItem]:
            yield from self._list_flat(listing, reference.strip(), check)
            listing.update(reported=listing.report.listed)

        report = ListingReport(reference, "web", via="yt-dlp")
        return Listing(report, produce, VideoFilters.of(filters).checked(), known)
