"""The dashboard's server: access checks, the routes for media and uploads, and its worker."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from kb.errors import SettingsError, UsageError
from kb.options import RunOptions
from kb.service import Service, uploads
from kb.service.sessions import COOKIE
from kb.settings import Settings, get_settings
from kb.ui import access
from kb.ui.i18n import text
from kb.ui.web import (
    media_route,
    oidc,
    request_guard,
    server,
    sign_in_limits,
    upload_route,
)
from tests.support.keys import fake_key
from tests.support.library_pages import HARBOUR, add_item, page, page_text
from tests.support.raising import raises

HERE = "http://127.0.0.1:8501"
OURS = {"Origin": HERE}
PASSWORD = "harbour-in-winter-4711"
WAIT_S = 90.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set a separate empty library and a server without an installed guard; yield the folder."""
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_SINKS", "local")
    monkeypatch.setattr(server, "_guard_installed", False)
    monkeypatch.setattr(access, "_reached_by_others", False)  # `server.middleware` sets it
    get_settings.cache_clear()
    yield tmp_path / "library"
    get_settings.cache_clear()


def client(address: str | None = "127.0.0.1", **more: Any) -> TestClient:
    """Return a client of a server bound to an address: our routes, a page and its WebSocket."""

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    def body(_request: object) -> PlainTextResponse:
        return PlainTextResponse("the page")

    routes = [
        *server.routes(),
        Route("/", body),
        Route(request_guard.HEALTH, body),
        WebSocketRoute("/_stcore/stream", talk),
    ]
    app = Starlette(routes=routes, middleware=server.middleware(address, **more))
    return TestClient(app, base_url=HERE, follow_redirects=False)


def locked(monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    monkeypatch.setenv("KB_PASSWORD", PASSWORD)
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()


# Addresses to listen on


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.0.1"])
def test_loopback_needs_no_password(address: str) -> None:
    request_guard.check_binding(address, Settings(), oidc=False)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "", None, "192.168.1.7", "example.org"])
def test_an_address_beyond_loopback_needs_a_sign_in(address: str | None) -> None:
    with raises(UsageError, "page.unguarded", address=address or "every interface") as caught:
        request_guard.check_binding(address, Settings(), oidc=False)
    assert "KB_PASSWORD" in caught.value.hint
    request_guard.check_binding(address, Settings(KB_PASSWORD=PASSWORD), oidc=False)
    request_guard.check_binding(address, Settings(), oidc=True)


# Host and Origin


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "[::1", "é"]
)
def test_another_name_is_not_answered_to(home: Path, host: str) -> None:
    with client() as browser:
        assert browser.get("/", headers={"Host": host.encode()}).status_code == 400  # type: ignore[dict-item]


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost:8501", "LOCALHOST", "[::1]:8501"])
def test_its_own_names_are_answered_to(home: Path, host: str) -> None:
    with client() as browser:
        assert browser.get("/", headers={"Host": host}).status_code == 200


def test_a_foreign_page_may_neither_send_nor_connect(home: Path) -> None:
    with client() as browser:
        for origin in ("http://evil.example", "null", "http://127.0.0.1:9999"):
            sent = browser.put(server.upload_url(), headers={"Origin": origin}, content=b"x")
            assert sent.status_code == 403
            with pytest.raises(WebSocketDisconnect), browser.websocket_connect(
                "/_stcore/stream", headers={"Origin": origin, "Host": "127.0.0.1:8501"}
            ) as socket:  # fmt: skip
                socket.receive_text()
        with browser.websocket_connect(
            "/_stcore/stream", headers={**OURS, "Host": "127.0.0.1:8501"}
        ) as socket:
            assert socket.receive_text() == "hello"


# The media route


def test_media_comes_in_ranges(home: Path) -> None:
    item_id = add_item()
    with client() as browser:
        answer = browser.get(media_route.media_url(item_id), headers={"Range": "bytes=100-199"})
        assert answer.status_code == 206
        assert answer.content == HARBOUR.read_bytes()[100:200]
        assert answer.headers["content-type"] == "video/mp4"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert browser.get(media_route.media_url(item_id)).headers["accept-ranges"] == "bytes"


