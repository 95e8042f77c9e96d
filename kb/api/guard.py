"""Checks of every request before its body is read: host, origin, key, size.

FastAPI reads a whole form before it calls a dependency, so that a check there would let strangers
fill the disk. This middleware decides first.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kb.api.context import ApiContext
from kb.api.errors import ApiError, api_error
from kb.errors import KBError, SettingsError
from kb.service.access_keys import SCOPES, Access
from kb.settings import Settings

UPLOADS_PATH = "/v1/uploads"  # bodies have the limit of uploads, and are not spooled
OPEN_PATHS = frozenset(("/health", "/health/live", "/health/ready"))  # answered without a key
DRAIN_S, DRAIN_BYTES = 5.0, 1 << 30  # what is still read of a request that was refused
UNCHECKED_BYTES = 1 << 20  # smaller bodies are read without a look at the disk
SPARE_BYTES = 1 << 30  # bytes that recordings must leave free
LEAST_KEY = 20  # characters
# The scopes that a stored key needs, by the beginning of the path; others need a key alone.
SCOPE_OF = (
    ("/v1/audio/", "speech"),
    ("/v1/jobs", "jobs"),
    ("/v1/uploads", "jobs"),
    ("/v1/items", "search"),
    ("/v1/answers", "search"),
    ("/v1/search", "search"),  # and saved searches
    ("/v1/tags", "search"),
    ("/process", "jobs"),
    ("/status/", "jobs"),
    ("/result/", "jobs"),
    ("/metrics", "admin"),
)
# What changes the library needs this one, too.
WRITE_SCOPE_OF = (("/v1/items", "jobs"), ("/v1/searches", "jobs"))
PAID = "paid"  # scope of what may cost money: asked for by `require_paid`, not by the path
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_KEY_NAMES = frozenset(("key", "api_key", "api-key", "apikey", "token", "access_token"))
_UPLOAD = re.compile(re.escape(UPLOADS_PATH) + r"/[^/]+$")
_HOST = re.compile(r"(?:([A-Za-z0-9._-]+)|\[([0-9A-Fa-f:.]+)\])(?::\d{1,5})?")

log = logging.getLogger(__name__)


class ApiGuard:
    """ASGI middleware of the API.

    `keys` are the accepted keys of the settings, which have every scope; `access` are those of the
    library. Where neither has one a server with `hosts` lets every request in, except those of a
    page of another site.
    `scopes` are needed for every path, beside that of the path itself (`SCOPE_OF`). `hosts` are the
    names that the server answers to (empty: any): a page whose name resolves to this server must
    not reach it. `most_bytes` is the limit of a body, `most_upload_bytes` that of a part of a
    resumable upload, `idle_s` that of the time without a block of it; `size_hint` says what a
    caller can do about a larger one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Sequence[str] = (),
        access: Access | None = None,
        scopes: Sequence[str] = (),
        hosts: Sequence[str] = (),
        most_bytes: int,
        most_upload_bytes: int = 0,
        idle_s: float,
        size_hint: str = "",
    ) -> None:
        self._app = app
        self._access = access
        self._scopes = tuple(scopes)
        self._size_hint = size_hint
        self._digests = {name_of_key(key): _digest(key) for key in keys}
        self._hosts = {name.lower() for name in hosts}
        self._most_bytes = most_bytes
        self._most_upload_bytes = most_upload_bytes or most_bytes
        self._idle_s = idle_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        _override_method(scope)
        request_id, began, status = f"req_{secrets.token_hex(12)}", time.monotonic(), 0
        scope.setdefault("state", {})["request_id"] = request_id

        async def marked_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", [])
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"cache-control", b"no-store"),
                ]
            await send(message)

        try:
            await self._read_keys(scope)
            self._check(scope)
        except (ApiError, KBError) as error:
            refusal = error if isinstance(error, ApiError) else api_error(error)
            await _refuse(refusal, scope, receive, marked_send)
        else:
            await self._app(scope, self._bounded(receive, self._most(scope)), marked_send)
        took_ms = round((time.monotonic() - began) * 1000)
        log.info("%s %s %s %d ms %s", scope["method"], scope["path"], status, took_ms, request_id)

    async def _read_keys(self, scope: Scope) -> None:
        """Read the keys of the library if they are needed and not fresh. Raises LibraryError.

        The routes of health and the keys of the settings do not depend on the database.
        """
        if self._access is None or self._access.is_fresh or _path(scope) in OPEN_PATHS:
            return
        if not self._setting_key(_given_key(Headers(scope=scope))):
            await run_in_threadpool(self._access.any_made)

    def _setting_key(self, given: str) -> str:
        """Return the name of a key of the settings; empty for any other key."""
        wanted, matched = _digest(given), ""
        for name, digest in self._digests.items():
            if hmac.compare_digest(digest, wanted):
                matched = name
        return matched

    def _check(self, scope: Scope) -> None:
        """Raise ApiError for a request that is refused; note the name of its key."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or len(origins) > 1:
            raise ApiError(400, "bad_header", "A header is missing or repeated.")
        found = _HOST.fullmatch(hosts[0])
        name = (found[1] or found[2]).lower().rstrip(".") if found else ""
        if not name or (self._hosts and name not in self._hosts):
            raise ApiError(400, "bad_host", "This server does not answer to that name.")
        query = scope.get("query_string", b"").decode("latin-1")
        for field, _ in parse_qsl(query, keep_blank_values=True):
            if field.lower() in _KEY_NAMES:
                raise ApiError(
                    400,
                    "key_in_url",
                    "A key does not belong into an address, which logs keep.",
                    hint="Send it as a header: Authorization: Bearer KEY",
                    param=field,
                )
        # Below the dashboard the path begins with that of the mount.
        if _path(scope) not in OPEN_PATHS:
            self._check_key(scope, headers, bool(origins))
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._most(scope):
            raise _too_large(self._most(scope), self._size_hint)
        if length.isdecimal() and int(length) > UNCHECKED_BYTES and not _is_upload(scope):
            _check_room(int(length))

    def _most(self, scope: Scope) -> int:
        return self._most_upload_bytes if _is_upload(scope) else self._most_bytes

    def _check_key(self, scope: Scope, headers: Headers, has_origin: bool) -> None:
        scope["state"].update(key="", scopes=SCOPES)
        # Others reach a server that answers to any name: each request there needs a key.
        if self._hosts and not self._digests and not (self._access and self._access.any_made()):
            if has_origin:
                # A page of any site could use the recognizer of the person who visits it.
                raise ApiError(
                    403,
                    "origin",
                    "A web page needs a key to call this server.",
                    hint="Make a key: kb keys add NAME",
                )
            return
        given = _given_key(headers)
        scopes: tuple[str, ...] = SCOPES
        matched = self._setting_key(given)
        # A look-up by the digest tells nothing about the key.
        stored = self._access.find(given) if self._access and given and not matched else None
        if stored is not None:
            matched, scopes = stored.id, stored.scopes
        if not matched:
            raise ApiError(
                401,
                "invalid_api_key",
                "The key is not valid." if "authorization" in headers else "A key is missing.",
                hint="Send it as a header: Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )
        scope["state"].update(key=matched, scopes=scopes)
        of_path = [each for start, each in SCOPE_OF if _path(scope).startswith(start)]
        if scope["method"] not in ("GET", "HEAD"):
            of_path += [each for start, each in WRITE_SCOPE_OF if _path(scope).startswith(start)]
        for each in (*self._scopes, *of_path):
            if each not in scopes:
                raise lacking_scope(each)

    def _bounded(self, receive: Receive, most_bytes: int) -> Receive:
        """Return a reader of the body that ends at the limits of size and time."""
        arrived, ended = 0, False

        async def read() -> Message:
            nonlocal arrived, ended
            if ended:
                return await receive()
            try:
                async with asyncio.timeout(self._idle_s):
                    message = await receive()
            except TimeoutError:
                raise ApiError(408, "idle", "The body of the request did not arrive.") from None
            if message["type"] == "http.request":
                arrived += len(message.get("body", b""))
                ended = not message.get("more_body", False)
                if arrived > most_bytes:
                    raise _too_large(most_bytes, self._size_hint)
            return message

        return read


def lacking_scope(name: str, why: str = "") -> ApiError:
    """Return the refusal of a key without a scope; `why` says what needs it."""
    return ApiError(
        403,
        "insufficient_scope",
        f"The key has no scope {name}{why}.",
        hint=f"Make another one: kb keys add NAME --scope {name}",
    )


def require_paid(context: ApiContext, request: Request, why: str) -> None:
    """Raise ApiError if the key of a request may not ask for what can cost money."""
    if PAID not in request.state.scopes and not context.settings.paid_requests:
        raise lacking_scope(PAID, why)


def _path(scope: Scope) -> str:
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def _is_upload(scope: Scope) -> bool:
    return _path(scope).startswith(UPLOADS_PATH)


def _given_key(headers: Headers) -> str:
    """Return the key of a request; empty without one."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() if kind.lower() == "bearer" else ""


