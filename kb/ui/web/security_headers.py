"""Security headers of every answer, and the routes of Streamlit that are closed."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.types import Message

# Measurements, the interface for agents, Streamlit's own uploads and components of its first
# version: the page uses none of them.
_CLOSED = re.compile(
    r"/(_stcore/(metrics|agent|script-health-check|upload_file)|component)(/.*)?", re.IGNORECASE
)
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def is_closed(path: str, base: str = "") -> bool:
    """Return whether a path belongs to a route of Streamlit that the page does not need.

    `base` is the path below which the page is served, without a slash at its end.
    """
    return _CLOSED.fullmatch(path.removeprefix(base)) is not None


@lru_cache(maxsize=1)
def content_policy() -> str:
    """Return the Content-Security-Policy of the page.

    Scripts come from this server alone; the page's own inline script is named by its hash. Styles
    are set inline by Streamlit. Pictures of channels come from their sites (https). The code of the
    page's components is loaded from a blob.
    """
    page = Path(streamlit.__file__).parent / "static" / "index.html"
    try:
        inline = _INLINE_SCRIPT.findall(page.read_text("utf-8"))
    except OSError:
        inline = []
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() + "'"
        for each in inline
    ]
    rules = {
        "default-src": "'self'",
        "script-src": " ".join(["'self'", "blob:", *hashes]),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob: https:",
        "media-src": "'self' blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "frame-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'self'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def add_headers(message: Message) -> None:
    """Add the headers to the message that starts an answer or accepts a connection."""
    headers = MutableHeaders(scope=message)
    headers["Content-Security-Policy"] = content_policy()
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "SAMEORIGIN"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
