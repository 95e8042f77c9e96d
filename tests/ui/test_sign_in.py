"""Sign-in limits, sessions that end, security headers, closed routes, repeated headers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from kb.library.audit import AuditLog
from kb.service.sessions import COOKIE, SESSION_S, Sessions
from kb.ui.web import request_guard
from kb.ui.web.request_guard import DEVICE_COOKIE, SIGN_IN, SIGN_OUT, RequestGuard
from kb.ui.web.sign_in_limits import (
    REMEMBER_S,
    SERVER_TRIES,
    TRIES,
    TRIES_S,
    SignInLimits,
    TrustedProxies,
    caller_of,
)

HERE = "http://127.0.0.1:8501"
OURS = {"Origin": HERE}
PASSWORD = "harbour-in-winter-4711"
HEADERS = (
    "content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy",
    "cross-origin-opener-policy", "permissions-policy",
)  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def _fails(_request: Request) -> PlainTextResponse:
    raise RuntimeError("a secret path")


async def _talk(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass


def make(home: Path, *, password: str = PASSWORD, proxies: tuple[str, ...] = ()) -> Starlette:
    """Return a server with the guard and a page, a failing route and a connection behind it."""
    home.mkdir(exist_ok=True)
    guard = Middleware(
        RequestGuard,
        password=password,
        hosts=request_guard.LOOPBACK_NAMES,
        sessions=Sessions(home, password) if password else None,
        proxies=TrustedProxies(proxies),
        audit=AuditLog(home, "dashboard"),
    )
    routes = [
        Route("/", lambda _request: PlainTextResponse("the page"), methods=["GET", "POST"]),
        Route("/fails", _fails),
        Route("/_stcore/metrics", lambda _request: PlainTextResponse("figures")),
        WebSocketRoute("/_stcore/stream", _talk),
    ]
    return Starlette(routes=routes, middleware=[guard])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def browser(home: Path) -> Iterator[TestClient]:
    with TestClient(make(home), base_url=HERE, follow_redirects=False) as client:
        yield client


def sign_in(browser: TestClient, password: str = PASSWORD, **headers: str) -> Any:
    return browser.post(SIGN_IN, data={"password": password}, headers={**OURS, **headers})


# Limits


def failed(limits: SignInLimits, caller: str, *, device: bool = False) -> float:
    wait_s = limits.admit(caller, device=device)
    if not wait_s:
        limits.finish(caller, success=False)
    return wait_s


def test_a_try_is_counted_before_it_is_admitted() -> None:
    limits = SignInLimits(Clock())
    assert limits.admit("a") == 0.0
    assert limits.admit("a") > 0  # one at a time
    limits.finish("a", success=False)
    assert [failed(limits, "a") > 0 for _ in range(TRIES)] == [False] * (TRIES - 1) + [True]
    assert failed(limits, "b") == 0.0


def test_a_caller_may_try_again_after_the_time() -> None:
    clock = Clock()
    limits = SignInLimits(clock)
    for _ in range(TRIES):
        failed(limits, "a")
    wait_s = failed(limits, "a")
    assert 0 < wait_s <= TRIES_S
    clock.now += wait_s + 0.1
    assert failed(limits, "a") == 0.0


def test_a_success_clears_the_count() -> None:
    limits = SignInLimits(Clock())
    for _ in range(TRIES - 1):
        failed(limits, "a")
    assert limits.admit("a") == 0.0
    limits.finish("a", success=True)
    assert failed(limits, "a") == 0.0


def test_the_whole_server_has_a_limit_that_spares_devices_and_new_addresses() -> None:
    clock = Clock()
    limits = SignInLimits(clock)
    for number in range(SERVER_TRIES):
        assert failed(limits, f"10.0.{number}.1") == 0.0
    assert failed(limits, "10.9.9.9") > 0
    assert failed(limits, "device x", device=True) == 0.0
    # Addresses that failed before have a count of their own: a minute later they use up that one,
    # and a new address still comes in.
    clock.now += TRIES_S + 1
    refused = sum(
        failed(limits, f"10.0.{number % SERVER_TRIES}.1") > 0 for number in range(2 * SERVER_TRIES)
    )
    assert refused == SERVER_TRIES
    assert failed(limits, "10.8.8.8") == 0.0
    clock.now += REMEMBER_S + 1
    assert failed(limits, "10.0.1.1") == 0.0


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_addresses_of_one_caller_count_as_one(address: str, caller: str) -> None:
    assert caller_of(address) == caller


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client"),
    [
        # No proxy is named: the header is worth nothing, also where uvicorn believed it.
        ((), "192.0.2.7", ["10.0.0.1"], "192.0.2.7"),
        ((), "10.0.0.1", ["10.0.0.1"], "127.0.0.1"),
        ((), "10.0.0.1", ["9.9.9.9, 10.0.0.1"], "127.0.0.1"),
        ((), "127.0.0.1", ["127.0.0.1"], "127.0.0.1"),
        ((), "127.0.0.1", [], "127.0.0.1"),
        # A proxy on this machine.
        (("127.0.0.1",), "10.0.0.1", ["10.0.0.1"], "10.0.0.1"),
        (("127.0.0.1",), "10.0.0.1", ["6.6.6.6, 10.0.0.1"], "10.0.0.1"),
        (("127.0.0.1",), "10.0.0.1", ["6.6.6.6", "10.0.0.1:4711"], "10.0.0.1"),
        # A proxy elsewhere, and two in a row.
        (("192.0.2.0/24",), "192.0.2.7", ["10.0.0.1"], "10.0.0.1"),
        (("192.0.2.0/24",), "192.0.2.7", ["6.6.6.6, 10.0.0.1, 192.0.2.9"], "10.0.0.1"),
        (("2001:db8::/32",), "2001:db8::1", ["[2001:dead::5]:80"], "2001:dead::5"),
        # Somebody else writes the header himself.
        (("192.0.2.7",), "198.51.100.1", ["10.0.0.1"], "198.51.100.1"),
        (("192.0.2.7",), "198.51.100.1", ["198.51.100.1, 10.0.0.1"], "198.51.100.1"),
        (("192.0.2.7",), "192.0.2.7", ["garbage"], "garbage"),
        # A local account names the proxy that is trusted: the connection is from loopback.
        (("192.0.2.7",), "192.0.2.7", ["6.6.6.6, 192.0.2.7"], "127.0.0.1"),
    ],
)
def test_the_forwarded_address_is_believed_from_named_proxies(
    trusted: tuple[str, ...], peer: str, forwarded: list[str], client: str
) -> None:
    assert TrustedProxies(trusted).client_address(peer, forwarded) == client


def test_other_addresses_in_a_header_gain_no_tries(browser: TestClient) -> None:
    answers = [
        sign_in(browser, "no", **{"X-Forwarded-For": f"10.0.0.{number}"}).status_code
        for number in range(TRIES + 3)
    ]
    assert answers == [401] * TRIES + [429] * 3


@pytest.mark.parametrize(
    "header",
    [
        "10.0.0.{}", "10.0.0.{}:80", "10.0.0.{}:x", "[2001:db8:{}::1]", "[2001:db8:{}::1]:80",
        "[2001:db8:{}::1]x", "[2001:db8:{}::1", "127.0.0.9{}", "127.0.0.99, 127.0.0.{}",
        "::ffff:10.0.0.{}", "::1, name{}", "10.0.0.{} , ::1", "10.0.0.{},", "192.0.2.{}, 192.0.2.7",
    ],
)  # fmt: skip
@pytest.mark.parametrize("proxies", [(), ("192.0.2.0/24",)])
def test_no_form_of_the_header_makes_a_new_caller_behind_uvicorn(
    header: str, proxies: tuple[str, ...]
) -> None:
    """uvicorn believes the header from loopback, before the guard sees the connection."""
    trusted, callers = TrustedProxies(proxies), set()

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        values = [value.decode() for _, value in scope["headers"]]
        callers.add(caller_of(trusted.client_address(scope["client"][0], values)))

    server = ProxyHeadersMiddleware(app, "127.0.0.1,::1")
    for number in range(1, 4):
        asyncio.run(server({
            "type": "http", "client": ("127.0.0.1", 4711),
            "headers": [(b"x-forwarded-for", header.format(number).encode())],
        }, None, None))  # type: ignore[arg-type, typeddict-item]  # fmt: skip
    assert callers == {"127.0.0.1"}


def test_a_named_proxy_passes_the_address_on(home: Path) -> None:
    app = make(home, proxies=("198.51.100.0/24",))
    proxy = TestClient(app, HERE, follow_redirects=False, client=("198.51.100.7", 5000))
    with proxy as client:
        for _ in range(TRIES):
            sign_in(client, "no", **{"X-Forwarded-For": "10.0.0.1"})
        assert sign_in(client, "no", **{"X-Forwarded-For": "10.0.0.1"}).status_code == 429
        assert sign_in(client, **{"X-Forwarded-For": "10.0.0.2"}).status_code == 303


def test_tries_in_parallel_are_limited_before_their_bodies_arrive(home: Path) -> None:
    """Begin two hundred tries with half a body each, then send the rest of all."""
    app = make(home)
    body = f"password={PASSWORD}".encode()

    async def one(number: int, released: asyncio.Event) -> int:
        sent: list[dict[str, Any]] = []
        parts = iter([
            {"type": "http.request", "body": body[:5], "more_body": True},
            {"type": "http.request", "body": body[5:] if number == 199 else b"ord=no"},
        ])  # fmt: skip

        async def receive() -> dict[str, Any]:
            part = next(parts)
            if not part.get("more_body"):
                await released.wait()
            return part

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": SIGN_IN, "query_string": b"",
            "scheme": "http", "client": ("192.0.2.7", 1), "server": ("127.0.0.1", 8501),
            "headers": [(b"host", b"127.0.0.1:8501"), (b"origin", HERE.encode())],
        }  # fmt: skip
        await app(scope, receive, send)
        return int(sent[0]["status"])

    async def everything() -> list[int]:
        released = asyncio.Event()
        tries = [asyncio.create_task(one(number, released)) for number in range(200)]
        await asyncio.sleep(0.05)
        released.set()
        return await asyncio.gather(*tries)

    statuses = asyncio.run(everything())
    assert statuses.count(401) == 1
    assert statuses.count(429) == 199


def test_a_device_that_signed_in_before_is_not_kept_out_by_others(browser: TestClient) -> None:
    done = sign_in(browser)
    device = done.cookies[DEVICE_COOKIE]
    assert "samesite=strict" in done.headers.get_list("set-cookie")[1].lower()
    browser.cookies.clear()
    for _ in range(TRIES):
        assert sign_in(browser, "no").status_code == 401
    assert sign_in(browser).status_code == 429
    assert sign_in(browser, Cookie=f"{DEVICE_COOKIE}={device}").status_code == 303
    assert sign_in(browser, Cookie=f"{DEVICE_COOKIE}=forged").status_code == 429


def test_a_form_that_is_too_long_counts_and_ends_its_try(browser: TestClient) -> None:
    for _ in range(TRIES):
        assert browser.post(SIGN_IN, content=b"x" * 100_000, headers=OURS).status_code == 413
    assert sign_in(browser).status_code == 429


# Sessions


def test_signing_out_ends_the_session_and_a_link_does_not(browser: TestClient) -> None:
    cookie = sign_in(browser).cookies[COOKIE]
    for method in ("GET", "HEAD"):
        assert browser.request(method, SIGN_OUT).status_code == 200
        assert browser.get("/").status_code == 200
    assert 'method="post"' in browser.get(SIGN_OUT).text
    foreign = browser.post(SIGN_OUT, headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
    assert browser.get("/").status_code == 200
    assert browser.post(SIGN_OUT, headers=OURS).status_code == 303
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, cookie)
    assert browser.get("/").status_code == 401  # a copy of the cookie is worth nothing


def test_signing_out_closes_the_page_s_connection(home: Path) -> None:
    app = make(home)
    with TestClient(app, HERE, follow_redirects=False) as browser:
        cookie = sign_in(browser).cookies[COOKIE]
        headers = {**OURS, "Host": "127.0.0.1:8501", "Cookie": f"{COOKIE}={cookie}"}
        with browser.websocket_connect("/_stcore/stream", headers=headers) as socket:
            socket.send_text("a")
            assert socket.receive_text() == "a"
            browser.post(SIGN_OUT, headers=OURS)
            with pytest.raises(WebSocketDisconnect):
                socket.receive_text()


def test_a_session_ended_by_another_server_ends_the_connection(home: Path) -> None:
    app = make(home)
    with TestClient(app, HERE, follow_redirects=False) as browser:
        cookie = sign_in(browser).cookies[COOKIE]
        headers = {**OURS, "Host": "127.0.0.1:8501", "Cookie": f"{COOKIE}={cookie}"}
        with browser.websocket_connect("/_stcore/stream", headers=headers) as socket:
            Sessions(home, PASSWORD).end(cookie)
            socket.send_text("a")
            with pytest.raises(WebSocketDisconnect):
                socket.receive_text()


def test_sessions_survive_a_restart_expire_and_hide_their_tokens(home: Path) -> None:
    home.mkdir()
    clock = Clock()
    token = Sessions(home, PASSWORD, clock=clock).start()
    again = Sessions(home, PASSWORD, clock=clock)
    assert again.is_valid(token)
    assert not again.is_valid("")
    assert not again.is_valid(token + "x")
    assert not again.is_device(token)
    assert not Sessions(home, "another", clock=clock).is_valid(token)
    (file,) = (home / "dashboard").glob("*.json")
    assert token not in file.read_text("utf-8")
    clock.now += SESSION_S + 1
    assert not again.is_valid(token)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"sessions": 3}', '{"sessions": {"a": "b"}}'])
def test_a_damaged_file_of_sessions_asks_for_the_password_again(home: Path, content: str) -> None:
    file = home / "dashboard" / "sessions.json"
    file.parent.mkdir(parents=True)
    file.write_text(content, "utf-8")
    sessions = Sessions(home, PASSWORD)
    assert not sessions.is_valid("x")
    assert sessions.is_valid(sessions.start())


def test_a_missing_library_folder_is_not_made_for_sessions(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path / "unplugged", PASSWORD)
    token = sessions.start()
    assert sessions.is_valid(token)
    sessions.end(token)
    assert not sessions.is_valid(token)
    assert not (tmp_path / "unplugged").exists()


def test_who_signed_in_is_in_the_log_of_actions(browser: TestClient, home: Path) -> None:
    sign_in(browser, "no")
    cookie = sign_in(browser).cookies[COOKIE]
    browser.post(SIGN_OUT, headers=OURS)
    lines = AuditLog(home, "test").read()
    assert [line["what"] for line in lines] == ["sign-in refused", "sign-in", "sign-out"]
    assert lines[1]["who"] == lines[2]["who"] != lines[0]["who"]
    written = (home / "logs" / "audit.jsonl").read_text("utf-8")
    assert PASSWORD not in written
    assert cookie not in written
    assert all(json.loads(line)["address"] for line in written.splitlines())


# Headers and routes


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/fails", 500), ("/missing", 404), ("/_stcore/metrics", 404)]
)
@pytest.mark.parametrize("password", ["", PASSWORD])
def test_every_answer_has_the_security_headers(
    home: Path, path: str, status: int, password: str
) -> None:
    app = make(home, password=password)
    with TestClient(app, HERE, follow_redirects=False) as browser:
        if password:
            asked = browser.get(path, headers={"Accept": "text/html"})
            assert all(name in asked.headers for name in HEADERS)
            sign_in(browser)
        answer = browser.get(path)
        assert answer.status_code == status
        assert all(name in answer.headers for name in HEADERS)
        assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
        assert "secret" not in answer.text
        refused = browser.get(path, headers={"Host": "evil.example"})
        assert refused.status_code == 400
        assert all(name in refused.headers for name in HEADERS)


def test_the_connection_of_the_page_has_the_headers_too(home: Path) -> None:
    headers = {**OURS, "Host": "127.0.0.1:8501"}
    with (
        TestClient(make(home, password=""), HERE) as browser,
        browser.websocket_connect("/_stcore/stream", headers=headers) as socket,
    ):
        names = {name.decode() for name, _ in socket.extra_headers or ()}
    assert set(HEADERS) <= names


@pytest.mark.parametrize(
    "path",
    [
        "/_stcore/metrics", "/_stcore/agent/openapi.json", "/_stcore/agent/mcp",
        "/_stcore/script-health-check", "/_stcore/upload_file/a/b", "/component/a/index.html",
        "/_STCORE/METRICS",
    ],
)  # fmt: skip
def test_routes_that_no_page_needs_are_closed(home: Path, path: str) -> None:
    from kb.ui.web.security_headers import is_closed

    with TestClient(make(home, password=""), HERE) as browser:
        assert browser.get(path).status_code == 404
        assert browser.post(path, headers=OURS).status_code == 404
    assert is_closed(f"/kb{path}", "/kb")
    assert not is_closed(f"/kb{path}", "")


@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/_stcore/stream", "/media/component/x"])
def test_routes_of_the_page_are_open(path: str) -> None:
    from kb.ui.web.security_headers import is_closed

    assert not is_closed(path)


@pytest.mark.parametrize(
    "headers",
    [
        [("host", "127.0.0.1:8501"), ("host", "127.0.0.1:8501")],
        [("host", "127.0.0.1:8501"), ("host", "evil.example")],
        [("host", "127.0.0.1:8501"), ("origin", HERE), ("origin", "http://evil.example")],
        [("host", "127.0.0.1:8501"), ("origin", HERE), ("origin", HERE)],
        [("host", "evil.example@127.0.0.1")],
        [("host", "127.0.0.1:8501/x")],
        [("host", "127.0.0.1, evil.example")],
        [("host", "[::1")],
        [],
    ],
)  # fmt: skip
def test_repeated_and_malformed_headers_are_refused(
    home: Path, headers: list[tuple[str, str]]
) -> None:
    statuses: list[int] = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    scope = {
        "type": "http", "method": "POST", "path": "/", "query_string": b"", "scheme": "http",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8501),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }  # fmt: skip
    asyncio.run(make(home, password="")(scope, receive, send))
    assert statuses == [400]


@pytest.mark.parametrize(
    "origin",
    ["http://[::1", "null", "file://", "http://127.0.0.1:8501@evil", "file://127.0.0.1:8501",
     "chrome-extension://127.0.0.1:8501", "//127.0.0.1:8501", "127.0.0.1:8501",
     "http://evil@127.0.0.1:8501", "http://127.0.0.1", ""],
)  # fmt: skip
def test_a_malformed_origin_is_a_foreign_one(home: Path, origin: str) -> None:
    with TestClient(make(home, password=""), HERE) as browser:
        assert browser.post("/", headers={"Origin": origin}).status_code == 403
