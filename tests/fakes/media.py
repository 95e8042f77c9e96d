"""A media site on loopback: watch pages, files with `Range`, and faults of many kinds.

    with FakeMedia(body) as site:
        site.script["someid"] = ["drop", 500, "ok"]      # one step per request for the file
        settings = Settings(YT_WATCH_URL=site.watch_url, ...)

`/watch/<id>` is a page with one medium (`<id>+<id>`: with two), `/media/<id>.webm` the file,
`/beside/<id>.vtt` and `.jpg` its captions and picture, `/feed` an RSS feed of the ids in
`feed`. `pages` has the steps of pages, `script` those of files:

    ok        the whole file, or the requested `Range`
    truncate  the first half, declared as the whole
    drop      the connection breaks after half of the declared length
    overlap   the rest of the file from before the requested start, and named as that
    misplaced the rest of the file from before the requested start, named as the requested one
    slow      the whole file, `slow_s` seconds between blocks
    held      the whole file; its end comes once `release` is set, and before that a little each
              `slow_s` seconds
    403       an HTTP status; (403, "Private video") has its own message

Ids in `captions` have an English subtitle track made by people. Ids in `pictures` have a sound
track and a picture of each of these heights: `/media/<id>-<height>.mp4`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.fakes.loopback import Loopback

ScriptStep = str | int | tuple[int, str]
BLOCK = 4096
_LITTLE = 64
_BODIES = ("ok", "truncate", "drop", "slow", "held", "overlap", "misplaced")


@dataclass(frozen=True)
class Request:
    """A request: monotonic time, `watch`, `media` or `beside`, id, start of `Range`, answer."""

    at: float
    kind: str
    id: str
    start: int
    status: int
    sent: int = 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_request: object) -> None:
        """Ignore the error: clients that disconnect are part of the tests."""


class FakeMedia(Loopback):
    """The server. `bodies` maps ids to their own files; all others have `body`."""

    def __init__(
        self,
        body: bytes,
        *,
        bodies: Mapping[str, bytes] | None = None,
        content_type: str = "audio/webm",
        slow_s: float = 0.05,
    ) -> None:
        self.body = body
        self.bodies = dict(bodies or {})
        self.content_type = content_type
        self.slow_s = slow_s
        self.script: dict[str, list[ScriptStep]] = {}
        self.pages: dict[str, list[ScriptStep]] = {}
        self.feed: list[str] = []
        self.captions: dict[str, str] = {}
        self.pictures: dict[str, tuple[int, ...]] = {}
        self.files: dict[str, tuple[int, str, bytes]] = {}  # path: status, type and body
        self.requests: list[Request] = []
        self.release = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return self.origin

    @property
    def watch_url(self) -> str:
        """Return the value for the setting YT_WATCH_URL."""
        return f"{self.url}/watch/{{id}}"

    def requests_of(self, kind: str, media_id: str | None = None) -> list[Request]:
        """Return the requests of a kind in order, all or those for one id."""
        with self._lock:
            found = [
                request
                for request in self.requests
                if request.kind == kind and media_id in (None, request.id)
            ]
        # Recorded at their end; returned in order of arrival.
        return sorted(found, key=lambda request: request.at)

    def _next(self, words: dict[str, list[ScriptStep]], media_id: str) -> ScriptStep:
        with self._lock:
            script = words.get(media_id, [])
            # The last step stays: ["private"] fails always, ["drop", "ok"] once.
            return (script.pop(0) if len(script) > 1 else script[0]) if script else "ok"

    def _record(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                if path in fake.files:
                    status, kind, body = fake.files[path]
                    fake._record(Request(time.monotonic(), "file", path, 0, status))
                    self._send(status, body, kind)
                elif path.startswith("/watch/"):
                    self._watch(path.removeprefix("/watch/"))
                elif path.startswith("/media/"):
                    self._media(path.removeprefix("/media/").rsplit(".", 1)[0])
                elif path.startswith("/feed") or path.startswith(("/@", "/channel", "/playlist")):
                    entries = "".join(
                        f"<item><title>Part {each}</title>"
                        f"<link>{fake.url}/watch/{each}</link></item>"
                        for each in fake.feed
                    )
                    self._send(
                        200,
                        f'<?xml version="1.0"?><rss version="2.0"><channel><title>A feed</title>'
                        f"{entries}</channel></rss>".encode(),
                        "application/rss+xml",
                    )
                elif path.startswith("/beside/"):
                    name = path.removeprefix("/beside/").rsplit(".", 1)[0]
                    fake._record(Request(time.monotonic(), "beside", name, 0, 200))
                    self._send(200, fake.captions.get(name, "").encode(), "text/vtt")
                else:
                    self._send(404, b"no", "text/plain")

            def _watch(self, media_id: str) -> None:
                word = fake._next(fake.pages, media_id)
                status = 200 if word == "ok" else _status(word)[0]
                fake._record(Request(time.monotonic(), "watch", media_id, 0, status))
                if word != "ok":
                    self._refuse(word)
                    return
                media = "".join(
                    f'<video poster="/beside/{each}.jpg"{_sources(each, fake.pictures.get(each))}'
                    + f'<track kind="subtitles" srclang="en" src="/beside/{each}.vtt">'
                    * (each in fake.captions)
                    + "</video>"
                    for each in media_id.split("+")
                )
                page = (
                    f"<!doctype html><html><head><title>Talk {media_id}</title></head>"
                    f"<body>{media}</body></html>"
                )
                self._send(200, page.encode(), "text/html; charset=utf-8")

            def _media(self, media_id: str) -> None:
                word = fake._next(fake.script, media_id)
                body = fake.bodies.get(media_id, fake.body)
                match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                start = int(match[1]) if match else 0
                at = time.monotonic()
                if not (isinstance(word, str) and word in _BODIES):
                    fake._record(Request(at, "media", media_id, start, _status(word)[0]))
                    self._refuse(word)
                    return
                if word == "truncate":
                    body = body[: len(body) // 2]
                if start >= len(body) and start:
                    fake._record(Request(at, "media", media_id, start, 416))
                    self._send(416, b"", fake.content_type)
                    return
                from_start = start
                if word in ("overlap", "misplaced") and start:
                    from_start = max(1, start - 1000)
                part = body[from_start:]
                if word == "overlap":
                    start = from_start
                self.send_response(206 if match else 200)
                self.send_header("Content-Type", fake.content_type)
                self.send_header("Content-Length", str(len(part)))
                self.send_header("Accept-Ranges", "bytes")
                if match:
                    end = len(body) - 1
                    self.send_header("Content-Range", f"bytes {start}-{end}/{len(body)}")
                self.end_headers()
                sent = 0
                goal = len(part) // 2 if word == "drop" else len(part)
                try:
                    while sent < goal:
                        size = BLOCK
                        if word == "held" and not fake.release.wait(fake.slow_s):
                            size = min(_LITTLE, goal - sent - 1)
                        block = part[sent : min(goal, sent + size)]
                        self.wfile.write(block)
                        sent += len(block)
                        if word == "slow":
                            time.sleep(fake.slow_s)
                except OSError:
                    self.close_connection = True
                status = 206 if match else 200
                fake._record(Request(at, "media", media_id, start, status, sent))
                if word == "drop":
                    self.close_connection = True

            def _refuse(self, word: ScriptStep) -> None:
                status, reason = _status(word)
                self._send(status, reason.encode(), "text/plain", reason)

            def _send(self, status: int, body: bytes, kind: str, reason: str | None = None) -> None:
                self.send_response(status, reason or None)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_args: object) -> None:
                pass

        return Handler


def _sources(media_id: str, heights: tuple[int, ...] | None) -> str:
    """Return the rest of a video's tag: one address, or a track of sound and some of picture."""
    if heights is None:
        return f' src="/media/{media_id}.webm">'
    sound = f'<source src="/media/{media_id}.webm" type=\'audio/webm; codecs="opus"\'>'
    return f">{sound}" + "".join(
        f'<source src="/media/{media_id}-{height}.mp4" height="{height}" '
        f"type='video/mp4; codecs=\"avc1.64001f\"'>"
        for height in heights
    )


def _status(word: ScriptStep) -> tuple[int, str]:
    if isinstance(word, tuple):
        return word
    return int(word), ""
