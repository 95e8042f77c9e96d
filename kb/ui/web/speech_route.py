"""The web route of an item's summary, read aloud while it is sent.

The engine speaks in a process of its own. As in `media_route`, the address has a token that only a
page of this process can make; it is valid for one item.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from kb.errors import KBError
from kb.service import Service
from kb.settings import Settings, get_settings
from kb.ui.web.media_route import has_token, token

PREFIX = "kb-speech"
AT_ONCE = 2  # texts that are spoken: the cores are the recognizer's

_places = threading.Semaphore(AT_ONCE)


def speech_url(item_id: str) -> str:
    """Return the address of an item's summary as sound, relative to the page."""
    return f"{PREFIX}/{quote(item_id, safe='')}?key={token(_purpose(item_id))}"


def is_allowed(request: Request) -> bool:
    """Return whether a request has the token of the item that it names."""
    return has_token(request, _purpose(request.path_params["item_id"]))


def serve_speech(request: Request) -> Response:
    """Return the response to a request for a summary as sound."""
    from kb.service.spoken_response import SpokenResponse  # with engines and language models

    if not _places.acquire(blocking=False):
        return PlainTextResponse("Other texts are being read: try again soon.", 503)
    try:
        speech = _service(get_settings()).speech
        text, language = speech.text_of(request.path_params["item_id"])
        return SpokenResponse(
            speech.stream(text, "mp3", language=language), _places.release,
            media_type="audio/mpeg",
            headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"},
        )  # fmt: skip
    except BaseException as error:
        _places.release()
        if not isinstance(error, KBError):
            raise
        return PlainTextResponse(f"{error.message} {error.hint}", status_code=503)


def _purpose(item_id: str) -> str:
    return f"speech {item_id}"


@lru_cache(maxsize=1)
def _service(settings: Settings) -> Service:
    return Service(settings)
