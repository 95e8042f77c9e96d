"""Dubs of items and files: a copy of the video with another sound track, or the sound alone."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kb.errors import UsageError
from kb.library import Library
from kb.library.languages import language_code, language_name
from kb.library.products import Product, Products
from kb.media import shown
from kb.media.probe import probe
from kb.pipeline import dubbing, translations
from kb.pipeline.dubbing import FILM_SUFFIXES, SOUND_CODECS, Dub, DubReport
from kb.service.items import Items
from kb.service.products import notes_of
from kb.service.review import Review
from kb.settings import Settings
from kb.storage import Target, scratch_folder
from kb.transcript.foreign.reader import read
from kb.transcript.time_order import check_times
from kb.types import MediaRef, Transcript

__all__ = ["Dub", "Dubbing", "MadeDub"]

_SOUND = ".m4a"
_BYTES_PER_S = 70_000  # of the voice while a dub is made, and of its sound
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class MadeDub:
    """A dub that was written; `report` says how its lines fit."""

    path: Path
    report: DubReport


class Dubbing:
    """Makes dubs; each is written outside the library, completely or not at all."""

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
        progress: Progress = lambda _: None,
    ) -> MadeDub:
        """Dub an item of the library; the sound is kept, so that it is not made twice.

        Without a file, the words are those of the item's translation. Raises UsageError,
        MediaUnavailable, LibraryError and the errors of the engines.
        """
        entry = self.items.entry(item_id)
        original = self.items.transcript(entry.item.id)
        if transcript is None:
            words = translations.translated(self.library, entry, original, dub.language)
        else:
            words = _words(transcript, original.media, dub.language)
        words = dubbing.with_speakers_of(words, original)
        medium = self.review.medium_of(entry)
        target = target or _default_target(entry.stem, medium, dub.language)
        _check_kind(target, medium)
        named = Target(
            target, f"dub:{entry.item.id}:{dub.language}", overwrite=overwrite, chosen=True,
            never=medium,
        )  # fmt: skip
        self.items.files.check(named)
        played = dubbing.cast(self.settings, words, dub)
        name = dubbing.made_from(words, dub, played, entry.sha256)
        kept = self.products.find(entry.stem, name, _SOUND)
        if kept is None:
            need = int((probe(medium).duration_s or 0.0) * _BYTES_PER_S)
            self.settings.free_space.require(self.library.home, need)
            with self.products.draft(entry.stem, _SOUND) as draft:
                report = dubbing.make_sound(
                    medium, words, dub, played, draft, target=target, progress=progress
                )
                remarks = [note.record() for note in report.notes]
                about = _about(report, dub.language)
                with self.library.guard(entry.item.id):
                    kept = self.products.keep(draft, entry.stem, name, remarks, about)
        with self.items.files.draft(named) as written:
            _fill(written.path, medium, kept.path, dub.language, target)
        self.products.trim()
        return MadeDub(written.target, _report(kept))

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
            sound = folder / f"sound{_SOUND}"
            report = dubbing.make_sound(
                medium, words, dub, played, sound, target=target, progress=progress
            )
            _fill(draft.path, medium, sound, dub.language, target)
        return MadeDub(draft.target, report)

    @property
    def products(self) -> Products:
        """The sounds that are kept, beside the films."""
        return Products(self.library.home, self.settings.products_gb, self.settings.products_days)


def _fill(draft: Path, medium: Path, sound: Path, language: str, target: Path) -> None:
    """Write the file that a user asks for, of the sound of a dub. Errors name `target`."""
    if target.suffix.lower() in FILM_SUFFIXES:
        dubbing.add_sound(medium, sound, language, draft, target=target)
    elif target.suffix.lower() == _SOUND:
        shutil.copyfile(sound, draft)
    else:
        dubbing.write_sound(sound, draft, target=target)


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


def _default_target(stem: str, medium: Path, language: str) -> Path:
    """Return the name of a dub in the working directory."""
    suffix = medium.suffix.lower() if medium.suffix.lower() in FILM_SUFFIXES else ".mkv"
    return Path(f"{stem} {language}{suffix if probe(medium).has_video else _SOUND}")


def _check_kind(target: Path, medium: Path) -> None:
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
    if suffix in FILM_SUFFIXES and not probe(medium).has_video:
        raise UsageError(
            "dub.no_picture",
            "{name} is sound alone and cannot become {suffix}.",
            hint="Write its sound: -o {stem}.m4a",
            name=shown(medium.name),
            suffix=suffix,
            stem=target.stem,
        )


def _about(report: DubReport, language: str) -> dict[str, object]:
    made_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "kind": "dub", "language": language, "made_at": made_at, "lines": report.lines,
        "faster": report.faster, "cut": report.cut,
    }  # fmt: skip


def _report(product: Product) -> DubReport:
    lines, faster, cut = (int(product.about.get(each, 0)) for each in ("lines", "faster", "cut"))
    return DubReport(lines, faster, cut, notes_of(product))
