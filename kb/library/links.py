"""Links to a second of a medium."""

from __future__ import annotations

from urllib.parse import quote, urldefrag

from kb.settings import get_settings
from kb.types import MediaItem
from kb.types.safe_text import web_address

DEEP_LINK = "deep_link"  # key of `MediaItem.extra`


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
    dashboard = f"{get_settings().public_url.rstrip('/')}/"
    return f"{dashboard}?tab=Library&item={quote(item_id, safe='')}&t={second}"
