"""The library is read while the browser loads the page's scripts, which takes it most of a second.

Without this, the first page that lists a large library after a start waits for all of it.
"""

from __future__ import annotations

import importlib
import itertools
import threading
import time
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from kb.garbage import kept
from kb.service import Service
from kb.settings import Settings, get_settings
from kb.ui.web.drawing import is_drawing

THREAD = "early-reading"
FILES_A_TURN, TURN_S = 16, 0.002
# What the page of the library loads; Streamlit reads the pause in typing of its field by pandas.
_MODULES = ("pandas", "kb.ui.tabs.library.tab")


class EarlyReading:
    """ASGI middleware: the first request for the page's file that opens the library reads it.

    `names` are those of the tabs in an address (`?tab=`) that list the library, in lower case;
    an address without a tab opens it too. `base` is the path below which the page is served.
    """

    def __init__(self, app: ASGIApp, *, names: frozenset[str], base: str = "") -> None:
        self._app = app
        self._names = names
        self._path = f"{base}/"
        self._has_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if not self._has_started and scope["type"] == "http" and self._opens_library(scope):
            self._has_started = True
            settings = get_settings()
            threading.Thread(target=read, args=(settings,), name=THREAD, daemon=True).start()
        await self._app(scope, receive, send)

    def _opens_library(self, scope: Scope) -> bool:
        if scope["path"] not in (self._path, self._path.rstrip("/")):
            return False
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("tab", [""])[0]
        return not asked or asked.lower() in self._names


def read(settings: Settings) -> None:
    """Load what the page of the library needs, and read entries until the page reads its list.

    While the page is drawn, which shares one core with this, it comes first: its field for searches
    is there before the list.
    """
    with kept():
        for name in _MODULES:
            importlib.import_module(name)
    service = Service(settings)
    try:
        service.items.read_ahead(_gives_way)
    finally:
        service.close()


_turn = itertools.count(1)


def _gives_way() -> bool:
    if is_drawing() and not next(_turn) % FILES_A_TURN:
        time.sleep(TURN_S)
    return True
