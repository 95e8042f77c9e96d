"""Listings of YouTube through the real client, with a fake Data API on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kb.database import Database
from kb.errors import Cancelled, LibraryError, QuotaExhausted, UsageError
from kb.library import Library
from kb.settings import Settings
from kb.sources.keys.key_ring import next_reset
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.listing import Listing
from kb.sources.subscriptions import Subscription, Subscriptions
from kb.sources.youtube.source import YouTubeSource
from kb.types import Availability, AvailabilityState
from tests.fakes.media import FakeMedia
from tests.fakes.youtube import QUOTA, Channel, FakeYouTube, Refusal
from tests.support.keys import Clock, fake_key

UC = f"UC{'t' * 22}"
KEYS = [fake_key(letter) for letter in "abc"]


def big(count: int = 5000, **more: object) -> Channel:
    return Channel(UC, "@talks", count, **more)  # type: ignore[arg-type]


class Bench:
    """A library with a fake service and its own clock."""

    def __init__(self, tmp_path: Path, fake: FakeYouTube, keys: int = 1, **more: object) -> None:
        self.clock = Clock()
        self.fake = fake
        self.settings = Settings(
            KB_HOME=tmp_path / "home",
            YT_API_ENDPOINT=fake.url,
            YT_API_KEYS=",".join(KEYS[:keys]),
            YT_API_KEYS_FILE=str(tmp_path / "none.txt"),
            KB_DOWNLOAD_PAUSE_S=0,
            **more,
        )
        self.catalogue = Database.open(self.settings)

    def open(self, reference: str = "@talks", **more: object) -> Listing:
        source = YouTubeSource(
            self.settings, self.catalogue, clock=self.clock, sleep=self.clock.sleep
        )
        filters = more.pop("filters", VideoFilters())
        return source.open(reference, filters, **more)  # type: ignore[arg-type]

    def ids(self, reference: str = "@talks", **filters: object) -> list[str]:
        wanted = VideoFilters(**filters)  # type: ignore[arg-type]
        return [item.short_id for item in self.open(reference, filters=wanted)]


@pytest.mark.slow
def test_five_thousand_videos_for_two_hundred_units(tmp_path: Path) -> None:
    channel = big()
    with FakeYouTube([channel], {KEYS[0]: 10_000}) as fake:
        bench = Bench(tmp_path, fake)
        listing = bench.open()
        assert (listing.report.title, listing.report.reported) == ("Talks", 5000)
        items = list(listing)
        assert [item.short_id for item in items] == [channel.video_id(n) for n in range(5000)]
        assert fake.units() == listing.report.units <= 205
        assert (listing.report.listed, listing.report.complete) == (5000, True)

        first = items[1]
        assert first.id == f"youtube:{channel.video_id(1)}"
        assert first.url.endswith(f"watch?v={channel.video_id(1)}")
        assert (first.title, first.published) == ("Talk 1 on water", "2026-10-31")
        assert (first.duration_s, first.channel, first.language) == (3967.0, "Talks", "en")
        assert first.tags == ("water", "n1")
        assert [chapter.title for chapter in first.chapters] == ["Start", "Rivers", "Lakes"]
        assert first.extra["captions"] is True
        assert first.extra["thumbnail"].endswith("h.jpg")

        # Soon afterwards the stored pages are used, for the one unit of the channel itself.
        before = fake.units()
        assert list(bench.open()) == items
        assert fake.units() == before + 1


@pytest.mark.slow
def test_a_finished_listing_is_reused_for_a_while(tmp_path: Path) -> None:
    with FakeYouTube([big(200)], {KEYS[0]: 10_000}) as fake:
        bench = Bench(tmp_path, fake)
        for wait_s, units in ((0, 9), (800, 1), (800, 9), (0, 1)):
            bench.clock.now += wait_s
            before = fake.units()
            assert len(bench.ids()) == 200
            assert fake.units() - before == units


KILLED = """
import os
from kb.sources.youtube.source import YouTubeSource
for number, item in enumerate(YouTubeSource().open("@talks"), start=1):
    if number == 60 * 50:
        os._exit(9)
