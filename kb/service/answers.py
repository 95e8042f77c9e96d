"""Answers over the local library: passages are searched for, and a language model reads them.

Without a model the passages themselves are the answer. "Not in the library" is an answer, too.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kb.errors import KBError, LibraryError, UsageError
from kb.library import deep_link
from kb.pipeline import language_model
from kb.pipeline.language_model import AskedPassage, Estimate
from kb.service.items import Items
from kb.service.results import SearchResult
from kb.service.search import Search
from kb.types import Segment, Word
from kb.types.passages import Hit, translated_language

PASSAGES = 12  # that the model gets
SHOWN = 5  # without a model
LONGEST_QUESTION = 2_000


Outcome = Literal["answered", "not_in_library", "passages"]


@dataclass(frozen=True, slots=True)
class Citation:
    """The transcript's own words for a sentence, and the link to their second.

    `origin` is that of the passage: `screen` for text that was on the screen, empty for speech.
    """

    item_id: str
    title: str
    text: str
    start_s: float
    deep_link: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class AnsweredSentence:
    text: str
    citation: Citation


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """An answer: sentences with citations, and the passages that were found.

    `model` and `place` are empty if no model was asked, because none is configured or nothing was
    found. Without `sentences` a model that was asked found no answer in the passages. `dropped`
    sentences had no proof. `problem` is the error of a model that did not answer; `no_model` is the
    error of a model that is not configured.
    """

    found: SearchResult
    sentences: tuple[AnsweredSentence, ...] = ()
    model: str = ""
    place: str = ""
    dropped: int = 0
    problem: KBError | None = None
    no_model: KBError | None = None

    @property
    def outcome(self) -> Outcome:
        """`answered` in sentences, `not_in_library`, or the `passages` alone."""
        if self.sentences:
            return "answered"
        return "not_in_library" if self.model or not self.found.hits else "passages"


@dataclass
class Answers:
    """Questions to one library."""

    search: Search
    items: Items

    def estimate(self, question: str = "") -> Estimate:
        """Return upper bounds of tokens and price of the answer to a question.

        Without one they are those of the longest question. Raises ModelUnavailable without a
        language model, and SettingsError.
        """
        question = question or LONGEST_QUESTION * "\N{GRINNING FACE}"  # the most bytes of UTF-8
        return language_model.estimate_question(self.items.settings, question)

    def ask(
        self, question: str, limit: int | None = None, *, with_model: bool = True
    ) -> LocalAnswer:
        """Return the answer to a question, from at most `limit` passages.

        Without a model it is the passages that fit.

        Raises UsageError for an empty or overlong question, KnowledgeBaseError if the index cannot
        be read. A model that fails is a `problem` of the answer, which then has the passages.
        """
        question = " ".join(question.split())
        if not question or len(question) > LONGEST_QUESTION:
            raise UsageError(
                "answers.question",
                "A question has 1 to {most} characters.",
                hint="Ask it in a sentence.",
                most=LONGEST_QUESTION,
            )
        settings = self.items.settings
        asks = with_model and bool(settings.llm_url)
        found = self.search.run(question, limit=limit or (PASSAGES if asks else SHOWN))
        if not with_model:
            return LocalAnswer(found)
        if not asks:
            return LocalAnswer(found, no_model=language_model.missing(settings))
        if not found.hits:
            return LocalAnswer(found)
        # A proof is what was said, not its translation.
        hits = [hit for hit in found.hits if not translated_language(hit.origin)]
        if not hits:
            return LocalAnswer(found)
        try:
            facts = language_model.facts(settings)
            words = {hit.item_id: self._words(hit.item_id) for hit in hits if not hit.origin}
            passages = [_passage(hit, words.get(hit.item_id, ())) for hit in hits]
            run = uuid.uuid4().hex
            answered = language_model.ask(settings, question, passages, run)
        except KBError as error:
            return LocalAnswer(found, problem=error)
        sentences = []
        for sentence in answered.sentences:
            hit = hits[sentence.passage]
            link = self._link(hit, sentence.start_s)
            sentences.append(
                AnsweredSentence(
                    sentence.text,
                    Citation(
                        hit.item_id, hit.title, sentence.quote, sentence.start_s, link, hit.origin
                    ),
                )
            )
        return LocalAnswer(found, tuple(sentences), facts.model, facts.place, answered.dropped)

    def _words(self, item_id: str) -> tuple[Word, ...]:
        """Return the words of an item with their times, none if it has no transcript or is gone."""
        try:
            return self.items.transcript(item_id).words
        except (LibraryError, UsageError):
            return ()

    def _link(self, hit: Hit, start_s: float) -> str:
        try:
            return deep_link(self.items.entry(hit.item_id).item, start_s)
        except (LibraryError, UsageError):  # its files were deleted since it was indexed
            return hit.deep_link


def _passage(hit: Hit, words: Sequence[Word]) -> AskedPassage:
    """Return a passage with the transcript's words, so that quotes of it have exact times.

    Without them, and for text on the screen, it has the text of the index.
    """
    own = () if hit.origin else tuple(w for w in words if hit.start_s <= w.start_s < hit.end_s)
    text = " ".join(word.text for word in own) or hit.text
    segment = Segment(hit.start_s, hit.end_s, text, own)
    return AskedPassage(hit.title, segment, hit.expected_errors is not None)
