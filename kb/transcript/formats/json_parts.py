"""Parts of the exact document: segments, changes by hand, and the caption agreement."""

from __future__ import annotations

from typing import Any

from kb.storage import Fields
from kb.types import CaptionAgreement, MinuteAgreement, Revision, Segment, TextChange, Word


def segment_document(segment: Segment) -> dict[str, Any]:
    """Return a segment with its words.

    `language` and `speaker`, and the `speaker` of a word, are there if they are known; `from` is
    the id of the item whose words they are, where they were taken over.
    """
    document: dict[str, Any] = {
        "start": segment.start_s,
        "end": segment.end_s,
        "text": segment.text,
        "words": [
            {
                "start": word.start_s,
                "end": word.end_s,
                "text": word.text,
                "probability": word.probability,
                **({"speaker": word.speaker} if word.speaker is not None else {}),
            }
            for word in segment.words
        ],
    }
    if segment.language is not None:
        document["language"] = segment.language
    if segment.speaker is not None:
        document["speaker"] = segment.speaker
    if segment.taken_from is not None:
        document["from"] = segment.taken_from
    return document


def segment_of(row: Fields) -> Segment:
    """Return the segment that `segment_document` wrote."""
    return Segment(
        start_s=row.number("start"),
        end_s=row.number("end"),
        text=row.text("text"),
        words=tuple(
            Word(
                start_s=word.number("start"),
                end_s=word.number("end"),
                text=word.text("text"),
                probability=word.number("probability", 1.0),
                speaker=word.text("speaker", None),
            )
            for word in row.objects("words")
        ),
        language=row.text("language", None),
        speaker=row.text("speaker", None),
        taken_from=row.text("from", None),
    )


def revision_document(revision: Revision) -> dict[str, Any]:
    """Return a change by hand, with the whole segments before and after it."""
    return {
        "at": revision.at,
        "by": revision.by,
        "kind": revision.kind,
        "note": revision.note,
        "run": revision.run,
        "changes": [
            {
                "segment": change.segment,
                "before": segment_document(change.before) if change.before else None,
                "after": segment_document(change.after) if change.after else None,
            }
            for change in revision.changes
        ],
    }


def revision_of(row: Fields) -> Revision:
    """Return the change that `revision_document` wrote."""
    return Revision(
        at=row.text("at"),
        by=row.text("by", ""),
        kind=row.text("kind", "edit"),
        changes=tuple(
            TextChange(
                change.whole("segment"),
                segment_of(change.inner("before")) if change.mapping("before", None) else None,
                segment_of(change.inner("after")) if change.mapping("after", None) else None,
            )
            for change in row.objects("changes")
        ),
        note=row.text("note", ""),
        run=row.whole("run", 1),
    )


def caption_agreement_document(agreement: CaptionAgreement) -> dict[str, Any]:
    """Return the agreement of captions and transcript, minute by minute."""
    return {
        "source": agreement.source,
        "language": agreement.language,
        "agreement": agreement.agreement,
        "minutes": [
            {
                "start": minute.start_s,
                "end": minute.end_s,
                "agreement": minute.agreement,
                "words": minute.words,
                "caption_words": minute.caption_words,
            }
            for minute in agreement.minutes
        ],
    }


def caption_agreement_of(row: Fields) -> CaptionAgreement:
    """Return the agreement that `caption_agreement_document` wrote."""
    return CaptionAgreement(
        source=row.text("source", ""),
        language=row.text("language", ""),
        agreement=row.number("agreement"),
        minutes=tuple(
            MinuteAgreement(
                start_s=minute.number("start"),
                end_s=minute.number("end"),
                agreement=minute.number("agreement", None),
                words=minute.whole("words", 0),
                caption_words=minute.whole("caption_words", 0),
            )
            for minute in row.objects("minutes")
        ),
    )
