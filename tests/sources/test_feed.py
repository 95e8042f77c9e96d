"""The feed of a channel: looks without quota, and what the feed cannot say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.settings import Settings
from kb.sources.youtube.feed import YOUTUBE_FEED, feed_address, newest_uploads
from tests.fakes.youtube import Channel, FakeYouTube
from tests.sources.test_looks_at_lists import KEY, UC, Bench, refuse_page


class WithFeed(FakeYouTube):
    """The service with a feed of the 15 newest videos; `answer` replaces it."""

    answer: str | None = ""
    asked = 0

    def feed(self, channel_id: str) -> str | None:
        self.asked += 1
        if self.answer != "":
            return self.answer
        for channel in self.channels:
            if channel.id == channel_id:
                shown = [n for n in channel.numbers() if n not in channel.private][:15]
                entries = "".join(
                    f"<entry><yt:videoId>{channel.video_id(n)}</yt:videoId></entry>" for n in shown
                )
                return f'<?xml version="1.0"?><feed xmlns:yt="x">{entries}</feed>'
        return None


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    channel = Channel(UC, "@talks", 120)
    with WithFeed([channel], {KEY: 100_000}) as fake:
        found = Bench(tmp_path, fake, channel, UC)
        found.settings = found.settings.replace(
            yt_feed_url=f"{fake.url}feeds/videos.xml?channel_id={{id}}"
        )
        found.look()
        found.pages()
        yield found


def test_a_look_with_nothing_new_costs_the_count_alone(bench: Bench) -> None:
    assert bench.cost(lambda: bench.look()) == 1
    assert bench.pages() == []
    bench.channel.new_uploads = 3
    assert bench.cost(lambda: bench.look()) == 2
    assert bench.pages() == []
    assert {-3, -2, -1} <= bench.numbers()


@pytest.mark.parametrize("new", [1, 14, 15, 16, 40, 60])
def test_a_feed_that_does_not_join_the_known_list_is_not_enough(bench: Bench, new: int) -> None:
    bench.channel.new_uploads = new
    bench.look()
    assert bench.numbers() == set(bench.channel.numbers())
    assert bool(bench.pages()) is (new >= 15)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "<html>Before you continue</html>",
        "<feed></feed>",
        "<feed><yt:videoId>elsewhere01</yt:videoId></feed>",
        "not a feed",
        "<feed>" + "<yt:videoId>ID</yt:videoId>" * 3,
    ],
    ids=["404", "consent page", "empty", "of another channel", "text", "cut"],
)
def test_without_a_usable_feed_the_first_page_is_read(bench: Bench, answer: str | None) -> None:
    assert isinstance(bench.fake, WithFeed)
    bench.fake.answer = answer
    bench.channel.new_uploads = 2
    assert bench.look() == [-2, -1]
    assert bench.pages() == [""]


@pytest.mark.parametrize("place", [3, 20, 60, 119])
def test_the_count_shows_what_the_feed_does_not(bench: Bench, place: int) -> None:
    bench.channel.count += 1
    bench.channel.deleted = frozenset({place})
    bench.channel._numbers.clear()
    assert isinstance(bench.fake, WithFeed)
    bench.fake.answer = bench.fake.feed(UC)  # it lags behind
    assert [number for _ in range(3) for number in bench.look()] in ([], [120])
    bench.channel.new_uploads = 1
    assert -1 in {number for _ in range(2) for number in bench.look()}


def test_a_gap_below_the_feed_is_filled_later(bench: Bench) -> None:
    bench.channel.new_uploads = 110
    bench.fake.refuse = refuse_page(1)
    with pytest.raises(Exception, match="does not answer"):
        bench.look()
    bench.fake.refuse = None
    bench.channel.new_uploads = 112  # the feed joins what the broken look has seen
    bench.look()
    assert bench.numbers() == set(bench.channel.numbers())


@pytest.mark.parametrize(
    ("feed", "endpoint", "address"),
    [
        ("", "", YOUTUBE_FEED),
        ("none", "", ""),
        ("", "http://127.0.0.1:9/", ""),
        ("http://127.0.0.1:9/f?c={id}", "", "http://127.0.0.1:9/f?c={id}"),
    ],
)
def test_the_address_of_feeds(feed: str, endpoint: str, address: str) -> None:
    assert feed_address(Settings(YT_FEED_URL=feed, YT_API_ENDPOINT=endpoint)) == address


def test_a_feed_that_cannot_be_reached_is_no_error() -> None:
    settings = Settings(YT_FEED_URL="http://127.0.0.1:9/{id}")
    assert newest_uploads(settings, UC) == []
