"""A YouTube that lives: uploads by schedule, states that change, names that move, days of quota.

    world = World(clock=clock.world_time)
    channel = world.add(LivingChannel("UC...", "@talks"))
    channel.upload(at=day(3), state=State.MEMBERS)
    world.at(day(10), lambda: channel.change(number, state=State.PUBLIC))
    with LivingYouTube(world, quota={key: 10_000}) as api, LivingMedia(world) as site: ...

The API of `tests.fakes.youtube` and the site of `tests.fakes.media` show the same world. `clock` is
the true time: the machine's own clock may be wrong.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from tests.fakes.media import FakeMedia, ScriptStep
from tests.fakes.youtube import UPLOADS_END, Channel, FakeYouTube, Refusal

PACIFIC: tzinfo = ZoneInfo("America/Los_Angeles")
FEED_LENGTH = 15
RATE = 8000  # samples a second of the media


class State(StrEnum):
    """The state of a video."""

    PUBLIC = "public"
    MEMBERS = "members"
    AGE = "age"
    REGION = "region"
    UNLISTED = "unlisted"  # in no list; can be fetched by its address
    PRIVATE = "private"  # in the lists, without details
    UPCOMING = "upcoming"
    LIVE = "live"
    REMOVED = "removed"


LISTED = frozenset(State) - {State.UNLISTED, State.REMOVED}
DETAILED = frozenset(State) - {State.PRIVATE, State.REMOVED}

# The reason of the site for each state in which the medium cannot be fetched.
_REFUSED: Mapping[State, tuple[int, str]] = {
    State.MEMBERS: (403, "Join this channel to get access to members-only content"),
    State.AGE: (403, "Sign in to confirm your age"),
    State.REGION: (403, "The uploader has not made this video available in your country"),
    State.PRIVATE: (403, "Private video"),
    State.REMOVED: (404, "This video has been removed by the uploader"),
    State.UPCOMING: (403, "Premieres in 20 hours"),
    State.LIVE: (403, "This live stream is still running"),
}
BROKEN_PAGE = (500, "Unable to extract player response")


@dataclass(frozen=True)
class Upload:
    """A video; `at` is its publication in epoch seconds, `duration_s` in whole seconds.

    `media_s` is the length of the medium that the site serves, if it differs from the declared
    one.
    """

    id: str
    at: float
    title: str
    state: State = State.PUBLIC
    duration_s: int = 2
    short: bool = False
    description: str = ""
    media_s: int | None = None


class LivingChannel(Channel):
    """A channel whose uploads appear at their time; numbers are the order of their addition."""

    def __init__(
        self,
        id: str,
        handle: str,
        *,
        title: str = "",
        user: str = "",
        playlists: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        super().__init__(id, handle, 0, title or handle.removeprefix("@").title(), user)
        self.playlists = dict(playlists or {})
        self.all: list[Upload] = []
        self.hidden: set[str] = set()  # ids that a listing leaves out at present
        self.terminated = False
        self.by_id: dict[str, int] = {}
        self._clock: Callable[[], float] = lambda: 0.0
        self._shown: tuple[float, int, list[int]] = (-1.0, -1, [])
        self._changes = 0

    def live_by(self, clock: Callable[[], float]) -> None:
        """Take the time from this clock (epoch seconds)."""
        self._clock = clock

    def upload(self, at: float, **facts: Any) -> str:
        """Add a video that appears at a time (epoch seconds); return its id."""
        number = len(self.all)
        video_id = hashlib.sha256(f"{self.id}/{number}".encode()).hexdigest()[:11]
        facts.setdefault("title", f"{self.title}: talk {number}")
        self.all.append(Upload(video_id, at, **facts))
        self.by_id[video_id] = number
        self._changes += 1
        return video_id

    def change(self, video_id: str, **facts: Any) -> None:
        """Change facts of a video."""
        number = self.by_id[video_id]
        self.all[number] = replace(self.all[number], **facts)
        self._changes += 1

    def hide(self, *ids: str) -> None:
        """Leave these videos out of the lists although they are counted; without ids none."""
        self.hidden = set(ids)
        self._changes += 1

    # The API's view

    def video_id(self, number: int) -> str:
        return self.all[number].id

    def numbers(self) -> list[int]:
        now = self._clock()
        seen_at, changes, numbers = self._shown
        # A listing of the same second is the same: videos are sorted once for many requests.
        if changes == self._changes and 0 <= now - seen_at < 1.0:
            return numbers
        numbers = [
            number
            for number, each in enumerate(self.all)
            if each.at <= now and each.state in LISTED and each.id not in self.hidden
        ]
        numbers.sort(key=lambda number: self.all[number].at, reverse=True)
        self._shown = (now, self._changes, numbers)
        return numbers

    def number(self, video_id: str) -> int | None:
        number = self.by_id.get(video_id)
        if number is None or self.terminated:
            return None
        each = self.all[number]
        return number if each.at <= self._clock() and each.state in DETAILED else None

    def lists(self) -> dict[str, list[int]]:
        if self.terminated:
            return {}
        numbers = self.numbers()
        found = {self.uploads: numbers[:UPLOADS_END]}
        if any(self.all[number].short for number in numbers):
            found[f"UUSH{self.id[2:]}"] = [n for n in numbers if self.all[n].short]
        shown = set(numbers)
        for title, listed in self.playlists.items():
            found[self.playlist_id(title)] = [n for n in listed if n in shown]
        return found

    def video(self, number: int) -> dict[str, Any]:
        each = self.all[number]
        started = each.state not in (State.UPCOMING, State.LIVE)
        resource: dict[str, Any] = {
            "kind": "youtube#video",
            "id": each.id,
            "snippet": {
                "publishedAt": _iso(each.at),
                "channelId": self.id,
                "channelTitle": self.title,
                "title": each.title,
                "description": each.description,
                "tags": [],
                "liveBroadcastContent": "none" if started else str(each.state),
                "defaultAudioLanguage": "en",
            },
            "contentDetails": {
                "duration": f"PT{each.duration_s}S" if started else "P0D",
                "caption": "false",
            },
            "status": {"uploadStatus": "processed", "privacyStatus": "public"},
        }
        if not started:
            resource["liveStreamingDetails"] = {"scheduledStartTime": _iso(each.at + 86_400)}
        return resource

    def feed(self) -> str:
        """Return the channel's Atom feed: its newest videos that anybody may see."""
        newest = [n for n in self.numbers() if self.all[n].state in DETAILED][:FEED_LENGTH]
        entries = "".join(
            f"<entry><id>yt:video:{each.id}</id><yt:videoId>{each.id}</yt:videoId>"
            f"<yt:channelId>{self.id}</yt:channelId><title>{escape(each.title)}</title>"
            f'<link rel="alternate" href="https://www.youtube.com/watch?v={each.id}"/>'
            f"<published>{_iso(each.at)}</published><updated>{_iso(each.at)}</updated></entry>"
            for each in (self.all[number] for number in newest)
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<feed xmlns:yt="http://www.youtube.com/xml/schemas/2015" '
            'xmlns="http://www.w3.org/2005/Atom">'
            f"<id>yt:channel:{self.id}</id><yt:channelId>{self.id[2:]}</yt:channelId>"
            f"<title>{escape(self.title)}</title>{entries}</feed>"
        )


