"""Dubs of items and files: a copy of the video with another sound track, or the sound alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kb.errors import UsageError
from kb.library import Library, LibraryEntry
from kb.library.languages import language_code, language_name
from kb.library.products import Product
from kb.media import shown
from kb.media.probe import probe
from kb.pipeline import dub_products, dubbing, translations
from kb.pipeline.dub_products import SOUND_SHARE
from kb.pipeline.dubbing import FILM_SUFFIXES, SOUND_CODECS, Dub, DubReport
from kb.pipeline.product_order import DUB, DUB_SOUND, Order
from kb.pipeline.product_picture import needs_picture
from kb.pipeline.products import obtain, trim
from kb.service.items import Items
from kb.service.products import notes_of
from kb.service.review import Review
from kb.settings import Settings
from kb.storage import Target, scratch_folder
from kb.transcript.foreign.reader import read
from kb.transcript.time_order import check_times
from kb.types import MediaRef, Transcript

__all__ = ["DUB_SOUND", "FILM_SUFFIXES", "Dub", "Dubbing", "MadeDub"]

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class MadeDub:
    """A dub that was written; `report` says how its lines fit."""

    path: Path
    report: DubReport


class Dubbing:
    """Makes dubs; each is written outside the library, completely or not at all."""

    sound = DUB_SOUND

    def __init__(self, settings: Settings, library: Library, items: Items, review: Review) -> None:
        self.settings = settings
        self.library = library
        self.items = items
        self.review = review

    def of_item(
        self,
        item_id: str,
        dub: Dub,
        transcript: Path | None = None,
        target: Path | None = None,
        *,
        overwrite: bool = False,
        fetch: bool = False,
        progress: Progress = lambda _: None,
    ) -> MadeDub:
        """Dub an item of the library; the sound is kept, so that it is not made twice.

        Without a file, the words are those of the item's translation. With `fetch` the dub is one
        that a worker made with a fetched picture. Raises UsageError, MediaUnavailable,
        LibraryError and the errors of the engines.
        """
        entry = self.items.entry(item_id)
        words = None
        if transcript is not None:
            words = _words(transcript, self.items.transcript(entry.item.id).media, dub.language)
        medium = self.review.medium_of(entry)
        target = target or _default_target(entry.stem, medium, dub.language, fetch=fetch)
        _check_kind(target, medium, fetch=fetch)
        named = Target(
            target, f"dub:{entry.item.id}:{dub.language}", overwrite=overwrite, chosen=True,
            never=medium,
        )  # fmt: skip
        self.items.files.check(named)
        if fetch:
            order = Order.of_dub(dub, target.suffix.lower(), fetch=True)
            kept = obtain(
                self.library, self.settings, entry, order, target=target, progress=progress
            )
        else:
            wanted = dub_products.prepared(self.library, self.settings, entry, dub, words)
            kept = dub_products.obtain_sound(
                self.library, self.settings, entry, wanted, target=target,
                progress=lambda share: progress(share * SOUND_SHARE),
            )  # fmt: skip
        with self.items.files.draft(named) as written:
            if fetch:
                shutil.copyfile(kept.path, written.path)
            else:
                _fill(written.path, medium, kept.path, dub.language, target, progress)
        trim(self.library, self.settings)
        return MadeDub(written.target, _report(kept))

    def order(self, item_id: str, dub: Dub, suffix: str = "", *, fetch: bool = False) -> Order:
        """Return the order of a dub for the queue (`ItemProducts.request`).

        Without an ending: a copy of the video where a picture is kept or fetched, else the sound.
        Raises UsageError without a translation of the words as they are now, for an unknown voice
        and for a film of sound alone.
        """
        entry = self.items.entry(item_id)
        original = self.items.transcript(entry.item.id)
        translations.translated(self.library, entry, original, dub.language)
        medium = self.review.medium_of(entry)
        order = Order.of_dub(dub, suffix.lower() or DUB_SOUND, fetch=fetch)
        order = replace(order, fetch=fetch and needs_picture(entry, order, medium))
        if not suffix:
            order = replace(order, suffix=_own_suffix(medium, fetch=order.fetch))
        _check_kind(Path(f"{entry.stem}{order.suffix}"), medium, fetch=order.fetch)
        return order

    @staticmethod
    def is_film(target: Path) -> bool:
        """Return True for the name of a copy of a video, False for that of sound."""
        return target.suffix.lower() in FILM_SUFFIXES

    def languages(self, entry: LibraryEntry) -> tuple[str, ...]:
        """Return the languages that an item can be dubbed into now: those of its translations."""
        original = self.items.transcript(entry.item.id)
        return translations.current_languages(self.library, entry, original)

    def lacks_picture(self, item_id: str) -> bool:
        """Return True if an item's picture is not kept and can be asked for at its source."""
        entry = self.items.entry(item_id)
        return needs_picture(entry, Order(DUB), self.review.medium_of(entry))

    def of_file(
        self,
        medium: Path,
        transcript: Path,
        dub: Dub,
        target: Path | None = None,
        *,
        overwrite: bool = False,
        progress: Progress = lambda _: None,
    ) -> MadeDub:
        """Dub a file with a transcript in the wanted language; the library has no part in it.

        Raises as `of_item` does.
        """
        found = probe(medium)
        words = _words(transcript, MediaRef(str(medium), "", found.duration_s or 0.0), dub.language)
        target = target or _default_target(medium.stem, medium, dub.language)
        _check_kind(target, medium)
        named = Target(
            target, f"dub:{medium.resolve()}:{dub.language}", overwrite=overwrite, chosen=True,
            never=medium,
        )  # fmt: skip
        self.items.files.check(named)
        played = dubbing.cast(self.settings, words, dub)
        # Beside the file, where there must be room: the system's temporary folder may be small.
        with self.items.files.draft(named) as draft, scratch_folder(draft.path.parent) as folder:
            sound = folder / f"sound{DUB_SOUND}"
            report = dubbing.make_sound(
                medium, words, dub, played, sound, target=target,
                progress=lambda share: progress(share * SOUND_SHARE),
            )  # fmt: skip
            _fill(draft.path, medium, sound, dub.language, target, progress)
        return MadeDub(draft.target, report)


