"""Media items, captions and media files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

Keep = Literal["audio", "mp3", "mp4"]  # what a download leaves in the library


@dataclass(frozen=True, slots=True)
class Chapter:
    """A named span of a medium, as its publisher divided it."""

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

    `reason` is the source's own word for unavailable and unreadable ones; `starts_at` is when an
    upcoming or live one starts, in seconds since the epoch, or None if unknown.
    """

    state: AvailabilityState = AvailabilityState.AVAILABLE
    reason: str = ""
    starts_at: float | None = None

    @property
    def is_unavailable(self) -> bool:
        """True if the source does not give the medium out."""
        return self.state is AvailabilityState.UNAVAILABLE

    @property
    def is_unreadable(self) -> bool:
        """True if the medium is a local file that cannot be read."""
        return self.state is AvailabilityState.UNREADABLE


@dataclass(frozen=True, slots=True)
class MediaItem:
    """One medium as its source describes it, before anything is fetched.

    `id` is permanent and unique over all sources: `youtube:<videoId>`,
    `web:<extractor>:<id>` or `file:<first 12 of the SHA-256>`.
    `published` is an ISO date (`YYYY-MM-DD`); `duration_s` is the source's claim, or None.
    `availability` is the state when it was listed.
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
        """The part of the id that goes into file names: the text after the last colon."""
        return self.id.rsplit(":", 1)[-1]


@dataclass(frozen=True, slots=True)
class CaptionFile:
    """Captions as their source had them; `automatic`: made by a machine, and so not compared.

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
    """The medium that a transcript was made from."""

    path: str
    sha256: str
    duration_s: float