@dataclass
class World:
    """The channels, and what happens at a time; `clock` returns the true epoch seconds."""

    clock: Callable[[], float]
    channels: list[LivingChannel] = field(default_factory=list)
    pages_broken: bool = False  # no watch page can be read
    api_down: bool = False
    refused_pages: set[str] = field(default_factory=set)  # lists whose later pages are refused
    feeds_down: bool = False
    _events: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    _count: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def add(self, channel: LivingChannel) -> LivingChannel:
        channel.live_by(self.clock)
        self.channels.append(channel)
        return channel

    def at(self, moment: float, action: Callable[[], object]) -> None:
        """Do something at a time (epoch seconds)."""
        heapq.heappush(self._events, (moment, next(self._count), action))

    def set_at(self, begin: float, end: float, name: str, value: Any, otherwise: Any) -> None:
        """Give a field of this world another value between two times."""
        self.at(begin, lambda: setattr(self, name, value))
        self.at(end, lambda: setattr(self, name, otherwise))

    def go_on(self) -> None:
        """Let everything happen whose time has come."""
        with self._lock:
            while self._events and self._events[0][0] <= self.clock():
                heapq.heappop(self._events)[2]()

    def find(self, video_id: str) -> tuple[LivingChannel, Upload] | None:
        for channel in self.channels:
            number = channel.by_id.get(video_id)
            if number is not None:
                return channel, channel.all[number]
        return None


