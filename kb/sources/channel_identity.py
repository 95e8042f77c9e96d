"""The lasting identity of a followed reference: a channel id, a playlist id, or an address.

A handle or another name of a channel may pass to another channel; its id does not. The list of a
channel's uploads (`UU…`) is the channel, its lists of shorts (`UUSH…`) and live streams (`UULV…`)
are these tabs of it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from kb.sources.youtube.links import CHANNEL_ID, CHANNEL_KINDS, Link, Tab, parse_link

_LISTS: tuple[tuple[str, Tab], ...] = (("UUSH", "shorts"), ("UULV", "live"), ("UU", ""))
_OWN_PART = re.compile(r"[A-Za-z0-9_-]{22}")


def identity(reference: str, channel_id: str | None = None) -> str:
    """Return the identity of what a reference leads to; "" if only its source can tell it.

    `channel_id` is the id of the channel that a name led to.
    """
    link = parse_link(reference)
    if link is None:
        return _place(reference.strip())
    link = _channel_of(link)
    if link.kind in CHANNEL_KINDS and link.kind != "channel":
        if not channel_id or not CHANNEL_ID.fullmatch(channel_id):
            return ""
        link = Link("channel", channel_id, tab=link.tab)
    return link.key


def name_key(reference: str) -> str:
    """Return a key that is the same for every form of a link to one name, channel or playlist."""
    link = parse_link(reference)
    return _channel_of(link).key if link else _place(reference.strip())


def has_other_names(reference: str) -> bool:
    """Return True for a name of a channel, whose id only the service can tell."""
    return not identity(reference)


def handle_key(handle: str, reference: str) -> str:
    """Return the key of a channel's handle for the tab of it that a reference leads to."""
    link = parse_link(reference)
    tab = {"": "", "shorts": "/shorts", "live": "/streams"}[link.tab if link else ""]
    return name_key(f"https://www.youtube.com/{handle}{tab}")


def list_ids(reference: str, channel_id: str) -> frozenset[str]:
    """Return the ids that the known list of what a reference leads to may have.

    `channel_id` is that of the channel that a name leads to, empty if it is not known. A tab of a
    channel has another list where yt-dlp reads it.
    """
    given = parse_link(reference)
    if given is None:
        return frozenset()
    link = _channel_of(given)
    if link.kind == "playlist":
        return frozenset((link.id,))
    if link.kind not in CHANNEL_KINDS:
        return frozenset()
    found = {f"{given.key}:{given.tab}"} if given.tab else set()
    channel_id = link.id if link.kind == "channel" else channel_id
    if CHANNEL_ID.fullmatch(channel_id):
        prefix = next(prefix for prefix, tab in _LISTS if tab == link.tab)
        found.add(f"{prefix}{channel_id[2:]}")
    return frozenset(found)


def _channel_of(link: Link) -> Link:
    """Return the link to the channel whose list of uploads, shorts or streams is linked."""
    if link.kind == "playlist":
        for prefix, tab in _LISTS:
            own = link.id.removeprefix(prefix)
            if link.id.startswith(prefix) and _OWN_PART.fullmatch(own):
                return Link("channel", f"UC{own}", tab=tab)
    return link


def _place(reference: str) -> str:
    """Return one form of a folder's path or of an address on the web."""
    if reference.startswith("file:") or "://" not in reference:
        path = Path(reference).expanduser()
        return os.path.realpath(path) if path.is_absolute() else reference
    try:
        parts = urlsplit(reference)
    except ValueError:
        return reference
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        return reference
    host = parts.netloc.lower().removeprefix("www.")
    return urlunsplit(("https", host, parts.path.rstrip("/"), parts.query, ""))
