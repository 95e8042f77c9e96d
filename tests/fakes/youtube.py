"""A YouTube Data API on loopback: pages, quota per key, and the errors of the service.

    with FakeYouTube([Channel("UC...", "@talks", count=5000)], quota={key: 10_000}) as fake:
        settings = Settings(YT_API_ENDPOINT=fake.url, ...)

Videos are generated from their number, so that 21,000 videos need no memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.loopback import Loopback

UPLOADS_END = 20_000
FEED_PATH = "/feeds/videos.xml"
PICTURE = "picture.png"
PIXELS = base64.b64decode(  # a channel's picture: 8 × 8 of one blue
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mOUj5/JgA0wMeAAg1MCAN5YASe8cge+"
    "AAAAAElFTkSuQmCC"
)
NEWEST = datetime(2026, 11, 1, 12, tzinfo=UTC)


@dataclass
class Channel:
    """A channel with `count` uploads, one a day, the newest (number 0) at `NEWEST`.

    `private` (or deleted), `upcoming` and `shorts` are sets of numbers; `playlists` maps a
    title to numbers. `new_uploads` is the number of uploads after the first ones; the
    `deleted` numbers are gone from every list, and `order` replaces the order of the uploads.
    `duration` (ISO 8601, such as `PT6S`) is that of every video, for tests with real media.
    """

    id: str
    handle: str
    count: int
    title: str = "Talks"
    user: str = ""
    private: frozenset[int] = frozenset()
    upcoming: frozenset[int] = frozenset()
    shorts: frozenset[int] = frozenset()
    playlists: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    new_uploads: int = 0
    deleted: frozenset[int] = frozenset()
    order: tuple[int, ...] = ()
    uncounted: int = 0  # videos in the service's count that no list shows
    duration: str = ""
    _numbers: dict[str, int] = field(default_factory=dict)

    def video_id(self, number: int) -> str:
        digest = hashlib.sha256(f"{self.id}/{number}".encode()).hexdigest()
        return digest[:11]

    def number(self, video_id: str) -> int | None:
        """Return the number of a public video, None for any other id."""
        if len(self._numbers) != len(self.numbers()):
            self._numbers = {self.video_id(number): number for number in self.numbers()}
        found = self._numbers.get(video_id)
        return None if found in self.private else found

    @property
    def uploads(self) -> str:
        return f"UU{self.id[2:]}"

    def numbers(self) -> list[int]:
        """Return the videos, newest first; those added later have negative numbers."""
        all_numbers = self.order or range(-self.new_uploads, self.count)
        return [number for number in all_numbers if number not in self.deleted]

    def playlist_id(self, title: str) -> str:
        return f"PL{hashlib.sha256(f'{self.id}{title}'.encode()).hexdigest()[:32]}"

    def lists(self) -> dict[str, list[int]]:
        found = {self.uploads: self.numbers()[:UPLOADS_END]}
        if self.shorts:
            found[f"UUSH{self.id[2:]}"] = sorted(self.shorts)
        found |= {self.playlist_id(title): list(each) for title, each in self.playlists.items()}
        return found

    def video(self, number: int) -> dict[str, Any]:
        published = NEWEST - timedelta(days=number)
        duration = "PT45S" if number in self.shorts else f"PT{number % 3}H{number % 50 + 5}M7S"
        duration = self.duration or duration
        resource: dict[str, Any] = {
            "kind": "youtube#video",
            "id": self.video_id(number),
            "snippet": {
                "publishedAt": published.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "channelId": self.id,
                "channelTitle": self.title,
                "title": f"Talk {number} on water",
                "description": "0:00 Start\n1:30 Rivers\n4:00 Lakes\nMore in the book.",
                "tags": ["water", f"n{number}"],
                "thumbnails": {
                    "default": {"url": "https://i.ytimg.com/d.jpg", "width": 120},
                    "high": {"url": "https://i.ytimg.com/h.jpg", "width": 480},
                },
                "liveBroadcastContent": "none",
                "defaultAudioLanguage": "en",
            },
            "contentDetails": {"duration": duration, "caption": "true" if number % 2 else "false"},
            "status": {"uploadStatus": "processed", "privacyStatus": "public"},
        }
        if number in self.upcoming:
            resource["snippet"]["liveBroadcastContent"] = "upcoming"
            resource["contentDetails"]["duration"] = "P0D"
            resource["liveStreamingDetails"] = {"scheduledStartTime": "2026-12-24T18:00:00Z"}
        return resource


@dataclass(frozen=True)
class Call:
    """A request: path, query, the key of the header, the status of the answer."""

    path: str
    query: dict[str, str]
    key: str
    status: int


@dataclass
class Refusal:
    """An error answer, with the `details` and `headers` of the service."""

    status: int
    reason: str
    message: str = "Refused."
    details: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {
            "code": self.status,
            "message": self.message,
            "errors": [{"message": self.message, "domain": "youtube", "reason": self.reason}],
        }
        if self.details:
            error["details"] = self.details
        return {"error": error}


QUOTA = Refusal(
    403,
    "quotaExceeded",
    'The request cannot be completed because you have exceeded your <a href="/youtube/'
    'v3/getting-started#quota">quota</a>.',
)
DAILY_429 = Refusal(
    429,
    "rateLimitExceeded",
    "Quota exceeded for quota metric 'Queries' and limit 'Queries per day' of service "
    "'youtube.googleapis.com'.",
    [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"}],
)
TOO_FAST = Refusal(403, "rateLimitExceeded", "The request was sent too fast.")
BAD_KEY = Refusal(
    400,
    "badRequest",
    "API key not valid. Please pass a valid API key.",
    [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
)
NOT_ENABLED = Refusal(
    403,
    "accessNotConfigured",
    "YouTube Data API v3 has not been used in project 123 before or it is disabled.",
    [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}],
)
BACKEND = Refusal(503, "backendError", "Backend error.")

Hook = Callable[[str, dict[str, str], str], Refusal | None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_request: object) -> None:
        """Ignore the error: clients that are killed are part of the tests."""


class FakeYouTube(Loopback):
    """The server. `quota` maps each valid key to its units a day; others are not valid.

    `refuse(path, query, key)` may return a Refusal to send instead. `calls` has all requests;
    `spent` has the units charged to each key since `renew()`.
    """

    def __init__(
        self, channels: Iterable[Channel], quota: Mapping[str, int], *, refuse: Hook | None = None
    ) -> None:
        self.channels = list(channels)
        self.quota = dict(quota)
        self.refuse = refuse
        self.calls: list[Call] = []
        self.spent: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"{self.origin}/"

    def renew(self) -> None:
        """Start a new day: reset the spent units of every key."""
        self.spent.clear()

    def feed(self, channel_id: str) -> str | None:
        """Return the Atom feed of a channel, None if there is none."""
        return None

    def units(self) -> int:
        return sum(self.spent.values())

    def requested_pages(self, playlist_id: str) -> list[str]:
        """Return the tokens of the requested pages of a playlist, in order."""
        return [
            call.query.get("pageToken", "")
            for call in self.calls
            if call.path == "playlistItems"
            and call.status == 200
            and call.query["playlistId"] == playlist_id
        ]

    def handle(self, path: str, query: dict[str, str], key: str) -> tuple[int, Any, dict[str, str]]:
        with self._lock:
            refusal = self._refusal(path, query, key)
            body: Any = None
            if refusal is None:
                self.spent[key] += 1
                body = getattr(self, f"_{path}", lambda _query: None)(query)
                if isinstance(body, Refusal):
                    refusal = body
                elif body is None:
                    refusal = Refusal(404, "notFound", "Unknown method.")
            status = refusal.status if refusal else 200
            self.calls.append(Call(path, query, key, status))
        if refusal:
            return status, refusal.body(), refusal.headers
        return status, body, {}

    def _refusal(self, path: str, query: dict[str, str], key: str) -> Refusal | None:
        if key not in self.quota:
            return BAD_KEY
        if self.refuse and (refusal := self.refuse(path, query, key)):
            return refusal
        return QUOTA if self.spent[key] >= self.quota[key] else None

    def _channels(self, query: dict[str, str]) -> dict[str, Any]:
        found = [
            channel
            for channel in self.channels
            if channel.id == query.get("id")
            or channel.handle.lower() == query.get("forHandle", "").lower()
            or (channel.user and channel.user == query.get("forUsername"))
        ]
        items = [
            {
                "id": channel.id,
                "snippet": {
                    "title": channel.title,
                    "customUrl": channel.handle,
                    "thumbnails": {
                        name: {"url": f"{self.url}{PICTURE}?px={px}", "width": px, "height": px}
                        for name, px in (("default", 88), ("medium", 240), ("high", 800))
                    },
                },
                "contentDetails": {"relatedPlaylists": {"uploads": channel.uploads}},
                "statistics": {"videoCount": str(len(channel.numbers()) + channel.uncounted)},
            }
            for channel in found
        ]
        # The service omits `items` when nothing was found.
        return {"kind": "youtube#channelListResponse", **({"items": items} if items else {})}

    def _playlists(self, query: dict[str, str]) -> dict[str, Any]:
        items = [
            {
                "id": channel.playlist_id(title),
                "snippet": {"title": title},
                "contentDetails": {"itemCount": len(numbers)},
            }
            for channel in self.channels
            for title, numbers in channel.playlists.items()
            if query.get("channelId") == channel.id or query.get("id") == channel.playlist_id(title)
        ]
        return {"items": items}

    def _playlistItems(self, query: dict[str, str]) -> dict[str, Any] | Refusal:  # noqa: N802
        for channel in self.channels:
            numbers = channel.lists().get(query["playlistId"])
            if numbers is None:
                continue
            token = query.get("pageToken", "")
            if token and not token.startswith("CAUQ"):
                return Refusal(400, "invalidPageToken", "The page token is not valid.")
            start, size = int(token[4:] or 0) if token else 0, int(query["maxResults"])
            answer: dict[str, Any] = {
                "items": [
                    {"contentDetails": {"videoId": channel.video_id(number)}}
                    for number in numbers[start : start + size]
                ],
                "pageInfo": {"totalResults": len(numbers), "resultsPerPage": size},
            }
            if start + size < len(numbers):
                answer["nextPageToken"] = f"CAUQ{start + size}"
            return answer
        return Refusal(
            404, "playlistNotFound", "The playlist identified with the request cannot be found."
        )

    def _videos(self, query: dict[str, str]) -> dict[str, Any] | Refusal:
        ids = query["id"].split(",")
        if len(ids) > 50:
            return Refusal(400, "invalidFilters", "Too many ids.")
        items = [
            channel.video(number)
            for channel in self.channels
            for number in map(channel.number, ids)
            if number is not None
        ]
        return {"items": items}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == f"/{PICTURE}":
                    self._send_picture()
                    return
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                if parts.path == FEED_PATH:
                    self._send_feed(fake.feed(query.get("channel_id", "")))
                    return
                key = self.headers.get("X-Goog-Api-Key", "")
                path = parts.path.removeprefix("/youtube/v3/")
                status, body, headers = fake.handle(path, query, key)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=UTF-8")
                self.send_header("Content-Length", str(len(data)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def _send_feed(self, feed: str | None) -> None:
                data = (feed or "").encode()
                self.send_response(404 if feed is None else 200)
                self.send_header("Content-Type", "text/xml; charset=UTF-8")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _send_picture(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "image/png")
                self.send_header("Content-Length", str(len(PIXELS)))
                self.end_headers()
                self.wfile.write(PIXELS)

            def log_message(self, *_args: object) -> None:
                pass

        return Handler
