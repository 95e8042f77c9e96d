"""Notes of a language model as they are stored: one document for each kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kb.storage import Fields
from kb.types.notes import LENGTHS, Answered, Cited, NotedChapter, Notes, QuotedWords, Term

KINDS = ("summary", "chapters", "highlights", "terms", "questions")
_HINT = "Make it again: kb enrich ID --steps {kind} --again"


def read_notes(documents: Mapping[str, Mapping[str, Any]]) -> Notes:
    """Return the notes of stored results, by kind. Raises LibraryError for a damaged one."""
    fields = {
        kind: Fields(document, f"{kind}.json", hint=_HINT.format(kind=kind))
        for kind, document in documents.items()
        if kind in KINDS
    }
    none = Fields({}, "", hint="")
    summary, chapters, highlights, terms, questions = (fields.get(kind, none) for kind in KINDS)
    made = list(fields.values())
    return Notes(
        summary={
            length: cited
            for length in LENGTHS
            if (cited := tuple(map(_cited, summary.objects(length))))
        },
        chapters=tuple(
            NotedChapter(each.text("title"), each.number("start"))
            for each in chapters.objects("chapters")
        ),
        highlights=tuple(map(_cited, highlights.objects("highlights"))),
        terms=tuple(
            Term(each.text("term"), each.text("kind"), each.number("start"), each.whole("count", 1))
            for each in terms.objects("terms")
        ),
        questions=tuple(
            Answered(each.text("question"), _cited(each)) for each in questions.objects("questions")
        ),
        dropped=max((_dropped(each) for each in made), default=0),
        parts=max((each.whole("parts", 0) for each in made), default=0),
        parts_unread=max((each.whole("parts_unread", 0) for each in made), default=0),
        model=next((each.text("answered_by", "") for each in made), ""),
        place=next((each.text("place", "") for each in made), ""),
    )


def _cited(fields: Fields) -> Cited:
    quotes = tuple(
        QuotedWords(each.text("text"), each.number("start"), each.number("end"))
        for each in fields.objects("quotes", required=True)
    )
    if not quotes:
        raise fields.error("quotes", "a quote expected")
    return Cited(fields.text("text"), quotes)


def _dropped(fields: Fields) -> int:
    found = fields.mapping("dropped", {})
    return sum(value for value in found.values() if type(value) is int and value > 0)