def test_media_needs_the_page_s_own_link(home: Path) -> None:
    item_id = add_item()
    with client() as browser:
        good = media_route.media_url(item_id)
        bare = good.split("?")[0]
        assert browser.get(bare).status_code == 403
        assert browser.get(f"{bare}?key=wrong").status_code == 403
        assert browser.get(f"{bare}?key=é").status_code == 403
        other = media_route.media_url("file:ffffffffffff").split("?")[1]
        assert browser.get(f"{bare}?{other}").status_code == 403
        assert browser.get(f"{bare}?key={media_route.token(server.UPLOAD)}").status_code == 403
        assert browser.get(media_route.media_url("file:ffffffffffff")).status_code == 404


def test_media_leads_out_of_the_folder_by_no_way(home: Path) -> None:
    item_id = add_item()
    service = Service()
    entry = service.items.entry(item_id)
    assert entry.media_path is not None
    outside = home.parent / "secret.mp4"
    outside.write_bytes(b"secret")
    with client() as browser:
        for name in (
            "../secret.mp4", "..%2fsecret.mp4", "..\\secret.mp4", "C:\\secret.mp4", "C:secret.mp4",
            "\\\\host\\share\\secret.mp4", "//host/share/secret.mp4", "/etc/passwd", "CON",
            "NUL.mp4", str(outside), f"file:{outside}", "media/../../secret.mp4",
            "secret.mp4::$DATA", "a\0b",
        ):  # fmt: skip
            assert browser.get(media_route.media_url(name)).status_code == 404, name
        entry.media_path.unlink()
        try:
            entry.media_path.symlink_to(outside)
        except OSError:
            pytest.skip("no symbolic links here")
        assert browser.get(media_route.media_url(item_id)).status_code == 404
    service.close()


# The upload route


def send(browser: TestClient, name: str, content: Any, **more: Any) -> Any:
    return browser.put(f"{server.upload_url()}&name={name}", content=content, **more)


def test_an_upload_arrives_in_pieces_and_is_taken_in_and_swept(home: Path) -> None:
    pieces = [bytes([n % 256]) * 50_000 for n in range(40)]
    with client() as browser:
        answer = send(browser, "My%20talk.mp4", iter(pieces), headers=OURS)
        assert answer.status_code == 200
        kept = uploads.path_of(home, answer.json()["id"])
        assert kept is not None
        assert kept.read_bytes() == b"".join(pieces)
        assert kept.name == "My talk.mp4"
        assert answer.json()["size"] == 2_000_000
    service = Service()
    assert uploads.sweep(service) == 0  # unused uploads are kept for a day
    service.ingest.run([str(kept)], RunOptions())
    later = time.time() + 2 * uploads.UNUSED_S
    assert uploads.sweep(service, later) == 0  # it is in the queue
    (row,) = service.queue.page().rows
    assert service.queue.items.claim(row.id, 1, "me")
    service.queue.items.finish(row.id, 1, "me", "failed")
    assert uploads.sweep(service, later) == 0  # it may be retried
    service.queue.retry([row.id])
    assert service.queue.items.claim(row.id, 2, "me")
    service.queue.items.finish(row.id, 2, "me", "done")
    assert uploads.sweep(service) == 1
    assert not kept.exists()
    service.close()


def test_an_upload_needs_token_origin_and_content(home: Path) -> None:
    with client() as browser:
        assert browser.put(f"{server.UPLOAD}?name=a.mp4", headers=OURS).status_code == 403
        assert send(browser, "a.mp4", b"x").status_code == 403  # every browser sends an origin
        assert send(browser, "a.mp4", b"", headers=OURS).status_code == 400
        short = send(browser, "a.mp4", b"x", headers={**OURS, "Content-Length": "5"})
        assert short.status_code == 400
        assert not [path for path in home.rglob("*") if path.name.startswith("a.mp4")]


def test_an_upload_that_the_disk_cannot_hold_is_refused_at_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_route, "SPARE_BYTES", 1 << 60)
    with client() as browser:
        answer = send(browser, "a.mp4", b"xyz", headers=OURS)
        assert answer.status_code == 507
        assert answer.json()["error"] == "full"
    assert list((home / uploads.FOLDER).iterdir()) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("talk.mp4", "talk.mp4"),
        ("../../talk.mp4", "talk.mp4"),
        ("C:\\x\\talk.mp4", "talk.mp4"),
        ("a/b\\c:d*?.mp4", "cd.mp4"),
        ("", "upload"),
        ("...", "upload"),
        ("Ünïcode 講演.webm", "Ünïcode 講演.webm"),
        ("x" * 400 + ".mp4", "x" * 150 + ".mp4"),
        ("no suffix", "no suffix"),
        ("talk.part", "talk.part"),
        ("incoming.part", "upload.part"),
    ],
)
def test_names_from_a_browser_are_names_of_one_file(given: str, kept: str) -> None:
    assert uploads.safe_name(given) == kept


