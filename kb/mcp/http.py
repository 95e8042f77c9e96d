"""The assistants' server over HTTP: `http://127.0.0.1:8765/mcp`, with the API's keys.

Each request stands alone (no sessions), so that a client may come back to another server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from kb.api.errors import ApiError
from kb.api.guard import LOOPBACK_NAMES, ApiGuard
from kb.api.listening import address, check_access, listen
from kb.mcp.server import make_server
from kb.service.access_keys import Access
from kb.settings import Settings
from kb.types.addresses import is_loopback

PATH = "/mcp"
PORT = 8765
MOST_BYTES = 1_000_000  # of a request: a question, never a recording
_IDLE_S = 30.0
_END_S = 2


def make_app(settings: Settings, host: str) -> ASGIApp:
    """Return the application for a server bound to an address."""
    server = make_server(settings)
    inner = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        json_response=True,
        max_request_body_size=MOST_BYTES,
        host=host,
    )
    # The limits of the body act while the inner application reads it.
    inner.add_exception_handler(ApiError, _refused)
    return ApiGuard(
        inner,
        keys=settings.api_key_texts,
        access=Access(settings),
        scopes=("search", "jobs") if settings.mcp_write else ("search",),
        hosts=LOOPBACK_NAMES if is_loopback(host) else (),
        most_bytes=MOST_BYTES,
        idle_s=_IDLE_S,
    )


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


def serve(settings: Settings, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until a signal ends the process; `on_ready` gets the address.

    Port 0 takes a free one. Raises UsageError where others could read the library without a key,
    and where the address cannot be used.
    """
    check_access(host, settings)
    app = make_app(settings, host)
    with listen(host, port) as listener:
        on_ready(address(host, listener.getsockname()[1]) + PATH)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False,
            timeout_graceful_shutdown=_END_S,
        )  # fmt: skip
        with suppress(KeyboardInterrupt):  # uvicorn ends in order, then sends the signal again
            asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
