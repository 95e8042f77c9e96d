"""Parser of links to YouTube: videos, playlists and channels in all their forms.

The parser uses no network. It recognizes handles and old custom names, but only the service can
map them to a channel id.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

from kb.sources.pasted_text import pasted

LinkKind = Literal["video", "playlist", "channel", "handle", "user", "custom"]
CHANNEL_KINDS = ("channel", "handle", "user", "custom")
Tab = Literal["", "shorts", "live"]

_VIDEO = re.compile(r"[A-Za-z0-9_-]{11}")
CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}")
# PL lists, UU… uploads, OLAK5uy_ albums, RD mixes, FL favourites, LL/WL the viewer's own.
_PLAYLIST = re.compile(r"(?:PL|UU|UULF|UUSH|UULV|FL|RD|OLAK5uy_|EC|LP)[A-Za-z0-9_-]{10,}")
_LIST = re.compile(r"[A-Za-z0-9_-]{2,64}")
# Letters of any script with their marks and joiners, dots, dashes and the middle dot; one letter is
# enough in some scripts. Python's own \w has neither marks nor joiners.
_LETTER = r"[\p{L}\p{M}\p{N}_.·\u200c\u200d\u30fb-]"
_HANDLE = rf"@(?=.*[\p{{L}}\p{{N}}]){_LETTER}{{1,60}}"
_NAME = rf"(?=.*[\p{{L}}\p{{N}}]){_LETTER}{{1,100}}"

_HOSTS = {"youtube.com", "youtube-nocookie.com", "youtubekids.com", "youtu.be", "yt.be"}
_PREFIXES = ("www.", "m.", "music.", "gaming.", "studio.", "tv.", "consent.")
_VIDEO_PATHS = {"shorts", "live", "embed", "v", "e", "vi", "watch"}
_TABS: dict[str, Tab] = {"shorts": "shorts", "streams": "live", "live": "live"}
# Parts of a channel that show all of it.
_WHOLE_TABS = ("", "featured", "videos", "about")
# First parts of a path that name pages of the site, not channels.
_PAGES = {
    "about",
    "account",
    "attribution_link",
    "channel",
    "clip",
    "feed",
    "feeds",
    "gaming",
    "hashtag",
    "kids",
    "movies",
    "oembed",
    "playlist",
    "post",
    "premium",
    "redirect",
    "results",
    "signin",
    "t",
    "watch_popup",
    "watch_videos",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A parsed link.

    `id` is the video's, playlist's or channel's id, the handle with its @, or the old name.
    `playlist` is the playlist in a link to a video, `start_s` the start time in seconds, `tab`
    the linked part of a channel. `ignored` is another linked part, such as `playlists`, in whose
    place the whole channel is taken.
    """

    kind: LinkKind
    id: str
    playlist: str = ""
    start_s: float | None = None
    tab: Tab = ""
    ignored: str = ""

    @property
    def key(self) -> str:
        """A key that is the same for every form of a link to one video, playlist or channel."""
        name = self.id.casefold() if self.kind in ("handle", "user", "custom") else self.id
        return ":".join(filter(None, ("youtube", self.kind, name, self.tab)))

    @property
    def url(self) -> str:
        """The address of the page on the site."""
        site = "https://www.youtube.com"
        page = {
            "video": f"/watch?v={self.id}",
            "playlist": f"/playlist?list={self.id}",
            "channel": f"/channel/{self.id}",
            "handle": f"/{quote(self.id, safe='@')}",
            "user": f"/user/{quote(self.id)}",
            "custom": f"/c/{quote(self.id)}",
        }[self.kind]
        tab = {"": "", "shorts": "/shorts", "live": "/streams"}[self.tab]
        return f"{site}{page}{tab}"


def parse_link(reference: str) -> Link | None:
    """Parse a link, handle or bare id; return None if it is not one of YouTube's.

    Tracking parameters are ignored; the target of redirects and consent pages is parsed. A bare
    video id needs a digit, a dash or mixed case, to distinguish it from a plain word.
    """
    return _parse_link(reference, 3)


def _parse_link(reference: str, depth: int) -> Link | None:
    text = unicodedata.normalize("NFC", pasted(reference).strip("<>"))
    if not text or any(character.isspace() for character in text):
        return None
    if bare_link := _parse_bare_id(text):
        return bare_link
    if text.lower().startswith(("vnd.youtube:", "youtube:")):
        text = text.split(":", 1)[1].removeprefix("//")
        return _parse_bare_id(text) or (_parse_link(text, depth - 1) if depth else None)
    if "://" not in text:
        text = f"https://{text.removeprefix('//')}"
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").lower().rstrip(".")
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https"):
        return None
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if host in ("google.com", "www.google.com") and parts.path == "/url" and depth:
        return _parse_link(query.get("q") or query.get("url") or "", depth - 1)
    while host.startswith(_PREFIXES):
        host = host.split(".", 1)[1]
    if host not in _HOSTS:
        return None
    path = [_decoded(part) for part in parts.path.split("/") if part]
    if host in ("youtu.be", "yt.be"):
        return _video(path[0], query, parts.fragment) if path else _playlist(query.get("list", ""))
    return _parse_page(path, query, parts.fragment, depth)


