"""Hostile requests to the dashboard's server for `hostile.py`: guard, sign-in, media, uploads."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks.support.hostile_run import Area, Case, Fault
from kb.service.sessions import COOKIE, Sessions
from kb.service.uploads import FOLDER
from kb.settings import get_settings
from kb.ui.web import media_route, request_guard, server
from tests.support.hostile import ADDRESSES, EVIL
from tests.support.library_pages import HARBOUR, add_item

HERE = b"127.0.0.1:8501"
PASSWORD = "harbour-in-winter-4711"
PAGE = b"the page"
SECURITY_HEADERS = (
    b"content-security-policy", b"x-content-type-options", b"x-frame-options",
    b"referrer-policy", b"cross-origin-opener-policy", b"permissions-policy",
)  # fmt: skip
HOSTS = (
    b"evil.example", b"127.0.0.1.evil.example", b"localhost@evil.example", b"", b"[::1", b"\xff",
    b"127.0.0.1:8501, evil.example", b"127.0.0.1:999999", b"localhost:8501\x00", b"[::1]evil",
    b" 127.0.0.1", b"127.0.0.1/evil", b"127.1", b"0x7f.1", b"2130706433", b"\xc2\xad127.0.0.1",
)  # fmt: skip
ORIGINS = (
    b"http://evil.example", b"null", b"http://127.0.0.1:9999", b"http://127.0.0.1:8501.evil.example",
    b"http://evil.example@127.0.0.1:8501@evil.example", b"http://[::1", b"\xff\xfe", b"file://",
    b"http://127.0.0.1:8501@evil.example", b"https://127.0.0.1", b"127.0.0.1:8501",
)  # fmt: skip
RANGES = (
    "bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-0", "bytes=5-2", "bytes=999999999999-", "bytes=",
    "bytes=-", "bytes=a-b", "bytes=0-1,2-3", "bytes=0-0," * 500 + "0-0", "items=0-1", "bytes=0-1-2",
    "bytes=-999999999999999999999", "bytes=0-99999999999999999999999", "bytes =0-1", "bytes=1 -2",
    "bytes=²-³", "bytes=+1-2", "bytes=0x1-0x2", "bytes=1-2,", "bytes=0-5, -5", "bytes=\x00",
)  # fmt: skip
NAMES = (
    "../secret.mp4", "..%2f..%2fsecret.mp4", "..\\secret.mp4", "C:\\secret.mp4", "/etc/passwd",
    "CON", "nul.mp4", "a\x00b.mp4", EVIL, "講" * 150 + ".mp4", "a" * 5_000, "", ".", "..", " ",
    "x\u202egpj.exe", "a\nb", "\ud800", ".part", "a/b/c.mp4", "con.mp4.", "a:b.mp4", "😀" * 90,
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "FOO", "")
AWAY = tuple(each for each in ADDRESSES if not each.startswith("/etc"))


@dataclass
class Sent:
    """A request: method, target as sent, raw headers, and the blocks of its body."""

    method: str = "GET"
    target: str = "/"
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [(b"host", HERE)])
    blocks: Sequence[bytes] = ()
    breaks_off: bool = False

    def set(self, name: bytes, *values: bytes) -> None:
        """Replace a header; several values are the same header several times."""
        self.headers = [each for each in self.headers if each[0] != name]
        self.headers += [(name, value) for value in values]

    def values(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.headers if each == name]


@dataclass
class Answer:
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


class Requests(Area):
    """Every case is one request to a server, with or without a password and a session."""

    name = "requests"
    cases = 260

    def __enter__(self) -> Self:
        get_settings.cache_clear()
        self._item = add_item()
        self._home = get_settings().home
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        media_route._service(get_settings()).close()
        media_route._service.cache_clear()

    def run(self, case: Case) -> None:
        rng = case.rng
        kind = rng.choice(("page", "media", "media", "upload", "upload", "sign-in", "sign-out"))
        locked = kind.startswith("sign") or rng.random() < 0.5
        signed_in = rng.random() < 0.8
        app = self._app(locked)
        request = Sent()
        token = Sessions(self._home, PASSWORD).start() if locked and signed_in else ""
        if token:
            request.set(b"cookie", f"{COOKIE}={token}".encode())
        what = getattr(self, f"_{kind.replace('-', '_')}")(request, rng)
        spoilt = _spoil(request, rng, token)
        case.what = f"{kind}: {what}; {spoilt}; {'locked' if locked else 'open'}"
        before = self._uploads()
        answer = asyncio.run(_send(app, request))
        case.add(f"status {answer.status // 100}xx")
        session = f"{COOKIE}={token}".encode()
        open_to = not locked or (bool(token) and request.values(b"cookie") == [session])
        self._check(request, answer, kind, open_to=open_to)
        self._check_uploads(request, answer, self._uploads() - before)
        if answer.status >= 400:
            from kb.errors import UsageError

            raise UsageError(f"status {answer.status}")

    def _app(self, locked: bool) -> Starlette:
        if locked:
            os.environ["KB_PASSWORD"] = PASSWORD
        get_settings.cache_clear()
        try:
            layers = server.middleware("127.0.0.1")
        finally:
            os.environ.pop("KB_PASSWORD", None)
            get_settings.cache_clear()
        page = Route("/", lambda _: PlainTextResponse(PAGE.decode()), methods=["GET", "POST"])
        return Starlette(routes=[*server.routes(), page], middleware=layers)

    def _uploads(self) -> set[Path]:
        return {path for path in (self._home / FOLDER).rglob("*") if path.is_file()}

    def _page(self, request: Sent, rng: random.Random) -> str:
        request.method = rng.choice((*METHODS, *("GET",) * 10))
        request.target = rng.choice((
            *("/",) * 8, "//", "/../../etc/passwd", "/?a=" + "b" * 50_000, "/" + "a/" * 2_000,
            "/%2e%2e/%2e%2e/etc/passwd", "/%00", "/%ff%fe", "/_stcore/metrics", "/_STCORE/Metrics",
            "/_stcore/upload_file/x/y", "/component/x", "/_stcore/health", "/?%", "/;", "/é", "*",
            "/kb-media/", "http://evil.example/", "", "/_stcore//metrics", "/./_stcore/metrics",
        ))  # fmt: skip
        return f"{request.method} {request.target[:30]}"

    def _media(self, request: Sent, rng: random.Random) -> str:
        item = self._item if rng.random() < 0.8 else rng.choice(NAMES)
        item = item.encode("utf-8", "replace").decode()
        request.target = f"/{media_route.media_url(item)}"
        if rng.random() < 0.3:
            request.target = request.target.partition("?")[0] + rng.choice(
                ("", "?key=", "?key=x", "?key=%ff", "?key=é", "?key=a&key=b", "?" + "key=" * 99)
            )
        first = rng.randrange(9_000)
        wanted = f"bytes={first}-{rng.choice(('', first, first + rng.randrange(90_000)))}"
        if rng.random() < 0.6:
            wanted = rng.choice(RANGES)
        request.set(b"range", wanted.encode())
        if rng.random() < 0.2:
            value = rng.choice(("x", "Thu, 99 Foo 2026", '"' * 9, "Thu, 26 Nov 2026 10:00:00 GMT"))
            request.set(rng.choice((b"if-range", b"if-none-match", b"if-modified-since")),
                        value.encode())  # fmt: skip
        request.method = rng.choice(("GET", "GET", "GET", "HEAD", "PUT"))
        return f"{request.method} {item[:20]!r} {wanted[:24]!r}"

    def _upload(self, request: Sent, rng: random.Random) -> str:
        name = rng.choice(NAMES)
        request.method = rng.choice(("PUT",) * 8 + ("POST", "GET"))
        asked = quote(name.encode("utf-8", "surrogatepass"))
        key = rng.choice((server.upload_url(),) * 8 + ("kb-upload?key=x", "kb-upload?"))
        request.target = f"/{key}&name={asked}" + rng.choice(("", "", "&name=b", "&key=y"))
        request.blocks = [rng.randbytes(rng.choice((0, 1, 1000))) for _ in range(rng.randrange(5))]
        size = sum(map(len, request.blocks))
        declared = rng.choice((
            None, *(size,) * 9, size + 1, max(0, size - 1), 0, -1, 10**30, "abc", "²", "+5",
            "1, 2", "0x10", "1e3", " 5",
        ))  # fmt: skip
        if declared is not None:
            request.set(b"content-length", str(declared).encode())
        request.set(b"origin", b"http://" + HERE)
        request.breaks_off = rng.random() < 0.2
        return f"{request.method} {name[:20]!r}, {size} bytes, declared {declared}"

    def _sign_in(self, request: Sent, rng: random.Random) -> str:
        request.method, request.target = "POST", request_guard.SIGN_IN
        request.set(b"origin", b"http://" + HERE)
        following = rng.choice(
            (*AWAY, "/?tab=Queue", "/\r\nSet-Cookie: a=b", "/\\evil", "/é\ud800")
        )
        password = rng.choice((*(PASSWORD,) * 5, "", "x" * 9_000, "\x00", "é", PASSWORD + " "))
        form = f"password={quote(password)}&next={quote(following.encode('utf-8', 'replace'))}"
        body = rng.choice((
            *(form.encode(),) * 6, b"password", b"\xff" * 50, b"&" * 4_000, b"password=%ff%fe",
            b"=" * 999, form.encode() + b"&password=x",
        ))  # fmt: skip
        request.blocks = [body[:5], body[5:]]
        request.breaks_off = rng.random() < 0.1
        return f"password {password[:10]!r}, next {following[:20]!r}, {len(body)} bytes"

    def _sign_out(self, request: Sent, rng: random.Random) -> str:
        request.method = rng.choice(("GET", "POST", "HEAD", "PUT"))
        request.target = request_guard.SIGN_OUT + rng.choice(("", "/", "?next=//evil.example"))
        if rng.random() < 0.6:
            request.set(b"origin", b"http://" + HERE)
        return f"{request.method} {request.target}"

    def _check(self, request: Sent, answer: Answer, kind: str, *, open_to: bool) -> None:
        if not answer.status:
            raise Fault("silent loss: no answer")
        if answer.status == 500:
            raise Fault(f"traceback: status 500: {answer.body[:80]!r}")
        missing = [name.decode() for name in SECURITY_HEADERS if name not in answer.headers]
        if missing:
            raise Fault(f"a wrong answer: without the headers {missing}")
        hosts, origins = request.values(b"host"), request.values(b"origin")
        if hosts != [HERE] and answer.status != 400:
            raise Fault(f"a wrong answer: status {answer.status} for the host {hosts}")
        foreign = [each for each in origins if each.lower() != b"http://" + HERE]
        safe = request.method in request_guard.SAFE_METHODS
        if foreign and not safe and answer.status < 400:
            raise Fault(f"a wrong answer: status {answer.status} for the origin {foreign}")
        medium = HARBOUR.read_bytes()
        shows = answer.body == PAGE or (len(answer.body) > 64 and answer.body in medium)
        if shows and not open_to:
            raise Fault("a wrong answer: content without a session")
        location = answer.headers.get(b"location", b"").decode("latin-1")
        location = location.removeprefix(f"http://{HERE.decode()}")
        if location and not re.fullmatch(r"/(?![/\\])[!-~]*", location):
            raise Fault(f"a wrong answer: it leads to {location!r}")
        if kind == "media" and answer.status == 206:
            self._check_range(answer, medium, head=request.method == "HEAD")

    def _check_range(self, answer: Answer, medium: bytes, *, head: bool) -> None:
        found = re.fullmatch(rb"bytes (\d+)-(\d+)/(\d+)", answer.headers.get(b"content-range", b""))
        if found is None:
            if not answer.headers.get(b"content-type", b"").startswith(b"multipart/byteranges"):
                raise Fault("a wrong answer: a part without its range")
            return
        first, last, size = map(int, found.groups())
        if size != len(medium) or not first <= last < size:
            raise Fault(f"a wrong answer: the range {found[0]!r}")
        if not head and answer.body != medium[first : last + 1]:
            raise Fault(f"a wrong answer: other bytes for {found[0]!r}")

    def _check_uploads(self, request: Sent, answer: Answer, new: set[Path]) -> None:
        body = b"".join(request.blocks)
        accepted = answer.status == 200 and request.target.startswith("/kb-upload")
        if accepted and request.method == "PUT":
            if len(new) != 1 or next(iter(new)).read_bytes() != body:
                raise Fault("silent loss: an upload was accepted and is not there as it was sent")
        elif new:
            raise Fault(f"a leak: {len(new)} files of an upload that was not accepted")
        if any(self._home / FOLDER not in path.parents for path in new):
            raise Fault("a wrong answer: an upload outside of its folder")


def _spoil(request: Sent, rng: random.Random, token: str) -> str:
    """Change a header of the request; return what was changed, empty for nothing."""
    kind = rng.choice((*("",) * 5, "host", "origin", "cookie", "many", "forwarded", "language"))
    if kind == "host":
        hosts = rng.choice((*((each,) for each in HOSTS), (HERE, b"evil.example"), ()))
        request.set(b"host", *hosts)
        return f"host {hosts}"
    if kind == "origin":
        origins = rng.choice((*((each,) for each in ORIGINS), (b"http://" + HERE, b"null")))
        request.set(b"origin", *origins)
        return f"origin {origins}"
    if kind == "cookie":
        known = token.encode() or b"x"
        cookie = rng.choice((
            b"", b"=", b"\xff\xfe", COOKIE.encode() + b"=" + known[:-1], COOKIE.encode() + b'="',
            COOKIE.encode() + b"=" + b"a" * 50_000, b"; " * 2_000, COOKIE.encode() + b"=\x00",
            COOKIE.encode() + b"=" + known.swapcase(), b"_streamlit_user=" + b"x" * 100,
        ))  # fmt: skip
        request.set(b"cookie", cookie)
        return f"cookie {cookie[:40]!r}"
    if kind == "many":
        request.headers += [(f"x-{number}".encode(), b"y" * 100) for number in range(300)]
        return ""
    if kind == "forwarded":
        value = rng.choice((b"127.0.0.1", b"\xff", b"," * 999, b"a, b, ::1", b"999.1.1.1"))
        request.set(b"x-forwarded-for", value)
        request.set(b"x-forwarded-host", b"evil.example")
        return ""
    if kind == "language":
        request.set(b"accept-language", rng.choice((b"de", b"\xff", b"q" * 9_000)))
        request.set(b"accept", rng.choice((b"text/html", b"\xff", b"*/*" * 999)))
    return ""


async def _send(app: Any, request: Sent) -> Answer:
    """Call the server as uvicorn does; return its answer."""
    path, _, query = request.target.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
        "method": request.method, "path": unquote(path), "raw_path": path.encode("utf-8"),
        "query_string": query.encode("utf-8"), "root_path": "", "headers": request.headers,
        "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8501), "extensions": {},
    }  # fmt: skip
    answer = Answer()
    ended = asyncio.Event()
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": block, "more_body": True} for block in request.blocks
    ]
    messages.append({"type": "http.disconnect"} if request.breaks_off else
                    {"type": "http.request", "body": b"", "more_body": False})  # fmt: skip

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            if answer.status:
                raise Fault("a wrong answer: it begins twice")
            answer.status = message["status"]
            answer.headers = {name.lower(): value for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")
            if not message.get("more_body"):
                ended.set()

    await app(scope, receive, send)
    return answer
