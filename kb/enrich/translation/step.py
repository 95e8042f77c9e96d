"""The step that translates an item's words: a document for each language, beside the original."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from kb.enrich.base import BASIS, FURTHER, ItemText, Progress, Step, StepInput
from kb.enrich.llm.endpoint import missing as llm_missing
from kb.enrich.translation.units import Unit, units
from kb.errors import KBError, UsageError
from kb.library.languages import language_code
from kb.settings import Settings, get_settings
from kb.transcript.translation import document_name
from kb.types.translation import LEFT_OUT, MARKUP

INTO, VIA = "into", "via"  # options of a request
LLM, LOCAL, WHISPER = "llm", "local", "whisper"
WAYS = (LLM, LOCAL, WHISPER)
ENGLISH = "en"  # the only language of Whisper's own translation


def languages_of(text: str) -> tuple[str, ...]:
    """Return the codes of languages in a text such as `de, French`, each once.

    Raises UsageError for one that is not known, and for none.
    """
    codes = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        if not (code := language_code(name)):
            raise UsageError(
                "translation.language",
                "{name!r} is no language that is known.",
                hint="Give a code of two letters, such as de, fr or es.",
                name=name,
            )
        codes.append(code)
    if not codes:
        raise UsageError(
            "translation.no_language",
            "No language is named to translate into.",
            hint="kb translate ID --into de, or KB_TRANSLATE_INTO for the step.",
        )
    return tuple(dict.fromkeys(codes))


class Translate(Step):
    """Translations of the words; off until it is named, as the language model gets them."""

    name = "translate"
    is_default = False
    needs_medium = False
    needs_text = True
    sends_text = True
    is_indexed = True
    options = (INTO, VIA, "again", "run")

    @property
    def model(self) -> str:
        settings = get_settings()
        if settings.translate_via == LOCAL:
            from kb.enrich.translation.local_model import described

            return described(settings.translate_model)
        return settings.llm_model or "none" if settings.translate_via == LLM else WHISPER

    @property
    def may_cost_money(self) -> bool:
        return get_settings().translate_via == LLM

    def missing(self) -> KBError | None:
        return self.missing_for({})

    def missing_for(self, options: Mapping[str, Any]) -> KBError | None:
        settings = get_settings()
        way = way_of(options, settings)
        if way == LLM:
            return llm_missing(settings)
        if way == LOCAL:
            from kb.enrich.translation.local_model import missing

            return missing(settings)
        return None

    def hears(self, given: StepInput) -> bool:
        settings = _text(given).settings
        return way_of(given.options, settings) == WHISPER and bool(self._languages(given))

    def further(self, given: StepInput) -> tuple[str, ...]:
        return tuple(document_name(code) for code in self._languages(given))

    def basis(self, given: StepInput) -> dict[str, Any]:
        """Return what a result is made from: the words, the languages and the way."""
        text = _text(given)
        asked = ",".join(languages_of(_into(given, text.settings)))
        return {**_made_from(given, way_of(given.options, text.settings)), INTO: asked}

    def is_current(self, given: StepInput, document: Mapping[str, Any]) -> bool:
        """Return True if each language that is asked for has a document of these words."""
        way = way_of(given.options, _text(given).settings)
        return all(
            (given.stored.get(document_name(code)) or {}).get(BASIS) == _made_from(given, way)
            for code in self._languages(given)
        )

    def run(self, given: StepInput, progress: Progress) -> dict[str, Any]:
        text = _text(given)
        way = way_of(given.options, text.settings)
        made_from = _made_from(given, way)
        again = bool(given.options.get("again"))
        wanted = [
            code
            for code in self._languages(given)
            if again or (given.stored.get(document_name(code)) or {}).get(BASIS) != made_from
        ]
        further = {}
        for number, code in enumerate(wanted):
            share = 1.0 / len(wanted)
            at = number * share
            document = _translated(given, text, code, way, _part_of(progress, at, share))
            further[document_name(code)] = {BASIS: made_from, **document}
        asked = languages_of(_into(given, text.settings))
        return {
            "languages": list(asked),
            "same": [code for code in asked if code == text.transcript.language],
            "translated": wanted,
            FURTHER: further,
        }

    def _languages(self, given: StepInput) -> tuple[str, ...]:
        """Return the wanted languages without the one that is spoken."""
        text = _text(given)
        asked = languages_of(_into(given, text.settings))
        check_way(way_of(given.options, text.settings), asked)
        return tuple(code for code in asked if code != text.transcript.language)


def _part_of(progress: Progress, at: float, share: float) -> Progress:
    """Return the progress of a part that begins at a share of the whole."""
    return lambda done: progress(at + done * share)


def _text(given: StepInput) -> ItemText:
    assert given.text is not None
    return given.text


def _into(given: StepInput, settings: Settings) -> str:
    return str(given.options.get(INTO) or settings.translate_into)


def way_of(options: Mapping[str, Any], settings: Settings) -> str:
    """Return the way of a request. Raises UsageError for an unknown one."""
    way = str(options.get(VIA) or settings.translate_via)
    if way not in WAYS:
        raise UsageError(
            "translation.way",
            "There is no way {way!r} to translate.",
            hint="Known: {known}.",
            way=way,
            known=", ".join(WAYS),
        )
    return way


def check_way(way: str, languages: Sequence[str]) -> None:
    """Raise UsageError for languages that a way does not lead to."""
    if way == WHISPER and tuple(languages) != (ENGLISH,):
        raise UsageError(
            "translation.only_english",
            "Whisper translates into English only.",
            hint="kb translate ID --into en --via whisper; other languages: --via llm or local.",
        )


def _made_from(given: StepInput, way: str) -> dict[str, Any]:
    from kb.enrich.llm.reading import text_digest

    text = _text(given)
    settings = text.settings
    found: dict[str, Any] = {
        "sha256": given.sha256, "track": given.track, "words": text_digest(text.transcript),
        VIA: way, "doubtful": settings.llm_doubtful,
    }  # fmt: skip
    if way == LLM:
        from kb.enrich.llm.prompts import read_prompt

        found.update(model=settings.llm_model, service=settings.llm_url.rstrip("/"))
        found["prompt"] = read_prompt("translate", settings).digest[:16]
    elif way == LOCAL:
        found["model"] = settings.translate_model
    else:
        found["model"] = settings.translate_model or settings.model
    return found


def _translated(
    given: StepInput, text: ItemText, code: str, way: str, progress: Progress
) -> dict[str, Any]:
    """Return the document of one language."""
    transcript = text.transcript
    if way == WHISPER:
        return _as_heard(given, transcript.language)
    source = transcript.language
    texts: dict[int, str] = {}
    marks: dict[int, str] = {}
    doubtful = transcript.doubtful_spans if text.settings.llm_doubtful == "leave_out" else ()
    for number, segment in enumerate(transcript.segments):
        if segment.language == code and code != source:
            texts[number] = " ".join(segment.text.split())  # said in that language already
        elif segment.text.strip() and any(
            span.start_s < segment.end_s and segment.start_s < span.end_s for span in doubtful
        ):
            marks[number] = LEFT_OUT
    planned = list(
        units(transcript.segments, lambda number: number not in texts and number not in marks)
    )
    about: dict[str, Any]
    if way == LLM:
        found, about = _by_model(given, text, planned, (source, code), progress)
    else:
        from kb.enrich.translation.local_model import translate_units

        found, about = translate_units(text, planned, (source, code), progress)
    texts.update(found.texts)
    marks.update(found.marks)
    segments = [
        {
            "start": segment.start_s, "end": segment.end_s, "text": texts.get(number, ""),
            **({"mark": marks[number]} if number in marks else {}),
        }
        for number, segment in enumerate(transcript.segments)
    ]  # fmt: skip
    return {"language": code, "source_language": source, "via": way, **about, "segments": segments}


def _as_heard(given: StepInput, source: str) -> dict[str, Any]:
    """Return the document of the recognizer's translation, which has segments of its own."""
    from kb.enrich.translation import checks

    assert given.heard is not None
    segments = []
    for segment in given.heard.segments:
        if not segment.text.strip():
            continue
        shown = checks.shown(segment.text, segment.text)
        mark = {} if shown else {"mark": MARKUP}
        segments.append(
            {"start": segment.start_s, "end": segment.end_s, "text": shown or "", **mark}
        )
    return {
        "language": ENGLISH, "source_language": source, "via": WHISPER, "own_times": True,
        "model": given.heard.model, "segments": segments,
    }  # fmt: skip


def _by_model(
    given: StepInput, text: ItemText, planned: list[Unit], languages: tuple[str, str],
    progress: Progress,
) -> tuple[Any, dict[str, Any]]:  # fmt: skip
    from kb.enrich.llm.client import LanguageModel, Scope
    from kb.enrich.translation.chat import ChatTranslator, Translated

    settings = text.settings
    about: dict[str, Any] = {"model": settings.llm_model}
    if not planned:
        return Translated(), about
    with _database(settings) as database:
        model = LanguageModel.open(settings, database)
        model.ledger.prune(settings.llm_cache_mb * 2**20, settings.llm_cache_days)
        scope = Scope(
            text.item.id, str(given.options.get("run") or ""),
            fresh=bool(given.options.get("again")),
        )  # fmt: skip
        found = ChatTranslator(model, text, scope, languages).translate(planned, progress)
    tally = asdict(model.tally)
    price = tally["price"]
    about["place"] = model.endpoint.place
    about["usage"] = {**tally, "price": None if price is None else round(price, 6)}
    return found, about


@contextmanager
def _database(settings: Settings) -> Iterator[Any]:
    from kb.database import Database

    database = Database.open(settings, create=False)
    try:
        yield database
    finally:
        database.close()
