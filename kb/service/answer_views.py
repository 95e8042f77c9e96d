"""Answers and notes as programs get them: bounded, and without controls or hidden characters."""

from __future__ import annotations

from dataclasses import dataclass

from kb.library import deep_link
from kb.service.answers import LocalAnswer, Outcome
from kb.service.reading import doubt
from kb.service.service import Service
from kb.types.notes import LENGTHS, Cited, Notes
from kb.types.safe_text import clean

MOST_CHARACTERS = 2_000  # of one sentence, quote or passage


@dataclass(frozen=True, slots=True)
class Source:
    """The words of a recording at a second, where `url` opens it; `id` is for fetch.

    `doubtful` is the reason to check the words against the sound, empty without one. `origin` is
    `screen` for text that was on the screen.
    """

    id: str
    title: str
    url: str
    start_s: float
    text: str
    doubtful: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class CitedSentence:
    """A sentence of a language model, and the words of the library that prove it."""

    text: str
    source: Source


@dataclass(frozen=True)  # the schema of an answer is made from a class without slots
class LibraryAnswer:
    """The answer of the library to a question.

    `outcome`: `answered` in sentences, each with its source; `not_in_library`; or `passages`, where
    no language model was asked or it failed: `reason` and `hint` say why. `dropped` sentences of
    the model had no proof. `passages` are those that the answer was looked for in, best first.
    """

    question: str
    outcome: Outcome
    sentences: tuple[CitedSentence, ...]
    passages: tuple[Source, ...]
    model: str
    place: str
    dropped: int
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Place:
    """Words of a recording, and the link that opens it there."""

    text: str
    start_s: float
    end_s: float
    url: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a language model, and the transcript's own words that prove it.

    `question` is the question that it answers, empty for others.
    """

    text: str
    quotes: tuple[Place, ...]
    question: str = ""


@dataclass(frozen=True, slots=True)
class ChapterMark:
    """The beginning of a chapter, with a title of the model."""

    title: str
    start_s: float
    url: str


@dataclass(frozen=True, slots=True)
class TermMark:
    """A name or term as the transcript writes it, at its first place."""

    term: str
    kind: str
    count: int
    start_s: float
    url: str


@dataclass(frozen=True)  # the schema of an answer is made from a class without slots
class ItemNotes:
    """Notes of a language model about a recording; empty parts were not made, or are empty.

    Sentences and titles are the model's, quotes are the transcript's. `dropped` statements had no
    proof, or links or markup; `parts_unread` of `parts` got no usable answer. With
    `of_earlier_words` the transcript has changed since: quotes may be of the words before.
    """

    id: str
    title: str
    summary_short: tuple[Statement, ...]
    summary_medium: tuple[Statement, ...]
    summary_long: tuple[Statement, ...]
    chapters: tuple[ChapterMark, ...]
    highlights: tuple[Statement, ...]
    questions: tuple[Statement, ...]
    terms: tuple[TermMark, ...]
    model: str
    place: str
    dropped: int
    parts: int
    parts_unread: int
    doubtful: str
    of_earlier_words: bool


def answer_view(service: Service, question: str, answer: LocalAnswer) -> LibraryAnswer:
    """Return an answer with its sources."""
    problem = answer.problem or answer.no_model
    ids = {hit.item_id for hit in answer.found.hits}
    doubts = {entry.item.id: doubt(entry) for entry in service.library.find_all(ids)}
    passages = tuple(
        Source(
            _id(hit.item_id, hit.at_s),
            _shown(hit.title),
            hit.deep_link,
            hit.at_s,
            _shown(hit.text),
            doubts.get(hit.item_id, ""),
            hit.origin,
        )
        for hit in answer.found.hits
    )
    return LibraryAnswer(
        _shown(" ".join(question.split())),
        answer.outcome,
        tuple(
            CitedSentence(
                _shown(each.text),
                Source(
                    _id(each.citation.item_id, each.citation.start_s),
                    _shown(each.citation.title),
                    each.citation.deep_link,
                    round(each.citation.start_s, 2),
                    _shown(each.citation.text),
                    doubts.get(each.citation.item_id, ""),
                    each.citation.origin,
                ),
            )
            for each in answer.sentences
        ),
        passages,
        clean(answer.model),
        clean(answer.place),
        answer.dropped,
        clean(problem.message) if problem is not None else "",
        clean(problem.hint) if problem is not None else "",
    )


def notes_view(service: Service, item_id: str) -> ItemNotes:
    """Return the notes of an item, each with links. Raises UsageError and LibraryError."""
    entry = service.items.entry(item_id)
    found: Notes = service.language_model.notes(entry)

    def link(second: float) -> str:
        return deep_link(entry.item, second)

    def stated(each: Cited, question: str = "") -> Statement:
        quotes = tuple(
            Place(_shown(quote.text), quote.start_s, quote.end_s, link(quote.start_s))
            for quote in each.quotes
        )
        return Statement(_shown(each.text), quotes, _shown(question))

    short, medium, long = (tuple(map(stated, found.summary.get(each, ()))) for each in LENGTHS)
    return ItemNotes(
        id=entry.item.id,
        title=clean(entry.item.title),
        summary_short=short,
        summary_medium=medium,
        summary_long=long,
        chapters=tuple(
            ChapterMark(_shown(each.title), each.start_s, link(each.start_s))
            for each in found.chapters
        ),
        highlights=tuple(map(stated, found.highlights)),
        questions=tuple(stated(each.answer, each.question) for each in found.questions),
        terms=tuple(
            TermMark(_shown(each.text), clean(each.kind), each.count, each.start_s,
                     link(each.start_s))
            for each in found.terms
        ),
        model=clean(found.model),
        place=clean(found.place),
        dropped=found.dropped,
        parts=found.parts,
        parts_unread=found.parts_unread,
        doubtful=doubt(entry),
        of_earlier_words=found.of_earlier_words,
    )  # fmt: skip


def _id(item_id: str, start_s: float) -> str:
    return f"{item_id}#{max(0, int(start_s))}"


def _shown(text: str) -> str:
    return clean(text)[:MOST_CHARACTERS]
