"""Looks while all keys are spent or the API is away: the feed shows the newest uploads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from kb.errors import KBError, MediaUnavailable, QuotaExhausted
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.sources.youtube.channels import uploads_of
from kb.sources.youtube.feed import FeedEntry, newest_uploads
from kb.sources.youtube.links import parse_link
from tests.fakes.youtube import BACKEND, Channel, FakeYouTube, Refusal
from tests.sources.test_looks_at_lists import DAY_S, KEY, UC, Bench

SPENT = Refusal(403, "quotaExceeded", "The request cannot be completed: quota exceeded.")


class WithFeed(FakeYouTube):
    """The service with a feed of the 15 newest videos, in the form of YouTube's."""

    head = ""

    def feed(self, channel_id: str) -> str | None:
        for channel in self.channels:
            if channel.id == channel_id:
                entries = "".join(self._entry(channel, n) for n in list(channel.numbers())[:15])
                return (
                    '<?xml version="1.0"?><feed xmlns:yt="x"><title>All talks</title>'
                    f"{self.head}<author><name>Feed</name></author>{entries}</feed>"
                )
        return None

    def _entry(self, channel: Channel, number: int) -> str:
        snippet = channel.video(number)["snippet"]
        return (
            f"<entry>\n <id>yt:video:{channel.video_id(number)}</id>"
            f"<yt:videoId>{channel.video_id(number)}</yt:videoId>"
            f"<title>{escape(snippet['title'])}</title>"
            f"<author><name>{escape(channel.title)}</name></author>"
            f"<published>{snippet['publishedAt'].replace('Z', '+00:00')}</published>"
            f"<media:group><media:title>{escape(snippet['title'])}</media:title></media:group>"
            "</entry>"
        )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    channel = Channel(UC, "@talks", 60)
    with WithFeed([channel], {KEY: 100_000}) as fake:
        found = Bench(tmp_path, fake, channel, UC)
        found.settings = found.settings.replace(
            yt_feed_url=f"{fake.url}feeds/videos.xml?channel_id={{id}}"
        )
        yield found


def refused(bench: Bench, refusal: Refusal = SPENT, calls: int = 0, **filters: Any) -> list[int]:
    """Look with an API that refuses every call after so many; return the queued numbers."""
    left = [calls]

    def refuse(path: str, query: dict[str, str], key: str) -> Refusal | None:
        left[0] -= 1
        return refusal if left[0] < 0 else None

    bench.fake.refuse = refuse
    before = list(bench.queued)
    with pytest.raises((QuotaExhausted, MediaUnavailable)):
        bench.look(**filters)
    bench.fake.refuse = None
    return [bench.number(each) for each in bench.queued if each not in before]


@pytest.mark.parametrize("refusal", [SPENT, BACKEND], ids=["spent", "away"])
@pytest.mark.parametrize("after", [0, 1])
def test_new_uploads_are_found_without_the_api_and_nothing_is_lost_or_doubled(
    bench: Bench, refusal: Refusal, after: int
) -> None:
    bench.look()
    bench.channel.new_uploads = 3
    assert refused(bench, refusal, after) == [-3, -2, -1]
    bench.channel.new_uploads = 5
    assert set(refused(bench, refusal, 0)) <= {-5, -4}
    bench.look(24)
    assert bench.numbers() == set(bench.channel.numbers())
    assert len(bench.queued) == len(set(bench.queued)) == 65


