"""Listings of new videos: what may end them early, and what must be looked at as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kb.database import Database
from kb.errors import Cancelled, UsageError
from kb.library import Library
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.listing import Listing
from kb.sources.subscriptions import Subscriptions
from kb.sources.youtube.source import YouTubeSource
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support.keys import Clock, fake_key

UC = f"UC{'t' * 22}"
OTHER = f"UC{'o' * 22}"
KEY = fake_key("a")


@dataclass
class Bench:
    """A library's view of a channel of 120 videos; `known` has the ids that were queued."""

    folder: Path
    fake: FakeYouTube
    channel: Channel
    known: set[str] = field(default_factory=set)

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

    def open(self, check: Callable[[], None] = lambda: None, **filters: Any) -> Listing:
        source = YouTubeSource(
            self.settings, self.database, clock=self.clock, sleep=self.clock.sleep
        )
        wanted = VideoFilters(**filters)
        return source.open("@talks", wanted, known=self.known, check=check, reuse_s=0)

    def ingest(self, **filters: Any) -> Listing:
        """Queue what a listing brings, as `kb ingest` does."""
        self.clock.now += 3600
        listing = self.open(**filters)
        self.known |= {item.id for item in listing}
        return listing

    def numbers(self) -> set[int]:
        """Return the numbers of the queued videos."""
        found = {self.channel.video_id(n): n for n in self.channel.numbers()}
        return {found[each.split(":")[1]] for each in self.known if each.split(":")[1] in found}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    channel = Channel(UC, "@talks", 120)
    with FakeYouTube([channel], {KEY: 100_000}) as fake:
        yield Bench(tmp_path, fake, channel)


def interrupted(bench: Bench) -> None:
    """Queue the first page, then stop."""

    def check() -> None:
        if len(bench.fake.requested_pages(bench.channel.uploads)) > 1:
            raise Cancelled("test.stopped", "Stopped.")

    listing = bench.open(check)
    with pytest.raises(Cancelled):
        for item in listing:
            bench.known.add(item.id)


def deleted_while_listed(bench: Bench) -> None:
    """Delete an upload of the first page after that page was read."""

    def check() -> None:
        if bench.fake.requested_pages(bench.channel.uploads):
            bench.channel.deleted = frozenset({10})

    listing = bench.open(check)
    bench.known |= {item.id for item in listing}
    assert 50 not in bench.numbers()
    assert any("counts 120" in note for note in listing.report.notes)


def only_scanned(bench: Bench) -> None:
    """List everything and queue the first page alone."""
    bench.known |= {item.id for item in list(bench.open())[:50]}


@pytest.mark.parametrize(
    "before",
    [
        lambda bench: bench.ingest(limit=50),
        lambda bench: bench.ingest(limit=70),
        lambda bench: bench.ingest(after="2026-09-10"),
        lambda bench: bench.ingest(after="2026-09-13", new=True),
        lambda bench: bench.ingest(title="Talk [1-4]?[0-9] on"),
        lambda bench: bench.ingest(min_duration_s=3600),
        lambda bench: bench.ingest(before="2026-10-01"),
        interrupted,
        deleted_while_listed,
        only_scanned,
    ],
    ids=[
        *("limit of a page", "limit", "after", "after, new", "title", "duration", "before"),
        *("interrupted", "deleted while listed", "only scanned"),
    ],
)
def test_new_finds_everything_that_is_missing(
    bench: Bench, before: Callable[[Bench], object]
) -> None:
    before(bench)
    bench.ingest(new=True)
    assert bench.numbers() == set(bench.channel.numbers())


@pytest.mark.parametrize(
    "filters",
    [{}, {"after": "2026-07-01"}, {"no_shorts": True}, {"min_duration_s": 1}],
    ids=["all", "after", "no shorts", "duration"],
)
def test_after_a_whole_listing_the_next_ends_early(bench: Bench, filters: dict[str, Any]) -> None:
    bench.ingest(new=True, **filters)
    first = bench.numbers()
    bench.channel.new_uploads = 2
    bench.fake.calls.clear()
    bench.ingest(new=True, **filters)
    assert bench.numbers() == first | {-1, -2}
    assert len(bench.fake.requested_pages(bench.channel.uploads)) == 1
    # Other filters read the known list: no page is requested for them.
    bench.fake.calls.clear()
    bench.ingest(new=True, max_duration_s=1e9)
    assert bench.numbers() == set(bench.channel.numbers())
    assert len(bench.fake.requested_pages(bench.channel.uploads)) == 1


def test_now_and_then_the_whole_list_is_looked_at(bench: Bench) -> None:
    bench.ingest()
    for hours, pages in ((1, 1), (5 * 24, 1), (7 * 24, 3), (1, 1), (-70 * 24, 3), (1, 1)):
        bench.clock.now += hours * 3600  # or the clock was set back
        bench.fake.calls.clear()
        bench.ingest(new=True)
        assert len(bench.fake.requested_pages(bench.channel.uploads)) == pages, hours


