"""Films in which the words of a transcript are drawn, of a file or of an item of the library."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kb.errors import KBError, UsageError
from kb.library import Library
from kb.library.products import Products
from kb.pipeline.product_order import Order
from kb.pipeline.product_picture import KEPT, STILL, WAVE, needs_picture
from kb.pipeline.products import obtain, trim
from kb.pipeline.video import STYLES, Stretch, Wish, Words, make
from kb.service.items import Items
from kb.service.products import notes_of
from kb.service.review import Review
from kb.settings import Settings
from kb.storage import Target
from kb.transcript.foreign.reader import read
from kb.transcript.time_order import check_times
from kb.types import MediaRef, Transcript

__all__ = ["STYLES", "MadeVideo", "Order", "Stretch", "Videos", "Wish", "Words"]


@dataclass(frozen=True, slots=True)
class MadeVideo:
    """A film that was written, and remarks about it."""

    path: Path
    notes: tuple[KBError, ...]
    picture: str = ""  # where it is from: kept, fetched, still or wave; empty: not known


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
        picture = STILL if wish.picture else KEPT if found.has_video else WAVE
        made = self._make(medium, words, wish, target, source, overwrite, progress)
        return replace(made, picture=picture)

    def of_item(
        self,
        item_id: str,
        wish: Wish,
        target: Path | None = None,
        *,
        overwrite: bool = False,
        fetch: bool = False,
        progress: Callable[[float], None] = lambda _: None,
    ) -> MadeVideo:
        """Draw the words of an item of the library, or return a copy of the film made before.

        With `fetch` the film is one that a worker made with a fetched picture.

        Raises as `of_file` does.
        """
        entry = self.items.entry(item_id)
        target = target or default_target(entry.stem, wish)
        wish.check(target)
        named = Target(
            target, f"video:{entry.item.id}:{wish.kind}", overwrite=overwrite, chosen=True,
            never=entry.media_path,
        )  # fmt: skip
        files = self.items.files
        files.check(named)
        order = Order.of_film(wish, target.suffix.lower(), fetch=fetch)
        product = obtain(
            self.library, self.settings, entry, order, target=target, progress=progress
        )
        with files.draft(named) as draft:
            # A copy: a change of the user's file must not reach the kept one.
            shutil.copyfile(product.path, draft.path)
        trim(self.library, self.settings)
        return MadeVideo(draft.target, notes_of(product), str(product.about.get("picture_is", "")))

    @property
    def products(self) -> Products:
        """The films that are kept, so that none is made twice."""
        return Products(self.library.home, self.settings.products_gb, self.settings.products_days)

    def order(self, wish: Wish, suffix: str = ".mp4", *, fetch: bool = False) -> Order:
        """Return the order of a film for the queue (`ItemProducts.request`)."""
        return Order.of_film(wish, suffix.lower(), fetch=fetch)

    def lacks_picture(self, item_id: str, wish: Wish) -> bool:
        """Return True if an item's picture is not kept and can be asked for at its source."""
        entry = self.items.entry(item_id)
        medium = self.review.medium_of(entry)
        return needs_picture(entry, Order.of_film(wish, ".mp4"), medium)

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
