"""Films in which the words of a transcript are drawn, of a file or of an item of the library."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kb.errors import KBError, UsageError, restored
from kb.library import Library, LibraryEntry
from kb.library.products import Product, Products
from kb.pipeline import enrichment
from kb.pipeline.video import MOST_STRETCHES, STYLES, Stretch, Wish, Words, made_from, make
from kb.service.items import Items
from kb.service.review import Review
from kb.settings import Settings
from kb.storage import Target
from kb.transcript.foreign.reader import read
from kb.transcript.time_order import check_times
from kb.types import MediaRef, Transcript
from kb.types.notes import Cited

__all__ = ["STYLES", "MadeVideo", "Stretch", "Videos", "Wish", "Words"]

AROUND_S = 0.25  # before and after the segments of a highlight


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
        """Draw the words of an item of the library, or return a copy of the film made before.

        Raises as `of_file` does.
        """
        entry = self.items.entry(item_id)
        target = target or default_target(entry.stem, wish)
        wish.check(target)
        words = self.items.transcript(entry.item.id)
        if wish.kind == "reel" and not wish.stretches:
            wish = replace(wish, stretches=self._highlights(entry, words))
        medium = self.review.medium_of(entry)
        named = Target(
            target, f"video:{entry.item.id}:{wish.kind}", overwrite=overwrite, chosen=True,
            never=medium,
        )  # fmt: skip
        files = self.items.files
        files.check(named)
        suffix = target.suffix.lower()
        name = made_from(wish, words, entry.sha256, suffix)
        product = self.products.find(entry.stem, name, suffix)
        if product is None:
            self.settings.free_space.require(self.library.home)
            with self.products.draft(entry.stem, suffix) as path:
                notes = make(medium, words, wish, path, target=target, progress=progress)
                remarks = [note.record() for note in notes]
                product = self.products.keep(path, entry.stem, name, remarks)
        with files.draft(named) as draft:
            # A copy: a change of the user's file must not reach the kept one.
            shutil.copyfile(product.path, draft.path)
        self.products.trim()
        return MadeVideo(draft.target, _notes(product))

    @property
    def products(self) -> Products:
        """The films that are kept, so that none is made twice."""
        return Products(self.library.home, self.settings.products_gb, self.settings.products_days)

    def _highlights(self, entry: LibraryEntry, transcript: Transcript) -> tuple[Stretch, ...]:
        """Return the highlights that were found in an item as stretches. Raises UsageError."""
        found = enrichment.notes(self.library, entry, transcript).highlights
        if not found:
            raise UsageError(
                "reel.no_highlights",
                "No highlights of {item_id} are known.",
                hint='Name stretches (--take "1:05-1:20=Title"), or have them found: '
                "kb enrich {item_id} --steps highlights",
                item_id=entry.item.id,
            )
        return highlight_stretches(found, transcript)

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


def _notes(product: Product) -> tuple[KBError, ...]:
    """Return the stored remarks about a film."""
    found = product.remarks if isinstance(product.remarks, list) else []
    return tuple(
        restored(str(each.get("error", "")), str(each.get("hint", "")), each.get("problem"))
        for each in found
        if isinstance(each, dict)
    )


def highlight_stretches(highlights: Sequence[Cited], transcript: Transcript) -> tuple[Stretch, ...]:
    """Return the whole segments around each highlight's words, in order of time.

    Those that touch are one stretch, with the title of the first.
    """
    found: list[Stretch] = []
    for each in sorted(highlights, key=lambda cited: cited.quotes[0].start_s):
        start_s, end_s = each.quotes[0].start_s, each.quotes[0].end_s
        around = [s for s in transcript.segments if s.start_s < end_s and s.end_s > start_s]
        start_s = max(0.0, min([start_s, *(s.start_s for s in around)]) - AROUND_S)
        end_s = max([end_s, *(s.end_s for s in around)]) + AROUND_S
        end_s = min(end_s, max(transcript.media.duration_s, end_s - AROUND_S))
        if found and start_s <= found[-1].end_s:
            found[-1] = replace(found[-1], end_s=max(end_s, found[-1].end_s))
        else:
            found.append(Stretch(start_s, end_s, each.text))
    return tuple(found[:MOST_STRETCHES])


def default_target(stem: str, wish: Wish) -> Path:
    """Return the name of a film in the working directory."""
    return Path(f"{stem} {'captions' if wish.kind == 'soft' else wish.kind}.mp4")
