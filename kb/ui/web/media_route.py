"""The web route of the player: media files of the library, in the requested byte ranges.

Streamlit's media store reads a whole file into memory; this route streams from disk. Streamlit's
login and checks do not cover additional routes, so the address contains a token: only a page of
this process can make it, and it is valid for one item.
"""

from __future__ import annotations

import hashlib
import hmac
import mimetypes
import secrets
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from kb.errors import LibraryError
from kb.service import Service
from kb.settings import Settings, get_settings

PREFIX = "kb-media"

_KEY = secrets.token_bytes(32)  # valid in this process: addresses expire when it ends
_TYPES = {".mkv": "video/webm", ".m4b": "audio/mp4", ".opus": "audio/ogg", ".weba": "audio/webm"}
"""Types for which browsers try to play the file; they reject the registered types unread."""


def media_url(item_id: str) -> str:
    """Return the address of an item's medium, relative to the page."""
    return f"{PREFIX}/{quote(item_id, safe='')}?key={token(f'media {item_id}')}"


def media_type(path: Path) -> str:
    """Return the media type for which a browser plays a file."""
    known = _TYPES.get(path.suffix.lower())
    return known or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def media_file(item_id: str) -> Path | None:
    """Return the medium of an item; None if it is not a medium in the library folder."""
    return _service(get_settings()).items.media_file(item_id)


def serve_media(request: Request) -> Response:
    """Return the response to a request for a medium or a byte range of it."""
    item_id = request.path_params["item_id"]
    try:
        path = media_file(item_id)
    except LibraryError as error:  # object storage is away
        return PlainTextResponse(f"{error.message} {error.hint}", status_code=503)
    if path is None:
        return PlainTextResponse("No such medium in the library.", status_code=404)
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=3600"}
    return FileResponse(path, media_type=media_type(path), headers=headers)


def token(purpose: str) -> str:
    """Return the token for one purpose; only this process can make it."""
    return hmac.new(_KEY, purpose.encode(), hashlib.sha256).hexdigest()[:32]


def has_token(request: Request, purpose: str) -> bool:
    """Return whether a request carries the token for this purpose."""
    key = request.query_params.get("key", "")
    return hmac.compare_digest(key.encode(), token(purpose).encode())


@lru_cache(maxsize=1)
def _service(settings: Settings) -> Service:
    return Service(settings)