def test_what_is_missing_in_the_library_is_found_without_its_page(bench: Bench) -> None:
    bench.ingest()
    hidden = {f"youtube:{bench.channel.video_id(number)}" for number in (60, 100, 119)}
    bench.known -= hidden
    bench.fake.calls.clear()
    bench.ingest(new=True)
    assert hidden <= bench.known
    assert bench.fake.requested_pages(bench.channel.uploads) == [""]


@pytest.mark.slow
def test_a_count_that_differs_for_good_is_accepted_the_second_time(bench: Bench) -> None:
    bench.channel.uncounted = 3
    notes = bench.ingest().report.notes
    assert any("counts 123" in note and "listed 120" in note for note in notes)
    bench.fake.calls.clear()
    bench.ingest(new=True)
    assert len(bench.fake.requested_pages(bench.channel.uploads)) == 3
    bench.fake.calls.clear()
    listing = bench.ingest(new=True)
    assert len(bench.fake.requested_pages(bench.channel.uploads)) == 1
    assert any("50 of 123" in note for note in listing.report.notes)


@pytest.mark.parametrize(
    "order",
    [
        (*range(60, 120), *range(60)),  # old ones first
        (*range(50, 110), *range(50), *range(110, 120)),
        (119, *range(119)),
        tuple(reversed(range(120))),
    ],
    ids=["halves", "two inside", "the oldest first", "reversed"],
)
def test_after_does_not_rely_on_an_order_that_is_not_there(
    bench: Bench, order: tuple[int, ...]
) -> None:
    bench.channel.order = order
    bench.ingest(after="2026-10-03")  # the numbers 0 to 29
    assert bench.numbers() == set(range(30))


# The followed channel


@dataclass
class Followed:
    """A subscription to @talks, and the checks of its channel."""

    bench: Bench
    store: Subscriptions

    def check(self) -> Listing:
        self.bench.clock.now += 3600
        (subscription,) = self.store.list()
        source = YouTubeSource(self.bench.settings, self.bench.database, clock=self.bench.clock)
        listing = source.open(
            subscription.reference,
            VideoFilters(new=True),
            known=self.bench.known,
            reuse_s=0,
            channel_id=subscription.channel_id or "",
        )
        self.bench.known |= {item.id for item in listing}
        self.store.record_channel(subscription.key, listing.channel_id)
        return listing


@pytest.fixture(params=["@talks", "youtube.com/c/talks", "youtube.com/user/talks", UC])
def followed(bench: Bench, request: pytest.FixtureRequest) -> Followed:
    bench.channel.count = 5
    bench.channel.user = "talks"
    library = Library(bench.settings.home)
    library.prepare()
    store = Subscriptions(bench.database, library, clock=bench.clock)
    store.follow(request.param)
    found = Followed(bench, store)
    assert found.check().notice is None
    return found


def rename(followed: Followed, handle: str, user: str = "") -> bool:
    """Rename the channel; return True if the subscription is by a name."""
    followed.bench.channel.handle, followed.bench.channel.user = handle, user
    followed.bench.channel.new_uploads = 1
    return followed.store.list()[0].reference != UC


def test_a_renamed_channel_is_followed_by_its_id(followed: Followed) -> None:
    by_name = rename(followed, "@talks-official")
    listing = followed.check()
    assert followed.bench.numbers() == {-1, *range(5)}
    assert (listing.notice is not None) == by_name
    if listing.notice is not None:
        assert listing.notice.code == "youtube.name_gone"
        assert "@talks-official" in listing.notice.hint


def test_a_stranger_with_the_handle_is_reported_and_not_listed(followed: Followed) -> None:
    by_name = rename(followed, "@elsewhere")
    stranger = Channel(OTHER, "@talks", 3, title="Stranger", user="talks")
    followed.bench.fake.channels.append(stranger)
    listing = followed.check()
    assert followed.bench.numbers() == {-1, *range(5)}
    assert not any(f"youtube:{stranger.video_id(n)}" in followed.bench.known for n in range(3))
    if by_name:
        assert listing.notice is not None and listing.notice.code == "youtube.name_moved"
        assert listing.notice.values["other_id"] == OTHER
        assert any(OTHER in note for note in listing.report.notes)


@pytest.mark.parametrize("stranger", [False, True])
def test_a_deleted_channel_is_named_as_that(followed: Followed, stranger: bool) -> None:
    followed.bench.fake.channels.clear()
    if stranger:
        followed.bench.fake.channels.append(Channel(OTHER, "@talks", 3, user="talks"))
    with pytest.raises(UsageError) as caught:
        followed.check()
    assert caught.value.code == "youtube.channel_deleted" and caught.value.values["id"] == UC


def test_the_id_survives_a_lost_database_and_a_second_follow(followed: Followed) -> None:
    (before,) = followed.store.list()
    followed.store.follow(before.reference, every_s=7200)
    assert followed.store.list()[0].channel_id == UC
    library = Library(followed.bench.settings.home)
    other = Database.open(Settings(KB_HOME=followed.bench.folder / "other"))
    restored = Subscriptions(other, library, clock=followed.bench.clock)
    restored.restore()
    assert restored.list()[0].channel_id == UC
