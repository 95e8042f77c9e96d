"""Any page that yt-dlp knows, and what YouTube shares with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from kb.catalogue import Catalogue
from kb.errors import UsageError
from kb.settings import Settings, get_settings
from kb.sources.base import Fetched, Filters, Progress, no_progress
from kb.sources.download import Downloader, Measure
from kb.sources.filters import VideoFilters
from kb.sources.listing import Listing, ListingReport
from kb.sources.ytdlp import flat_items
from kb.types import CaptionFile, MediaItem


class OnlineSource:
    """What all sources that download have in common. Nothing is opened before it is used.

    `measure` gives the decoded length of a file in seconds; without it a download is not
    checked against the declared duration. `clock` gives epoch seconds, `sleep` waits.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        catalogue: Catalogue | None = None,
        *,
        measure: Measure | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._measure = measure
        self._clock = clock
        self._sleep = sleep

    @property
    def settings(self) -> Settings:
        if self._settings is None:
            self._settings = get_settings()
        return self._settings

    @property
    def catalogue(self) -> Catalogue:
        if self._catalogue is None:
            self._catalogue = Catalogue.open(self.settings)
        return self._catalogue

    def fetch(self, item: MediaItem, folder: Path, progress: Progress = no_progress) -> Fetched:
        """Download into `folder`; see `kb.sources.download.Downloader.fetch`."""
        return self._downloader().fetch(item, folder, progress)

    def captions(
        self, item: MediaItem, folder: Path, progress: Progress = no_progress
    ) -> tuple[MediaItem, tuple[CaptionFile, ...]]:
        """Captions without the medium; see `kb.sources.download.Downloader.captions`."""
        return self._downloader().captions(item, folder, progress)

    def _downloader(self) -> Downloader:
        return Downloader(
            self.settings,
            self.catalogue,
            measure=self._measure,
            clock=self._clock,
            sleep=self._sleep,
        )

    def _flat(self, listing: Listing, url: str, check: Callable[[], None]) -> Iterator[MediaItem]:
        """What yt-dlp lists at an address, counted in the listing's report."""
        found = flat_items(
            url,
            self.settings,
            self.catalogue,
            clock=self._clock,
            sleep=self._sleep,
            check=check,
        )
        for title, item in found:
            listing.update(listed=listing.report.listed + 1, title=title)
            yield item
        listing.update(complete=True)


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

        Raises UsageError for what is no web address; iterating it raises LanePaused, Later
        and MediaUnavailable.
        """
        if not self.accepts(reference):
            raise UsageError(f"{reference!r} is no web address.", hint="It begins with https://")

        def produce(listing: Listing) -> Iterator[MediaItem]:
            yield from self._flat(listing, reference.strip(), check)
            listing.update(reported=listing.report.listed)

        report = ListingReport(reference, "web", via="yt-dlp")
        return Listing(report, produce, VideoFilters.of(filters).checked(), known)
