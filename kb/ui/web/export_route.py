"""The web route of ZIP downloads: written while it is sent, so that no ZIP is held in memory.

Streamlit's own downloads keep the whole file in memory. An address is valid in this process for the
items and formats that a page of it asked for; it names them by a token that only this process can
make.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from kb.service import Service
from kb.service.export_request import ExportRequest
from kb.service.notation import links_to
from kb.settings import Settings, get_settings
from kb.ui.web.media_route import token

PREFIX = "kb-export"
KEPT = 256  # the latest addresses that were made


@dataclass(frozen=True, slots=True)
class _Wanted:
    item_ids: tuple[str, ...]
    request: ExportRequest
    base: str


_wanted: OrderedDict[str, _Wanted] = OrderedDict()
_lock = threading.Lock()


def zip_url(item_ids: Sequence[str], request: ExportRequest, base: str = "") -> str:
    """Return the address of a ZIP with the documents of items, relative to the page.

    Links to local recordings begin with `base` (see `kb.library.links.links_to`).
    """
    key = token(f"export {json.dumps([list(item_ids), asdict(request), base])}")
    with _lock:
        _wanted[key] = _Wanted(tuple(item_ids), request, base)
        _wanted.move_to_end(key)
        while len(_wanted) > KEPT:
            _wanted.popitem(last=False)
    return f"{PREFIX}/{key}"


def serve_zip(request: Request) -> Response:
    """Return the response to a request for a ZIP."""
    with _lock:
        wanted = _wanted.get(request.path_params["key"])
    if wanted is None:
        return PlainTextResponse("This download is no longer known: open the page again.", 404)
    service = _service(get_settings())
    return StreamingResponse(
        _parts(service, wanted),
        media_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="transcripts-{date.today()}.zip"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )


def _parts(service: Service, wanted: _Wanted) -> Iterator[bytes]:
    parts = iter(service.exports.zip_parts(wanted.item_ids, wanted.request))
    while True:
        with links_to(wanted.base):  # of each part alone: each is made in a context of its own
            part = next(parts, None)
        if part is None:
            return
        yield part


@lru_cache(maxsize=1)
def _service(settings: Settings) -> Service:
    return Service(settings)
