"""Transcripts and items with all their texts made fit for a file (`kb.types.safe_text.clean`).

Every export but the exact JSON documents passes here, so that no format needs a guard of its own
against controls, half characters and marks that change the order of letters.
"""

from __future__ import annotations

from dataclasses import replace

from kb.types import MediaItem, Segment, Transcript
from kb.types.safe_text import clean
from kb.types.screen import ScreenPage


def cleaned_transcript(transcript: Transcript) -> Transcript:
    """Return the transcript with clean words, pages of the screen, language, model and warnings.

    The names of speakers are on one line.
    """
    segments = tuple(map(_segment, transcript.segments))
    return replace(
        transcript,
        segments=segments,
        language=clean(transcript.language),
        model=clean(transcript.model),
        warnings=tuple(map(clean, transcript.warnings)),
        on_screen=tuple(map(_page, transcript.on_screen)),
    )


def cleaned_item(item: MediaItem) -> MediaItem:
    """Return the item with clean texts and chapters."""
    return replace(
        item,
        title=clean(item.title),
        published=clean(item.published),
        channel=clean(item.channel),
        description=clean(item.description),
        tags=tuple(map(clean, item.tags)),
        chapters=tuple(replace(each, title=clean(each.title)) for each in item.chapters),
        language=clean(item.language) if item.language else item.language,
    )


def _page(page: ScreenPage) -> ScreenPage:
    return replace(page, lines=tuple(replace(line, text=clean(line.text)) for line in page.lines))


def _segment(segment: Segment) -> Segment:
    text = clean(segment.text)
    words = segment.words
    spoken = "".join([word.text for word in words])
    if clean(spoken) is not spoken:
        words = tuple(replace(word, text=clean(word.text)) for word in words)
    speaker = " ".join(clean(segment.speaker).split()) if segment.speaker else ""
    named = segment.language or segment.speaker
    if text is segment.text and words is segment.words and not named:
        return segment
    language = clean(segment.language) if segment.language else segment.language
    return replace(segment, text=text, words=words, language=language, speaker=speaker or None)
