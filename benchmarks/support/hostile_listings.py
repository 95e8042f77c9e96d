"""Hostile listings for `hostile.py`: answers of YouTube's API, yt-dlp's metadata, feeds."""

from __future__ import annotations

import dataclasses
import json
import random
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.support.hostile_run import Area, Case, Fault
from benchmarks.support.hostile_values import damaged, damaged_text, mutated
from kb.database import Database
from kb.errors import KBError
from kb.library.metadata import item_document, item_from_document
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.listing import Listing
from kb.sources.web import WebSource
from kb.sources.youtube.source import YouTubeSource
from kb.sources.ytdlp.metadata import item_from_info, merge_metadata
from kb.types import MediaItem
from tests.fakes.media import FakeMedia
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support.keys import Clock, fake_key

VIDEOS = 120  # three pages
PLAYLIST = "On rivers"
UC = f"UC{'t' * 22}"
KEY = fake_key("a")
INFO = {
    "id": "abc123", "extractor_key": "Vimeo", "ie_key": "Vimeo", "title": "A talk",
    "webpage_url": "https://media.example/talk", "duration": 12.5, "channel": "Talks",
    "uploader": "Ann", "description": "0:00 Start", "tags": ["water", "rivers"],
    "chapters": [{"start_time": 0.0, "end_time": 5.0, "title": "Start"}], "language": "en",
    "thumbnail": "https://media.example/p.jpg", "timestamp": 1_700_000_000,
    "upload_date": "20231114", "live_status": "not_live", "release_timestamp": 1_700_000_000,
}  # fmt: skip
ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {c} "{f"&{p};" * 10}">' for p, c in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]>"
)


class MutatedYouTube(FakeYouTube):
    """The service; one of its next answers is changed in one place."""

    rng: random.Random | None = None
    after = 0  # answers before the changed one
    what = ""

    def handle(self, path: str, query: dict[str, str], key: str) -> tuple[int, Any, dict[str, str]]:
        status, body, headers = super().handle(path, query, key)
        if self.rng is None or self.what or status != 200:
            return status, body, headers
        if self.after:
            self.after -= 1
            return status, body, headers
        changed, what = mutated(body, self.rng, strict=True)
        self.what = f"{path}: {what}"
        return status, changed, headers


