"""Transcripts as JSON: Whisper and its relatives, Whisper.cpp, Transformers, YouTube."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kb.transcript.foreign.rows import Found, Row
from kb.types import Word

_ROW_LISTS = ("segments", "transcription", "chunks", "utterances", "results")
_MILLISECONDS = ("utterances",)  # AssemblyAI's own name
# Languages are named by code, except by OpenAI's service, which writes `english`.
_NAMES = {
    "english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it",
    "portuguese": "pt", "dutch": "nl", "polish": "pl", "russian": "ru", "japanese": "ja",
    "chinese": "zh", "korean": "ko", "turkish": "tr", "ukrainian": "uk", "arabic": "ar",
}  # fmt: skip


def parse(document: object) -> Found | None:
    """Return the rows of a document, None if it is no transcript of a known form."""
    if isinstance(document, list):
        document = {"segments": document}
    if not isinstance(document, Mapping):
        return None
    for name in _ROW_LISTS:
        found = document.get(name)
        if isinstance(found, list) and found:
            scale = 1000.0 if name in _MILLISECONDS else 1.0
            rows = [row for each in found if (row := _row(each, scale)) is not None]
            if rows:
                return Found(tuple(rows), _language(document))
    text = document.get("text")
    if isinstance(text, str) and text.strip() and _names_no_medium(document):
        words = _words(document.get("words"), 1.0)
        start, end = (words[0].start_s, words[-1].end_s) if words else (None, None)
        return Found((Row(text, start, end, words),), _language(document))
    return None


def _names_no_medium(document: Mapping[str, Any]) -> bool:
    """Return False for metadata of a medium that has a field `text` too."""
    return not {"title", "uploader", "channel", "webpage_url", "duration"} & document.keys() or (
        "language" in document and "task" in document
    )


def _language(document: Mapping[str, Any]) -> str:
    result = document.get("result")  # whisper.cpp
    value = document.get("language") or (
        result.get("language") if isinstance(result, Mapping) else None
    )
    name = str(value).lower() if isinstance(value, str) else ""
    return _NAMES.get(name, name.replace("_", "-").split("-")[0] if len(name) <= 7 else "")


def _row(value: object, scale: float) -> Row | None:
    if not isinstance(value, Mapping):
        return None
    text = value.get("text")
    if not isinstance(text, str):
        text = value.get("transcript")
    if not isinstance(text, str) or not text.strip():
        return None
    start, end = _times(value, scale)
    words = _words(value.get("words"), scale)
    if start is None and words:
        start, end = words[0].start_s, words[-1].end_s
    language = value.get("language")
    return Row(
        text, start, end, words,
        language.lower()[:2] if isinstance(language, str) and language else None,
    )  # fmt: skip


def _times(value: Mapping[str, Any], scale: float) -> tuple[float | None, float | None]:
    offsets, pair = value.get("offsets"), value.get("timestamp")
    if isinstance(offsets, Mapping):  # whisper.cpp, in milliseconds
        return _number(offsets.get("from"), 1000.0), _number(offsets.get("to"), 1000.0)
    if isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2:  # Transformers
        return _number(pair[0], 1.0), _number(pair[1], 1.0)
    start = _number(value.get("start", value.get("start_time")), scale)
    end = _number(value.get("end", value.get("end_time")), scale)
    if end is None and start is not None:
        length = _number(value.get("duration"), scale)
        end = start + length if length is not None else None
    return start, end


def _number(value: object, scale: float) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    seconds = float(value) / scale
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _words(value: object, scale: float) -> tuple[Word, ...]:
    """Return the words; one without a time (a number, in WhisperX) gets its neighbours' times."""
    found: list[tuple[str, float | None, float | None, float]] = []
    for each in value if isinstance(value, list) else ():
        if not isinstance(each, Mapping):
            return ()
        text = each.get("word", each.get("text"))
        if not isinstance(text, str):
            return ()
        chance = _number(each.get("probability", each.get("score", each.get("confidence"))), 1.0)
        if text.strip():
            found.append((text.strip(), *_times(each, scale), 1.0 if chance is None else chance))
    if not any(start is not None for _, start, _, _ in found):
        return ()
    words: list[Word] = []
    at_s = ended_s = next(start for _, start, _, _ in found if start is not None)
    for place, (text, start, end, chance) in enumerate(found):
        following = next((s for _, s, _, _ in found[place + 1 :] if s is not None), ended_s)
        start_s = max(at_s, start if start is not None else ended_s)
        end_s = max(start_s, end if end is not None else following)
        words.append(Word(start_s, end_s, text, min(1.0, chance)))
        at_s, ended_s = start_s, end_s
    return tuple(words)