@pytest.mark.parametrize("new", [14, 15, 16, 40, 59])
def test_more_uploads_than_the_feed_has_follow_with_quota(bench: Bench, new: int) -> None:
    bench.look()
    bench.channel.new_uploads = new
    assert len(refused(bench)) == min(new, 15)
    bench.look(24)
    assert bench.numbers() == set(bench.channel.numbers())


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({}, 3),
        ({"title": "talk -[12]$"}, None),
        ({"title": "no such words"}, 0),
        ({"after": "2999-01-01"}, 0),
        ({"before": "2001-01-01"}, 0),
        ({"limit": 2}, 2),
        ({"limit": 50}, 3),
        ({"min_duration_s": 60.0}, 0),
        ({"max_duration_s": 6000.0}, 0),
        ({"no_shorts": True}, 0),
        ({"captions": True}, 0),
        ({"captions": False}, 0),
    ],
)
def test_filters_hold_and_those_the_feed_cannot_answer_wait(
    bench: Bench, filters: dict[str, Any], count: int | None
) -> None:
    with suppress(KBError):
        bench.look(**filters)
    bench.channel.new_uploads = 3
    found = refused(bench, **filters)
    if count is None:
        wanted = VideoFilters(**filters)
        titles = {n: bench.channel.video(n)["snippet"]["title"] for n in (-3, -2, -1)}
        entry = {n: FeedEntry("x", title=title).as_item() for n, title in titles.items()}
        assert set(found) == {n for n, item in entry.items() if wanted.keep(item)}
    else:
        assert len(found) == count


def test_a_channel_followed_without_quota_begins_with_its_feed(bench: Bench) -> None:
    assert refused(bench) == list(range(15))
    bench.look(24)
    assert bench.numbers() == set(range(60))


def test_a_feed_item_has_the_facts_of_the_feed_and_those_of_the_api_later(bench: Bench) -> None:
    bench.look()
    bench.channel.new_uploads = 1
    bench.fake.refuse = lambda *_: SPENT
    bench.clock.now += DAY_S / 4
    found = []
    listing = bench.open()
    with pytest.raises(QuotaExhausted):
        found.extend(listing)  # what came before the error stays
    (item,) = found
    snippet = bench.channel.video(-1)["snippet"]
    assert (item.title, item.channel) == (snippet["title"], bench.channel.title)
    assert item.published and "published_at" not in item.extra  # not all facts are known
    assert (listing.report.via, listing.report.units) == ("feed", 0)
    bench.queued.append(item.id)
    bench.fake.refuse = None
    bench.look(24)
    assert snippet["title"] in bench.refreshed


@pytest.mark.parametrize(
    ("reference", "channel_id", "playlist", "uploads"),
    [
        (UC, "", "", f"UU{UC[2:]}"),
        ("@talks", UC, "", f"UU{UC[2:]}"),
        ("@talks", "", "", ""),
        ("@talks", UC, "Best of", ""),
        ("https://www.youtube.com/@talks/shorts", UC, "", ""),
        (f"https://www.youtube.com/playlist?list=UU{UC[2:]}", "", "", f"UU{UC[2:]}"),
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ", "", "", ""),
    ],
)
def test_the_list_of_uploads_of_a_link(
    reference: str, channel_id: str, playlist: str, uploads: str
) -> None:
    link = parse_link(reference)
    assert link is not None
    assert uploads_of(link, channel_id, VideoFilters(playlist=playlist)) == uploads


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<feed></feed>", []),
        ("<feed><entry></entry></feed>", []),
        ("<feed><entry><yt:videoId>a</yt:videoId></entry></feed>", [FeedEntry("a")]),
        (
            "<feed><title>Feed</title><entry><yt:videoId>a</yt:videoId>"
            "<title>Q&amp;A &lt;1&gt;</title></entry></feed>",
            [FeedEntry("a", "Q&A <1>")],
        ),
        (
            "<feed><entry><yt:videoId>a</yt:videoId></entry>"
            "<entry><yt:videoId>b</yt:videoId></entry><entry><yt:videoId>a</yt:videoId></entry>",
            [FeedEntry("a"), FeedEntry("b")],
        ),
        (
            "<feed><entry><yt:videoId>a</yt:videoId><published>soon</published></entry></feed>",
            [FeedEntry("a")],
        ),
        ("<feed><entry><yt:videoId>a b</yt:videoId></entry></feed>", []),
        ("<feed><entry><title>cut", []),
    ],
)  # fmt: skip
def test_the_forms_of_feeds(tmp_path: Path, body: str, expected: list[FeedEntry]) -> None:
    class Fixed(FakeYouTube):
        def feed(self, channel_id: str) -> str | None:
            return body

    with Fixed([], {KEY: 1}) as fake:
        settings = Settings(YT_FEED_URL=f"{fake.url}feeds/videos.xml?channel_id={{id}}")
        found = newest_uploads(settings, UC)
    assert found == expected
