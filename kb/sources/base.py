"""The interface of a source of media."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from kb.types import CaptionFile, MediaItem

# `availability.reason` of a video that the service does not know or does not show.
MISSING = "private or removed, or never there"

# Called with done and total (0 if unknown) in bytes; may raise Cancelled to stop.
Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Ignore the progress."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters by date of publication; `after` and `before` are ISO dates, both inclusive."""

    after: str = ""
    before: str = ""

    def keep(self, item: MediaItem) -> bool:
        """Return True if the item is wanted; without a date only if there is no date filter."""
        if not item.published:
            return not (self.after or self.before)
        return (not self.after or item.published >= self.after) and (
            not self.before or item.published <= self.before
        )


@dataclass(frozen=True, slots=True)
class FetchResult:
    """A medium on disk; nothing of it is measured yet.

    `temporary` is true for a file made by the source, which the caller moves or removes;
    otherwise it is the user's own file and must stay as it is. `captions` are temporary too.
    """

    item: MediaItem
    path: Path
    sha256: str
    temporary: bool
    captions: tuple[CaptionFile, ...] = ()


class Source(Protocol):
    """A kind of origin of media."""

    name: str

    # The items of a source may carry in `extra` the form of a link into the medium, `deep_link`:
    # see `kb.library.deep_link`.

    def accepts(self, reference: str) -> bool:
        """Return True if a reference, as a user types it, belongs to this source.

        Uses no network and raises nothing.
        """
        ...

    def items(self, reference: str, filters: Filters = ...) -> Iterator[MediaItem]:
        """Return the media of a reference, in the source's own stable order, as they are found.

        Raises UsageError at once when the reference leads nowhere. A medium that cannot be
        read does not end the listing: it is yielded too, and `fetch` raises its error.
        """
        ...

    def fetch(self, item: MediaItem, folder: Path, progress: Progress = ...) -> FetchResult:
        """Bring the medium to this machine, into `folder` if it is not here yet.

        Can be repeated. Raises MediaUnavailable.
        """
        ...


@runtime_checkable
class CaptionSource(Protocol):
    """A source that offers captions without the medium."""

    def captions(
        self, item: MediaItem, folder: Path, progress: Progress = ...
    ) -> tuple[MediaItem, tuple[CaptionFile, ...]]:
        """Return the item with more metadata, and its captions in `folder`, if it has any.

        Captions written by people are preferred to automatic ones. Raises as `Source.fetch`.
        """
        ...
