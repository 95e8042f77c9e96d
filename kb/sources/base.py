"""The interface of a source of media."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from kb.types import CaptionFile, MediaItem

# Key of an item's `extra`: the length that its listing gave, where the medium has another one.
LISTED_S = "listed_s"
# The `availability.reason` of a video that the service does not know or does not show.
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
        """Return True if the item passes; one without a date passes only without date filters."""
        if not item.published:
            return not (self.after or self.before)
        return (not self.after or item.published >= self.after) and (
            not self.before or item.published <= self.before
        )


@dataclass(frozen=True, slots=True)
class FetchResult:
    """A medium on disk that has not been measured yet.

    `temporary` is true for a file made by the source, which the caller moves or removes;
    otherwise it is the user's own file and must not be changed. `captions` are temporary too.
    """

    item: MediaItem
    path: Path
    sha256: str
    temporary: bool
    captions: tuple[CaptionFile, ...] = ()


class Source(Protocol):
    """The interface of a source."""

    name: str

    # An item may have the form of a link into its medium in `extra["deep_link"]`: see
    # `kb.library.deep_link`.

    def accepts(self, reference: str) -> bool:
        """Return True if a reference, as a user types it, belongs to this source.

        Uses no network and raises no error.
        """
        ...

    def items(self, reference: str, filters: Filters = ...) -> Iterator[MediaItem]:
        """Return the media of a reference, in the source's own stable order, as they are found.

        Raises UsageError at once when the reference has no target. A medium that cannot be
        read does not end the listing: it is yielded too, and `fetch` raises its error.
        """
        ...

    def fetch(self, item: MediaItem, folder: Path, progress: Progress = ...) -> FetchResult:
        """Return the medium as a file; a medium that is not on this machine is saved in `folder`.

        The call can be repeated. Raises MediaUnavailable.
        """
        ...


@runtime_checkable
class CaptionSource(Protocol):
    """A source that offers captions without the medium."""

    def captions(
        self, item: MediaItem, folder: Path, progress: Progress = ...
    ) -> tuple[MediaItem, tuple[CaptionFile, ...]]:
        """Save the captions in `folder`; return the item with more metadata, and its captions.

        The tuple is empty if the item has no captions. Captions written by people are preferred
        to automatic ones. Raises the errors of `Source.fetch`.
        """
        ...


@runtime_checkable
class PictureSource(Protocol):
    """A source that gives the picture of a medium alone."""

    def picture(self, item: MediaItem, folder: Path, progress: Progress = ...) -> Path | None:
        """Save the smallest picture on which text can be read in `folder`; None if there is none.

        Raises the errors of `Source.fetch`.
        """
        ...