class Listings(Area):
    """Half of the cases are answers of the YouTube API, the others metadata, feeds and pages."""

    name = "listings"
    cases = 240

    def __enter__(self) -> Self:
        self._channel = Channel(UC, "@talks", VIDEOS, playlists={PLAYLIST: tuple(range(70))})
        self._fake = MutatedYouTube([self._channel], {KEY: 10**9}).__enter__()
        self._site = FakeMedia(b"no sound", content_type="audio/webm").__enter__()
        self._folder = tempfile.TemporaryDirectory()
        home = Path(self._folder.name)
        self._settings = Settings(
            KB_HOME=home / "home", YT_API_ENDPOINT=self._fake.url, YT_API_KEYS=KEY,
            YT_API_KEYS_FILE=str(home / "none.txt"), KB_DOWNLOAD_PAUSE_S=0,
            KB_DOWNLOAD_RETRIES=0,
        )  # fmt: skip
        self._database = Database.open(self._settings)
        self._clock = Clock()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()
        self._fake.__exit__(kind, error, trace)
        self._site.__exit__(kind, error, trace)
        self._folder.cleanup()

    def run(self, case: Case) -> None:
        kind = case.rng.random()
        if kind < 0.55:
            self._youtube(case)
        elif kind < 0.85:
            self._info(case)
        else:
            self._page(case)

    def _source(self) -> YouTubeSource:
        return YouTubeSource(
            self._settings, self._database, clock=self._clock, sleep=self._clock.sleep
        )

    def _youtube(self, case: Case) -> None:
        """List with one changed answer, then list new videos of the undamaged service."""
        rng, fake = case.rng, self._fake
        reference = rng.choice(("@talks", "@talks", f"https://youtube.com/channel/{UC}", "list"))
        count = VIDEOS
        if reference == "list":
            list_id = self._channel.playlist_id(PLAYLIST)
            reference, count = f"https://www.youtube.com/playlist?list={list_id}", 70
        self._clock.now += 8 * 86_400  # no stored page is used
        fake.rng, fake.what, fake.after = rng, "", rng.randrange(8)
        known: set[str] = set()
        error: KBError | None = None
        listing: Listing | None = None
        try:
            listing = self._source().open(reference, VideoFilters(), known=known, reuse_s=0)
            for item in listing:
                check_item(item)
                known.add(item.id)
        except KBError as problem:
            error = problem
        finally:
            case.what = f"YouTube {fake.what or 'no answer changed'}"
            fake.calls.clear()
            fake.rng = None
        true = {f"youtube:{self._channel.video_id(number)}" for number in range(count)}
        if listing is not None and error is None:
            report = listing.report
            missing = len(true - known)
            counted = report.unavailable + report.listed < count or bool(report.notes)
            if missing > report.unavailable and not (counted or listing.notice):
                raise Fault(f"silent loss: {missing} videos missing, nothing is said of them")
        self._clock.now += 8 * 86_400
        again = self._source().open(reference, VideoFilters(new=True), known=known, reuse_s=0)
        known |= {item.id for item in again}
        if missing_ids := true - known:
            raise Fault(f"silent loss: {len(missing_ids)} videos are not found by --new")
        if error is not None:
            raise error

    def _info(self, case: Case) -> None:
        """Read yt-dlp's metadata of one medium with changed fields."""
        info: Any = INFO
        notes = []
        for _ in range(case.rng.choice((1, 1, 3))):
            info, what = mutated(info, case.rng)
            notes.append(what)
            if not isinstance(info, dict):
                info = dict(INFO)
        case.what = f"info {'; '.join(notes)}"
        item = item_from_info(info, "https://media.example/talk", case.rng.choice((0, 1, 2)))
        check_item(item)
        check_item(merge_metadata(item_from_info(dict(INFO), None), item))

    def _page(self, case: Case) -> None:
        """List a feed or a page that is damaged."""
        rng, path = case.rng, f"/{case.number}.{case.rng.choice(('xml', 'html', 'rss', 'm3u8'))}"
        links = "".join(
            f"<item><title>Part {n}</title><link>{self._site.url}/watch/{n}</link></item>"
            for n in range(3)
        )
        channel = f"<channel><title>F</title>{links}</channel>"
        feed = f'<?xml version="1.0"?><rss version="2.0">{channel}</rss>'
        page = '<!doctype html><html><title>T</title><video src="/media/a.webm"></video></html>'
        text = rng.choice((feed, feed, page))
        kind = rng.choice(("bytes", "text", "entities", "json"))
        body = text.encode()
        if kind == "bytes":
            body, what = damaged(body, rng)
        elif kind == "text":
            text, what = damaged_text(text, rng)
            body = text.encode("utf-8", "surrogatepass")
        elif kind == "entities":
            body, what = (
                text.replace("<rss", f"{ENTITIES}<rss").replace("Part", "&i;").encode(),
                kind,
            )
        else:
            body, what = json.dumps(mutated(INFO, rng)[0]).encode(), kind
        content = rng.choice(("application/rss+xml", "text/html", "text/html; charset=utf-16", "x"))
        case.what = f"page {path}: {what} as {content}"
        self._site.files[path] = (rng.choice((200, 200, 200, 404, 500)), content, body)
        source = WebSource(
            self._settings, self._database, clock=self._clock, sleep=self._clock.sleep
        )
        try:
            for item in source.open(f"{self._site.url}{path}"):
                check_item(item)
        finally:
            del self._site.files[path]
            self._clock.now += 86_400


TEXT_FIELDS = ("id", "source", "url", "title", "published", "channel", "description")


def check_item(item: MediaItem) -> None:
    """Raise Fault if an item has a value of another type, or cannot be stored and read again."""
    for name in TEXT_FIELDS:
        if not isinstance(getattr(item, name), str):
            raise Fault(f"a wrong answer: {name} is {getattr(item, name)!r:.60}")
    if item.language is not None and not isinstance(item.language, str):
        raise Fault(f"a wrong answer: language is {item.language!r:.60}")
    length = item.duration_s
    if length is not None and not (isinstance(length, float) and 0 <= length < float("inf")):
        raise Fault(f"a wrong answer: duration_s is {length!r:.60}")
    try:
        text = json.dumps(item_document(item), allow_nan=False, ensure_ascii=False)
        text.encode()
        stored = item_from_document(json.loads(text))
    except (ValueError, TypeError, KBError) as error:
        raise Fault(f"a wrong answer: the item cannot be stored: {error!s:.160}") from error
    if dataclasses.replace(stored, availability=item.availability) != item:
        raise Fault("a wrong answer: the stored item differs")
