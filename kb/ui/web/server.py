"""The server around the page: additional routes, middleware, and supervision of the worker."""

from __future__ import annotations

import importlib
import json
import logging
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from kb.errors import KBError
from kb.service import Service, open_browser, uploads
from kb.service.access_keys import keys_exist
from kb.service.line import Line
from kb.service.private_files import private_files
from kb.service.sessions import Sessions
from kb.service.setting_choices import check_choices
from kb.service.throughput_meter import record_throughput
from kb.service.views import AuditLog
from kb.service.worker_supervisor import POLL_EVERY_S, Chore, worker_supervisor
from kb.settings import Settings, get_settings
from kb.types.addresses import is_loopback
from kb.types.guarded_output import guarded_output
from kb.ui import access
from kb.ui.i18n import MESSAGES
from kb.ui.web import (
    clip_route,
    export_route,
    media_route,
    oidc,
    preview_route,
    product_route,
    request_guard,
    speech_route,
    upload_route,
)
from kb.ui.web.drawing import is_drawing
from kb.ui.web.early_reading import EarlyReading
from kb.ui.web.sign_in_limits import TrustedProxies

if TYPE_CHECKING:
    from kb.api.context import ApiContext

UPLOAD = "kb-upload"
API = "/api"
LIBRARY = "tab_library"  # key of the label of the tab that lists all items
_REFUSED = "This link belongs to an earlier page: load the page again."

# The module that the first page needs; then those of the other tabs, an item, tables, search and
# charts. The latter are loaded after a delay, because they would slow down the page of the browser
# that opens at start.
_PRELOAD = "kb.ui.page"
_DEFERRED_PRELOAD = (
    "kb.ui.tabs.library.item", "pandas", "kb.service.search", "kb.sinks.local.sink", "altair",
)  # fmt: skip
DEFERRED_PRELOAD_S, DRAWING_POLL_S = 3.0, 0.2

UPLOADS_SWEEP_EVERY_S = 300.0
CHORES = (
    Chore(uploads.sweep, UPLOADS_SWEEP_EVERY_S),
    Chore(record_throughput, POLL_EVERY_S),
)

log = logging.getLogger(__name__)

_guard_installed = False
_api_contexts: list[ApiContext] = []
_uploads = upload_route.Uploads()


def routes() -> list[BaseRoute]:
    """Return the additional routes; the API is one where it has keys."""
    return [
        *_api_routes(get_settings()),
        Route(f"/{media_route.PREFIX}/{{item_id}}", _media, methods=["GET"]),
        Route(f"/{clip_route.PREFIX}/{{item_id}}", _clip, methods=["GET"]),
        Route(f"/{preview_route.PREFIX}/{{item_id}}/{{kind}}", _preview, methods=["GET"]),
        Route(f"/{product_route.PREFIX}/{{item_id}}/{{name}}", _product, methods=["GET"]),
        Route(f"/{speech_route.PREFIX}/{{item_id}}", _speech, methods=["GET"]),
        Route(f"/{export_route.PREFIX}/{{key}}", _export, methods=["GET"]),
        Route(f"/{UPLOAD}", _upload, methods=["PUT"]),
    ]


def _api_routes(settings: Settings) -> list[BaseRoute]:
    """Return the mount of the API; it uses the worker of this machine.

    Without keys there is none: the page's password says nothing about programs.
    """
    if not keys_exist(settings):
        return []
    from kb.api.app import create_app
    from kb.api.context import ApiContext

    context = ApiContext(settings, Line(settings.home))
    _api_contexts.append(context)
    return [Mount(API, create_app(context))]


def upload_url() -> str:
    """Return the address of uploads, relative to the page; the caller adds `&name=`."""
    return f"{UPLOAD}?key={media_route.token(UPLOAD)}"


def middleware(
    address: str | None, allowed_hosts: Sequence[str] = (), base: str = ""
) -> list[Middleware]:
    """Return the middleware before all routes of a server bound to this address.

    `allowed_hosts` are the allowed host names unless the server is bound to loopback; empty or
    `*` for any. `base` is the path below which the page is served. Raises UsageError if the whole
    network would have access, and SettingsError.
    """
    global _guard_installed
    access.check_secrets_files()
    settings = get_settings()
    check_choices(settings)
    if settings.api_key_texts:
        from kb.api.guard import check_keys

        check_keys(settings)
    request_guard.check_binding(address, settings, oidc=access.oidc_enabled())
    hosts: tuple[str, ...] = tuple(name for name in allowed_hosts if "*" not in name)
    if is_loopback(address):
        hosts = request_guard.LOOPBACK_NAMES
    _guard_installed = True
    access.set_reached_by_others(not is_loopback(address))
    password = settings.password.get_secret_value()
    base = "/" + base.strip("/") if base.strip("/") else ""
    guard = Middleware(
        request_guard.RequestGuard,
        password=password,
        hosts=hosts,
        sessions=Sessions(settings.home, password) if password else None,
        proxies=TrustedProxies(settings.trusted_proxy_names),
        audit=AuditLog(settings.home, "dashboard"),
        base=base,
        key_paths=API if keys_exist(settings) else "",
    )
    names = frozenset(messages[LIBRARY].casefold() for messages in MESSAGES.values())
    return [guard, Middleware(EarlyReading, names=names, base=base)]


