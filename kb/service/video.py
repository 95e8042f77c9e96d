"""Films in which the words of a transcript are drawn, of a file or of an item of the library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kb.errors import KBError, UsageError
from kb.library import Library
from kb.pipeline import stages
from kb.pipeline.video import STYLES, Wish, make
from kb.service.items import Items
from kb.service.review import Review
from kb.settings import Settings
from kb.storage import Target
from kb.transcript.foreign.reader import read
from kb.transcript.time_order import check_times
from kb.types import MediaRef, Transcript

__all__ = ["STYLES", "MadeVideo", "Videos", "Wish"]


@dataclass(frozen=True, slots=True)
class MadeVideo:
    """A film that was written, and remarks about it."""

    path: Path
    notes: tuple[KBError, ...]


class Videos:
    """Makes films; each is written outside the library, completely or not at all."""

    def __init__(self, settings: Settings, library: Library, items: Items, review: Review) -> None:
        self.settings = settings
        self.library = library
        self.items = items
        self.review = review

    def of_file(
        self,
        medium: Path,
        transcript: Path,
        wish: Wish,
        target: Path | None = None,
        *,
        overwrite: bool = False,
        progress: Callable[[float], None] = lambda _: None,
    ) -> MadeVideo:
        """Draw the words of a transcript in a file; the library has no part in it.

        The default target is in the working directory and named after the medium. Raises
        UsageError, MediaUnavailable and LibraryError.
        """
        from kb.media.probe import probe

        target = target or default_target(medium.stem, wish)
        wish.check(target)
        found = probe(medium)
        words = read(transcript, MediaRef(str(medium), "", found.duration_s or 0.0))
        check_times(words, str(transcript), UsageError)
        source = f"video:{medium.resolve()}"
        return self._make(medium, words, wish, target, source, overwrite, progress)

    def of_item(
        self,
        item_id: str,
        wish: Wish,
        target: Path | None = None,
        *,
        overwrite: bool = False,
        progress: Callable[[float], None] = lambda _: None,
    ) -> MadeVideo:
        """Draw the words of an item of the library. Raises as `of_file` does."""
        entry = self.items.entry(item_id)
        target = target or default_target(entry.stem, wish)
        wish.check(target)
        words = stages.read_transcript(self.library, entry)
        medium = self.review.medium_of(entry)
        source = f"video:{entry.item.id}"
        return self._make(medium, words, wish, target, source, overwrite, progress)

    def _make(
        self,
        medium: Path,
        transcript: Transcript,
        wish: Wish,
        target: Path,
        source: str,
        overwrite: bool,
        progress: Callable[[float], None],
    ) -> MadeVideo:
        named = Target(
            target, f"{source}:{wish.kind}", overwrite=overwrite, chosen=True, never=medium
        )
        files = self.items.files
        files.check(named)
        with files.draft(named) as draft:
            notes = make(medium, transcript, wish, draft.path, target=target, progress=progress)
        return MadeVideo(draft.target, notes)


def default_target(stem: str, wish: Wish) -> Path:
    """Return the name of a film in the working directory."""
    return Path(f"{stem} {'captions' if wish.kind == 'soft' else wish.kind}.mp4")
