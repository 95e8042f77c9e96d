"""The base class of the sources that download through yt-dlp."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kb.database import Database
from kb.settings import Settings, get_settings
from kb.sources.base import FetchResult, Progress, no_progress
from kb.sources.listing.listing import Listing
from kb.sources.ytdlp.client import flat_items
from kb.sources.ytdlp.download import Downloader
from kb.sources.ytdlp.length_check import Measure
from kb.sources.ytdlp.picture import PictureDownloader
from kb.types import CaptionFile, MediaItem


class OnlineSource:
    """The base of all sources that download. Settings and database are opened on first use.

    `measure` returns the decoded length of a file; without it a download is not
    compared with the declared duration; `measure_picture` does so for a picture that is fetched
    alone. `clock` returns epoch seconds, `sleep` waits;
    without a clock the database's own counts.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        database: Database | None = None,
        *,
        measure: Measure | None = None,
        measure_picture: Measure | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._database = database
        self._measure = measure
        self._measure_picture = measure_picture
        self._given_clock = clock
        self._sleep = sleep

    @property
    def settings(self) -> Settings:
        if self._settings is None:
            self._settings = get_settings()
        return self._settings

    @property
    def database(self) -> Database:
        if self._database is None:
            self._database = Database.open(self.settings)
        return self._database

    def _clock(self) -> float:
        return self._given_clock() if self._given_clock else self.database.time()

    def fetch(self, item: MediaItem, folder: Path, progress: Progress = no_progress) -> FetchResult:
        """Download into `folder`; see `kb.sources.ytdlp.download.Downloader.fetch`."""
        return self._downloader().fetch(item, folder, progress)

    def captions(
        self, item: MediaItem, folder: Path, progress: Progress = no_progress
    ) -> tuple[MediaItem, tuple[CaptionFile, ...]]:
        """Download the captions alone; see `kb.sources.ytdlp.download.Downloader.captions`."""
        return self._downloader().captions(item, folder, progress)

    def picture(
        self, item: MediaItem, folder: Path, progress: Progress = no_progress
    ) -> Path | None:
        """Download the picture alone; see `kb.sources.ytdlp.picture.PictureDownloader`."""
        plain = self.settings.replace(witness=False, captions="", thumbnail=False)
        downloader = PictureDownloader(
            plain,
            self.database,
            measure=self._measure_picture,
            clock=self._clock,
            sleep=self._sleep,
        )
        return downloader.picture(item, folder, progress)

    def _downloader(self) -> Downloader:
        return Downloader(
            self.settings,
            self.database,
            measure=self._measure,
            clock=self._clock,
            sleep=self._sleep,
        )

    def _list_flat(
        self, listing: Listing, url: str, check: Callable[[], None], *, most: int = 0
    ) -> Iterator[MediaItem]:
        """Yield the items that yt-dlp lists at an address; count them in the listing's report.

        `most` is the largest number of entries of each list at the address, 0 for all.
        """

        def read_channel(info: Mapping[str, Any]) -> None:
            channel_id = info.get("channel_id")
            if isinstance(channel_id, str) and not listing.channel_id:
                listing.channel_id = channel_id

        found = flat_items(
            url,
            self.settings,
            self.database,
            clock=self._clock,
            sleep=self._sleep,
            check=check,
            on_list=read_channel,
            most=most,
        )
        for title, item in found:
            listing.update(listed=listing.report.listed + 1, title=title)
            yield item
        listing.update(complete=True)