def _fill(
    draft: Path, medium: Path, sound: Path, language: str, target: Path, progress: Progress
) -> None:
    """Write the file that a user asks for, of the sound of a dub. Errors name `target`."""

    def rest(share: float) -> None:
        progress(SOUND_SHARE + share * (1 - SOUND_SHARE))

    if target.suffix.lower() in FILM_SUFFIXES:
        dubbing.add_sound(medium, sound, language, draft, target=target, progress=rest)
    elif target.suffix.lower() == DUB_SOUND:
        shutil.copyfile(sound, draft)
        rest(1.0)
    else:
        dubbing.write_sound(sound, draft, target=target, progress=rest)


def _words(path: Path, media: MediaRef, language: str) -> Transcript:
    """Return the transcript of a file in the language of a dub. Raises UsageError, LibraryError."""
    words = read(path, media)
    check_times(words, str(path), UsageError)
    known = language_code(words.language)
    if known and known != language:
        raise UsageError(
            "dub.other_language",
            "{path} is in {known}, not in {language}.",
            hint="Give a translation into {language}.",
            path=shown(path),
            known=language_name(known),
            language=language_name(language),
        )
    return words


def _default_target(stem: str, medium: Path, language: str, *, fetch: bool = False) -> Path:
    """Return the name of a dub in the working directory."""
    return Path(f"{stem} {language}{_own_suffix(medium, fetch=fetch)}")


def _own_suffix(medium: Path, *, fetch: bool) -> str:
    """Return the ending of a dub of a medium: a film where there is a picture, else sound."""
    if fetch:
        return ".mkv"  # takes the picture of every source
    if not probe(medium).has_video:
        return DUB_SOUND
    return medium.suffix.lower() if medium.suffix.lower() in FILM_SUFFIXES else ".mkv"


def _check_kind(target: Path, medium: Path, *, fetch: bool = False) -> None:
    """Raise UsageError for an ending that is no kind of dub, and for a film of sound alone."""
    suffix = target.suffix.lower()
    if suffix not in (*FILM_SUFFIXES, *SOUND_CODECS):
        raise UsageError(
            "dub.unknown_kind",
            "Unknown kind of dub {name!r}.",
            hint="It may end in: {known}",
            name=target.name,
            known=" ".join((*FILM_SUFFIXES, *SOUND_CODECS)),
        )
    if suffix in FILM_SUFFIXES and not fetch and not probe(medium).has_video:
        raise dub_products.no_picture(medium, suffix, target.stem)
    if fetch and suffix not in FILM_SUFFIXES:
        raise UsageError(
            "dub.fetch_sound",
            "The sound of a dub needs no picture.",
            hint="Leave --fetch out, or name a file that ends in {known}.",
            known=" ".join(FILM_SUFFIXES),
        )


def _report(product: Product) -> DubReport:
    return DubReport(**dub_products.report_of(product), notes=notes_of(product))
