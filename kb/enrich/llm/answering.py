"""Answers a question from passages; a sentence is kept with a quote that was found in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from kb.enrich.llm.answers import Text, _Form, plain
from kb.enrich.llm.errors import BadAnswer
from kb.enrich.llm.prompts import read_prompt
from kb.settings import Settings
from kb.transcript.quotes import QuoteFinder
from kb.types import Segment

_REPAIR_BYTES = 400  # of the request to repair an answer, with the reason
LONGEST_ANSWER = 8_192  # tokens, those of a model's thoughts included
MOST_BYTES = 40_000  # of the passages of one question


class AnswerSentence(_Form):
    text: Text
    quote: Text
    passage: int


class QuestionReply(_Form):
    """The answer to a question about passages."""

    found: bool
    sentences: Annotated[list[AnswerSentence], Field(max_length=12)]


@dataclass(frozen=True, slots=True)
class AskedPassage:
    """A passage: its words with their times, and the title of its recording."""

    title: str
    words: Segment
    is_doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the passages to answer it from, and the run whose limits count."""

    text: str
    passages: tuple[AskedPassage, ...]
    settings: Settings
    run: str = ""


@dataclass(frozen=True, slots=True)
class ProvenSentence:
    """A sentence of the answer; `passage` is the index of the one that its quote is in."""

    text: str
    passage: int
    quote: str
    start_s: float


@dataclass(frozen=True, slots=True)
class Answered:
    """The sentences that were proven; `dropped` is the number of the others."""

    sentences: tuple[ProvenSentence, ...]
    dropped: int


def answer(question: Question, progress: Callable[[float], None]) -> Answered:
    """Ask the language model; without a proven sentence the answer is not in the passages.

    Raises BadAnswer, UsageError and errors that may pass.
    """
    from kb.database import Database
    from kb.enrich.llm.client import LanguageModel, Scope

    prompt = read_prompt("answer", question.settings)
    database = Database.open(question.settings, create=False)
    try:
        model = LanguageModel.open(question.settings, database, LONGEST_ANSWER)
        shown = _that_fit(question.passages, model, prompt.instructions)
        values = {"question": " ".join(question.text.split()), "passages": _lines(shown)}
        reply = model.ask(prompt, values, QuestionReply, Scope(run=question.run))
    finally:
        database.close()
    return proven(reply, shown)


def proven(reply: QuestionReply, passages: Sequence[AskedPassage]) -> Answered:
    """Return the sentences whose quote is in the passage that they name, or in another one."""
    finders = [QuoteFinder([passage.words]) for passage in passages]
    kept: list[ProvenSentence] = []
    dropped: Counter[str] = Counter()
    for sentence in reply.sentences if reply.found else ():
        text = plain(sentence.text)
        named = sentence.passage - 1
        order = sorted(range(len(finders)), key=lambda index: index != named)
        places = (
            (index, finders[index].find(sentence.quote, 0 if index == named else None).quote)
            for index in order
        )
        place = next(((index, quote) for index, quote in places if quote is not None), None)
        if text is None or place is None:
            dropped["markup" if text is None else "absent"] += 1
            continue
        index, quote = place
        kept.append(ProvenSentence(text, index, quote.text, quote.start_s))
    return Answered(tuple(kept), dropped.total())


def _that_fit(
    passages: Sequence[AskedPassage], model: object, instructions: str
) -> list[AskedPassage]:
    """Return the first passages, as many as fit into one question. Raises BadAnswer."""
    from kb.enrich.llm.client import LanguageModel

    assert isinstance(model, LanguageModel)
    shown = list(passages)
    while shown and (
        len(_lines(shown).encode("utf-8", "replace")) > MOST_BYTES
        or not model.fits(f"{instructions}{_lines(shown)}")
    ):
        shown.pop()
    if not shown:
        raise BadAnswer(
            "llm.too_long",
            "A part of the transcript does not fit into one question.",
            hint="Enter a larger `context` for the model in KB_LLM_TABLE.",
        )
    return shown


def most_tokens(question_bytes: int, settings: Settings, answer: int) -> tuple[int, int]:
    """Return the most tokens that a question sends and gets, its one repair included.

    `answer` is the longest answer of the model, in tokens.
    """
    from kb.enrich.llm.client import OVERHEAD_TOKENS, strict_schema, upper_bound

    prompt = read_prompt("answer", settings)
    form = strict_schema(QuestionReply)
    texts = [{"content": prompt.instructions}, {"content": prompt.question}]
    sent = upper_bound(texts, form) + question_bytes + MOST_BYTES
    longest = min(answer, LONGEST_ANSWER)
    repair = sent + longest + _REPAIR_BYTES + 2 * OVERHEAD_TOKENS
    return sent + repair, 2 * longest


def _lines(passages: Sequence[AskedPassage]) -> str:
    return "\n\n".join(
        f"[{number}{'?' if passage.is_doubtful else ''}] {' '.join(passage.title.split())}\n"
        f"{' '.join(passage.words.text.split())}"
        for number, passage in enumerate(passages, start=1)
    )
