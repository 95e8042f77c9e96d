"""Access control of the dashboard's server: Host, Origin, password, and bind address.

Streamlit's checks cover its pages only. This guard checks all requests, including those to
additional routes and the page's WebSocket connection.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import ipaddress
import logging
import time
from collections import defaultdict, deque
from urllib.parse import parse_qs, quote, urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kb.errors import UsageError
from kb.settings import Settings
from kb.ui.i18n import MESSAGES

SIGN_IN, SIGN_OUT = "/kb-login", "/kb-logout"
HEALTH = "/_stcore/health"  # discloses only that the server runs
COOKIE = "kb_session"
COOKIE_S = 30 * 86_400
TRIES, TRIES_S = 5, 60.0  # wrong passwords of one address within this time before it has to wait
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
BODY_BYTES = 4096  # maximum size of a sign-in form

log = logging.getLogger(__name__)


def is_loopback(address: str | None) -> bool:
    """Return whether a server bound to this address is reached from this machine alone.

    An empty address means every interface.
    """
    if not address:
        return False
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address.lower() == "localhost"


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
    page whose own name resolves to this server (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, *, password: str = "", hosts: tuple[str, ...] = ()) -> None:
        self._app = app
        self._password = password
        self._hosts = {name.lower() for name in hosts}
        self._failed_attempts: dict[str, deque[float]] = defaultdict(deque)
        self._signer = URLSafeTimedSerializer(_key(password), salt=COOKIE) if password else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._check_origin(scope)
        if refusal is None and self._signer is not None:
            refusal = await self._authenticate(scope, receive)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _check_origin(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts and _name(host) not in self._hosts:
            return PlainTextResponse("This server does not answer to that name.", 400)
        origin = headers.get("origin")
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if origin is None or not unsafe:
            # Read requests need no origin: browsers hide the response from foreign pages.
            return None
        if urlsplit(origin).netloc.lower() != host.lower():
            return PlainTextResponse("A page of another site may not do this.", 403)
        return None

    async def _authenticate(self, scope: Scope, receive: Receive) -> Response | None:
        path = scope["path"]
        if path == HEALTH:
            return None
        if path == SIGN_OUT:
            answer: Response = RedirectResponse(SIGN_IN, 303)
            answer.delete_cookie(COOKIE)
            return answer
        if path == SIGN_IN and scope["type"] == "http" and scope["method"] == "POST":
            return await self._sign_in(Request(scope, receive))
        known = self._has_session(HTTPConnection(scope))
        if path == SIGN_IN:
            return RedirectResponse("/", 303) if known else _form(scope)
        if known:
            return None
        if scope["type"] == "http" and "text/html" in Headers(scope=scope).get("accept", ""):
            query = scope.get("query_string", b"").decode("latin-1")
            return _form(scope, next_url=f"{path}?{query}" if query else path)
        return PlainTextResponse("Sign in first.", 401)

    def _has_session(self, connection: HTTPConnection) -> bool:
        assert self._signer is not None
        try:
            self._signer.loads(connection.cookies.get(COOKIE, ""), max_age=COOKIE_S)
        except BadSignature:
            return False
        return True

    async def _sign_in(self, request: Request) -> Response:
        assert self._signer is not None
        address = request.client.host if request.client else ""
        wait_s = self._retry_after_s(address)
        if wait_s:
            answer = _form(request.scope, "sign_in_wait", status=429)
            answer.headers["Retry-After"] = str(round(wait_s))
            return answer
        body = b""
        async for block in request.stream():
            body += block
            if len(body) > BODY_BYTES:
                return PlainTextResponse("Too long.", 413)
        form = parse_qs(body.decode("utf-8", "replace"))
        password = form.get("password", [""])[0]
        next_url = _local_url(form.get("next", ["/"])[0])
        if not hmac.compare_digest(_digest(password), _digest(self._password)):
            self._failed_attempts[address].append(time.monotonic())
            log.warning("A wrong password for the dashboard, from %s", address)
            return _form(request.scope, "sign_in_wrong", next_url=next_url, status=401)
        self._failed_attempts.pop(address, None)
        done = RedirectResponse(next_url, 303)
        done.set_cookie(
            COOKIE, self._signer.dumps("in"), max_age=COOKIE_S, httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return done

    def _retry_after_s(self, address: str) -> float:
        """Return the seconds until an address may try again."""
        tries, now = self._failed_attempts[address], time.monotonic()
        while tries and now - tries[0] > TRIES_S:
            tries.popleft()
        return TRIES_S - (now - tries[0]) if len(tries) >= TRIES else 0.0


def _key(password: str) -> bytes:
    """Return the key that signs cookies; it depends on the password only.

    It is the same after a restart, and a new password makes old cookies invalid.
    """
    return hashlib.scrypt(password.encode(), salt=b"kb-ingest dashboard", n=2**14, r=8, p=1)


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode()).digest()


def _name(host: str) -> str:
    """Return the name in a Host header without port and brackets; empty if invalid."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _local_url(target: str) -> str:
    """Return an address of this server; `/` for any other address."""
    parts = urlsplit(target)
    safe = target.startswith("/") and not target.startswith(("//", "/\\"))
    if not safe or parts.scheme or parts.netloc:
        return "/"
    return quote(target, safe="/?&=%:+,;@!$'()*~#[]")


def _form(scope: Scope, problem: str = "", *, next_url: str = "/", status: int = 401) -> Response:
    accepted_languages = Headers(scope=scope).get("accept-language", "")
    words = MESSAGES["de" if accepted_languages.lower().startswith("de") else "en"]
    alert = f'<p role="alert">{html.escape(words[problem])}</p>' if problem else ""
    page = _PAGE.format(
        lang="de" if words is MESSAGES["de"] else "en",
        app=html.escape(words["app"]),
        label=html.escape(words["password"]),
        button=html.escape(words["sign_in"]),
        alert=alert,
        action=SIGN_IN,
        onward=html.escape(next_url, quote=True),
    )
    return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})


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
<h1>{app}</h1>{alert}
<label for="password">{label}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
 autofocus>
<input type="hidden" name="next" value="{onward}">
<button type="submit">{button}</button>
</form></main></body></html>
"""
