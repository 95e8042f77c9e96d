"""The library is read while the browser loads the page's scripts, which takes it most of a second.

Without this, the first page that lists a large library after a start waits for it.
"""

from __future__ import annotations

import importlib
import logging
import threading
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from kb.errors import KBError
from kb.garbage import kept
from kb.service import Service
from kb.settings import Settings, get_settings

THREAD = "early-reading"
_SEARCH_FIELD = "pandas"  # Streamlit reads the pause in typing of a search field by it

log = logging.getLogger(__name__)


class EarlyReading:
    """ASGI middleware: the first request for the page's file that opens the library reads it.

    `names` are those of the tabs in an address (`?tab=`) that list the library, in lower case;
    an address without a tab opens it too. `base` is the path below which the page is served.
    """

    def __init__(self, app: ASGIApp, *, names: frozenset[str], base: str = "") -> None:
        self._app = app
        self._names = names
        self._path = f"{base}/"
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if not self._begun and scope["type"] == "http" and self._opens_library(scope):
            self._begun = True
            settings = get_settings()
            threading.Thread(target=read, args=(settings,), name=THREAD, daemon=True).start()
        await self._app(scope, receive, send)

    def _opens_library(self, scope: Scope) -> bool:
        if scope["path"] not in (self._path, self._path.rstrip("/")):
            return False
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("tab", [""])[0]
        return not asked or asked.lower() in self._names


def read(settings: Settings) -> None:
    """Read the list of the library, which this process keeps."""
    with kept():
        importlib.import_module(_SEARCH_FIELD)
    service = Service(settings)
    try:
        service.catalogue.rows()
    except KBError as error:
        log.warning("%s %s", error.message, error.hint)  # the page shows this error too
    finally:
        service.close()
