"""Media items for tests of the queue."""

from __future__ import annotations

from kb.types import MediaItem


def item(number: int, **values: str) -> MediaItem:
    day = f"2024-01-{number % 28 + 1:02d}"
    facts = {"title": f"Talk {number}", "published": day, **values}
    return MediaItem(id=f"file:{number:012x}", source="file", url=f"file:///{number}", **facts)
