"""Access control of the dashboard's server: Host, Origin, password, bind address, headers.

Streamlit's checks cover its pages only. This guard checks all requests, including those to
additional routes and the page's WebSocket connection, and adds the security headers to every
answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import html
import logging
import math
import re
from collections import defaultdict
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kb.errors import UsageError
from kb.service.sessions import COOKIE, DEVICE_S, SESSION_S, Sessions
from kb.service.views import AuditLog
from kb.settings import Settings
from kb.types.addresses import is_loopback
from kb.ui.i18n import MESSAGES, preferred_language
from kb.ui.web.security_headers import add_headers, is_closed
from kb.ui.web.sign_in_limits import SignInLimits, TrustedProxies, caller_of

SIGN_IN, SIGN_OUT = "/kb-login", "/kb-logout"
HEALTH = "/_stcore/health"  # discloses only that the server runs
DEVICE_COOKIE = "kb_device"
BODY_S = 10.0  # seconds within which a sign-in form must arrive
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
BODY_BYTES = 4096  # maximum size of a sign-in form

_HOST = re.compile(r"(?:(?P<name>[A-Za-z0-9._-]+)|\[(?P<address>[0-9A-Fa-f:.]+)\])(?::\d{1,5})?")
# The messages that begin an answer and carry its headers.
_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")

log = logging.getLogger(__name__)


def check_binding(address: str | None, settings: Settings, *, oidc: bool) -> None:
    """Raise UsageError if the whole network would have access without sign-in."""
    if is_loopback(address) or oidc or settings.password.get_secret_value():
        return
    raise UsageError(
        "page.unguarded",
        "The dashboard would listen on {address}, where others reach it, and asks for no sign-in.",
        hint="Set KB_PASSWORD, or an [auth] section (OIDC) in "
        ".streamlit/secrets.toml; or stay on this machine: --server.address "
        "127.0.0.1",
        address=address or "every interface",
    )


class RequestGuard:
    """ASGI middleware that refuses foreign hosts and origins, then requires the password.

    `hosts` are the allowed host names (empty: any). A request with another name may come from a
    page whose own name resolves to this server (DNS rebinding). `sessions` is None where no
    password is asked for. `base` is the path below which the page is served. Requests below
    `key_paths` are decided by a key of their own alone, never by the cookie: a page of another site
    could send it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        password: str = "",
        hosts: tuple[str, ...] = (),
        sessions: Sessions | None = None,
        proxies: TrustedProxies | None = None,
        audit: AuditLog | None = None,
        base: str = "",
        key_paths: str = "",
    ) -> None:
        self._app = app
        self._key_paths = f"{key_paths}/" if key_paths else ""
        self._password = password
        self._hosts = {name.lower() for name in hosts}
        self._sessions = sessions
        self._proxies = proxies or TrustedProxies(())
        self._audit = audit
        self._base = base
        self._limits = SignInLimits()
        # Connections of the page, by the token of their session: signing out closes them.
        self._connections: dict[str, set[asyncio.Event]] = defaultdict(set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] in _STARTS:
                started = True
                add_headers(message)
            await send(message)

        refusal = self._check_request(scope)
        if refusal is None and self._sessions is not None and not self._needs_key(scope):
            refusal = await self._authenticate(scope, receive)
        if refusal is None:
            try:
                await self._pass_on(scope, receive, guarded_send)
            except Exception:
                if started or scope["type"] != "http":
                    raise
                log.exception("A request to %s failed", scope["path"])
                failure = PlainTextResponse("The server failed; see its log.", 500)
                await failure(scope, receive, guarded_send)
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await refusal(scope, receive, guarded_send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _check_request(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or len(origins) > 1:
            return PlainTextResponse("A header is missing or repeated.", 400)
        host = hosts[0]
        name = _name(host)
        if not name or (self._hosts and name not in self._hosts):
            return PlainTextResponse("This server does not answer to that name.", 400)
        if is_closed(scope["path"], self._base):
            return PlainTextResponse("Not Found", 404)
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if not origins or not unsafe or self._needs_key(scope):
            # Read requests need no origin: browsers hide the response from foreign pages.
            return None
        if _origin_host(origins[0]) != host.lower():
            return PlainTextResponse("A page of another site may not do this.", 403)
        return None

    def _needs_key(self, scope: Scope) -> bool:
        """Return True for a request that the application lets in by a key alone."""
        if not self._key_paths or scope["type"] != "http":
            return False
        return str(scope["path"]).startswith(self._key_paths)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application; a connection of the page ends with its session."""
        if self._sessions is None or scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        token = HTTPConnection(scope).cookies.get(COOKIE, "")
        sessions, ended = self._sessions, asyncio.Event()
        self._connections[token].add(ended)

        async def receive_while_valid() -> Message:
            message = asyncio.ensure_future(receive())
            end = asyncio.ensure_future(ended.wait())
            try:
                await asyncio.wait((message, end), return_when=asyncio.FIRST_COMPLETED)
                if message.done() and not ended.is_set():
                    arrived = message.result()
                    # The session may have been ended by another server of the library.
                    if arrived["type"] != "websocket.receive" or sessions.is_valid(token):
                        return arrived
                await send({"type": "websocket.close", "code": 1008})
                return {"type": "websocket.disconnect", "code": 1008}
            finally:
                message.cancel()
                end.cancel()

        try:
            await self._app(scope, receive_while_valid, send)
        finally:
            self._connections[token].discard(ended)
            if not self._connections[token]:
                del self._connections[token]

    async def _authenticate(self, scope: Scope, receive: Receive) -> Response | None:
        assert self._sessions is not None
        path = scope["path"]
        if path == HEALTH:
            return None
        token = HTTPConnection(scope).cookies.get(COOKIE, "")
        known = self._sessions.is_valid(token)
        if path == SIGN_OUT and scope["type"] == "http":
            if scope["method"] == "POST":
                return self._sign_out(scope, token)
            return _sign_out_form(scope) if known else RedirectResponse(SIGN_IN, 303)
        if path == SIGN_IN and scope["type"] == "http" and scope["method"] == "POST":
            return await self._sign_in(Request(scope, receive))
        if path == SIGN_IN:
            return RedirectResponse("/", 303) if known else _form(scope)
        if known:
            return None
        if scope["type"] == "http" and "text/html" in Headers(scope=scope).get("accept", ""):
            query = scope.get("query_string", b"").decode("latin-1")
            return _form(scope, next_url=f"{path}?{query}" if query else path)
        return PlainTextResponse("Sign in first.", 401)

    def _sign_out(self, scope: Scope, token: str) -> Response:
        assert self._sessions is not None
        if self._sessions.is_valid(token):
            self._record("sign-out", scope, self._sessions.name_of(token))
        self._sessions.end(token)
        for ended in tuple(self._connections.get(token, ())):
            ended.set()
        answer = RedirectResponse(SIGN_IN, 303)
        answer.delete_cookie(COOKIE)
        return answer

    async def _sign_in(self, request: Request) -> Response:
        assert self._sessions is not None
        address = self._address(request.scope)
        device = request.cookies.get(DEVICE_COOKIE, "")
        known_device = self._sessions.is_device(device)
        name = self._sessions.name_of(device)
        caller = f"device {name}" if known_device else caller_of(address)
        wait_s = self._limits.admit(caller, device=known_device)
        if wait_s:
            return _too_many(request.scope, wait_s)
        success = False
        try:
            form = await _read_form(request)
            if isinstance(form, Response):
                return form
            password, next_url = form
            success = hmac.compare_digest(_digest(password), _digest(self._password))
        finally:
            self._limits.finish(caller, success=success)
        if not success:
            log.warning("A wrong password for the dashboard, from %s", address)
            self._record("sign-in refused", request.scope)
            return _form(request.scope, "sign_in_wrong", next_url=next_url, status=401)
        token = self._sessions.start()
        self._record("sign-in", request.scope, self._sessions.name_of(token))
        done = RedirectResponse(next_url, 303)
        secure = request.url.scheme == "https"
        done.set_cookie(
            COOKIE, token, max_age=SESSION_S, httponly=True, samesite="lax", secure=secure
        )
        if not known_device:
            done.set_cookie(
                DEVICE_COOKIE, self._sessions.add_device(), max_age=DEVICE_S, path=SIGN_IN,
                httponly=True, samesite="strict", secure=secure,
            )  # fmt: skip
        return done

    def _address(self, scope: Scope) -> str:
        """Return the address of the client; a header is believed from trusted proxies only."""
        client = scope.get("client")
        forwarded = Headers(scope=scope).getlist("x-forwarded-for")
        return self._proxies.client_address(client[0] if client else "", forwarded)

    def _record(self, what: str, scope: Scope, session: str = "") -> None:
        if self._audit is not None:
            who = f"session {session}" if session else "unknown"
            self._audit.record(what, who=who, address=self._address(scope))


async def _read_form(request: Request) -> tuple[str, str] | Response:
    """Return the password and the next address of a sign-in form, or the answer to a bad one."""
    body = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for block in request.stream():
                body += block
                if len(body) > BODY_BYTES:
                    return PlainTextResponse("Too long.", 413)
    except TimeoutError:
        return PlainTextResponse("Too slow.", 408)
    except ClientDisconnect:
        return PlainTextResponse("Broken off.", 400)
    form = parse_qs(body.decode("utf-8", "replace"))
    return form.get("password", [""])[0], _local_url(form.get("next", ["/"])[0])


def _too_many(scope: Scope, wait_s: float) -> Response:
    answer = _form(scope, "sign_in_wait", status=429)
    answer.headers["Retry-After"] = str(max(1, math.ceil(wait_s)))
    return answer


def _origin_host(origin: str) -> str:
    """Return host and port of an Origin header in lower case; empty if it is no web page's."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in ("http", "https") else ""


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode()).digest()


def _name(host: str) -> str:
    """Return the name in a Host header without port and brackets; empty if invalid."""
    found = _HOST.fullmatch(host)
    return (found["name"] or found["address"]).lower().rstrip(".") if found else ""


def _local_url(target: str) -> str:
    """Return an address of this server; `/` for any other address."""
    try:
        parts = urlsplit(target)
    except ValueError:  # a bracket without its pair
        return "/"
    safe = target.startswith("/") and not target.startswith(("//", "/\\"))
    if not safe or parts.scheme or parts.netloc:
        return "/"
    return quote(target, safe="/?&=%:+,;@!$'()*~#[]")


def _form(scope: Scope, problem: str = "", *, next_url: str = "/", status: int = 401) -> Response:
    lang, messages = _messages(scope)
    alert = f'<p role="alert">{html.escape(messages[problem])}</p>' if problem else ""
    fields = _PASSWORD_FIELDS.format(
        label=html.escape(messages["password"]), onward=html.escape(next_url, quote=True)
    )
    return _page(lang, messages, SIGN_IN, alert + fields, messages["sign_in"], status)


def _sign_out_form(scope: Scope) -> Response:
    """Return the question before signing out: a link alone must not change anything."""
    lang, messages = _messages(scope)
    return _page(lang, messages, SIGN_OUT, "", messages["sign_out"], 200)


def _messages(scope: Scope) -> tuple[str, dict[str, str]]:
    """Return the language of a request, and the texts in it."""
    lang = preferred_language(Headers(scope=scope).get("accept-language", ""))
    return lang, MESSAGES[lang]


def _page(
    lang: str, messages: dict[str, str], action: str, fields: str, button: str, status: int
) -> Response:
    page = _PAGE.format(
        lang=lang,
        app=html.escape(messages["app"]),
        button=html.escape(button),
        fields=fields,
        action=action,
    )
    return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})


_PASSWORD_FIELDS = """<label for="password">{label}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
 autofocus>
<input type="hidden" name="next" value="{onward}">"""

_PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><title>{app}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem system-ui, sans-serif; display: grid; place-items: center; min-height: 90vh;
  margin: 0; background: light-dark(#ffffff, #0e1117); color: light-dark(#111111, #fafafa); }}
form {{ width: min(20rem, 90vw); display: grid; gap: 0.75rem; }}
h1 {{ font-size: 1.5rem; margin: 0 0 0.5rem; }}
input, button {{ font: inherit; padding: 0.6rem 0.75rem; border-radius: 0.5rem; }}
input {{ border: 1px solid light-dark(#767676, #8a8f98); background: transparent;
  color: inherit; }}
button {{ border: 0; background: #1f5f99; color: #ffffff; cursor: pointer; }}
:focus-visible {{ outline: 3px solid light-dark(#1f5f99, #7db4e6); outline-offset: 2px; }}
p {{ margin: 0; color: light-dark(#b3261e, #ff8a80); }}
</style></head><body><main><form method="post" action="{action}">
<h1>{app}</h1>{fields}
<button type="submit">{button}</button>
</form></main></body></html>
"""
