"""What a source of media must offer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from kb.types import CaptionFile, MediaItem

# Called with done and total (0 if unknown) in bytes; may raise Cancelled to stop.
Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """The progress of one who does not look."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which items are wanted; `after` and `before` are ISO dates and included."""

    after: str = ""
    before: str = ""

    def keep(self, item: MediaItem) -> bool:
        """Whether the item is wanted; one without a date passes only without date filters."""
        if not item.published:
            return not (self.after or self.before)
        return (not self.after or item.published >= self.after) and (
            not self.before or item.published <= self.before
        )


@dataclass(frozen=True, slots=True)
class FetchResult:
    """A medium on disk; nothing of it is measured yet.

    `temporary` says that the file was made by the source and is the caller's to move or
    remove; otherwise it is the user's own and must stay as it is. `captions` are temporary too.
    """

    item: MediaItem
    path: Path
    sha256: str
    temporary: bool
    captions: tuple[CaptionFile, ...] = ()


class Source(Protocol):
    """A kind of place that media come from."""

    name: str

    def accepts(self, reference: str) -> bool:
        """Whether a reference, as a user types it, belongs to this source.

        Asks no network and raises nothing.
        """
        ...

    def items(self, reference: str, filters: Filters = ...) -> Iterator[MediaItem]:
        """The media behind a reference, in the source's own stable order, as they are found.

        Raises UsageError at once when the reference leads nowhere. One medium that cannot be
        read never ends the listing: it is yielded too, and `fetch` says what is wrong.
        """
        ...

    def fetch(self, item: MediaItem, folder: Path, progress: Progress = ...) -> FetchResult:
        """Bring the medium to this machine, into `folder` if it is not here yet.

        Safe to repeat. Raises MediaUnavailable.
        """
        ...


@runtime_checkable
class CaptionSource(Protocol):
    """A source that can give captions without the medium."""

    def captions(
        self, item: MediaItem, folder: Path, progress: Progress = ...
    ) -> tuple[MediaItem, tuple[CaptionFile, ...]]:
        """The item, described more fully, and its captions in `folder`; none where it has none.

        What people wrote comes before what a machine did. Raises as `Source.fetch` does.
        """
        ...