@pytest.mark.parametrize("name", ["CON.mp4", "nul", "aux.wav", "COM1.mp3"])
def test_names_that_windows_keeps_for_itself_are_changed(name: str) -> None:
    assert uploads.safe_name(name).split(".")[0].lower() not in {"con", "nul", "aux", "com1"}


@pytest.mark.parametrize("upload_id", ["..", "../media", "a" * 31, "A" * 32, "", "/etc", "0" * 32])
def test_no_other_file_is_taken_for_an_upload(home: Path, upload_id: str) -> None:
    assert uploads.path_of(home, upload_id) is None


# The password


def test_page_routes_and_connection_ask_for_the_password(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item_id = add_item()
    locked(monkeypatch)
    with client() as browser:
        asked = browser.get("/?tab=Library&item=x", headers={"Accept": "text/html"})
        assert asked.status_code == 401
        assert 'type="password"' in asked.text
        assert "/?tab=Library&amp;item=x" in asked.text
        assert browser.get(media_route.media_url(item_id)).status_code == 401
        assert send(browser, "a.mp4", b"x", headers=OURS).status_code == 401
        assert browser.get(request_guard.HEALTH).status_code == 200
        connect = browser.websocket_connect(
            "/_stcore/stream", headers={**OURS, "Host": "127.0.0.1:8501"}
        )
        with pytest.raises(WebSocketDisconnect), connect as socket:
            socket.receive_text()
        for wrong in ("", "harbour", PASSWORD + " ", PASSWORD.upper()):
            refused = browser.post(request_guard.SIGN_IN, data={"password": wrong}, headers=OURS)
            assert refused.status_code == 401
            assert COOKIE not in browser.cookies
        done = browser.post(
            request_guard.SIGN_IN,
            data={"password": PASSWORD, "next": "/?tab=Activity"},
            headers=OURS,
        )
        assert (done.status_code, done.headers["location"]) == (303, "/?tab=Activity")
        cookie = done.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert PASSWORD not in cookie
        assert browser.get("/").text == "the page"
        assert browser.get(media_route.media_url(item_id)).status_code == 200
        assert send(browser, "a.mp4", b"x", headers=OURS).status_code == 200
        with browser.websocket_connect(
            "/_stcore/stream",
            headers={
                **OURS,
                "Host": "127.0.0.1:8501",
                "Cookie": f"{COOKIE}={browser.cookies[COOKIE]}",
            },
        ) as socket:
            assert socket.receive_text() == "hello"
        session = browser.cookies[COOKIE]
    # The cookie is valid after a restart, but not after a change of the password.
    with client() as again:
        again.cookies.set(COOKIE, session)
        assert again.get("/").status_code == 200
    locked(monkeypatch, KB_PASSWORD="another")
    with client() as other:
        other.cookies.set(COOKIE, session)
        assert other.get("/").status_code == 401
        other.cookies.set(COOKIE, "in.forged.forged")
        assert other.get("/").status_code == 401


def test_guessing_is_slowed_down(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked(monkeypatch)
    with client() as browser:
        for _ in range(sign_in_limits.TRIES):
            browser.post(request_guard.SIGN_IN, data={"password": "no"}, headers=OURS)
        answer = browser.post(request_guard.SIGN_IN, data={"password": PASSWORD}, headers=OURS)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        huge = browser.post(request_guard.SIGN_IN, content=b"x" * 100_000, headers=OURS)
        assert huge.status_code == 429


@pytest.mark.parametrize(
    "target",
    [
        *("//evil.example", "http://evil.example", "/\\evil.example", "javascript:x", "x"),
        *("http://[::1", "//[", "http://[", "//[::1]evil", "//[v1.x", "//℀.example"),
    ],
)
def test_signing_in_leads_nowhere_else(
    home: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    locked(monkeypatch)
    with client() as browser:
        done = browser.post(
            request_guard.SIGN_IN, data={"password": PASSWORD, "next": target}, headers=OURS
        )
        assert done.headers["location"] == "/"


def test_a_server_that_cannot_ask_draws_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_item()
    locked(monkeypatch)
    app = page(tab="Library")
    assert text("unguarded") in page_text(app)
    assert not app.tabs
    assert not app.dataframe


# OIDC


@pytest.fixture
def provider() -> Iterator[None]:
    """Write a `.streamlit/secrets.toml` with an `[auth]` section for the server."""
    from streamlit.runtime.secrets import secrets_singleton

    folder = Path.cwd() / ".streamlit"
    folder.mkdir()
    folder.joinpath("secrets.toml").write_text(
        '[auth]\nredirect_uri = "http://127.0.0.1:8501/oauth2callback"\n'
        f'cookie_secret = "{"s" * 40}"\nclient_id = "kb"\nclient_secret = "x"\n'
        'server_metadata_url = "http://127.0.0.1:1/.well-known/openid-configuration"\n',
        encoding="utf-8",
    )
    secrets_singleton._reset()
    yield
    secrets_singleton._reset()


def signed_in(**who: object) -> str:
    """Return the cookie that Streamlit sets after a sign-in."""
    from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
    from streamlit.web.server.starlette.starlette_websocket import USER_COOKIE_NAME

    value = json.dumps({"origin": HERE, "is_logged_in": True, **who})
    return create_signed_value("s" * 40, USER_COOKIE_NAME, value).decode()


def test_routes_ask_who_signed_in(
    home: Path, provider: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    item_id = add_item()
    monkeypatch.setenv("KB_USERS", "ann@example.org, Ben@Example.org")
    get_settings.cache_clear()
    assert oidc.oidc_enabled()
    with client("0.0.0.0") as browser:
        address = media_route.media_url(item_id)
        assert browser.get(address).status_code == 401
        assert send(browser, "a.mp4", b"x", headers=OURS).status_code == 401
        for cookie, status in (
            ("forged", 401),
            (signed_in(email="eve@example.org"), 401),
            (signed_in(email="ben@example.org", email_verified=False), 401),
            (signed_in(email="ben@example.org", is_logged_in=False), 401),
            (signed_in(email="ben@example.org"), 200),
        ):
            browser.cookies.set("_streamlit_user", cookie)
            assert browser.get(address).status_code == status, cookie


def test_the_page_asks_who_it_is(home: Path, provider: None) -> None:
    app = page(tab="Library")
    assert text("sign_in_asked") in page_text(app)
    assert app.button("sign-in")
    assert not app.tabs


# The API below the page


def test_the_api_lets_programs_in_by_its_key_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = fake_key("api")
    locked(monkeypatch, KB_API_KEYS=key)
    named = {"Authorization": f"Bearer {key}"}
    with client() as browser:
        assert browser.get("/api/health/live").json() == {"status": "ok"}
        assert browser.get("/api/v1/models", headers=named).json()["data"][0]["id"] == "demo"
        foreign = {**named, "Origin": "https://page.example"}
        refused = browser.post("/api/v1/audio/transcriptions", headers=foreign, json={})
        assert refused.json()["error"]["code"] == "unsupported_content_type"  # it was let in
        # No worker runs here.
        sent = browser.post(
            "/api/v1/audio/transcriptions",
            headers=named, data={"model": "whisper-1"}, files={"file": ("a.wav", b"sound")},
        )  # fmt: skip
        assert sent.status_code == 503 and sent.json()["error"]["code"] == "line.no_worker"
        assert browser.get("/", headers=named).status_code == 401
        for path in ("/apis", "/api", "/kb-media/x", "//api/v1/models", "/API/v1/models"):
            assert browser.get(f"{HERE}{path}", headers=named).status_code == 401, path
        # The cookie of the page is no key.
        form = {"password": PASSWORD, "next": "/"}
        assert browser.post(request_guard.SIGN_IN, data=form, headers=OURS).status_code == 303
        assert browser.get("/").status_code == 200
        assert browser.get("/api/v1/models").status_code == 401
        assert browser.get("/api/v1/models", headers={"Host": "evil.example"}).status_code == 400


def test_without_a_key_there_is_no_api_below_the_page(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client() as browser:
        assert browser.get("/api/v1/models").status_code == 404
    locked(monkeypatch)
    with client() as browser:
        assert browser.get("/api/health").status_code == 401
    locked(monkeypatch, KB_API_KEYS="short")
    with raises(SettingsError, "api.weak_key"):
        client()
