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
    return version_on_disk()


def version_on_disk() -> str:
    """Return the version that is installed now, in the same form."""
    try:
        return comparable(version("yt-dlp"))
    except PackageNotFoundError:
        return ""


def newer_version(running: str) -> str:
    """Return the installed version as its maker writes it if it is newer than a running one.

    Empty if it is not, or if one of them is unknown.
    """
    found = version_on_disk()
    return as_written(found) if running and found > running else ""


def comparable(text: str) -> str:
    """Return a version with its numbers at equal length: `2026.1.5` becomes `2026.0001.0005`."""
    return ".".join(part.zfill(4) if part.isdecimal() else part for part in text.split("."))


def as_written(text: str) -> str:
    """Return a version that `comparable` returned without the zeros: `2026.1.5`."""
    return ".".join(str(int(part)) if part.isdecimal() else part for part in text.split("."))
