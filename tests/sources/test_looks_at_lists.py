"""Looks at a followed list: what they find, what they cost, and how they go on after a break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kb.database import Database
from kb.errors import Cancelled, KBError, MediaUnavailable, QuotaExhausted
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.known_list import KnownList
from kb.sources.listing.listing import Listing
from kb.sources.youtube.source import YouTubeSource
from tests.fakes.youtube import BACKEND, NEWEST, Channel, FakeYouTube, Refusal
from tests.support.keys import Clock, fake_key

UC = f"UC{'t' * 22}"
KEY = fake_key("a")
DAY_S = 86_400.0


@dataclass
class Bench:
    """A followed channel; `queued` has the ids that looks have found, in their order."""

    folder: Path
    fake: FakeYouTube
    channel: Channel
    reference: str = "@talks"
    queued: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.settings = Settings(
            KB_HOME=self.folder / "home",
            YT_API_ENDPOINT=self.fake.url,
            YT_API_KEYS=KEY,
            YT_API_KEYS_FILE=str(self.folder / "none.txt"),
            KB_DOWNLOAD_PAUSE_S=0,
        )
        self.database = Database.open(self.settings)

    def open(self, *, followed: bool = True, **filters: Any) -> Listing:
        source = YouTubeSource(
            self.settings, self.database, clock=self.clock, sleep=self.clock.sleep
        )
        wanted = VideoFilters(**{"new": True, **filters})
        return source.open(
            self.reference, wanted, known=set(self.queued), reuse_s=0, channel_id=UC,
            followed=followed,
        )  # fmt: skip

    def look(self, hours: float = 6, **filters: Any) -> list[int]:
        """Look after so many hours; return the numbers of the videos that were queued.

        What was found before an error is queued; the error is raised.
        """
        self.clock.now += hours * 3600
        listing = self.open(**filters)
        listing.on_known = lambda item: self.refreshed.append(item.title)
        found: list[str] = []
        try:
            for item in listing:
                if item.availability.is_unavailable:
                    continue
                assert item.id not in self.queued
                found.append(item.id)
        finally:
            self.queued += found
        return [self.number(each) for each in found]

    def cost(self, look: Callable[[], object]) -> int:
        """Return the units that a look costs."""
        before = self.fake.units()
        look()
        return self.fake.units() - before

    def number(self, item_id: str) -> int:
        if not self._numbers or item_id not in self._numbers:
            channel = self.channel
            every = range(-channel.new_uploads, channel.count)
            self._numbers.update({f"youtube:{channel.video_id(n)}": n for n in every})
        return self._numbers[item_id]

    _numbers: dict[str, int] = field(default_factory=dict)

    def numbers(self) -> set[int]:
        return set(map(self.number, self.queued))

    def pages(self) -> list[str]:
        """Return the tokens of the requested pages of uploads, and forget them."""
        found = self.fake.requested_pages(self.channel.uploads)
        self.fake.calls.clear()
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    channel = Channel(UC, "@talks", 120)
    with FakeYouTube([channel], {KEY: 100_000}) as fake:
        yield Bench(tmp_path, fake, channel)


# Quick looks and whole ones


@pytest.mark.parametrize("place", [0, 3, 49, 50, 51, 99, 110, 119])
@pytest.mark.parametrize("followed", [True, False])
def test_a_video_that_is_made_public_at_any_place_is_found(
    bench: Bench, place: int, followed: bool
) -> None:
    bench.channel.deleted = frozenset({place})
    bench.look()
    assert bench.look() == []
    bench.channel.deleted = frozenset()
    assert bench.look(followed=followed) == [place]
    assert bench.look() == []


@pytest.mark.parametrize("count", [40, 120, 400])
@pytest.mark.parametrize("place", [5, 30])
def test_a_removal_hides_no_publication_for_long(bench: Bench, count: int, place: int) -> None:
    bench.channel.count = count
    old = count - place
    bench.channel.deleted = frozenset({old})
    bench.look()
    bench.channel.deleted = frozenset({1})  # one goes, one comes: the count is the same
    bench.channel._numbers.clear()
    assert bench.look(8 * 24) == [old]
    # Removals alone, and then a publication.
    bench.channel.count += 1
    bench.channel.deleted = frozenset({1, 2, 3, count})
    assert [number for _ in range(3) for number in bench.look()] == []
    bench.channel.deleted = frozenset({1, 2, 3})
    assert bench.look() == [count]


@pytest.mark.slow
def test_a_quick_look_costs_three_units_and_a_filter_two_more(bench: Bench) -> None:
    bench.channel.count = 400
    bench.channel.shorts = frozenset(range(0, 400, 4))
    bench.look()
    bench.channel.new_uploads = 3
    assert bench.cost(lambda: bench.look()) <= 4  # a handle costs one more than an id
    bench.reference = UC
    for new, filters in enumerate(
        (
            {},
            {"title": "Talk"},
            {"min_duration_s": 60},
            {"max_duration_s": 1e6},
            {"after": "2026-01-01"},
            {"limit": 4},
            {"no_shorts": True},
            {"captions": False},
        ),
        start=4,
    ):
        bench.look(**filters)  # the first one with this filter
        assert bench.cost(lambda: bench.look(**filters)) <= 2  # noqa: B023
        bench.channel.new_uploads = new
        units = bench.cost(lambda: bench.look(**filters))  # noqa: B023
        assert units <= 3 + 2 * bool(filters), filters


@pytest.mark.slow
def test_the_whole_walk_of_a_long_list_is_spread_over_looks(bench: Bench) -> None:
    bench.channel.count = 1100  # 22 pages
    bench.look()
    assert len(bench.pages()) == 22
    pages = []
    for new in range(1, 11):  # ten days
        bench.channel.new_uploads = new
        assert bench.look(24) == [-new]
        pages.append(len(bench.pages()))
    assert max(pages) == 20
    assert 10 + 21 <= sum(pages) <= 10 + 24
    assert len(bench.queued) == 1110


def test_a_changed_filter_reads_no_page_again(bench: Bench) -> None:
    bench.look(title="Talk 7 on")
    assert bench.numbers() == {7}
    bench.pages()
    bench.look(title="Talk [78] on")
    assert bench.numbers() == {7, 8}
    bench.look()
    assert bench.numbers() == set(range(120))
    assert bench.pages() == ["", ""]


@pytest.mark.parametrize("taken", [0, 1, 60, 119])
def test_a_look_after_a_scan_or_an_ingest_knows_the_list(bench: Bench, taken: int) -> None:
    items = list(bench.open(new=False, followed=False))
    bench.queued += [item.id for item in items[:taken]]
    bench.pages()
    assert bench.look() == list(range(taken, 120))
    assert len(bench.pages()) == 1


# Looks that break off


def refuse_page(number: int) -> Callable[[str, dict[str, str], str], Refusal | None]:
    def refuse(path: str, query: dict[str, str], _key: str) -> Refusal | None:
        page = query.get("pageToken") == f"CAUQ{50 * number}"
        return BACKEND if path == "playlistItems" and page else None

    return refuse


def refuse_details(path: str, _query: dict[str, str], _key: str) -> Refusal | None:
    return BACKEND if path == "videos" else None


@pytest.mark.parametrize("new", [1, 49, 50, 60, 120, 130])
@pytest.mark.parametrize("filters", [{}, {"title": "Talk"}, {"no_shorts": True}])
def test_a_look_whose_second_page_is_refused_goes_on_there(
    bench: Bench, new: int, filters: dict[str, Any]
) -> None:
    bench.channel.count = 50
    bench.look(**filters)
    bench.channel.new_uploads = new
    bench.fake.refuse = refuse_page(1)
    refused = new > 49
    if refused:
        with pytest.raises(MediaUnavailable):
            bench.look(**filters)
    else:
        bench.look(**filters)
    long_ones = {n for n in range(-new, 0) if n % 3}  # no short can be so long
    found = {n for n in bench.numbers() if n < 0}
    assert found >= long_ones & set(range(-new, -new + 50))
    bench.fake.refuse = None
    bench.look(**filters)
    assert bench.numbers() == set(bench.channel.numbers())


def test_refused_details_cost_their_page_once(bench: Bench) -> None:
    bench.look()
    bench.channel.new_uploads = 5
    bench.fake.refuse = refuse_details
    with pytest.raises(MediaUnavailable):
        bench.look()
    bench.fake.refuse = None
    assert bench.look() == [-5, -4, -3, -2, -1]


@pytest.mark.parametrize(
    "filters",
    [{}, {"title": "[02468] on"}, {"min_duration_s": 1800}, {"no_shorts": True}, {"after": "2020"}],
    ids=["none", "title", "duration", "no shorts", "after"],
)
def test_a_small_quota_brings_some_videos_every_day(bench: Bench, filters: dict[str, Any]) -> None:
    bench.channel.count = 600
    bench.channel.shorts = frozenset(range(0, 600, 60))
    bench.fake.quota[KEY] = 11
    wanted = VideoFilters(**filters)
    found: list[int] = []
    for _ in range(9):
        bench.fake.renew()
        try:
            found.append(len(bench.look(24, **filters)))
        except QuotaExhausted:
            found.append(-1)
        if not any(walk for walk in KnownList(bench.database, bench.channel.uploads).state().walks):
            break
    assert len(found) <= 7, found
    bench.fake.quota[KEY] = 10_000
    bench.look(24, **filters)
    expected = {
        number
        for number in range(600)
        if not (wanted.no_shorts and number in bench.channel.shorts)
        and (wanted.title != "[02468] on" or number % 2 == 0)
        and (not wanted.min_duration_s or number not in bench.channel.shorts)
    }
    if not wanted.min_duration_s:
        assert bench.numbers() == expected
    assert bench.numbers() <= expected and len(bench.numbers()) > 250


def test_an_ingest_without_shorts_gets_on_with_a_small_quota(bench: Bench) -> None:
    bench.channel.count = 300
    bench.channel.shorts = frozenset(range(600))  # 12 pages
    bench.fake.quota[KEY] = 11
    days = 0
    found: list[object] | None = None
    while found is None and days < 9:
        days += 1
        bench.fake.renew()
        bench.clock.now += DAY_S
        with suppress(QuotaExhausted):
            found = list(bench.open(new=False, followed=False, no_shorts=True))
    assert found == [] and 1 < days < 7


def test_a_cancelled_look_queues_nothing_more(bench: Bench) -> None:
    def check() -> None:
        if len(bench.fake.requested_pages(bench.channel.uploads)) > 1:
            raise Cancelled("test.stopped", "Stopped.")

    source = YouTubeSource(bench.settings, bench.database, clock=bench.clock)
    listing = source.open("@talks", VideoFilters(new=True), check=check, followed=True)
    found = set()
    with pytest.raises(Cancelled):
        for item in listing:
            found.add(item.id)
    assert len(found) == 50


def test_a_token_that_is_not_valid_any_more_begins_the_walk_again(bench: Bench) -> None:
    bench.channel.count = 300
    bench.fake.refuse = refuse_page(2)
    with pytest.raises(MediaUnavailable):
        bench.look()
    stale = Refusal(400, "invalidPageToken")
    bench.fake.refuse = lambda _path, query, _key: (
        stale if query.get("pageToken") == "CAUQ100" and len(bench.queued) == 100 else None
    )
    with pytest.raises(KBError):
        bench.look()
    bench.fake.refuse = None
    bench.look()
    assert bench.numbers() == set(range(300))


# The newest N


@pytest.mark.parametrize("filters", [{}, {"title": "Talk"}, {"min_duration_s": 1}])
def test_the_newest_n_does_not_lead_back_in_time(bench: Bench, filters: dict[str, Any]) -> None:
    filters = {**filters, "limit": 4}
    assert bench.look(**filters) == [0, 1, 2, 3]
    assert bench.pages() == [""]
    for _ in range(3):
        assert bench.look(**filters) == []
    bench.channel.new_uploads = 2
    assert bench.look(**filters) == [-2, -1]
    bench.channel.deleted = frozenset({-2, -1, 0})  # nothing older takes their place
    assert bench.look(**filters) == []
    bench.channel.new_uploads = 12  # after a long absence
    assert bench.look(**filters) == [-12, -11, -10, -9]
    bench.channel.deleted = frozenset({-12, -2, -1, 0})
    assert bench.look(**filters) == []


def test_a_rare_title_is_searched_for_as_far_as_the_newest_n_need(bench: Bench) -> None:
    rare = {"title": r"Talk (3|70|99|110) on", "limit": 3}
    assert bench.look(**rare) == [3, 70, 99]
    assert len(bench.pages()) == 2
    assert bench.look(**rare) == []
    # Without the limit the rest of the list is read.
    assert bench.look(title=rare["title"]) == [110]


def test_a_limit_of_an_ingest_means_so_many_new_ones(bench: Bench) -> None:
    assert bench.look(followed=False, limit=50) == list(range(50))
    assert bench.look(followed=False, limit=30) == list(range(50, 80))
    assert bench.look(followed=False, limit=50) == list(range(80, 120))


def test_an_interrupted_first_look_at_the_newest_n_goes_on(bench: Bench) -> None:
    bench.fake.refuse = refuse_page(1)
    with pytest.raises(MediaUnavailable):
        bench.look(limit=80)
    assert bench.numbers() == set(range(50))
    bench.fake.refuse = None
    assert bench.look(limit=80) == list(range(50, 80))
    assert bench.look(limit=80) == []


# Playlists, unavailable videos, metadata


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 60, 160])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_an_addition_at_any_place_of_a_playlist_is_found(
    bench: Bench, size: int, place: str
) -> None:
    bench.channel.count = 200
    order = list(range(size))
    bench.channel.playlists = {"Rivers": tuple(order)}
    bench.reference = bench.channel.playlist_id("Rivers")
    assert bench.look() == order
    assert bench.look() == []
    order.insert({"first": 0, "middle": size // 2, "last": size}[place], 190)
    bench.channel.playlists = {"Rivers": tuple(order)}
    assert bench.look() == [190]
    order.remove(1)
    order.append(191)  # the count is the same
    bench.channel.playlists = {"Rivers": tuple(order)}
    assert bench.look(8 * 24) == [191]


@pytest.mark.parametrize("place", [0, 30, 60, 119])
def test_a_private_video_is_found_when_it_is_public(bench: Bench, place: int) -> None:
    bench.channel.private = frozenset({place})
    bench.look()
    assert place not in bench.numbers()
    assert bench.look() == []
    bench.channel.private = frozenset()
    assert [number for _ in range(3) for number in bench.look(12)] == [place]


@pytest.mark.slow
def test_metadata_of_known_videos_is_refreshed_in_batches(bench: Bench) -> None:
    bench.look()
    per_look = [bench.cost(lambda: bench.look(24)) for _ in range(12)]
    assert sorted(set(bench.refreshed)) == sorted(f"Talk {n} on water" for n in range(120))
    assert sum(per_look) <= 3 * 12 + 5  # and three batches, and a whole walk of two pages more


def test_two_subscriptions_with_different_filters_share_the_list(bench: Bench) -> None:
    assert bench.look(limit=2) == [0, 1]
    assert bench.look(title="Talk 5 on") == [5]
    assert bench.look(limit=2) == []
    assert bench.look(after="2026-10-30") == [2]
    bench.channel.new_uploads = 1
    assert bench.look(limit=2) == [-1]
    assert bench.look() == [n for n in range(120) if n not in (0, 1, 2, 5)]


@pytest.mark.parametrize(
    "filters",
    [
        {"after": 130},
        {"after": 130, "title": "Talk"},
        {"after": 130, "limit": 130},
        {"before": 60, "limit": 70},
        {"after": 130, "before": 60, "limit": 80},
    ],
)
def test_days_that_move_cost_no_further_page(bench: Bench, filters: dict[str, Any]) -> None:
    bench.channel.count = 400

    def look(day: int) -> list[int]:
        moved = {
            name: f"{NEWEST - timedelta(days=value - day):%Y-%m-%d}" if name != "limit" else value
            for name, value in filters.items()
            if name != "title"
        }
        return bench.look(24, **{**filters, **moved})

    look(0)
    assert len(bench.pages()) >= 3
    for day in (1, 2, 3):
        assert len(look(day)) <= 1  # what the last day of the filter has reached
        assert len(bench.pages()) == 1
    look(-7)  # an earlier day, given by a person, needs older ones
    assert len(bench.pages()) > 1


@pytest.mark.parametrize(
    "filters", [{"after": "2000-01-01"}, {"title": "Talk", "after": "2001-01"}]
)
def test_the_newest_n_of_a_time_that_moves_do_not_lead_back(
    bench: Bench, filters: dict[str, Any]
) -> None:
    assert bench.look(limit=4, **filters) == [0, 1, 2, 3]
    bench.channel.deleted = frozenset({0, 1})
    moved = {**filters, "after": "2001-01-02"}
    assert bench.look(8 * 24, limit=4, **moved) == []
