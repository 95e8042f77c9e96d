"""Notes of a language model as JSON: each statement with the words that prove it, and links."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kb.errors import UsageError
from kb.library import deep_link
from kb.transcript.formats import notes as as_markdown
from kb.types import MediaItem, Transcript
from kb.types.notes import LENGTHS, Cited

SUFFIX = "notes.json"
MIME_TYPE = "application/json"
GROUP = "programs"
TIMES_WORDS = False


def unavailable(transcript: Transcript, item: MediaItem | None) -> UsageError | None:
    """Return the error for an item without notes."""
    return as_markdown.unavailable(transcript, item)


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the document; times are in seconds, `url` opens the medium there."""
    notes = transcript.notes
    if notes is None:
        return ""

    def place(start_s: float) -> Mapping[str, Any]:
        return {"start": start_s, "url": deep_link(item, start_s) if item else ""}

    def cited(each: Cited) -> Mapping[str, Any]:
        quotes = [
            {"text": quote.text, "end": quote.end_s, **place(quote.start_s)}
            for quote in each.quotes
        ]
        return {"text": each.text, "quotes": quotes}

    document = {
        "id": item.id if item else "",
        "title": item.title if item else "",
        "written_by": {"model": notes.model, "place": notes.place},
        "of_earlier_words": notes.of_earlier_words,
        "dropped": notes.dropped,
        "parts": notes.parts,
        "parts_unread": notes.parts_unread,
        "summary": {name: [*map(cited, notes.summary.get(name, ()))] for name in LENGTHS},
        "chapters": [{"title": each.title, **place(each.start_s)} for each in notes.chapters],
        "highlights": [*map(cited, notes.highlights)],
        "questions": [
            {"question": each.question, **cited(each.answer)} for each in notes.questions
        ],
        "terms": [
            {"term": each.text, "kind": each.kind, "count": each.count, **place(each.start_s)}
            for each in notes.terms
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
