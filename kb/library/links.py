"""Links to a second of a medium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import quote, urldefrag, urlsplit

from kb.settings import get_settings
from kb.types import MediaItem
from kb.types.addresses import is_loopback
from kb.types.safe_text import web_address

DEEP_LINK = "deep_link"  # key of `MediaItem.extra`
_PLACE = "tab=Library&item="  # begins the query of a link to the dashboard

_base: ContextVar[str] = ContextVar("address of the dashboard", default="")


@contextmanager
def links_to(base: str) -> Iterator[None]:
    """Let links to the dashboard begin with this address in the block; "": with KB_PUBLIC_URL."""
    before = _base.set(base)
    try:
        yield
    finally:
        _base.reset(before)


def deep_link(item: MediaItem, start_s: float) -> str:
    """Return a link that opens the medium at the second of `start_s`.

    A source whose pages take a time in another form gives its form in the item's `extra`:
    `deep_link`, an address that ends in `t={second}`. Without it: YouTube's short link; for local
    files the dashboard's page (`KB_PUBLIC_URL`); for any other item its page with a media fragment
    (`#t=`, W3C Media Fragments), which replaces a fragment of the address. An address that is no
    page of the web (`javascript:`, `file:`) gives an empty text; a password in it is left out.
    """
    second = max(0, int(start_s))
    own_form = item.extra.get(DEEP_LINK)
    if isinstance(own_form, str) and own_form.endswith("t={second}"):
        return web_address(own_form.removesuffix("{second}") + str(second))
    if item.source == "youtube":
        return f"https://youtu.be/{quote(item.short_id, safe='')}?t={second}"
    if item.source == "file" or not item.url:
        return dashboard_link(item.id, second)
    address = web_address(item.url)
    if not address:
        return ""
    page, fragment = urldefrag(address)
    if fragment.startswith(("/", "!")):
        return address  # the fragment selects the page: another one would be another page
    return f"{page}#t={second}"


def dashboard_link(item_id: str, second: int) -> str:
    """Return the address of an item on the dashboard's page, at a second."""
    return f"{_dashboard()}?{_PLACE}{quote(item_id, safe='')}&t={second}"


def present_link(link: str) -> str:
    """Return a stored link to a dashboard on this machine with its present address.

    Passages keep the address of the day on which they were written. Any other link is not changed.
    """
    parts = urlsplit(link)
    if not parts.query.startswith(_PLACE) or not is_loopback(parts.hostname):
        return link
    return f"{_dashboard()}?{parts.query}"


def _dashboard() -> str:
    return f"{(_base.get() or get_settings().public_url).rstrip('/')}/"
