"""The configured language model for the faces: where texts go, at what price, what was used."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from kb.database import Database
from kb.enrich import STEPS, get_step
from kb.enrich.llm.answering import Answered, Question, answer, most_tokens
from kb.enrich.llm.answering import AskedPassage as AskedPassage
from kb.enrich.llm.endpoint import find_endpoint
from kb.enrich.llm.endpoint import missing as missing
from kb.enrich.llm.ledger import Booked, Ledger
from kb.enrich.llm.windows import SHARED, WORDS
from kb.library import LibraryEntry
from kb.settings import Settings
from kb.types.translation import TRANSLATE as TRANSLATE

_FORM_BYTES = 6_000  # of a window's instructions and the form of its answer
_SUMMARY_BYTES = 30_000  # of the statements that a summary is made of
_LEAST_WINDOW_BYTES = 12_000  # a window has 3,000 words, of four bytes and more
_LINES_FORM_BYTES = 9_000  # of the instructions for lines to translate and the form of the answer
_LEAST_LINES_BYTES = 1_500  # such a question has 500 words or 40 sentences

INTO, VIA = "into", "via"  # its options: codes with commas between them, and the way


@dataclass(frozen=True, slots=True)
class LanguageModelFacts:
    """A service and its model. Prices are for a million tokens, None is not known.

    `is_local`: what is sent stays on this machine; `is_plain`: it leaves without encryption.
    """

    place: str
    model: str
    has_key: bool
    is_local: bool
    is_plain: bool
    input_price: float | None
    output_price: float | None
    priced_at: date


@dataclass(frozen=True, slots=True)
class Estimate:
    """Upper bounds of what steps would send and get; `price` is None if it is not known."""

    tokens: int
    price: float | None


def facts(settings: Settings) -> LanguageModelFacts:
    """Return the configured service. Raises ModelUnavailable without one, and SettingsError."""
    found = find_endpoint(settings)
    return LanguageModelFacts(
        place=found.place,
        model=found.model,
        has_key=bool(found.key),
        is_local=found.is_local,
        is_plain=found.is_plain,
        input_price=found.row.input,
        output_price=found.row.output,
        priced_at=found.priced_at,
    )


def text_steps(settings: Settings) -> tuple[str, ...]:
    """Return the names of the steps that send an item's words to the language model."""
    return tuple(
        name
        for name in STEPS
        if get_step(name).sends_text and (name != TRANSLATE or settings.translate_via == "llm")
    )


def language_codes(text: str) -> tuple[str, ...]:
    """Return the codes of languages in a text such as `de, French`.

    Raises UsageError for one that is not known, and for none.
    """
    from kb.enrich.translation.step import languages_of

    return languages_of(text)


def translation_options(settings: Settings, into: str = "", via: str = "") -> dict[str, Any]:
    """Return the options of a request for translations; what is empty is that of the settings.

    Raises UsageError for an unknown language or way, and without a language.
    """
    from kb.enrich.translation.step import check_way, languages_of, way_of

    codes = languages_of(into or settings.translate_into)
    way = way_of({VIA: via}, settings)
    check_way(way, codes)
    return {INTO: ",".join(codes), VIA: way}


def estimate(
    settings: Settings, entries: Sequence[LibraryEntry], names: Sequence[str], *, languages: int = 1
) -> Estimate:
    """Return upper bounds for these steps of items: a token for each byte, the longest answers.

    Raises as `facts` does. Steps of one item share their questions, but for each of the `languages`
    of a translation.
    """
    row = find_endpoint(settings).row
    sent = received = 0
    for entry in entries:
        size = 0
        with suppress(OSError):
            size = entry.text_path.stat().st_size if entry.text_path else 0
        if TRANSLATE in names:
            questions = languages * (1 + size // _LEAST_LINES_BYTES)
            sent += languages * size + questions * _LINES_FORM_BYTES
            received += questions * row.answer
        if set(names) <= {TRANSLATE}:
            continue
        windows = 1 + size // _LEAST_WINDOW_BYTES
        shared = 1 + SHARED / WORDS
        sent += int(size * shared) + windows * _FORM_BYTES
        received += windows * row.answer
        if "summary" in names:
            sent, received = sent + _SUMMARY_BYTES, received + row.answer
    return Estimate(sent + received, row.price(sent, received))


def estimate_question(settings: Settings, question: str) -> Estimate:
    """Return upper bounds for an answer to a question over the library, its repair included.

    Raises as `facts` does.
    """
    row = find_endpoint(settings).row
    sent, received = most_tokens(len(question.encode("utf-8", "replace")), settings, row.answer)
    return Estimate(sent + received, row.price(sent, received))


def ask(settings: Settings, question: str, passages: Sequence[AskedPassage], run: str) -> Answered:
    """Return the answer to a question from passages, asked in a process of its own.

    Raises ModelUnavailable, BadAnswer, UsageError and errors that may pass.
    """
    from kb.enrich.process import call_apart

    asked = Question(question, tuple(passages), settings, run)
    return call_apart("answer", partial(answer, asked))


def booked(settings: Settings, database: Database) -> Booked:
    """Return what was used this month. Raises LibraryError when the database fails."""
    return Ledger(database, {}, {}).booked(month=True)
