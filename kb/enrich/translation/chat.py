"""Translation by the language model: numbered lines out, the same numbers back.

No time leaves, so none can drift. An answer must have the very numbers that were asked for; one
that has not is asked for again in halves, down to one line. What seems to belong to another line is
halved as well, and what is no translation is asked for once more by itself. A line for which no
usable answer came is marked, and nothing else is put in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, create_model

from kb.enrich.base import ItemText
from kb.enrich.llm.client import LanguageModel, Scope
from kb.enrich.llm.errors import BadAnswer
from kb.enrich.llm.prompts import read_prompt
from kb.enrich.translation import checks
from kb.enrich.translation.units import Unit, given_back, size
from kb.errors import KBError
from kb.library.languages import language_name
from kb.types.translation import FAILED, SWAPPED

MOST_LINES = 40  # of one question
MOST_WORDS = 500
MOST_NAMES = 60
# Questions in a row without a usable line, after which no question is divided any more.
GIVEN_UP_AFTER = 12

_LINE_CHARS = 8_000

Progress = Callable[[float], None]


class LineAnswer(BaseModel):
    """The answer for one line."""

    model_config = ConfigDict(extra="forbid", strict=True)

    first: Annotated[str, Field(max_length=_LINE_CHARS)]
    text: Annotated[str, Field(max_length=_LINE_CHARS)]


class _Lines(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


@dataclass(slots=True)
class Translated:
    """Texts and marks by number of the segment."""

    texts: dict[int, str] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)
    divided: int = 0


class ChatTranslator:
    """Translates the units of one item into one language."""

    def __init__(
        self, model: LanguageModel, given: ItemText, scope: Scope, languages: tuple[str, str]
    ) -> None:
        self._model, self._given, self._scope, self._languages = model, given, scope, languages
        self._prompt = read_prompt("translate", given.settings)
        self._names = checks.name_words(given.names)
        self._found = Translated()
        self._misses = 0  # questions in a row without a usable line
        self._problem: BadAnswer | None = None

    def translate(self, units: Sequence[Unit], progress: Progress) -> Translated:
        """Return all units translated or marked.

        Raises the errors of `LanguageModel.ask`; the last BadAnswer, or UsageError, where nothing
        at all could be used.
        """
        done, whole = 0, sum(size(unit.text) for unit in units) or 1
        for batch in _batches(units):
            self._ask(batch)
            if not self._found.texts and self._misses >= GIVEN_UP_AFTER:
                break
            done += sum(size(unit.text) for unit in batch)
            progress(done / whole)
        if units and not self._found.texts:
            raise self._problem or nothing_usable(self._model.endpoint.model, self._languages[1])
        return self._found

    def _ask(self, units: Sequence[Unit]) -> None:
        """Translate units with one question, and those without a usable answer again."""
        if not self._found.texts and self._misses >= GIVEN_UP_AFTER:
            self._mark(units, FAILED)
            return
        answers = self._answers(units)
        if answers is None:
            if self._is_divisible(units):
                self._halves(units)
            else:
                self._mark(units, FAILED)
            return
        sources = [unit.text for unit in units]
        shown = [checks.shown(each.text, source) for each, source in zip(answers, sources,
                                                                        strict=True)]  # fmt: skip
        if len(units) > 1:
            strange = checks.swapped(
                sources,
                [each.first for each in answers],
                [each.text for each in answers],
                self._names,
            )
            if strange:
                self._misses += 1
                if self._is_divisible(units):
                    self._halves(units)
                    return
        else:
            strange = set()
        again: list[tuple[Unit, str]] = []  # each is smaller than what was asked for
        good = 0
        for number, (unit, text) in enumerate(zip(units, shown, strict=True)):
            mark = SWAPPED if number in strange else checks.problem(
                text, unit.text, self._languages, self._names
            )  # fmt: skip
            if mark and len(units) > 1:
                again.append((unit, mark))
            elif mark:
                self._mark([unit], mark)
            else:
                parts = given_back(unit, text or "")
                if parts is None:
                    again += [(each, FAILED) for each in unit.singles()]
                else:
                    good += 1
                    self._found.texts.update(enumerate(parts, start=unit.first))
        self._misses = 0 if good else self._misses + 1
        for unit, mark in again:
            if self._misses < GIVEN_UP_AFTER:
                self._ask([unit])
            else:
                self._mark([unit], mark)

    def _answers(self, units: Sequence[Unit]) -> list[LineAnswer] | None:
        """Return the answer for each unit, None where it has not the numbers asked for."""
        lines = "\n".join(f"[{unit.first}] {unit.text}" for unit in units)
        if not self._model.fits(f"{self._prompt.instructions}{lines}"):
            if len(units) == 1:
                self._misses += 1
            return None
        form = create_model(
            "TranslatedLines", __base__=_Lines,
            **{f"n{unit.first}": (LineAnswer, Field(alias=str(unit.first))) for unit in units},
        )  # type: ignore[call-overload]  # fmt: skip
        source, target = self._languages
        values = {
            "title": self._given.item.title,
            "source": language_name(source).title() or "the language of the lines",
            "target": language_name(target).title(),
            "names": ", ".join(checks.named_in(lines, self._given.names)[:MOST_NAMES]) or "none",
            "lines": lines,
        }
        try:
            answer = self._model.ask(self._prompt, values, form, self._scope)
        except BadAnswer as error:
            self._problem = error
            self._misses += 1
            return None
        return [getattr(answer, f"n{unit.first}") for unit in units]

    def _is_divisible(self, units: Sequence[Unit]) -> bool:
        return len(units) > 1 and self._misses < GIVEN_UP_AFTER

    def _halves(self, units: Sequence[Unit]) -> None:
        self._found.divided += 1
        middle = len(units) // 2
        self._ask(units[:middle])
        self._ask(units[middle:])

    def _mark(self, units: Sequence[Unit], mark: str) -> None:
        for unit in units:
            self._found.marks.update(dict.fromkeys(range(unit.first, unit.last), mark))


def nothing_usable(model: str, language: str) -> KBError:
    """Return the error of a model of whose answers nothing can be used."""
    return KBError(
        "translation.none",
        "{model} gave no usable translation into {language}.",
        hint="Another model may do better: KB_LLM_MODEL, or KB_TRANSLATE_MODEL on this machine.",
        model=model,
        language=language_name(language).title(),
    )


def _batches(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    batch: list[Unit] = []
    words = 0
    for unit in units:
        count = size(unit.text)
        if batch and (len(batch) >= MOST_LINES or words + count > MOST_WORDS):
            yield batch
            batch, words = [], 0
        batch.append(unit)
        words += count
    if batch:
        yield batch
