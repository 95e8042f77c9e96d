"""The places of a query's words in one passage: occurrences, and the snippet around them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from kb.sinks.local.terms import Form, Term
from kb.sinks.local.tokenizer import spans

SNIPPET_CHARS = 180
UMLAUTS = frozenset("äöüåøÄÖÜÅØ")


@dataclass(frozen=True, slots=True)
class Mark:
    """One occurrence of a term: the slice `start`..`end` of the text, and the term's number."""

    start: int
    end: int
    term: int


@dataclass(frozen=True, slots=True)
class Marked:
    """A text with single spaces, the marks in it by start, and the slice that a snippet shows."""

    text: str
    marks: tuple[Mark, ...]
    start: int
    end: int

    @property
    def shown(self) -> tuple[Mark, ...]:
        """The marks inside the snippet that do not overlap a mark before them."""
        kept: list[Mark] = []
        for mark in self.marks:
            after = kept[-1].end if kept else self.start
            if mark.start >= after and mark.end <= self.end:
                kept.append(mark)
        return tuple(kept)

    def snippet(self) -> str:
        """Return the shown slice with the marks in `**`.

        Asterisks of the text become U+2217, so that every `**` is a mark. Cut ends have an
        ellipsis.
        """
        text = self.text.replace("*", "∗")
        pieces: list[str] = ["… " if self.start else ""]
        position = self.start
        for mark in self.shown:
            pieces += [text[position : mark.start], "**", text[mark.start : mark.end], "**"]
            position = mark.end
        pieces += [text[position : self.end], " …" if self.end < len(text) else ""]
        return "".join(pieces)

    def word_number(self, mark: Mark) -> int:
        """Return the index of the space-separated word in which a mark begins."""
        # The count includes the word with the mark, so one is subtracted.
        return max(0, len(self.text[: mark.start + 1].split()) - 1)


def mark(text: str, terms: Sequence[Term], length: int = SNIPPET_CHARS) -> Marked:
    """Return the marks of all terms in a text, and the densest slice of about `length` characters.

    The slice of a text without a mark (semantic search) is its start.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split())
    marks = _marks(text, terms)
    start, end = _window(text, marks, length)
    return Marked(text, tuple(marks), start, end)


def snippet(text: str, terms: Sequence[Term], length: int = SNIPPET_CHARS) -> str:
    """Return the snippet of a text for these terms (see `Marked.snippet`)."""
    return mark(text, terms, length).snippet()


def _marks(text: str, terms: Sequence[Term]) -> list[Mark]:
    """Return every occurrence of every term, by start, then the longest first."""
    found = spans(text)
    by_word: dict[str, list[int]] = {}
    for at, (word, _, _) in enumerate(found):
        by_word.setdefault(word, []).append(at)
    marks: set[Mark] = set()
    for number, term in enumerate(terms):
        for form in term.forms:
            for at in by_word.get(form.tokens[0], ()):
                if _is_there(text, found[at : at + len(form.tokens)], form, term.signs):
                    last = found[at + len(form.tokens) - 1]
                    marks.add(Mark(found[at][1], last[2] + len(term.signs), number))
    return sorted(marks, key=lambda one: (one.start, -one.end, one.term))


def _is_there(text: str, found: list[tuple[str, int, int]], form: Form, signs: str) -> bool:
    if tuple(word for word, _, _ in found) != form.tokens:
        return False
    part = text[found[0][1] : found[-1][2]]
    if form.umlaut and not UMLAUTS.intersection(part):
        return False
    if signs and not text.startswith(signs, found[-1][2]):
        return False
    return not form.joined or " " not in part


def _window(text: str, marks: Sequence[Mark], length: int) -> tuple[int, int]:
    """Return the slice to show: the one with the most different terms, moved to word borders."""
    if len(text) <= length + 20:  # a cut of about three words has no benefit
        return 0, len(text)
    best = (0, 0, 0)  # (different terms, start, end)
    for first in marks:
        inside = [
            other
            for other in marks
            if first.start <= other.start and other.end <= first.start + length
        ]
        different = len({other.term for other in inside})
        if different > best[0]:
            best = (different, first.start, max(other.end for other in inside))
    start = max(0, min((best[1] + best[2] - length) // 2, len(text) - length))
    start = max(0, min(start, best[1]))
    end = min(len(text), start + length)
    if start > 0:
        border = text.find(" ", start - 1, start + 20)
        start = border + 1 if 0 <= border < best[1] else start
    if end < len(text):
        border = text.rfind(" ", max(best[2], end - 20), end + 1)
        end = border if border > 0 else end
    return start, end
