"""Translations of an item: read from their documents, and joined with its words.

A translation belongs to the words that it was made from. Once they have changed it is shown as
such, and neither found by searches nor exported nor published, until it is made again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from kb.errors import LibraryError, UsageError
from kb.library import Library, LibraryEntry
from kb.library.extras import Extras
from kb.library.languages import language_name
from kb.transcript.digest import text_digest
from kb.transcript.translation import (
    as_transcript,
    document_name,
    language_of,
    read_translation,
    translation_passages,
)
from kb.types import Passage, Transcript
from kb.types.translation import Translation

log = logging.getLogger(__name__)


def languages(library: Library, entry: LibraryEntry) -> tuple[str, ...]:
    """Return the languages of an item's translations."""
    found = map(language_of, Extras(library).further(entry.stem))
    return tuple(language for language in found if language)


def current_languages(
    library: Library, entry: LibraryEntry, transcript: Transcript
) -> tuple[str, ...]:
    """Return the languages of the translations that are of an item's words as they are now."""
    found, words = [], ""
    for language in languages(library, entry):
        with suppress(LibraryError):  # its reader names it
            document = Extras(library).read(entry, document_name(language))
            words = words or text_digest(transcript)
            basis = _basis(document or {})
            same = basis.get("sha256") == transcript.media.sha256 or not transcript.media.sha256
            if same and basis.get("words") == words:
                found.append(language)
    return tuple(found)


def read(
    library: Library, entry: LibraryEntry, transcript: Transcript, language: str
) -> Translation | None:
    """Return a translation of an item; None without one, and for one of another medium.

    Raises LibraryError for a damaged one.
    """
    document = Extras(library).read(entry, document_name(language))
    if document is None:
        return None
    basis = _basis(document)
    if transcript.media.sha256 and basis.get("sha256") != transcript.media.sha256:
        return None
    found = read_translation(document, language)
    return replace(found, is_current=basis.get("words") == text_digest(transcript))


def translated(
    library: Library, entry: LibraryEntry, transcript: Transcript, language: str
) -> Transcript:
    """Return a translation as a transcript, for exports.

    Raises UsageError without one and for one of earlier words, LibraryError for a damaged one.
    """
    found = read(library, entry, transcript, language)
    if found is None:
        raise UsageError(
            "translation.none_here",
            "{item_id} has no translation into {language}.",
            hint="Make it: kb translate {item_id} --into {code}",
            item_id=entry.item.id,
            language=language_name(language).title(),
            code=language,
        )
    if not found.is_current:
        raise UsageError(
            "translation.earlier_words",
            "The words of {item_id} have changed since they were translated into {language}.",
            hint="Make it again: kb translate {item_id} --into {code}",
            item_id=entry.item.id,
            language=language_name(language).title(),
            code=language,
        )
    return as_transcript(found, transcript)


def indexed(
    library: Library, entry: LibraryEntry, transcript: Transcript, wanted: tuple[str, ...] = ()
) -> tuple[Passage, ...]:
    """Return the passages of the translations of an item's words as they are now.

    With `wanted` those of these languages. A damaged one is logged and has none.
    """
    found: list[Passage] = []
    for language in languages(library, entry):
        if wanted and language not in wanted:
            continue
        try:
            translation = read(library, entry, transcript, language)
        except LibraryError as error:  # `kb verify` names it
            log.warning("%s: %s", entry.item.id, error.message)
            continue
        if translation is not None and translation.is_current:
            found += translation_passages(
                translation, transcript, entry.item, path=entry.medium_place
            )
    return tuple(found)


def changed_ns(library: Library, entry: LibraryEntry) -> int:
    """Return the time of the last change of a translation, 0 without one."""
    extras, latest = Extras(library), 0
    for name in extras.further(entry.stem):
        with suppress(OSError):  # removed since
            latest = max(latest, extras.path(entry.stem, name).stat().st_mtime_ns)
    return latest


def _basis(document: Mapping[str, Any]) -> Mapping[str, Any]:
    basis = document.get("basis")
    return basis if isinstance(basis, dict) else {}
