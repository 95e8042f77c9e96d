"""Translations for the faces: requested, listed, read beside the original."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kb.errors import KBError, LibraryError
from kb.library import Library, LibraryEntry
from kb.pipeline import translations
from kb.pipeline.enrichment import lacking
from kb.pipeline.language_model import TRANSLATE as TRANSLATE
from kb.pipeline.language_model import language_codes as language_codes
from kb.pipeline.language_model import translation_options
from kb.service.enrichment import Enrichment, EnrichReport
from kb.service.items import Items
from kb.service.language_model import Estimate, LanguageModels
from kb.types import Transcript
from kb.types.translation import Translation


@dataclass(slots=True)
class TranslationReport:
    """A request: what was queued, `same` the items that are in that language already.

    `languages` are the codes, `way` is llm, local or whisper; `estimate` has upper bounds of what a
    language model gets, None where none is asked.
    """

    steps: EnrichReport
    languages: tuple[str, ...]
    way: str
    same: list[str] = field(default_factory=list)
    estimate: Estimate | None = None


@dataclass
class Translations:
    """The translations of one library."""

    library: Library
    items: Items
    enrichment: Enrichment
    language_model: LanguageModels

    def request(
        self,
        ids: Sequence[str] | None,
        into: str = "",
        via: str = "",
        *,
        again: bool = False,
        before: Callable[[TranslationReport], None] = lambda report: None,
    ) -> TranslationReport:
        """Queue translations of items, of all that have words without `ids`.

        `before` is called with what is to be queued, before a worker can see any of it.

        Raises UsageError for a language or way that is not known and for an unknown id, and the
        error of what this machine lacks for the way; nothing is queued then.
        """
        settings = self.items.settings
        options = translation_options(settings, into, via)
        if (problem := lacking(TRANSLATE, options)) is not None:
            raise problem
        codes, way = tuple(options["into"].split(",")), options["via"]
        entries = (
            [each for each in self.items.listing().entries if each.transcript_path]
            if ids is None
            else [self.items.entry(item_id) for item_id in ids]
        )
        same = [each.item.id for each in entries if codes == (spoken_language(each),)]
        wanted = [each.item.id for each in entries if each.item.id not in set(same)]
        if not wanted:
            return TranslationReport(EnrichReport(), codes, way, same)
        found = TranslationReport(EnrichReport(), codes, way, same)

        def announce(report: EnrichReport) -> None:
            found.steps = report
            queued = [item_id for _, item_id in report.queued]
            if way == "llm" and queued:
                found.estimate = self.language_model.estimate(queued, [TRANSLATE], languages=codes)
            before(found)

        self.enrichment.run(wanted, (TRANSLATE,), again=again, more=options, before=announce)
        return found

    def languages(self, entry: LibraryEntry) -> tuple[str, ...]:
        """Return the languages of an item's translations."""
        return translations.languages(self.library, entry)

    def current_languages(self, entry: LibraryEntry, transcript: Transcript) -> tuple[str, ...]:
        """Return the languages into which an item's words are translated as they are now."""
        return translations.current_languages(self.library, entry, transcript)

    def read(
        self, entry: LibraryEntry, transcript: Transcript, language: str
    ) -> Translation | None:
        """Return a translation, None without one. Raises LibraryError for a damaged one."""
        return translations.read(self.library, entry, transcript, language)

    def all_of(
        self, entry: LibraryEntry, transcript: Transcript
    ) -> tuple[list[Translation], list[KBError]]:
        """Return the translations of an item, and the errors of those that are damaged."""
        found: list[Translation] = []
        problems: list[KBError] = []
        for language in self.languages(entry):
            try:
                translation = self.read(entry, transcript, language)
            except LibraryError as error:
                problems.append(error)
            else:
                found += [translation] if translation is not None else []
        return found, problems


@dataclass(frozen=True, slots=True)
class SideBySide:
    """A segment of a translation beside the words that are said meanwhile."""

    start_s: float
    original: str
    text: str
    mark: str = ""


def side_by_side(transcript: Transcript, found: Translation) -> list[SideBySide]:
    """Return a translation beside the original, segment by segment.

    Where it has times of its own, or the original has changed, the words are those that begin in
    the segment's time or before the next one.
    """
    said = transcript.segments
    if not found.own_times and len(said) == len(found.segments):
        return [
            SideBySide(own.start_s, own.text, each.text, each.mark)
            for own, each in zip(said, found.segments, strict=True)
            if own.text.strip() or each.text
        ]
    starts = [each.start_s for each in found.segments]
    words: list[list[str]] = [[] for _ in starts]
    for segment in said:
        if starts and segment.text.strip():
            words[max(0, bisect_right(starts, segment.start_s) - 1)].append(segment.text)
    return [
        SideBySide(each.start_s, " ".join(own), each.text, each.mark)
        for each, own in zip(found.segments, words, strict=True)
    ]


def spoken_language(entry: LibraryEntry) -> str:
    """Return the code of the language that is spoken in an item, empty if it is not known."""
    return str(entry.transcribed.get("language", ""))
