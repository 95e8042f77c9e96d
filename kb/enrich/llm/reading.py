"""Reads a transcript with a language model, window by window, and keeps what is proven.

All steps of a text use the same questions about its windows, so that the first step pays for all of
them. A statement is kept with a quote that was found in the transcript, and never without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kb.enrich.base import ItemText
from kb.enrich.llm.answers import WindowAnswer, plain
from kb.enrich.llm.client import LanguageModel, Scope
from kb.enrich.llm.errors import BadAnswer, Declined
from kb.enrich.llm.prompts import Prompt, read_prompt
from kb.enrich.llm.windows import Window, numbered_lines, windows
from kb.transcript.digest import text_digest as text_digest
from kb.transcript.quotes import Quote, QuoteFinder

GIVEN_UP_AFTER = 3  # parts in a row without any usable answer, from the beginning
LONGEST_TITLE = 120
LONGEST_TERM = 80

MARKUP, UNCITED = "markup", "uncited"  # reasons beside those of `Finding.refusal`


@dataclass(frozen=True, slots=True)
class Point:
    """A statement, its weight from 1 to 5, and the words that prove it."""

    claim: str
    weight: int
    quote: Quote


@dataclass(frozen=True, slots=True)
class Topic:
    title: str
    segment: int


@dataclass(frozen=True, slots=True)
class FoundTerm:
    text: str
    kind: str
    quote: Quote


@dataclass(frozen=True, slots=True)
class FoundAnswer:
    question: str
    answer: str
    quote: Quote


@dataclass(slots=True)
class Reading:
    """All that was read and proven; `dropped` counts the rest, by reason."""

    points: list[Point] = field(default_factory=list)
    topics: list[Topic] = field(default_factory=list)
    terms: list[FoundTerm] = field(default_factory=list)
    questions: list[FoundAnswer] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    parts: int = 0
    parts_unread: int = 0


class Reader:
    """Reads the transcript of one item."""

    def __init__(self, model: LanguageModel, given: ItemText, scope: Scope) -> None:
        self._model, self._given, self._scope = model, given, scope
        self.finder = QuoteFinder(given.transcript.segments, given.names)

    def read(self, progress: Callable[[float], None]) -> Reading:
        """Return what the model noted, proven. Raises the errors of `LanguageModel.ask`.

        A part without a usable answer is divided, and counted as unread in the end; if nothing of
        the first parts can be used, the last BadAnswer is raised.
        """
        found, segments = Reading(), self._given.transcript.segments
        prompt = read_prompt("window", self._given.settings)
        planned = list(windows(segments))
        for number, window in enumerate(planned):
            problem = self._read(prompt, window, found)
            started = number + 1
            if problem is not None and found.parts == found.parts_unread and (
                started >= GIVEN_UP_AFTER or started == len(planned)
            ):  # fmt: skip
                raise problem
            progress(started / (len(planned) + 1))
        _without_repetitions(found)
        return found

    def _read(self, prompt: Prompt, window: Window, found: Reading) -> BadAnswer | None:
        """Read a window into `found`; return the error of the last part that was not read."""
        transcript = self._given.transcript
        lines = numbered_lines(
            transcript.segments, window, transcript.doubtful_spans,
            leave_out=self._given.settings.llm_doubtful == "leave_out",
        )  # fmt: skip
        if not lines:
            return None
        halves = window.halves()
        problem: BadAnswer
        if self._model.fits(f"{prompt.instructions}{prompt.question}{lines}"):
            values = {"title": self._given.item.title, "language": transcript.language}
            try:
                answer = self._model.ask(
                    prompt, {**values, "lines": lines}, WindowAnswer, self._scope
                )
            except Declined as error:
                problem, halves = error, None
            except BadAnswer as error:
                problem = error
            else:
                found.parts += 1
                self._keep(answer, window, found)
                return None
        else:
            problem = BadAnswer(
                "llm.too_long",
                "A part of the transcript does not fit into one question.",
                hint="Enter a larger `context` for the model in KB_LLM_TABLE.",
            )
        if halves is not None:
            first = self._read(prompt, halves[0], found)
            return self._read(prompt, halves[1], found) or first
        found.parts += 1
        found.parts_unread += 1
        return problem

    def _keep(self, answer: WindowAnswer, window: Window, found: Reading) -> None:
        for point in answer.points:
            quote = self._quote(point.quote, point.segment, window, found)
            if quote and (claim := _shown(point.claim, found)):
                found.points.append(Point(claim, point.weight, quote))
        for topic in answer.topics:
            if not window.first <= topic.segment < window.last:
                found.dropped["absent"] += 1
            elif title := _shown(topic.title, found):
                found.topics.append(Topic(title[:LONGEST_TITLE], topic.segment))
        for term in answer.terms:
            quote = self._quote(term.term, term.segment, window, found)
            if quote and (text := _shown(quote.text, found)):
                bare = text.strip(".,;:!?\"'“”„()[] ")
                if bare and len(bare) <= LONGEST_TERM:
                    found.terms.append(FoundTerm(bare, term.kind, quote))
        for each in answer.questions:
            quote = self._quote(each.quote, each.segment, window, found)
            if quote:
                question, reply = _shown(each.question, found), _shown(each.answer, found)
                if question and reply:
                    found.questions.append(FoundAnswer(question, reply, quote))

    def _quote(self, text: str, segment: int, window: Window, found: Reading) -> Quote | None:
        near = segment if window.first <= segment < window.last else None
        finding = self.finder.find(text, near)
        if finding.quote is None:
            found.dropped[finding.refusal] += 1
        return finding.quote


def _shown(text: str, found: Reading) -> str | None:
    kept = plain(text)
    if kept is None:
        found.dropped[MARKUP] += 1
    return kept


def _without_repetitions(found: Reading) -> None:
    """Keep one of what two windows noted about the words that they share."""
    points: dict[float, Point] = {}
    for point in found.points:
        place = point.quote.start_s
        if place not in points or points[place].weight < point.weight:
            points[place] = point
    found.points = sorted(points.values(), key=lambda each: each.quote.start_s)
    topics = {topic.segment: topic for topic in reversed(found.topics)}
    found.topics = sorted(topics.values(), key=lambda each: each.segment)
    answers = {(each.quote.start_s, each.question): each for each in found.questions}
    found.questions = sorted(answers.values(), key=lambda each: each.quote.start_s)


def stored_quote(quote: Quote) -> dict[str, Any]:
    """Return a quote as it is stored."""
    return {
        "text": quote.text,
        "start": round(quote.start_s, 2),
        "end": round(quote.end_s, 2),
        "segment": quote.segment,
    }


def weightiest(points: Sequence[Point], count: int) -> list[Point]:
    """Return so many points of most weight, in order of time, those of equal weight spread over it.

    Else the first minutes would stand for a long recording.
    """
    if not points:
        return []
    length_s = max(point.quote.start_s for point in points) + 1.0
    ranks: Counter[tuple[int, int]] = Counter()
    order = []
    for point in points:
        place = (point.weight, int(point.quote.start_s / length_s * count))
        order.append((-point.weight, ranks[place], point.quote.start_s, point))
        ranks[place] += 1
    order.sort(key=lambda each: each[:3])
    # Of those with the same weight and rank, every so many is taken.
    chosen = [each[3] for each in order[:count]]
    if len(order) > count:
        edge = order[count - 1][:2]
        sure = [each[3] for each in order if each[:2] < edge]
        rest = [each[3] for each in order if each[:2] == edge]
        wanted = count - len(sure)
        chosen = sure + [rest[index * len(rest) // wanted] for index in range(wanted)]
    return sorted(chosen, key=lambda point: point.quote.start_s)


def statements(points: Sequence[Point]) -> str:
    """Return numbered statements with their proofs, for a question about them."""
    return "\n".join(
        f"{number}. {point.claim} (“{point.quote.text}”)"
        for number, point in enumerate(points, start=1)
    )
