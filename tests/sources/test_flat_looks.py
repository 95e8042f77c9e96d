"""Looks without a key: the feed decides whether yt-dlp lists, and how much of the list it reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from kb.database import Database
from kb.errors import MediaUnavailable
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.listing import Listing, ListingReport
from kb.sources.youtube.feed import FeedEntry
from kb.sources.youtube.flat_look import QUICK_ENTRIES, FlatLook
from kb.sources.youtube.items import placeholder_item
from kb.types import MediaItem
from tests.support.keys import Clock

UC = f"UC{'t' * 22}"


def video(number: int) -> MediaItem:
    """Return a video; the newest has the largest number."""
    item = placeholder_item(f"v{number:010d}")
    return replace(item, title=f"Talk {number}", published=f"{2000 + number // 300}-01-01")


@dataclass
class Bench:
    """A followed channel without a key; `reads` has the sizes of the listings of yt-dlp."""

    database: Database
    count: int = 120
    clock: Clock = field(default_factory=Clock)
    feed: bool = True
    fails_after: int | None = None
    known: set[str] = field(default_factory=set)
    reads: list[int] = field(default_factory=list)

    def look(self, hours: float = 6, *, followed: bool = True, **filters: Any) -> list[int]:
        self.clock.now += hours * 3600

        def read(most: int) -> Iterator[MediaItem]:
            self.reads.append(most)
            listing.channel_id = UC
            for place, number in enumerate(range(self.count - 1, -1, -1)):
                if most and place == most:
                    return
                if place == self.fails_after:
                    raise MediaUnavailable("The network is gone.")
                listing.update(listed=listing.report.listed + 1)
                yield video(number)

        def feed() -> list[FeedEntry]:
            newest = range(self.count - 1, max(-1, self.count - 16), -1)
            return [FeedEntry(video(number).short_id) for number in newest] if self.feed else []

        def produce(listing: Listing) -> Iterator[MediaItem]:
            look = FlatLook(
                self.database, listing, read, list_id=list_id, followed=followed, feed=feed,
                clock=self.clock,
            )  # fmt: skip
            return look.items()

        list_id = f"UU{UC[2:]}" if self.known else ""  # a first look does not know the channel
        wanted = VideoFilters(**{"new": True, **filters})
        listing = Listing(
            ListingReport("@talks", "handle"), produce, wanted, set(self.known),
            followed=followed, selected=followed,
        )  # fmt: skip
        found = []
        try:
            for item in listing:
                assert item.id not in self.known
                self.known.add(item.id)
                found.append(int(item.short_id[1:]))
        finally:
            self.report = listing.report
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    database = Database.open(Settings(KB_HOME=tmp_path / "home"))
    yield Bench(database)
    database.close()


def test_a_look_with_nothing_new_asks_ytdlp_for_nothing(bench: Bench) -> None:
    assert sorted(bench.look()) == list(range(120))
    assert bench.reads == [0] and bench.report.complete
    assert [bench.look() for _ in range(4)] == [[]] * 4
    assert bench.reads == [0]
    bench.count = 122
    assert bench.look() == [121, 120]
    assert bench.reads == [0, QUICK_ENTRIES]


def test_the_whole_list_is_read_once_a_week(bench: Bench) -> None:
    bench.look()
    for _ in range(16):
        bench.look(24)
    assert bench.reads == [0, 0, 0]


@pytest.mark.parametrize("new", [1, 49, 50, 80])
def test_without_a_feed_the_newest_entries_are_read(bench: Bench, new: int) -> None:
    bench.look()
    bench.feed = False
    bench.count += new
    assert sorted(bench.look()) == list(range(120, 120 + new))
    assert bench.reads == [0, QUICK_ENTRIES] + [0] * (new >= QUICK_ENTRIES)


@pytest.mark.parametrize("after", [0, 49, 50, 51, 119])
def test_a_listing_that_breaks_off_goes_on(bench: Bench, after: int) -> None:
    bench.fails_after = after
    with pytest.raises(MediaUnavailable):
        bench.look()
    assert len(bench.known) == after
    bench.fails_after = None
    bench.look()
    assert len(bench.known) == 120


@pytest.mark.parametrize("filters", [{"title": "Talk .*7$"}, {"limit": 12}])
def test_filters_cost_no_further_listing(bench: Bench, filters: dict[str, Any]) -> None:
    assert len(bench.look(**filters)) == 12
    bench.look(**filters)
    assert bench.reads == [0]
    assert len(bench.look()) == 108
    assert bench.reads == [0]


def test_the_newest_n_does_not_lead_back_in_time(bench: Bench) -> None:
    assert bench.look(limit=4) == [119, 118, 117, 116]
    assert bench.look(limit=4) == []
    bench.count = 122
    assert bench.look(limit=4) == [121, 120]