"""


@pytest.mark.slow
def test_a_killed_listing_resumes(tmp_path: Path) -> None:
    channel = big()
    with FakeYouTube([channel], {KEYS[0]: 10_000}) as fake:
        bench = Bench(tmp_path, fake)
        environment = {
            "KB_HOME": str(bench.settings.home),
            "YT_API_ENDPOINT": fake.url,
            "YT_API_KEYS": KEYS[0],
            "YT_API_KEYS_FILE": str(tmp_path / "none.txt"),
        }
        killed = subprocess.run(
            [sys.executable, "-c", KILLED],
            env={**os.environ, **environment},
            cwd=Path(__file__).parents[2],
            timeout=120,
        )
        assert killed.returncode == 9
        assert len(fake.requested_pages(channel.uploads)) == 60
        bench.clock.now = time.time()
        assert bench.ids() == [channel.video_id(number) for number in range(5000)]
        pages = Counter(fake.requested_pages(channel.uploads))
        assert len(pages) == 100
        assert set(pages.values()) == {1}
        assert fake.units() <= 205


@pytest.mark.slow
def test_two_of_three_keys_are_exhausted(tmp_path: Path) -> None:
    with FakeYouTube([big()], dict(zip(KEYS, (60, 75, 10_000), strict=True))) as fake:
        bench = Bench(tmp_path, fake, keys=3)
        listing = bench.open()
        assert len(list(listing)) == 5000
        assert [fake.spent[key] for key in KEYS] == [60, 75, 201 - 135]
        refused = [call for call in fake.calls if call.status == 403]
        assert [call.key for call in refused] == KEYS[:2]  # each is refused only once


@pytest.mark.slow
def test_all_keys_exhausted_completes_after_the_reset(tmp_path: Path) -> None:
    channel = big(1500)
    with FakeYouTube([channel], dict.fromkeys(KEYS, 12)) as fake:
        bench = Bench(tmp_path, fake, keys=3)
        with pytest.raises(QuotaExhausted) as caught:
            list(bench.open())
        until = caught.value.until
        assert until == next_reset(bench.clock.now)
        assert 0 < len(fake.requested_pages(channel.uploads)) < 30
        assert caught.value.code == "youtube.quota_exhausted"
        calls = len(fake.calls)
        with pytest.raises(QuotaExhausted):
            bench.open()
        assert len(fake.calls) == calls  # no request before the reset
        # One video is listed all the same; its details come with the download.
        bare = list(bench.open(channel.video_id(7)))
        assert [item.short_id for item in bare] == [channel.video_id(7)]

        bench.clock.now = until
        fake.renew()
        channel.new_uploads = 3  # three more were published meanwhile
        assert bench.ids() == [channel.video_id(number) for number in range(-3, 1500)]
        pages = Counter(fake.requested_pages(channel.uploads))
        # The first page is fetched again for new videos, and the page whose details the last
        # unit did not reach; every other page was fetched once.
        again = {token for token, count in pages.items() if count > 1}
        assert len(again) <= 2
        assert "" in again


def test_a_page_token_that_is_no_longer_valid(tmp_path: Path) -> None:
    refusals: list[Refusal] = []

    def refuse(path: str, query: dict[str, str], _key: str) -> Refusal | None:
        if path == "playlistItems" and query.get("pageToken") and refusals:
            return refusals.pop()
        return None

    with FakeYouTube([big(300)], {KEYS[0]: 1000}, refuse=refuse) as fake:
        bench = Bench(tmp_path, fake)
        listing = iter(bench.open())
        for _ in range(60):
            next(listing)
        refusals.append(Refusal(400, "invalidPageToken", "The token is old."))
        assert len(bench.ids()) == 300


def test_private_deleted_scheduled_and_short_videos(tmp_path: Path) -> None:
    channel = big(
        120,
        private=frozenset({3, 70}),
        upcoming=frozenset({0}),
        shorts=frozenset({5, 6, 100}),
    )
    with FakeYouTube([channel], {KEYS[0]: 1000}) as fake:
        bench = Bench(tmp_path, fake)
        listing = bench.open()
        items = {item.short_id: item for item in listing}
        assert (listing.report.listed, listing.report.unavailable) == (120, 2)
        assert len(items) == 118
        premiere = items[channel.video_id(0)]
        assert premiere.availability == Availability(
            AvailabilityState.UPCOMING, starts_at=1_798_135_200.0
        )
        assert premiere.duration_s is None
        without = bench.ids(no_shorts=True)
        assert len(without) == 115
        assert not {channel.video_id(number) for number in channel.shorts} & set(without)
        assert bench.ids("@talks/shorts".replace("@", "youtube.com/@")) == [
            channel.video_id(number) for number in (5, 6, 100)
        ]
        # A single video is listed in any state, so that its error can be reported.
        (private,) = bench.open(channel.video_id(3))
        assert private.availability.is_unavailable and private.availability.reason


@pytest.mark.long
@pytest.mark.slow
def test_more_uploads_than_the_service_lists(tmp_path: Path) -> None:
    with FakeYouTube([big(21_000)], {KEYS[0]: 10_000}) as fake:
        listing = Bench(tmp_path, fake).open()
        count = sum(1 for _ in listing)
        assert (listing.report.reported, listing.report.listed, count) == (21_000, 20_000, 20_000)
        assert any("20,000" in note for note in listing.report.notes)


@pytest.mark.slow
def test_filters_save_quota(tmp_path: Path) -> None:
    channel = big(1000, playlists={"Rivers": (3, 900, 3), "Lakes": (7,)}, user="oldname")
    with FakeYouTube([channel], {KEYS[0]: 10_000}) as fake:
        bench = Bench(tmp_path, fake, KB_LISTING_REUSE_S=0)

        def cost(take: Callable[[], object]) -> int:
            before = fake.units()
            bench.clock.now += 1
            take()
            return fake.units() - before

        # Newest first: after two pages no video is so recent.
        assert cost(lambda: bench.ids(after="2026-09-20")) == 1 + 2 * 2
        assert len(bench.ids(after="2026-09-20")) == 43
        assert bench.ids(after="2026-10-30", before="2026-10-31") == [
            channel.video_id(1),
            channel.video_id(2),
        ]
        bench.open(reuse_s=0)
        assert cost(lambda: bench.ids(limit=10)) <= 1 + 2 * 2
        assert len(bench.ids(limit=10)) == 10
        assert len(bench.ids(title=r"talk \d{3} on")) == 900
        assert len(bench.ids(min_duration_s=7200)) == 333
        assert bench.ids(playlist="rivers") == [channel.video_id(3), channel.video_id(900)]
        assert bench.ids(channel.playlist_id("Lakes")) == [channel.video_id(7)]
        assert bench.ids(playlist=channel.playlist_id("Lakes")) == [channel.video_id(7)]
        with pytest.raises(UsageError) as caught:
            bench.open(filters=VideoFilters(playlist="Seas"))
        assert caught.value.code == "youtube.playlist_title"
        assert (caught.value.values["channel"], caught.value.values["playlist"]) == (
            "Talks",
            "Seas",
        )
        assert "Rivers" in caught.value.values["titles"]
        for reference in (
            UC,
            "youtube.com/c/talks",
            "youtube.com/user/oldname",
            "youtube.com/talks",
        ):
            assert bench.open(reference).report.title == "Talks"


def test_the_playlists_of_a_channel(tmp_path: Path) -> None:
    lists = {"Rivers": (3,), "Lakes ": (7,), "rivers": (1,), "": (2,)}
    with FakeYouTube([big(9, playlists=lists)], {KEYS[0]: 1000}) as fake:
        bench = Bench(tmp_path, fake)
        source = YouTubeSource(bench.settings, bench.catalogue, clock=bench.clock)
        for reference in ("@talks", UC, f"youtube.com/channel/{UC}/videos"):
            assert source.playlists(reference) == ("Rivers", "Lakes")
        assert fake.units() == 6  # the channel, and one page of its playlists
        # Each of the titles is found as a filter.
        assert bench.ids(playlist="Rivers") == [big().video_id(3)]
        assert bench.ids(playlist="Lakes") == [big().video_id(7)]
        before = len(fake.calls)
        assert source.playlists("dQw4w9WgXcQ") == source.playlists(f"PL{'x' * 32}") == ()
        assert len(fake.calls) == before
        with pytest.raises(UsageError, match="no YouTube channel @nobody"):
            source.playlists("@nobody")
        # Without a key a title leads to no playlist, so that none is offered.
        keyless = bench.settings.replace(yt_api_keys="")
        assert YouTubeSource(keyless, bench.catalogue, clock=bench.clock).playlists(UC) == ()


@pytest.mark.slow
def test_only_new_videos(tmp_path: Path) -> None:
    channel = big(1000)
    with FakeYouTube([channel], {KEYS[0]: 10_000}) as fake:
        bench = Bench(tmp_path, fake)
        whole = bench.open()
        known = {item.id for item in whole}
        channel.new_uploads = 4
        bench.clock.now += 3600
        before = fake.units()
        new = bench.open(filters=VideoFilters(new=True), known=known)
        assert [item.short_id for item in new] == [channel.video_id(n) for n in range(-4, 0)]
        assert fake.units() - before == 3  # the channel, the first page, the new videos
        bench.clock.now += 60
        channel.new_uploads = 5
        # An unfinished listing does not count as complete: the newest video is found.
        bench.clock.now += 3600
        again = bench.open(filters=VideoFilters(new=True), known=known)
        assert len(list(again)) == 5


def test_references_that_lead_nowhere(tmp_path: Path) -> None:
    with FakeYouTube([big(0)], {KEYS[0]: 1000}) as fake:
        bench = Bench(tmp_path, fake)
        for reference in (
            "@unknown-channel",
            f"UC{'z' * 22}",
            f"PL{'z' * 32}",
            "https://example.org",
        ):
            with pytest.raises(UsageError):
                bench.open(reference)
        assert bench.ids() == []

        def stop() -> None:
            raise Cancelled("Stopped.")

        with pytest.raises(Cancelled):
            bench.open(check=stop)


@pytest.mark.slow
def test_two_listings_at_once_share_the_pages(tmp_path: Path) -> None:
    channel = big(600)
    with FakeYouTube([channel], {KEYS[0]: 10_000}) as fake:
        bench = Bench(tmp_path, fake)
        results: list[list[str]] = []
        threads = [threading.Thread(target=lambda: results.append(bench.ids())) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [[channel.video_id(number) for number in range(600)]] * 3


@pytest.mark.parametrize("keys", ["", fake_key("w")])
def test_without_a_usable_key_yt_dlp_lists(tmp_path: Path, keys: str) -> None:
    with FakeYouTube([big(9)], {KEYS[0]: 10}) as fake, FakeMedia(b"") as site:
        site.feed = ["one", "two"]
        settings = Settings(
            KB_HOME=tmp_path,
            YT_API_ENDPOINT=fake.url,
            YT_API_KEYS=keys,
            YT_API_KEYS_FILE=str(tmp_path / "none.txt"),
            KB_DOWNLOAD_PAUSE_S=0,
        )
        listing = YouTubeSource(settings, site=site.url).open("@talks")
        assert [item.title for item in listing] == ["Part one", "Part two"]
        assert (listing.report.via, listing.report.units, listing.report.listed) == ("yt-dlp", 0, 2)
        assert any("without a YouTube Data API key" in note for note in listing.report.notes)
        (video,) = YouTubeSource(settings).open("https://youtu.be/dQw4w9WgXcQ")
        assert video.id == "youtube:dQw4w9WgXcQ"


@pytest.mark.slow
def test_yt_dlp_lists_when_a_key_fails_midway(tmp_path: Path) -> None:
    from tests.fakes.youtube import BAD_KEY

    def refuse(path: str, query: dict[str, str], _key: str) -> Refusal | None:
        return BAD_KEY if query.get("pageToken") else None

    with FakeYouTube([big(120)], {KEYS[0]: 100}, refuse=refuse) as fake, FakeMedia(b"") as site:
        site.feed = ["one"]
        bench = Bench(tmp_path, fake)
        source = YouTubeSource(bench.settings, bench.catalogue, site=site.url)
        listing = source.open("@talks")
        assert [item.title for item in listing][-1] == "Part one"
        assert listing.report.via == "yt-dlp"


@pytest.mark.parametrize("filters", [{}, {"new": True}])
def test_yt_dlp_lists_the_playlist_of_a_channel_when_a_key_fails_midway(
    tmp_path: Path, filters: dict[str, Any]
) -> None:
    from tests.fakes.youtube import BAD_KEY

    channel = Channel(f"UC{'a' * 22}", "@talks", 120, playlists={"Rivers": (3, 4)})

    def refuse(path: str, _query: dict[str, str], _key: str) -> Refusal | None:
        return BAD_KEY if path == "playlistItems" else None

    with FakeYouTube([channel], {KEYS[0]: 100}, refuse=refuse) as fake, FakeMedia(b"") as site:
        site.feed = ["of the channel"]
        entry = f"<item><title>Part one</title><link>{site.url}/watch/one</link></item>"
        feed = f'<?xml version="1.0"?><rss version="2.0"><channel>{entry}</channel></rss>'
        site.files["/playlist"] = (200, "application/rss+xml", feed.encode())
        bench = Bench(tmp_path, fake)
        source = YouTubeSource(bench.settings, bench.catalogue, site=site.url)
        listing = source.open("@talks", VideoFilters(playlist="Rivers", **filters))
        assert [item.title for item in listing] == ["Part one"]


def test_subscriptions(tmp_path: Path) -> None:
    clock = Clock()
    settings = Settings(KB_HOME=tmp_path)
    library = Library(tmp_path)
    catalogue = Database.open(settings)
    followed = Subscriptions(catalogue, library, clock=clock)
    wanted = VideoFilters(no_shorts=True, after="2026-01-01")
    followed.follow("@talks", every_s=6 * 3600, filters=wanted, options={"preset": "max"})
    followed.follow("https://www.youtube.com/@Talks/videos", every_s=3600, filters=wanted)
    clock.now += 1
    followed.follow("https://example.org/feed", every_s=1800)
    assert [each.every_s for each in followed.list()] == [3600, 1800]
    with pytest.raises(UsageError) as caught:
        followed.follow("https://youtu.be/dQw4w9WgXcQ")
    assert caught.value.code == "subscription.single_video"
    for every_s in (1, float("nan"), float("inf")):
        with pytest.raises(UsageError) as caught:
            followed.follow("@other", every_s=every_s)
        assert caught.value.code == "subscription.interval"

    start = clock.now
    looks: list[str] = []

    def begin(due: Subscription) -> None:
        looks.append(due.reference[-7:])

    assert followed.poll(begin) == 2
    assert looks == ["/videos", "rg/feed"]
    assert followed.poll(begin) == 0  # started once
    followed.record_result(followed.list()[0].key, error="no network")
    assert [each.error for each in followed.list()] == ["no network", ""]
    followed.record_result(followed.list()[0].key)
    assert [each.error for each in followed.list()] == ["", ""]

    def crash(_due: Subscription) -> None:
        raise LibraryError("The database is locked.")

    # Off for a day: one check stands for the missed ones, and the rhythm stays.
    clock.now = start + 86_400 + 10
    with pytest.raises(LibraryError):
        followed.poll(crash)  # a check that did not start is still due
    assert followed.poll(begin) == 2
    assert followed.poll(begin) == 0
    assert len(looks) == 4
    feed = followed.list()[1]
    assert feed.next_at == start + 86_400 + 1800
    catalogue.close()

    # The database is lost; the folder has a copy.
    for path in tmp_path.glob("kb.sqlite*"):
        path.unlink()
    again = Subscriptions(Database.open(settings), library, clock=clock)
    assert again.list() == ()
    assert again.restore() == 2
    assert again.restore() == 0
    assert [each.filters for each in again.list() if each.every_s == 3600] == [wanted]
    assert again.unfollow("youtube.com/@talks")
    assert not again.unfollow("@talks")
    assert len(library.read_facts()["subscriptions"]) == 1


def test_a_spent_key_is_not_used_again(tmp_path: Path) -> None:
    with FakeYouTube([big(60)], {KEYS[0]: 0}) as fake:
        bench = Bench(tmp_path, fake)
        for _ in range(3):
            with pytest.raises(QuotaExhausted):
                bench.open()
        assert [call.status for call in fake.calls] == [QUOTA.status]
