"""The parser of links, and the filters of listings."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import quote

import pytest

from kb.errors import UsageError
from kb.sources import source_for
from kb.sources.listing.filters import VideoFilters, is_short, parse_day, parse_span
from kb.sources.listing.scan import scan
from kb.sources.subscriptions import subscription_key
from kb.sources.youtube.chapters import parse_chapters
from kb.sources.youtube.items import parse_duration, placeholder_item
from kb.sources.youtube.links import Link, parse_link
from kb.types import Availability, AvailabilityState, MediaItem

V = "dQw4w9WgXcQ"
UC = "UC_x5XG1OV2P6uZZ5FSM9Ttw"
PL = "PLrAXtmErZgOeiKm4sgNOknGvNjby9efdf"
Y = "https://www.youtube.com"

# Link, kind, id, and the rest (playlist, seconds or tab).
LINKS: list[tuple[str, str, str, object]] = [
    (f"{Y}/watch?v={V}", "video", V, None),
    (f"http://youtube.com/watch?v={V}", "video", V, None),
    (f"youtube.com/watch?v={V}", "video", V, None),
    (f"//www.youtube.com/watch?v={V}", "video", V, None),
    (f"https://m.youtube.com/watch?v={V}&feature=share", "video", V, None),
    (f"{Y}/watch?feature=youtu.be&v={V}&pp=ygUEdGVzdA%3D%3D", "video", V, None),
    (f"{Y}/watch?v={V}&t=1m30s", "video", V, 90.0),
    (f"{Y}/watch?v={V}#t=75", "video", V, 75.0),
    (f"{Y}/watch?v={V}&list={PL}&index=3", "video", V, PL),
    (f"{Y}/watch/{V}", "video", V, None),
    (f"{Y}/?v={V}", "video", V, None),
    (f"{Y}/watch_popup?v={V}", "video", V, None),
    (f"https://youtu.be/{V}", "video", V, None),
    (f"https://youtu.be/{V}?si=AbCdEf123456&t=42", "video", V, 42.0),
    (f"youtu.be/{V}", "video", V, None),
    (f"  <https://youtu.be/{V}>  ", "video", V, None),
    (f"{Y}/shorts/{V}?feature=share", "video", V, None),
    (f"https://youtube.com/shorts/{V}", "video", V, None),
    (f"{Y}/live/{V}?si=xyz", "video", V, None),
    (f"{Y}/embed/{V}?autoplay=1&start=30", "video", V, 30.0),
    (f"https://www.youtube-nocookie.com/embed/{V}", "video", V, None),
    (f"{Y}/v/{V}?version=3", "video", V, None),
    (f"{Y}/e/{V}", "video", V, None),
    (f"https://music.youtube.com/watch?v={V}&list=RDAMVM{V}", "video", V, f"RDAMVM{V}"),
    (f"{Y}/attribution_link?a=x&u=%2Fwatch%3Fv%3D{V}%26feature%3Dshare", "video", V, None),
    (
        f"https://consent.youtube.com/m?continue=https%3A%2F%2Fyoutu.be%2F{V}&gl=DE",
        "video",
        V,
        None,
    ),
    (f"https://www.google.com/url?sa=t&url=https%3A%2F%2Fyoutu.be%2F{V}", "video", V, None),
    (f"{Y}/oembed?url=https%3A//youtu.be/{V}&format=json", "video", V, None),
    (f"{Y}/redirect?q=https%3A%2F%2Fyoutu.be%2F{V}", "video", V, None),
    (f"vnd.youtube:{V}", "video", V, None),
    (f"youtube:{V}", "video", V, None),
    (V, "video", V, None),
    (f"{Y}/playlist?list={PL}", "playlist", PL, None),
    (f"https://m.youtube.com/playlist?list={PL}&si=x", "playlist", PL, None),
    (f"{Y}/embed/videoseries?list={PL}", "playlist", PL, None),
    (f"https://music.youtube.com/browse/VL{PL}", "playlist", PL, None),
    (
        f"https://music.youtube.com/playlist?list=OLAK5uy_{'k' * 33}",
        "playlist",
        f"OLAK5uy_{'k' * 33}",
        None,
    ),
    (f"{Y}/feeds/videos.xml?playlist_id={PL}", "playlist", PL, None),
    (PL, "playlist", PL, None),
    (f"{Y}/channel/{UC}", "channel", UC, None),
    (f"{Y}/channel/{UC}/videos?view=0&sort=dd", "channel", UC, None),
    (f"{Y}/channel/{UC}/streams", "channel", UC, "live"),
    (f"https://music.youtube.com/channel/{UC}", "channel", UC, None),
    (f"{Y}/feeds/videos.xml?channel_id={UC}", "channel", UC, None),
    (f"{Y}/embed/live_stream?channel={UC}", "channel", UC, None),
    (UC, "channel", UC, None),
    ("@Talks.On-Water", "handle", "@Talks.On-Water", None),
    (f"{Y}/@talks", "handle", "@talks", None),
    ("youtube.com/@talks/videos", "handle", "@talks", None),
    (f"{Y}/@talks/shorts", "handle", "@talks", "shorts"),
    (f"{Y}/@talks/streams?view=2", "handle", "@talks", "live"),
    (f"{Y}/@talks/featured?utm_source=x", "handle", "@talks", None),
    (f"{Y}/%40talks", "handle", "@talks", None),
    (f"{Y}/@%E6%B0%B4%E3%81%AE%E8%A9%B1", "handle", "@水の話", None),
    (f"{Y}/user/OldName/videos", "user", "OldName", None),
    (f"{Y}/c/CustomName", "custom", "CustomName", None),
    (f"{Y}/CustomName", "custom", "CustomName", None),
]

NOT_YOUTUBE = [
    "",
    "transcripts",
    "Transcripts",
    "talk.mp4",
    "some words here",
    "@a b",
    "C:\\talks\\a.mp4",
    "https://vimeo.com/12345",
    f"https://example.org/watch?v={V}",
    f"https://youtube.com.example.org/watch?v={V}",
    f"https://notyoutube.com/watch?v={V}",
    f"{Y}/",
    f"{Y}/feed/subscriptions",
    f"{Y}/results?search_query=water",
    f"{Y}/hashtag/water",
    f"{Y}/watch?v=tooshort",
    f"{Y}/watch?v={V}AndMore",
    f"{Y}/channel/UCtooshort",
    "https://[broken",
    f"ftp://youtube.com/watch?v={V}",
    "https://www.google.com/url?q=https://example.org",
]


@pytest.mark.parametrize(("text", "kind", "name", "more"), LINKS)
def test_links(text: str, kind: str, name: str, more: object) -> None:
    link = parse_link(text)
    assert link is not None
    assert (link.kind, link.id) == (kind, name)
    found = link.playlist or link.start_s or link.tab or None
    assert found == more
    # Our own address gives the same link.
    again = parse_link(link.url)
    assert again is not None
    assert again.key == link.key


@pytest.mark.parametrize("text", NOT_YOUTUBE)
def test_text_that_is_no_link(text: str) -> None:
    assert parse_link(text) is None


def test_each_reference_has_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / V).write_bytes(b"x")
    for reference, name in (
        (f"{Y}/@talks", "youtube"),
        ("@talks", "youtube"),
        ("youtube.com/@talks", "youtube"),
        (V, "file"),  # a file of that name exists
        ("https://vimeo.com/12345", "web"),
        (f"{Y}/results?search_query=water", "web"),
        ("talk.mp4", "file"),
    ):
        assert source_for(reference).name == name, reference


def test_one_key_for_all_forms() -> None:
    forms = ("@Talks", f"{Y}/@talks/videos", "youtube.com/@TALKS?si=1")
    assert len({subscription_key(form) for form in forms}) == 1
    assert subscription_key(f"{Y}/@talks/shorts") != subscription_key("@talks")
    assert Link("video", V).url == f"{Y}/watch?v={V}"


def item(**values: object) -> MediaItem:
    known = {"id": f"youtube:{V}", "source": "youtube", "url": "", "title": "t", "published": ""}
    return MediaItem(**{**known, **values})  # type: ignore[arg-type]


def test_filters() -> None:
    talk = item(title="On Rivers, part 2", published="2024-03-05", duration_s=600.0)
    for wanted, kept in (
        (VideoFilters(), True),
        (VideoFilters(after="2024-03-05", before="2024-03-05"), True),
        (VideoFilters(after="2024-03-06"), False),
        (VideoFilters(min_duration_s=600, max_duration_s=600), True),
        (VideoFilters(min_duration_s=601), False),
        (VideoFilters(title=r"rivers.*\d$"), True),
        (VideoFilters(title="lakes"), False),
        (VideoFilters(no_shorts=True), True),
    ):
        assert wanted.checked().keep(talk) is kept, wanted
        assert VideoFilters.from_dict(wanted.as_dict()) == wanted
    assert VideoFilters(min_duration_s=10).keep(item())  # an unknown length passes
    for wanted_captions in (None, True, False):
        chosen = VideoFilters(captions=wanted_captions)
        assert VideoFilters.from_dict(chosen.as_dict()) == chosen
        for has in (True, False, None, "yes"):  # what is not known passes
            expected = wanted_captions is None or has in (None, "yes") or has is wanted_captions
            assert chosen.keep(item(extra={} if has is None else {"captions": has})) is expected
    assert not VideoFilters(after="2020-01-01").keep(item())
    assert is_short(item(duration_s=50.0))
    assert is_short(item(duration_s=150.0, tags=("#Shorts",)))
    assert not is_short(item(duration_s=150.0))
    assert not is_short(item(duration_s=50.0, extra={"short": False}))
    for wrong in (
        VideoFilters(title="("),
        VideoFilters(after="2024-02-30"),
        VideoFilters(after="2024-02-02", before="2024-02-01"),
        VideoFilters(min_duration_s=2, max_duration_s=1),
        VideoFilters(limit=-1),
    ):
        with pytest.raises(UsageError):
            wrong.checked()


def test_dates_and_lengths_of_time() -> None:
    today = date(2026, 3, 1)
    for text, start, end in (
        ("2024-03-05", "2024-03-05", "2024-03-05"),
        ("20240305", "2024-03-05", "2024-03-05"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2024", "2024-01-01", "2024-12-31"),
        ("yesterday", "2026-02-28", "2026-02-28"),
        ("2w", "2026-02-15", "2026-02-15"),
    ):
        assert parse_day(text, today=today) == start
        assert parse_day(text, end=True, today=today) == end
    for text, seconds in (
        ("90", 90),
        ("90s", 90),
        ("1:30", 90),
        ("1:02:03", 3723),
        ("10m", 600),
        ("1h30m", 5400),
        ("6h", 21_600),
        ("1d", 86_400),
        ("0.5h", 1800),
    ):
        assert parse_span(text) == seconds
    for text in ("", "soon", "2024-13", "5x", "99999999999d"):
        with pytest.raises(UsageError) as caught:
            parse_day(text)
        assert (caught.value.code, caught.value.values) == ("filters.date", {"text": text})
    for text in ("", "soon", "5x", "-3"):
        with pytest.raises(UsageError) as caught:
            parse_span(text)
        assert (caught.value.code, caught.value.values) == ("filters.duration", {"text": text})
    for text, seconds in (("PT1H2M3S", 3723), ("P1DT1S", 86_401), ("P0D", 0), ("PT7M", 420)):
        assert parse_duration(text) == seconds
    assert parse_duration("P") is None
    assert parse_duration("1:00") is None


def test_chapters() -> None:
    chapters = parse_chapters("Hello\n0:00 Start\n(1:30) - Rivers\n1:02:03 | Lakes\nbye 5 times")
    assert [(each.start_s, each.title) for each in chapters] == [
        (0.0, "Start"),
        (90.0, "Rivers"),
        (3723.0, "Lakes"),
    ]
    assert [each.title for each in parse_chapters("A 0:00\nB - 1:00\nC (2:00)")] == ["A", "B", "C"]
    assert parse_chapters("1:00 A\n2:00 B\n3:00 C") == ()  # none at the beginning
    assert parse_chapters("0:00 A\n2:00 B") == ()
    assert parse_chapters("We met at 10:30 and left.\n0:00 A") == ()
    assert len(parse_chapters("0:00 A\n1:00 B\n2:00 C\n9:00 D", 300)) == 3


def test_a_scan_sums_up_new_items(tmp_path: Path) -> None:
    from kb.settings import Settings
    from kb.sources.listing.listing import Listing, ListingReport

    items = [
        item(id="youtube:a", duration_s=100.0),
        item(id="youtube:b", duration_s=200.0),
        item(id="youtube:b", duration_s=200.0),  # twice in the list
        item(id="youtube:c", availability=Availability(AvailabilityState.UPCOMING)),
        placeholder_item("d", Availability(AvailabilityState.UNAVAILABLE, "private")),
        item(id="youtube:e", duration_s=50.0),
        item(id="youtube:f", duration_s=60.0),
        item(id="youtube:g", duration_s=70.0),
    ]
    listing = Listing(ListingReport("@t", "handle"), lambda _: iter(items), VideoFilters())
    settings = Settings(KB_HOME=tmp_path / "none", KB_DOWNLOAD_PAUSE_S=10)
    before = {"youtube:a": "done", "youtube:e": "failed", "youtube:f": "cancelled"}
    before["youtube:g"] = "waiting"
    asked: list[str] = []

    def states_of(ids: Sequence[str]) -> dict[str, str]:
        asked.extend(ids)
        return before

    found = scan(listing, settings, states_of=states_of, rtfx=10.0)
    assert asked == [f"youtube:{letter}" for letter in "abcdefg"]
    states = {each.item.short_id: each.state for each in found.items}
    assert states == {
        **{"a": "done", "b": "new", "c": "upcoming", "d": "unavailable"},
        **{"e": "failed", "f": "cancelled", "g": "waiting"},
    }
    assert found.counts == {"new": 2, "known": 2, "failed": 1, "cancelled": 1, "unavailable": 1}
    # Failed items are queued again, so they are part of the cost.
    assert (found.unmeasured, found.audio_s) == (1, 310.0)
    assert found.disk_bytes == 310 * 16_000
    assert found.disk_free
    assert (found.recognition_s, found.download_s, found.estimate_s) == (31.0, 60.0, 60.0)
    assert not any("too small" in sentence for sentence in found.notes)
    assert "too small" in replace(found, disk_free=1000).notes[-1]
    assert set(found.as_dict()) >= {
        *("source", "kind", "title", "reported", "listed", "new", "known", "audio_s"),
        *("api_units", "disk_bytes", "estimate_s", "items"),
    }


def test_files_have_listings_too(tmp_path: Path) -> None:
    from kb.sources import get_source
    from kb.sources.listing.listing import open_listing

    for number in range(4):
        (tmp_path / f"talk {number}.mp3").write_bytes(bytes([number]))
    wanted = VideoFilters(title="talk [123]", limit=2)
    listing = open_listing(get_source("file"), str(tmp_path), wanted)
    assert [found.title for found in listing] == ["talk 1", "talk 2"]
    assert listing.report.via == "file"
    with pytest.raises(UsageError):
        open_listing(get_source("file"), str(tmp_path / "none"), wanted)


SCRIPTS = {
    "Thai": "@หมอแล็บแพนด้า",
    "Devanagari": "@हिन्दीचैनल",
    "Tamil": "@தமிழ்",
    "Bengali with a joiner": "@ক্\u200dষ",
    "Persian with a joiner": "@می\u200cخواهم",
    "Arabic with vowel signs": "@مُحَمَّد",
    "Hebrew with points": "@שָׁלוֹם",
    "Vietnamese, decomposed": "@tie\u0302\u0301ng-vie\u0323\u0302t",
    "German, decomposed": "@bu\u0308cher",
    "Korean, decomposed": "@\u1112\u1161\u11ab\u1100\u1173\u11af",
    "Japanese": "@日本・放送",
    "Khmer": "@ភាសាខ្មែរ",
    "Burmese": "@မြန်မာ",
    "middle dot": "@col·lecció",
}


@pytest.mark.parametrize("handle", SCRIPTS.values(), ids=SCRIPTS)
def test_handles_and_custom_names_in_every_script(handle: str) -> None:
    composed = unicodedata.normalize("NFC", handle)
    encoded = quote(handle)
    for form in (
        handle,
        composed,
        encoded,
        quote(handle, safe="@"),
        f"https://www.youtube.com/{handle}",
        f"https://www.youtube.com/{encoded}",
        f"youtube.com/{encoded.lower()}/videos",
        f"m.youtube.com/{quote(composed)}?si=x",
    ):
        link = parse_link(form)
        assert link is not None and (link.kind, link.id) == ("handle", composed), form
        assert link.key == parse_link(handle).key  # type: ignore[union-attr]
        assert link.url.isascii()
    for form in (f"youtube.com/c/{encoded[3:]}", f"youtube.com/{handle[1:]}"):
        link = parse_link(form)
        assert link is not None and (link.kind, link.id) == ("custom", composed[1:]), form


@pytest.mark.parametrize("text", ["@", "@...", "@-", "@\u0301", "@a b", "@a/b", "@\u200d", "@a<b"])
def test_text_that_is_no_handle(text: str) -> None:
    assert parse_link(text) is None


@pytest.mark.parametrize(
    ("page", "tab", "ignored"),
    [
        ("/search?query=tax", "", "search"),
        ("/playlists", "", "playlists"),
        ("/playlists?view=1", "", "playlists"),
        ("/community", "", "community"),
        ("/podcasts", "", "podcasts"),
        ("/Playlists", "", "playlists"),
        ("", "", ""),
        ("/videos", "", ""),
        ("/featured", "", ""),
        ("/about", "", ""),
        ("/shorts", "shorts", ""),
        ("/Streams", "live", ""),
    ],
)
def test_a_part_of_a_channel_that_cannot_be_listed_is_named(
    page: str, tab: str, ignored: str
) -> None:
    for channel in ("@talks", "channel/UC" + "x" * 22, "c/talks", "user/talks"):
        link = parse_link(f"https://www.youtube.com/{channel}{page}")
        assert link is not None and (link.tab, link.ignored) == (tab, ignored)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\u200e", ""),
        ("\u202a", "\u202c"),
        ("\u2068", "\u2069"),
        ("\ufeff", "\u200b"),
        ("\u201c", "\u201d"),
    ],
)
@pytest.mark.parametrize(
    "link", ["@talks", "@\u05e2\u05d1\u05e8\u05d9\u05ea", "youtube.com/@talks"]
)
def test_invisible_marks_around_a_pasted_link_do_not_count(
    link: str, before: str, after: str
) -> None:
    found = parse_link(f"{before}{link}{after}")
    assert found is not None and found == parse_link(link)


def test_a_page_of_a_list_is_no_channel() -> None:
    found = parse_link("https://www.youtube.com/podcast?list=PLabcdefghijklmnop")
    assert found is not None and (found.kind, found.id) == ("playlist", "PLabcdefghijklmnop")
