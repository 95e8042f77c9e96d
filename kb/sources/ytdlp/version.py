"""The installed version of yt-dlp."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def installed_version() -> str:
    """Return the version of yt-dlp in a form whose order as text is that of the versions.

    It is the version at the first call in a process, which keeps the program that it has loaded.
    Returns an empty text without yt-dlp.
    """
    try:
        return comparable(version("yt-dlp"))
    except PackageNotFoundError:
        return ""


def comparable(text: str) -> str:
    """Return a version with its numbers at equal length: `2026.1.5` becomes `2026.0001.0005`."""
    return ".".join(part.zfill(4) if part.isdecimal() else part for part in text.split("."))