class LivingYouTube(FakeYouTube):
    """The Data API of a world. The units of a key are renewed at midnight of the Pacific coast."""

    def __init__(self, world: World, quota: Mapping[str, int]) -> None:
        super().__init__((), quota)
        self.world = world
        self.channels = world.channels  # type: ignore[assignment]
        self.units_of_day: Counter[str] = Counter()
        self.all_units = 0
        self._day = ""

    def handle(self, path: str, query: dict[str, str], key: str) -> tuple[int, Any, dict[str, str]]:
        self.world.go_on()
        day = datetime.fromtimestamp(self.world.clock(), PACIFIC).date().isoformat()
        if day != self._day:
            self._day = day
            self.renew()
        status, body, headers = super().handle(path, query, key)
        if status == 200:
            self.all_units += 1
            self.units_of_day[day] += 1
        if len(self.calls) > 1000:  # half a year has very many
            del self.calls[:-100]
        return status, body, headers

    def _refusal(self, path: str, query: dict[str, str], key: str) -> Refusal | None:
        if self.world.api_down:
            return Refusal(503, "backendError", "Backend error.")
        later_page = path == "playlistItems" and query.get("pageToken")
        if later_page and query.get("playlistId") in self.world.refused_pages:
            return Refusal(403, "forbidden", "Access to the page is forbidden.")
        return super()._refusal(path, query, key)

    def _channels(self, query: dict[str, str]) -> dict[str, Any]:
        answer = super()._channels(query)
        gone = {channel.id for channel in self.world.channels if channel.terminated}
        items = [each for each in answer.get("items", ()) if each["id"] not in gone]
        return {"kind": answer["kind"], **({"items": items} if items else {})}

    def feed(self, channel_id: str) -> str | None:
        self.world.go_on()
        if self.world.feeds_down:
            return None
        for channel in self.world.channels:
            if channel.id == channel_id and not channel.terminated:
                return channel.feed()
        return None


class LivingMedia(FakeMedia):
    """The watch pages and media of a world; `fetched` counts the files that were asked for.

    `/plain/<id>` has the medium of a video that nothing is wrong with, without a watch page.
    """

    def __init__(self, world: World) -> None:
        super().__init__(b"", bodies=_Bodies(world), content_type="audio/wav")
        self.bodies = _Bodies(world)
        self.files = _PlainFiles(self)
        self.world = world
        self.watched: Counter[str] = Counter()
        self.fetched: Counter[str] = Counter()

    def _next(self, words: dict[str, list[ScriptStep]], media_id: str) -> ScriptStep:
        self.world.go_on()
        if words is self.script:
            self.fetched[media_id] += 1
            return super()._next(words, media_id)
        self.watched[media_id] += 1
        del self.requests[:-100]
        if self.world.pages_broken:
            return BROKEN_PAGE
        found = self.world.find(media_id)
        if found is None or found[0].terminated or found[1].at > self.world.clock():
            return _REFUSED[State.REMOVED]
        return _REFUSED.get(found[1].state) or super()._next(words, media_id)


class _Bodies(dict[str, bytes]):
    """The files of a world's videos: tones of their length, a different one for each."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def get(self, key: str, default: Any = None) -> Any:
        found = self._world.find(key)
        if found is None:
            return default
        length_s = found[1].media_s if found[1].media_s is not None else found[1].duration_s
        return wav_of(key, length_s)


class _PlainFiles(dict[str, tuple[int, str, bytes]]):
    def __init__(self, site: LivingMedia) -> None:
        super().__init__()
        self._site = site

    def __contains__(self, path: object) -> bool:
        if not (isinstance(path, str) and path.startswith("/plain/")):
            return False
        world = self._site.world
        world.go_on()
        found = world.find(path.removeprefix("/plain/"))
        if found is None or world.pages_broken or found[0].terminated:
            return False
        video = found[1]
        return video.state == State.PUBLIC and video.media_s is None and video.at <= world.clock()

    def __getitem__(self, path: str) -> tuple[int, str, bytes]:
        video_id = path.removeprefix("/plain/")
        self._site.fetched[video_id] += 1
        del self._site.requests[:-100]
        return 200, "audio/wav", self._site.bodies.get(video_id, b"")


@lru_cache(64)
def wav_of(name: str, length_s: int) -> bytes:
    """Return a WAV of one tone, 8-bit and 8 kHz; files of other names differ."""
    seed = hashlib.sha256(name.encode()).digest()
    period = bytes(128 + (value - 128) // 4 for value in seed)
    data = (period * (length_s * RATE // len(period) + 1))[: length_s * RATE]
    head = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt "
    shape = (16, 4), (1, 2), (1, 2), (RATE, 4), (RATE, 4), (1, 2), (8, 2)
    body = b"".join(value.to_bytes(size, "little") for value, size in shape)
    return head + body + b"data" + len(data).to_bytes(4, "little") + data


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
