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

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kb.api.errors import ApiError
from kb.errors import SettingsError
from kb.settings import Settings

UPLOADS_PATH = "/v1/uploads"  # bodies have the limit of uploads, and are not spooled
OPEN_PATHS = frozenset(("/health", "/health/live", "/health/ready"))  # answered without a key
DRAIN_S, DRAIN_BYTES = 5.0, 1 << 30  # what is still read of a request that was refused
UNCHECKED_BYTES = 1 << 20  # smaller bodies are read without a look at the disk
SPARE_BYTES = 1 << 30  # bytes that recordings must leave free
LEAST_KEY = 20  # characters
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_KEY_NAMES = frozenset(("key", "api_key", "api-key", "apikey", "token", "access_token"))
_HOST = re.compile(r"(?:([A-Za-z0-9._-]+)|\[([0-9A-Fa-f:.]+)\])(?::\d{1,5})?")

log = logging.getLogger(__name__)


class ApiGuard:
    """ASGI middleware of the API.

    `keys` are the accepted keys; without one every request is let in, except those of a page of
    another site. `hosts` are the names that the server answers to (empty: any): a page whose name
    resolves to this server must not reach it. `most_bytes` is the limit of a body,
    `most_upload_bytes` that of a part of a resumable upload, `idle_s` that of the time without a
    block of it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Sequence[str] = (),
        hosts: Sequence[str] = (),
        most_bytes: int,
        most_upload_bytes: int = 0,
        idle_s: float,
    ) -> None:
        self._app = app
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
            self._check(scope)
        except ApiError as error:
            await _refuse(error, scope, receive, marked_send)
        else:
            await self._app(scope, self._bounded(receive, self._most(scope)), marked_send)
        took_ms = round((time.monotonic() - began) * 1000)
        log.info("%s %s %s %d ms %s", scope["method"], scope["path"], status, took_ms, request_id)

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
            raise _too_large(self._most(scope))
        if length.isdecimal() and int(length) > UNCHECKED_BYTES and not _is_upload(scope):
            _check_room(int(length))

    def _most(self, scope: Scope) -> int:
        return self._most_upload_bytes if _is_upload(scope) else self._most_bytes

    def _check_key(self, scope: Scope, headers: Headers, has_origin: bool) -> None:
        scope["state"]["key"] = ""
        if not self._digests:
            if has_origin:
                # A page of any site could use the recognizer of the person who visits it.
                raise ApiError(
                    403,
                    "origin",
                    "A web page needs a key to call this server.",
                    hint="Set KB_API_KEYS.",
                )
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        wanted, matched = _digest(given.strip()), ""
        for name, digest in self._digests.items():
            if hmac.compare_digest(digest, wanted):
                matched = name
        if kind.lower() != "bearer" or not matched:
            raise ApiError(
                401,
                "invalid_api_key",
                "The key is not valid." if given else "A key is missing.",
                hint="Send it as a header: Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )
        scope["state"]["key"] = matched

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
                    raise _too_large(most_bytes)
            return message

        return read


def _path(scope: Scope) -> str:
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def _is_upload(scope: Scope) -> bool:
    return _path(scope).startswith(UPLOADS_PATH)


def _too_large(most_bytes: int) -> ApiError:
    return ApiError(
        413,
        "file_too_large",
        f"The request has more than {most_bytes / 1e6:g} MB.",
        hint="Send a shorter or compressed recording, or raise KB_API_MAX_MB.",
        param="file",
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