def _too_large(most_bytes: int, hint: str) -> ApiError:
    return ApiError(
        413,
        "file_too_large",
        f"The request has more than {most_bytes / 1e6:g} MB.",
        hint=hint,
        param="file" if hint else None,
    )


def _check_room(length: int) -> None:
    """Raise ApiError if the disk of temporary files cannot hold a body of this length, twice.

    A form is spooled there, and its file is copied under a name of its own.
    """
    free = free_bytes()
    if free - 2 * length < SPARE_BYTES:
        raise ApiError(507, "disk", "The disk has no room for this recording.", param="file")


def free_bytes() -> int:
    """Return the free bytes on the disk of temporary files."""
    return shutil.disk_usage(tempfile.gettempdir()).free


async def _refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a refusal that the client can read although it is still sending its body.

    A connection that is closed while data arrives is reset, and the answer is lost with it: the
    rest is read for a while before the connection is closed.
    """
    answer = error.response()
    answer.headers["Connection"] = "close"
    start = {"type": "http.response.start", "status": error.status}
    await send({**start, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    drained, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while more and drained < DRAIN_BYTES:
                message = await receive()
                drained += len(message.get("body", b""))
                more = message.get("more_body", False)
    await send({"type": "http.response.body", "body": b""})


def check_keys(settings: Settings) -> None:
    """Raise SettingsError for a key that could be guessed, or that no header can carry."""
    for number, key in enumerate(settings.api_key_texts, start=1):
        if len(key) < LEAST_KEY or not (key.isascii() and key.isprintable()) or " " in key:
            raise SettingsError(
                "api.weak_key",
                "KB_API_KEYS, key {number}: at least {least} ASCII characters without a space are "
                "expected.",
                hint="Make one with: openssl rand -hex 32",
                number=number,
                least=LEAST_KEY,
            )


def name_of_key(key: str) -> str:
    """Return a short name of a key, which does not disclose it."""
    return _digest(key).hex()[:12]


def _digest(key: str) -> bytes:
    # Keys are long random words: a slow hash would only slow down every request.
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _override_method(scope: Scope) -> None:
    """Turn a POST to a resumable upload into the method of its header, as tus allows.

    For clients that can only send POST. It stands before the routes, so that `Allow` and the
    description name the methods that a resource takes by itself.
    """
    if scope["method"] == "POST" and _UPLOAD.search(scope["path"]):
        wanted = dict(scope["headers"]).get(b"x-http-method-override", b"").upper()
        if wanted in (b"PATCH", b"DELETE"):
            scope["method"] = wanted.decode()
