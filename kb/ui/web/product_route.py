"""The web route of films and evidence packs, streamed from disk.

Streamlit's own downloads keep the whole file in memory. As in `media_route`, the address has a
token that only a page of this process can make; it is valid for one file of one item.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from kb.errors import KBError
from kb.service import Service
from kb.settings import Settings, get_settings
from kb.ui.web.media_route import has_token, media_type, token

PREFIX = "kb-product"


def product_url(item_id: str, name: str) -> str:
    """Return the address of a product by the name of its file, relative to the page."""
    key = token(_purpose(item_id, name))
    return f"{PREFIX}/{quote(item_id, safe='')}/{quote(name, safe='')}?key={key}"


def is_allowed(request: Request) -> bool:
    """Return whether a request has the token of the file that it names."""
    asked = request.path_params
    return has_token(request, _purpose(asked["item_id"], asked["name"]))


def serve_product(request: Request) -> Response:
    """Return the response to a request for a product or a byte range of it."""
    asked = request.path_params
    try:
        found = _service(get_settings()).products.file(asked["item_id"], asked["name"])
    except KBError as error:
        return PlainTextResponse(f"{error.message} {error.hint}", status_code=503)
    if found is None or not found.path.is_file():
        return PlainTextResponse("It is not kept any more: make it again.", status_code=404)
    return FileResponse(
        found.path,
        media_type="application/zip" if found.path.suffix == ".zip" else media_type(found.path),
        filename=found.file_name,
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"},
    )


def _purpose(item_id: str, name: str) -> str:
    return f"product {item_id} {name}"


@lru_cache(maxsize=1)
def _service(settings: Settings) -> Service:
    return Service(settings)
