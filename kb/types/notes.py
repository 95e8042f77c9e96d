"""Notes of a language model about a recording, each statement with the words that prove it."""

from __future__ import annotations

from dataclasses import dataclass

LENGTHS = ("short", "medium", "long")


@dataclass(frozen=True, slots=True)
class QuotedWords:
    """The transcript's own words at a place."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Cited:
    """A statement of the model, and the words that were found for it; there is at least one."""

    text: str
    quotes: tuple[QuotedWords, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """A name or term as the transcript writes it, at its first place."""

    text: str
    kind: str
    start_s: float
    count: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A question that the recording answers."""

    question: str
    answer: Cited


@dataclass(frozen=True, slots=True)
class NotedChapter:
    """A chapter that begins with a segment."""

    title: str
    start_s: float


@dataclass(frozen=True, slots=True)
class Notes:
    """The notes of one item; empty parts were not made, or nothing was found.

    `dropped` counts statements that were not found in the transcript, or had links or markup;
    `parts_unread` of `parts` got no answer that could be used. `model` and `place` made them. With
    `of_earlier_words` the words have changed since, and quotes may be of those before.
    """

    summary: dict[str, tuple[Cited, ...]]
    chapters: tuple[NotedChapter, ...] = ()
    highlights: tuple[Cited, ...] = ()
    terms: tuple[Term, ...] = ()
    questions: tuple[Answered, ...] = ()
    dropped: int = 0
    parts: int = 0
    parts_unread: int = 0
    model: str = ""
    place: str = ""
    of_earlier_words: bool = False

    @property
    def is_empty(self) -> bool:
        """True if nothing was noted."""
        parts = (self.summary, self.chapters, self.highlights, self.terms, self.questions)
        return not any(parts)
