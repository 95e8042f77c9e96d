"""The sound track to download where a site offers several, and the language of the one fetched."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kb.types import MediaItem

log = logging.getLogger(__name__)

# Formats of yt-dlp in order of preference; {audio} is replaced by the best sound track.
_FORMATS = {
    "audio": "{audio}/best{language}",
    "mp3": "{audio}/best{language}",
    "mp4": "bestvideo[ext=mp4]+{audio}[ext=m4a]/best[ext=mp4]{language}"
    "/bestvideo+{audio}/best{language}",
}
# yt-dlp gives a track this preference if the site calls it the original.
_ORIGINAL = "[language_preference>=10]"
_NO_LANGUAGE = ("und", "mul", "mis", "zxx")


def format_selector(keep: str, language: str | None) -> str:
    """Return the formats to download: the original sound track, else one in the language.

    `language` is the spoken language that the site declares for the medium. Without it, and where
    no track matches, yt-dlp's own order counts.
    """
    wanted = [_ORIGINAL]
    primary = (language or "").replace("_", "-").split("-")[0].lower()
    if primary.isalpha() and primary not in _NO_LANGUAGE:
        exact = (language or "").replace("_", "-")
        wanted += [f"[language='{exact}']", f"[language='{primary}']", f"[language^='{primary}-']"]
    chosen = [
        part.format(audio=f"bestaudio{filters}", language=filters)
        for filters in (*dict.fromkeys(wanted), "")
        for part in _FORMATS[keep].split("/")
    ]
    return "/".join(dict.fromkeys(chosen))


def fetched_language(info: Mapping[str, Any]) -> str:
    """Return the language of the sound track that was downloaded, empty if it is not declared."""
    downloads = info.get("requested_downloads") or [{}]
    chosen = [
        each
        for each in downloads[0].get("requested_formats") or info.get("requested_formats") or ()
        if each.get("acodec") != "none"
    ]
    language = chosen[-1].get("language") if chosen else info.get("language")
    plain = str(language or "")
    return "" if plain.lower().split("-")[0] in _NO_LANGUAGE else plain


def with_track_language(item: MediaItem, fetched: str) -> MediaItem:
    """Return the item with the language of the track that was downloaded.

    `extra["declared_language"]` keeps the site's language of the medium if it is another one: the
    words are then those of a translation.
    """
    declared = item.language
    extra = {**item.extra, "track_language": fetched}
    if declared and not _is_same_language(declared, fetched):
        log.warning(
            "%s: the sound track is in %s, the medium in %s: only a translated track was offered.",
            item.id,
            fetched,
            declared,
        )
        extra["declared_language"] = declared
        return replace(item, language=fetched, extra=extra)
    return replace(item, language=declared or fetched, extra=extra)


def _is_same_language(one: str, other: str) -> bool:
    first, second = (each.lower().replace("_", "-").split("-")[0] for each in (one, other))
    return first == second
