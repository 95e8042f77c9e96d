"""The web route of clips: a stretch of a medium, cut when it is asked for and kept nowhere.

As in `media_route`, the address has a token that only a page of this process can make; it is valid
for all stretches of one item.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from kb.errors import KBError, UsageError
from kb.service import Service
from kb.settings import Settings, get_settings
from kb.ui.i18n import LANGUAGES, MESSAGES, language
from kb.ui.i18n.error_messages import translate_error
from kb.ui.web.media_route import has_token, media_type, token

PREFIX = "kb-clip"
AT_ONCE = 2  # clips that are cut beside each other
WAIT_S = 30.0  # for a place
_places = threading.BoundedSemaphore(AT_ONCE)


def clip_url(item_id: str) -> str:
    """Return the address of clips of an item, without `from` and `to`, relative to the page."""
    return f"{PREFIX}/{quote(item_id, safe='')}?key={token(_purpose(item_id))}&lang={language()}"


def is_allowed(request: Request) -> bool:
    """Return whether a request has the token of the item that it names."""
    return has_token(request, _purpose(request.path_params["item_id"]))


def serve_clip(request: Request) -> Response:
    """Return the response to a request for a clip; refusals are in the language of the page."""
    asked = request.query_params.get("lang", "")
    lang = asked if asked in LANGUAGES else language()
    try:
        start_s, end_s = (float(request.query_params[name]) for name in ("from", "to"))
        if not (math.isfinite(start_s) and math.isfinite(end_s)):
            raise ValueError
    except (KeyError, ValueError):
        return PlainTextResponse(MESSAGES[lang]["player_clip_times"], 400)
    if not _places.acquire(timeout=WAIT_S):
        return PlainTextResponse(MESSAGES[lang]["player_clip_waits"], 429)
    folder = Path(tempfile.mkdtemp(prefix="kb-clip-"))
    try:
        made = _service(get_settings()).review.clip_into(
            request.path_params["item_id"], start_s, end_s, folder
        )
    except KBError as error:
        shutil.rmtree(folder, ignore_errors=True)
        words = " ".join(translate_error(error, lang))
        return PlainTextResponse(words, 400 if isinstance(error, UsageError) else 409)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        _places.release()
    return FileResponse(
        made,
        media_type=media_type(made),
        filename=made.name,
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"},
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


def _purpose(item_id: str) -> str:
    return f"clip {item_id}"


@lru_cache(maxsize=1)
def _service(settings: Settings) -> Service:
    return Service(settings)
