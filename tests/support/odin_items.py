"""A video with facts for documents of ODIN."""

from __future__ import annotations

from typing import Any

from kb.types import DocumentFacts, MediaItem

FACTS = DocumentFacts("de", "tiny", "whisper", "stabil", 0.987, "A", 61.5)


def video(number: int = 1, **more: Any) -> MediaItem:
    name = f"vid_-EoT{number:03d}"
    return MediaItem(
        id=f"youtube:{name}",
        source="youtube",
        url=f"https://youtu.be/{name}",
        **{"title": f"Title {number}", "published": "2026-03-04", **more},
    )
