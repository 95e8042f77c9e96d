"""Selection and download of the captions of a medium, from the metadata of yt-dlp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb.types import CaptionFile

FORMATS = ("json3", "vtt", "srt")  # the supported formats, the best first
_CHATS = ("live_chat", "rechat", "danmaku", "comments")  # chats, which yt-dlp lists as captions


@dataclass(frozen=True, slots=True)
class CaptionTrack:
    """One language's captions as yt-dlp describes them; `ext` is one of `FORMATS`."""

    language: str
    automatic: bool
    ext: str
    info: Mapping[str, Any]


def select_track(
    info: Mapping[str, Any], language: str | None, *, automatic: bool = False
) -> CaptionTrack | None:
    """Return the captions in the spoken language, human ones before automatic ones.

    `language` is the spoken language (`de`, `en-US`); if it is unknown, that of `info` is used.
    Without either, human captions are used if they are all in one language: a translation is no
    evidence of the spoken words. `automatic` accepts automatic captions too, but no translation.
    """
    spoken = (language or str(info.get("language") or "")).lower()
    human = _readable_tracks(info.get("subtitles"))
    found = _in_language(human, spoken)
    if found is None and not spoken and len({_primary_language(code) for code in human}) == 1:
        found = next(iter(human))
    if found is not None:
        return CaptionTrack(found, False, *human[found])
    if not automatic:
        return None
    machine = _readable_tracks(info.get("automatic_captions"))
    # About a hundred languages are listed: only this one was recognized, the others are
    # translations.
    originals = [code for code in machine if code.endswith("-orig")]
    found = originals[0] if originals else _in_language(machine, spoken)
    if found is None and len(machine) == 1:
        found = next(iter(machine))
    return None if found is None else CaptionTrack(found, True, *machine[found])


def _readable_tracks(offered: Any) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return each language with the metadata of its best supported format."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for code, formats in (offered or {}).items():
        if code in _CHATS:
            continue
        by_ext = {str(each.get("ext")): each for each in _downloadable(formats)}
        ext = next((ext for ext in FORMATS if ext in by_ext), None)
        if ext is not None:
            found[str(code)] = (ext, by_ext[ext])
    return found


def _downloadable(formats: Any) -> Sequence[Mapping[str, Any]]:
    return [f for f in formats or () if f.get("url") or f.get("data") is not None]


def _in_language(offered: Mapping[str, Any], spoken: str) -> str | None:
    """Return the offered code of the language: exact, without region, or with one."""
    if not spoken:
        return None
    ranked = sorted(
        (code for code in offered if _primary_language(code) == _primary_language(spoken)),
        key=lambda code: (code.lower() != spoken, code.lower() != _primary_language(spoken), code),
    )
    return ranked[0] if ranked else None


def _primary_language(code: str) -> str:
    return code.lower().replace("_", "-").split("-")[0]


def save_track(ydl: Any, info: Mapping[str, Any], track: CaptionTrack, base: Path) -> CaptionFile:
    """Write a track to `<base>.<language>[.auto].<ext>` with yt-dlp's own downloader.

    Raises the errors of yt-dlp, and OSError when no captions arrive.
    """
    kind = ".auto" if track.automatic else ""
    plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in track.language)
    target = base.with_name(f"{base.name}.{plain}{kind}.{track.ext}")
    target.unlink(missing_ok=True)
    if track.info.get("data") is not None:
        target.write_text(str(track.info["data"]), encoding="utf-8", newline="")
    else:
        headers = track.info.get("http_headers") or info.get("http_headers")
        ydl.dl(str(target), {**track.info, "http_headers": headers}, subtitle=True)
    if not target.is_file() or not target.stat().st_size:
        raise OSError(f"no captions arrived for {track.language}")
    return CaptionFile(target, track.language, track.automatic)
