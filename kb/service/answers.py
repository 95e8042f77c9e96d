"""Answers over the local library: passages are searched for, and a language model reads them.

Without a model the passages themselves are the answer. "Not in the library" is an answer, too.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from kb.errors import KBError, LibraryError, UsageError
from kb.library import deep_link
from kb.pipeline import language_model
from kb.pipeline.language_model import AskedPassage
from kb.service.items import Items
from kb.service.results import SearchResult
from kb.service.search import Search
from kb.types import Segment
from kb.types.passages import Hit

PASSAGES = 12  # that the model gets
SHOWN = 5  # without a model
LONGEST_QUESTION = 2_000


@dataclass(frozen=True, slots=True)
class Citation:
    """The transcript's own words for a sentence, and the link to their second."""

    item_id: str
    title: str
    text: str
    start_s: float
    deep_link: str


@dataclass(frozen=True, slots=True)
class AnsweredSentence:
    text: str
    citation: Citation


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """An answer: sentences with citations, and the passages that were found.

    `model` and `place` are empty if no model was asked, because none is configured or nothing was
    found. Without `sentences` a model that was asked found no answer in the passages. `dropped`
    sentences had no proof. `problem` is the error of a model that did not answer.
    """

    found: SearchResult
    sentences: tuple[AnsweredSentence, ...] = ()
    model: str = ""
    place: str = ""
    dropped: int = 0
    problem: KBError | None = None


@dataclass
class Answers:
    """Questions to one library."""

    search: Search
    items: Items

    def ask(self, question: str) -> LocalAnswer:
        """Return the answer to a question.

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
        found = self.search.run(question, limit=PASSAGES if settings.llm_url else SHOWN)
        if not settings.llm_url or not found.hits:
            return LocalAnswer(found)
        hits = list(found.hits)
        try:
            facts = language_model.facts(settings)
            passages = [self._passage(hit) for hit in hits]
            run = uuid.uuid4().hex
            answered = language_model.ask(settings, question, passages, run)
        except KBError as error:
            return LocalAnswer(found, problem=error)
        sentences = []
        for sentence in answered.sentences:
            hit = hits[sentence.passage]
            entry = self.items.entry(hit.item_id)
            link = deep_link(entry.item, sentence.start_s)
            sentences.append(
                AnsweredSentence(
                    sentence.text,
                    Citation(hit.item_id, hit.title, sentence.quote, sentence.start_s, link),
                )
            )
        return LocalAnswer(found, tuple(sentences), facts.model, facts.place, answered.dropped)

    def _passage(self, hit: Hit) -> AskedPassage:
        """Return a passage with the transcript's words, so that quotes of it have exact times."""
        is_doubtful = hit.expected_errors is not None
        if not hit.origin:
            try:
                transcript = self.items.transcript(hit.item_id)
            except LibraryError:
                transcript = None
            words = tuple(
                word
                for word in (transcript.words if transcript else ())
                if hit.start_s <= word.start_s < hit.end_s
            )
            if words:
                text = " ".join(word.text for word in words)
                return AskedPassage(
                    hit.title, Segment(hit.start_s, hit.end_s, text, words), is_doubtful
                )
        return AskedPassage(hit.title, Segment(hit.start_s, hit.end_s, hit.text, ()), is_doubtful)
