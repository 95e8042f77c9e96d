"""An item for a library, and the files of its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from kb.library import Library
from kb.types import MediaItem


def make_item(title: str = "A talk", **changes: Any) -> MediaItem:
    item = MediaItem(
        id="youtube:-a_b-c_d-e_",
        source="youtube",
        url="https://www.youtube.com/watch?v=-a_b-c_d-e_",
        title=title,
        published="2024-05-01",
    )
    return replace(item, **changes)


def names(library: Library) -> list[str]:
    folder = library.media_folder
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith(".tmp")]