def _matches(pattern: str, text: str) -> bool:
    """Return whether all of a text matches a pattern with properties of Unicode."""
    import regex  # type: ignore[import-untyped]  # slow to import, and few texts come here

    return regex.fullmatch(pattern, text) is not None


def _parse_bare_id(text: str) -> Link | None:
    if CHANNEL_ID.fullmatch(text):
        return Link("channel", text)
    handle = _decoded(text) if text.startswith(("@", "%40")) else ""
    if _matches(_HANDLE, handle):
        return Link("handle", handle)
    if _PLAYLIST.fullmatch(text) and len(text) >= 13:
        return Link("playlist", text)
    looks_like_id = re.search(r"[0-9_-]", text) or (text != text.lower() and text != text.title())
    if _VIDEO.fullmatch(text) and looks_like_id:
        return Link("video", text)
    return None


def _parse_page(path: list[str], query: dict[str, str], fragment: str, depth: int) -> Link | None:
    first = path[0] if path else ""
    rest = path[1:]
    for name in ("continue", "next", "u", "url", "q"):
        # Consent, sign-in, attribution, oEmbed and redirect pages contain the real address.
        target = query.get(name, "")
        if depth and first in ("m", "ml", "", "signin", "attribution_link", "oembed", "redirect"):
            if target.startswith("/"):
                target = f"https://www.youtube.com{target}"
            if target and (link := _parse_link(target, depth - 1)):
                return link
    if first.startswith("@"):
        return _channel("handle", first, rest) if _matches(_HANDLE, first) else None
    if "v" in query and first in ("watch", "watch_popup", "", "details"):
        return _video(query["v"], query, fragment)
    if first == "embed" and rest[:1] == ["videoseries"]:
        return _playlist(query.get("list", ""))
    if first == "embed" and rest[:1] == ["live_stream"]:
        return _channel("channel", query.get("channel", ""), [])
    if first in _VIDEO_PATHS:
        return _video(rest[0], query, fragment) if rest else _playlist(query.get("list", ""))
    if first == "feeds":
        if "channel_id" in query:
            return _channel("channel", query["channel_id"], [])
        return _playlist(query.get("playlist_id", ""))
    if first in ("playlist", "show", "podcast", "watch_videos"):
        return _playlist(query.get("list", ""))
    if first in ("channel", "browse") and rest:
        if rest[0].startswith("VL"):
            return _playlist(rest[0][2:])
        return _channel("channel", rest[0], rest[1:])
    if first in ("user", "c") and rest:
        return _channel("user" if first == "user" else "custom", rest[0], rest[1:])
    if first and first not in _PAGES and _matches(_NAME, first):
        return _channel("custom", first, rest)
    return None


def _decoded(part: str) -> str:
    """Return a part of an address without percent-encoding, with composed characters."""
    return unicodedata.normalize("NFC", unquote(part))


def _video(text: str, query: dict[str, str], fragment: str) -> Link | None:
    # Some programs append tracking parameters to the id: dQw4…&feature=share.
    match = _VIDEO.match(text)
    if not match or re.match(r"[A-Za-z0-9_-]", text[match.end() :]):
        return None
    stamp = query.get("t") or query.get("start") or query.get("time_continue") or ""
    if not stamp and fragment.startswith("t="):
        stamp = fragment[2:]
    listed = query.get("list", "")
    return Link(
        "video",
        match.group(),
        playlist=listed if _LIST.fullmatch(listed) else "",
        start_s=_seconds(stamp),
    )


def _playlist(text: str) -> Link | None:
    return Link("playlist", text) if _LIST.fullmatch(text) else None


def _channel(kind: LinkKind, name: str, rest: list[str]) -> Link | None:
    if not (CHANNEL_ID if kind == "channel" else re.compile(r"[^/?#]+")).fullmatch(name):
        return None
    part = rest[0].lower() if rest else ""
    ignored = "" if part in (*_TABS, *_WHOLE_TABS) else part
    return Link(kind, name, tab=_TABS.get(part, ""), ignored=ignored)


def _seconds(stamp: str) -> float | None:
    """Return `90`, `90s`, `1m30s`, `1h2m3s` in seconds; None for other text."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", stamp)
    if not stamp or not match:
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