def is_password_enforced(settings: Settings) -> bool:
    """Return whether this process enforces the password; True if no password is set."""
    return _guard_installed or not settings.password.get_secret_value()


@asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[None]:
    """Preload modules, open the browser and supervise the worker while the server runs."""
    with private_files(get_settings()), guarded_output():
        async with _running():
            yield


@asynccontextmanager
async def _running() -> AsyncIterator[None]:
    stopping = threading.Event()
    threading.Thread(target=_preload, args=(stopping, get_settings()), daemon=True).start()
    if open_browser.OPEN_BROWSER_FLAG in sys.argv:
        threading.Thread(target=_open_browser, args=(stopping,), name="open", daemon=True).start()
    if get_settings().app_worker:
        worker_supervisor().start_polling(CHORES)
    yield
    stopping.set()
    worker_supervisor().stop_polling()
    while _api_contexts:  # the end of a mounted application is not reported to it
        _api_contexts.pop().close()


def _open_browser(stopping: threading.Event) -> None:
    """Open the page in the browser of the user who ran `kb app`."""
    url = open_browser.address(
        st.get_option("server.address"),
        int(st.get_option("server.port")),
        str(st.get_option("server.baseUrlPath") or ""),
        tls=bool(st.get_option("server.sslCertFile")),
    )
    if (
        not open_browser.open_when_ready(url, request_guard.HEALTH, stopping)
        and not stopping.is_set()
    ):
        log.warning("No browser could be opened: open %s yourself.", url)


def _preload(stopping: threading.Event, settings: Settings) -> None:
    """Load the modules of the page before the first visit, which would otherwise wait for them."""
    page = importlib.import_module(_PRELOAD)
    if stopping.wait(DEFERRED_PRELOAD_S):
        return
    while is_drawing():
        if stopping.wait(DRAWING_POLL_S):
            return
    page.load_tabs()
    try:
        Service(settings).items.listing()
    except KBError as error:
        log.warning("%s %s", error.message, error.hint)  # the page shows this error too
    for name in _DEFERRED_PRELOAD:
        importlib.import_module(name)


def _media(request: Request) -> Response:
    # Not a coroutine: Starlette then runs it in a thread, and a slow disk blocks no other request.
    if not oidc.is_request_allowed(get_settings(), request):
        return PlainTextResponse("Sign in first.", 401)
    if not media_route.has_token(request, f"media {request.path_params['item_id']}"):
        return PlainTextResponse(_REFUSED, 403)
    return media_route.serve_media(request)


def _clip(request: Request) -> Response:
    if not oidc.is_request_allowed(get_settings(), request):
        return PlainTextResponse("Sign in first.", 401)
    if not clip_route.is_allowed(request):
        return PlainTextResponse(_REFUSED, 403)
    return clip_route.serve_clip(request)


def _preview(request: Request) -> Response:
    if not oidc.is_request_allowed(get_settings(), request):
        return PlainTextResponse("Sign in first.", 401)
    if not preview_route.is_allowed(request):
        return PlainTextResponse(_REFUSED, 403)
    return preview_route.serve_preview(request)


def _product(request: Request) -> Response:
    if not oidc.is_request_allowed(get_settings(), request):
        return PlainTextResponse("Sign in first.", 401)
    if not product_route.is_allowed(request):
        return PlainTextResponse(_REFUSED, 403)
    return product_route.serve_product(request)


def _speech(request: Request) -> Response:
    if not oidc.is_request_allowed(get_settings(), request):
        return PlainTextResponse("Sign in first.", 401)
    if not speech_route.is_allowed(request):
        return PlainTextResponse(_REFUSED, 403)
    return speech_route.serve_speech(request)


def _export(request: Request) -> Response:
    if not oidc.is_request_allowed(get_settings(), request):
        return PlainTextResponse("Sign in first.", 401)
    return export_route.serve_zip(request)


async def _upload(request: Request) -> Response:
    settings = get_settings()
    if not oidc.is_request_allowed(settings, request):
        return PlainTextResponse("Sign in first.", 401)
    # A browser always sends the origin of such a request; the guard has checked it.
    if not request.headers.get("origin") or not media_route.has_token(request, UPLOAD):
        return PlainTextResponse(_REFUSED, 403)
    answer = await _uploads.receive(request, settings)
    if answer.status_code == 200:
        document = json.loads(bytes(answer.body))
        AuditLog(settings.home, oidc.user_name(request) or "dashboard").record(
            "upload", name=document["name"], size=document["size"]
        )
    return answer
