"""Media items, captions and media files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

Keep = Literal["audio", "mp3", "mp4"]  # form in which the library keeps a download


@dataclass(frozen=True, slots=True)
class Chapter:
    """A named span of a medium, as its publisher defined it."""

    start_s: float
    title: str


class AvailabilityState(StrEnum):
    """The states of a listed medium at its source."""

    AVAILABLE = "available"
    UPCOMING = "upcoming"  # announced, not published yet
    LIVE = "live"  # being broadcast
    UNAVAILABLE = "unavailable"  # private, removed or blocked at its source
    UNREADABLE = "unreadable"  # a local file that cannot be read


@dataclass(frozen=True, slots=True)
class Availability:
    """The state of a medium at its source; the default is available.

    `reason` is the source's own text for unavailable and unreadable media; `starts_at` is the time
    at which an upcoming or live one starts, in seconds since the epoch, or None if unknown.
    """

    state: AvailabilityState = AvailabilityState.AVAILABLE
    reason: str = ""
    starts_at: float | None = None

    @property
    def is_unavailable(self) -> bool:
        """True if the source does not provide the medium."""
        return self.state is AvailabilityState.UNAVAILABLE

    @property
    def is_unreadable(self) -> bool:
        """True if the medium is a local file that cannot be read."""
        return self.state is AvailabilityState.UNREADABLE


@dataclass(frozen=True, slots=True)
class MediaItem:
    """One medium as its source describes it, before it is fetched.

    `id` is permanent and unique over all sources: `youtube:<videoId>`, `web:<extractor>:<id>` or
    `file:<first 12 of the SHA-256>`. `published` is an ISO date (`YYYY-MM-DD`); `duration_s` is the
    length stated by the source, or None. `availability` is the state at the time of listing.
    """

    id: str
    source: str
    url: str
    title: str
    published: str
    duration_s: float | None = None
    channel: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    language: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    availability: Availability = Availability()

    @property
    def short_id(self) -> str:
        """The part of the id that is used in file names: the text after the last colon."""
        return self.id.rsplit(":", 1)[-1]


def begins_with(item_id: str, prefix: str) -> bool:
    """Return True if an id, or its part after the last colon, begins with `prefix`.

    The source's name alone is no beginning: `file:` stands before every id of a file.
    """
    if item_id.rsplit(":", 1)[-1].startswith(prefix):
        return True
    return not prefix.endswith(":") and ":" in prefix and item_id.startswith(prefix)


@dataclass(frozen=True, slots=True)
class CaptionFile:
    """Captions from a medium's source; `automatic`: made by a machine, and therefore not compared.

    `path` ends in `.json3` (YouTube's own), `.vtt` or `.srt`; `language` as the source names it.
    """

    path: Path
    language: str
    automatic: bool


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """A medium on disk; its length is measured by decoding, not read from its header."""

    item: MediaItem
    path: Path
    sha256: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class MediaRef:
    """The medium that a transcript was made from.

    `tracks` are the numbers, from 1, of the sound tracks that were read; empty for a medium with
    one track, and for a transcript of another program.
    """

    path: str
    sha256: str
    duration_s: float
    tracks: tuple[int, ...] = ()
