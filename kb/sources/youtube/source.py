"""The source for YouTube: channels, playlists and videos, with the Data API or without a key."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from kb.database import Database
from kb.errors import MediaUnavailable, QuotaExhausted, UsageError
from kb.settings import Settings
from kb.sources.base import MISSING, Filters
from kb.sources.keys.key_ring import KeyRing, read_keys
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.known_list import KnownList
from kb.sources.listing.listing import Listing, ListingReport
from kb.sources.youtube.answers import PageChain, by_id, id_of
from kb.sources.youtube.api import ApiRefused, NoUsableKey, YouTubeApi
from kb.sources.youtube.channels import find_channel, handle_of, link_by_id, uploads_of
from kb.sources.youtube.feed import FeedEntry, newest_uploads
from kb.sources.youtube.feed_look import feed_listing, passes, with_feed
from kb.sources.youtube.flat_look import FlatLook
from kb.sources.youtube.items import (
    SITE,
    item_from_resource,
    list_page,
    placeholder_item,
)
from kb.sources.youtube.links import CHANNEL_ID, CHANNEL_KINDS, Link, parse_link
from kb.sources.youtube.listing_end import (
    DETAILS_LATER,
    KEYS_USED_UP,
    NEWEST_UPLOADS,
    ONE_VIDEO,
    UPLOADS_LIMIT,
    WITHOUT_KEY,
    DateOrder,
    note_early_end,
    note_ignored_page,
    note_missing,
    page_before,
)
from kb.sources.youtube.new_videos import NewVideos
from kb.sources.youtube.page_cache import Page, PageStore, prune
from kb.sources.youtube.playlists import (
    channel_playlist,
    playlist_facts_by_id,
    playlist_titles,
)
from kb.sources.youtube.shorts import Shorts
from kb.sources.ytdlp.online_source import OnlineSource
from kb.types import Availability, AvailabilityState, MediaItem


class YouTubeSource(OnlineSource):
    """YouTube as a source; `site` is the base address of listings without a key."""

    name = "youtube"

    def __init__(
        self,
        settings: Settings | None = None,
        database: Database | None = None,
        *,
        site: str = SITE,
        **more: Any,
    ) -> None:
        super().__init__(settings, database, **more)
        self._site = site

    def accepts(self, reference: str) -> bool:
        """Return True for a link, handle or bare id of YouTube, unless a file has that name."""
        link = parse_link(reference)
        if link is None or "/" in reference:
            return link is not None
        try:
            return not Path(reference).exists()
        except (OSError, ValueError):
            return True

    def items(self, reference: str, filters: Filters = Filters()) -> Iterator[MediaItem]:  # noqa: B008
        """Return the videos of a reference; see `open`."""
        return iter(self.open(reference, filters))

    def open(
        self,
        reference: str,
        filters: Filters = Filters(),  # noqa: B008
        *,
        known: Container[str] = (),
        check: Callable[[], None] = lambda: None,
        reuse_s: float | None = None,
        channel_id: str = "",
        followed: bool = False,
    ) -> Listing:
        """Return a listing of the videos of a reference, newest first for a channel.

        `known` holds the ids that the filter `new` leaves out; the listing then is a look, see
        `kb.sources.youtube.new_videos`, and with `followed` one at a followed list. `check` is
        called before every request and may raise Cancelled. `reuse_s` overrides the setting.
        `channel_id` is the id that the reference led to earlier: that channel is listed, and a
        name that leads elsewhere now is the listing's `notice`. Private and removed entries of a
        list are counted and left out; a single video is returned in any state.

        Raises UsageError at once when the reference has no target, QuotaExhausted when all
        keys are spent, MediaUnavailable when the service does not answer, and LibraryError.
        """
        link = parse_link(reference)
        if link is None:
            raise UsageError(
                "youtube.link",
                "{reference!r} is no link to a YouTube video, playlist or channel.",
                hint="Give a link, a handle such as @name, or an id.",
                reference=reference,
            )
        video_filters = VideoFilters.of(filters).checked()
        api = self._api(check)
        report = ListingReport(reference, link.kind)
        try:
            return self._open_with_api(
                api, link, report, video_filters, known, reuse_s, check, channel_id, followed
            )
        except NoUsableKey:
            link = link_by_id(link, channel_id)
            return self._open_without_key(
                link, report, video_filters, known, check, channel_id, followed
            )
        except (QuotaExhausted, MediaUnavailable) as error:
            uploads = uploads_of(link, channel_id, video_filters)
            if video_filters.new and uploads and passes(error):
                feed = partial(self._feed, uploads)
                return feed_listing(feed, error, report, video_filters, known, followed=followed)
            if link.kind != "video" or not isinstance(error, QuotaExhausted):
                raise
            # One video needs no listing: the download returns the missing metadata.
            listing = Listing(
                report, lambda _: iter([placeholder_item(link.id)]), video_filters, known
            )
            listing.add_remark(KEYS_USED_UP)
            return listing

    def playlists(
        self, reference: str, check: Callable[[], None] = lambda: None
    ) -> tuple[str, ...]:
        """Return the titles of a channel's public playlists, for the filter of that name.

        Empty for what is no channel, and without a key: a playlist is found by its title with the
        API alone. Raises the errors of `open`.
        """
        link = parse_link(reference)
        if link is None or link.kind not in CHANNEL_KINDS:
            return ()
        api = self._api(check)
        try:
            channel, _ = find_channel(api, link)
            return playlist_titles(api, id_of(channel, "channels"))
        except NoUsableKey:
            return ()

    def _api(self, check: Callable[[], None]) -> YouTubeApi:
        return YouTubeApi(
            KeyRing(read_keys(self.settings), self.database, clock=self._clock),
            self.settings,
            sleep=self._sleep,
            check=check,
        )

    def _open_with_api(
        self,
        api: YouTubeApi,
        link: Link,
        report: ListingReport,
        filters: VideoFilters,
        known: Container[str],
        reuse_s: float | None,
        check: Callable[[], None],
        channel_id: str,
        followed: bool,
    ) -> Listing:
        if link.kind == "video":
            item = self._video(api, link.id)
            listing = Listing(report, lambda _: iter([item]), filters, known)
            listing.update(
                title=item.title,
                reported=1,
                listed=1,
                unavailable=int(item.availability.is_unavailable),
                units=api.units,
                complete=True,
            )
            if link.playlist:
                listing.add_remark(ONE_VIDEO)
            return listing
        notice, handle = None, ""
        if link.kind == "playlist":
            playlist_id, facts, channel_id = link.id, playlist_facts_by_id(api, link.id), ""
        else:
            channel, notice = find_channel(api, link, channel_id)
            channel_id = id_of(channel, "channels")
            handle = handle_of(channel)
            playlist_id, facts = channel_playlist(api, channel, link, filters)
        by_date = playlist_id.startswith("UU")

        def produce(listing: Listing) -> Iterator[MediaItem]:
            try:
                if filters.new:
                    yield from self._look(api, playlist_id, listing, followed)
                else:
                    yield from self._list_items(api, playlist_id, listing, by_date, reuse_s)
            except NoUsableKey:
                listing.add_remark(WITHOUT_KEY)
                is_narrowed = bool(filters.playlist)
                own = Link("playlist", playlist_id) if is_narrowed else link_by_id(link, channel_id)
                yield from self._list_with_ytdlp(own, listing, check, channel_id, followed)

        listing = Listing(
            report, produce, filters, known, followed=followed, selected=filters.new and followed
        )
        listing.channel_id, listing.handle = channel_id, handle
        listing.notice = notice
        listing.update(units=api.units, **facts)
        note_ignored_page(listing, link)
        if notice is not None:
            listing.add_remark(notice)
        if by_date and (listing.report.reported or 0) > UPLOADS_LIMIT:
            listing.add_remark(NEWEST_UPLOADS)
        return listing

    def _list_items(
        self,
        api: YouTubeApi,
        playlist_id: str,
        listing: Listing,
        by_date: bool,
        reuse_s: float | None,
    ) -> Iterator[MediaItem]:
        filters = listing.filters
        entries = KnownList(self.database, playlist_id, clock=self._clock)
        number, place = entries.begin_look(), 0
        order = DateOrder()
        shorts = self._shorts_of(api, playlist_id, filters)
        for page in self._pages(api, playlist_id, reuse_s):
            report = listing.report
            listing.update(
                units=api.units,
                listed=report.listed + len(page.items) + page.unavailable,
                unavailable=report.unavailable + page.unavailable,
            )
            # A later look compares all that was ever listed with what is in the library.
            entries.add_page([item.id for item in page.items], number, place=place)
            entries.record(page.items)
            place += len(page.items) + page.unavailable
            for item in page.items:
                marked = shorts.mark(item, may_ask=True) if shorts is not None else None
                yield marked or item
            order.add(page)
            if not by_date or not page.items:
                continue
            if (
                filters.after
                and order.is_kept
                and all(item.published < filters.after for item in page.items)
            ):
                note_early_end(listing, page_before(filters.after))
                break
        else:
            listing.update(units=api.units, complete=True)
            missing = note_missing(listing, listing.report.listed)
            entries.end_whole_walk(
                number,
                extent="",
                reported=listing.report.reported,
                missing=missing,
                is_complete=True,
            )
            return
        # A later listing must not go on behind pages of which some videos are gone meanwhile.
        PageStore(self.database, playlist_id, clock=self._clock).clear()

    def _look(
        self, api: YouTubeApi, playlist_id: str, listing: Listing, followed: bool
    ) -> Iterator[MediaItem]:
        """Yield the videos that are wanted and not known."""
        feed = cache(partial(self._feed, playlist_id))
        look = NewVideos(
            api,
            KnownList(self.database, playlist_id, clock=self._clock),
            listing,
            by_date=playlist_id.startswith("UU"),
            followed=followed,
            feed=feed,
            shorts=self._shorts_of(api, playlist_id, listing.filters),
            clock=self._clock,
        )
        return with_feed(look.items(), listing, feed)

    def _feed(self, playlist_id: str) -> list[FeedEntry]:
        """Return the newest uploads of a channel by its feed; empty for another list."""
        channel_id = f"UC{playlist_id.removeprefix('UU')}"
        if not playlist_id.startswith("UU") or not CHANNEL_ID.fullmatch(channel_id):
            return []
        return newest_uploads(self.settings, channel_id)

    def _pages(self, api: YouTubeApi, playlist_id: str, reuse_s: float | None) -> Iterator[Page]:
        reuse = self.settings.listing_reuse_s if reuse_s is None else reuse_s
        prune(self.database, clock=self._clock)
        store = PageStore(self.database, playlist_id, clock=self._clock, reuse_s=reuse)

        chain = PageChain("playlistItems")

        def fetch(token: str) -> tuple[Page, str]:
            return list_page(api, playlist_id, token, chain)

        try:
            yield from store.pages(fetch)
        except ApiRefused as error:
            if error.reason == "playlistNotFound" and playlist_id.startswith("UU"):
                return  # a channel without uploads
            if error.reason != "invalidPageToken":
                raise
            store.clear()
            yield from store.pages(fetch)

    def _shorts_of(self, api: YouTubeApi, playlist_id: str, filters: VideoFilters) -> Shorts | None:
        """Return the shorts of a channel whose uploads are listed without them, else None."""
        parts = ("UULF", "UUSH", "UULV")
        if not filters.no_shorts or playlist_id[:2] != "UU" or playlist_id.startswith(parts):
            return None
        return Shorts(api, self.database, playlist_id, clock=self._clock)

    def _video(self, api: YouTubeApi, video_id: str) -> MediaItem:
        found = by_id(api.videos([video_id]), [video_id], "videos")
        if not found:
            unavailable = Availability(AvailabilityState.UNAVAILABLE, MISSING)
            return placeholder_item(video_id, unavailable)
        return item_from_resource(found[video_id])

    def _open_without_key(
        self,
        link: Link,
        report: ListingReport,
        filters: VideoFilters,
        known: Container[str],
        check: Callable[[], None],
        channel_id: str,
        followed: bool,
    ) -> Listing:
        if link.kind == "video":
            listing = Listing(report, lambda _: iter([placeholder_item(link.id)]), filters, known)
            listing.update(via="yt-dlp", reported=1, listed=1, complete=True)
            listing.add_remark(DETAILS_LATER)
            return listing
        if filters.playlist:
            named = parse_link(filters.playlist)
            if named is None or named.kind != "playlist":
                raise UsageError(
                    "youtube.playlist_without_key",
                    "Without a YouTube Data API key the playlist {playlist!r} cannot be found by "
                    "its title.",
                    hint="Give the playlist's own link.",
                    playlist=filters.playlist,
                )
            link = named
        listing = Listing(
            report,
            lambda each: self._list_with_ytdlp(link, each, check, channel_id, followed),
            filters,
            known,
            followed=followed,
            selected=filters.new and followed,
        )
        listing.add_remark(WITHOUT_KEY)
        note_ignored_page(listing, link)
        return listing

    def _list_with_ytdlp(
        self,
        link: Link,
        listing: Listing,
        check: Callable[[], None],
        channel_id: str,
        followed: bool,
    ) -> Iterator[MediaItem]:
        listing.update(via="yt-dlp", listed=0, unavailable=0)
        address = link.url.replace(SITE, self._site, 1)
        if not listing.filters.new:
            return self._list_flat(listing, address, check)
        uploads = f"UU{channel_id[2:]}" if CHANNEL_ID.fullmatch(channel_id) else ""
        list_id = link.id if link.kind == "playlist" else uploads
        if link.tab:
            list_id = f"{link.key}:{link.tab}"
        return FlatLook(
            self.database,
            listing,
            lambda most: self._list_flat(listing, address, check, most=most),
            list_id=list_id,
            followed=followed,
            feed=partial(self._feed, list_id),
            clock=self._clock,
        ).items()
