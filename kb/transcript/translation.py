"""A translation as it is stored, as a transcript for exports, and as passages for searches.

<home>/extras/<stem>/de.transcript.json
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kb.library.languages import language_name
from kb.storage import Fields
from kb.transcript.passages import passages
from kb.types import Coverage, MediaItem, Passage, Segment, Timing, Transcript
from kb.types.passages import translated_origin
from kb.types.sentences import counted
from kb.types.translation import MARKS, TranslatedSegment, Translation

ENGINE = "translation"
_SUFFIX = ".transcript"
_HINT = "Make it again: kb translate ID --into {language} --again"


def document_name(language: str) -> str:
    """Return the name of the document of a translation."""
    return f"{language}{_SUFFIX}"


def language_of(name: str) -> str:
    """Return the language of a document's name, empty if it is none of a translation."""
    return name.removesuffix(_SUFFIX) if name.endswith(_SUFFIX) else ""


def read_translation(document: Mapping[str, Any], language: str) -> Translation:
    """Return a stored translation. Raises LibraryError for a damaged one."""
    where = f"{document_name(language)}.json"
    fields = Fields(document, where, hint=_HINT.format(language=language))
    segments = []
    for row in fields.objects("segments", required=True):
        start_s, end_s = row.number("start"), row.number("end")
        if not 0 <= start_s <= end_s:
            raise row.error("end", "a time after the start expected")
        mark = row.text("mark", "")
        if mark and mark not in MARKS:
            raise row.error("mark", f"one of {', '.join(MARKS)} expected")
        segments.append(TranslatedSegment(start_s, end_s, row.text("text"), mark))
    return Translation(
        language=language,
        source_language=fields.text("source_language", ""),
        segments=tuple(segments),
        way=fields.text("via", ""),
        model=fields.text("model", ""),
        place=fields.text("place", ""),
        licence=fields.text("licence", ""),
        own_times=fields.flag("own_times", False),
    )


def as_transcript(translation: Translation, original: Transcript) -> Transcript:
    """Return a translation as a transcript of the same medium, for exports and passages.

    It has the figures of no recognition; its warnings say what has no translation.
    """
    return replace(
        original,
        segments=tuple(
            Segment(each.start_s, each.end_s, each.text, ()) for each in translation.segments
        ),
        language=translation.language,
        engine=ENGINE,
        model=translation.model,
        preset="",
        coverage=Coverage(0.0, 0.0),
        timing=Timing(),
        timestamps="segment",
        warnings=tuple(warnings_of(translation)),
        windows=(),
        witness=None,
        revisions=(),
        expected_errors=None,
        sound=None,
    )


def warnings_of(translation: Translation) -> list[str]:
    """Return sentences about what a translation lacks."""
    language = language_name(translation.language).title()
    found = [f"A translation into {language}, made by a machine."]
    if missing := sum(translation.marks.values()):
        whole = len(translation.segments)
        found.append(f"Without a translation: {missing} of {counted(whole, 'segment')}.")
    return found


def translation_passages(
    translation: Translation, original: Transcript, item: MediaItem, *, path: str
) -> tuple[Passage, ...]:
    """Return the passages of a translation; ids count from `#tde0000`, apart from the words."""
    said = replace(
        as_transcript(translation, original),
        segments=tuple(
            Segment(each.start_s, each.end_s, each.text, ())
            for each in translation.segments
            if each.text
        ),
    )
    return tuple(
        replace(
            each,
            id=f"{item.id}#t{translation.language}{number:04d}",
            language=translation.language,
            origin=translated_origin(translation.language),
        )
        for number, each in enumerate(passages(said, item, path=path))
    )
