"""The web route of previews: a small picture of an item, and the peaks of its sound.

As in `media_route`, the address has a token that only a page of this process can make.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from kb.errors import KBError
from kb.service import Service
from kb.service.items import PREVIEW_KINDS, PreviewKind
from kb.service.views import LibraryEntry
from kb.settings import Settings, get_settings
from kb.ui.web.media_route import has_token, token

PREFIX = "kb-preview"
_TYPES = {"still": "image/jpeg", "peaks": "application/json"}


def preview_url(entry: LibraryEntry, kind: PreviewKind) -> str:
    """Return the address of a preview, relative to the page; another medium has another one."""
    item_id = entry.item.id
    key, version = token(_purpose(item_id)), entry.sha256[:8]
    return f"{PREFIX}/{quote(item_id, safe='')}/{kind}?key={key}&v={version}"


def is_allowed(request: Request) -> bool:
    """Return whether a request has the token of the item that it names."""
    return has_token(request, _purpose(request.path_params["item_id"]))


def serve_preview(request: Request) -> Response:
    """Return the response to a request for a preview, which is made if there is none."""
    kind = request.path_params["kind"]
    if kind not in PREVIEW_KINDS:
        return PlainTextResponse("There is no such preview.", 404)
    try:
        found = _service(get_settings()).items.preview(request.path_params["item_id"], kind)
    except KBError as error:
        return PlainTextResponse(f"{error.message} {error.hint}", 503)
    if found is None:
        return Response(status_code=204)  # it has none, which is no error
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=86400"}
    return Response(found, media_type=_TYPES[kind], headers=headers)


def _purpose(item_id: str) -> str:
    return f"preview {item_id}"


@lru_cache(maxsize=1)
def _service(settings: Settings) -> Service:
    return Service(settings)
