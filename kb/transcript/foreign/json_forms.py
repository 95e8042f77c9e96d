"""Transcripts as JSON: Whisper and its relatives, OpenAI's service, Whisper.cpp, Transformers.

`segments` with `word` (openai-whisper, faster-whisper, WhisperX), `text` (whisper-timestamped) or
`words` of the whole text (`verbose_json`), `chunks` (Transformers), `transcription` (Whisper.cpp),
`utterances` (AssemblyAI and others), `result` (Vosk), and lists of segments or words without a
head. faster-whisper before 1.1 gives segments as tuples, which become lists.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kb.library.languages import language_code
from kb.library.transcript_names import is_transcript
from kb.transcript.foreign.rows import (
    Found,
    ImpossibleTime,
    Row,
    check_times,
    grouped,
    rows_of_words,
)
from kb.transcript.foreign.subtitles import seconds
from kb.types import Word

_ROW_LISTS = ("segments", "transcription", "chunks", "utterances", "results")
_WORD_LISTS = ("words", "word_segments", "result")
_UNREAD = ("results", "monologues", "phrases")  # of services whose JSON is not read
_TEXTS = ("text", "transcript")
_WORD_TEXTS = ("word", "punctuated_word", "text")
_CHANCES = ("probability", "score", "confidence")
_STARTS, _ENDS = ("start", "start_time", "startTime"), ("end", "end_time", "endTime")
_WHOLE_MILLISECONDS = ("utterances", "words")  # of AssemblyAI, which are whole numbers
_TUPLE_TEXT, _TUPLE_START, _TUPLE_END = 4, 2, 3  # places in a segment of faster-whisper


def parse(document: object) -> Found | None:
    """Return the rows of a document, None if it is no transcript of a form that is read.

    A transcript without words has no rows, or one without text. Raises ImpossibleTime for a time
    that no recording has.
    """
    if isinstance(document, list):
        name = "words" if _is_word_list(document) else "segments"
        document = {name: document}
    if not isinstance(document, Mapping) or not is_transcript(document):
        return None
    language = _language(document)
    words = _whole_words(document)
    for name in _ROW_LISTS:
        found = document.get(name)
        if not isinstance(found, list) or not found:
            continue
        scale = _scale(name, found)
        rows = [
            row
            for number, each in enumerate(found)
            if (row := _row(each, scale, f"{name}[{number}]")) is not None
        ]
        if not rows:
            continue
        if words and not any(row.words for row in rows):
            rows = _dealt(rows, words)
        return grouped(Found(tuple(rows), language))
    text = next((t for key in _TEXTS if isinstance(t := document.get(key), str)), "")
    if words:
        return Found(tuple(_in_text(words, text)), language)
    return Found((Row(text),), language) if text.strip() or _is_known_form(document) else None


def _is_known_form(document: Mapping[str, Any]) -> bool:
    """Return True for a document without words in a form that is read.

    Other services name their texts otherwise: Deepgram, Amazon, Google, Speechmatics, Rev, Azure.
    """
    if any(isinstance(document.get(name), Mapping | list) for name in _UNREAD):
        return False
    return all(
        _has_text(entry, keys)
        for names, keys in ((_ROW_LISTS, _TEXTS), (_WORD_LISTS, _WORD_TEXTS))
        for name in names
        if isinstance(found := document.get(name), list)
        for entry in found
    )


def _has_text(entry: object, keys: Iterable[str]) -> bool:
    if isinstance(entry, list):
        return len(entry) > _TUPLE_TEXT and isinstance(entry[_TUPLE_TEXT], str)
    return isinstance(entry, Mapping) and any(isinstance(entry.get(key), str) for key in keys)


def _is_word_list(rows: Sequence[object]) -> bool:
    return all(isinstance(row, Mapping) and "word" in row and "text" not in row for row in rows)


def _language(document: Mapping[str, Any]) -> str:
    result = document.get("result")  # whisper.cpp
    names = (
        document.get("language"),
        document.get("language_code"),
        result.get("language") if isinstance(result, Mapping) else None,
    )
    return next((code for n in names if isinstance(n, str) and (code := language_code(n))), "")


def _scale(name: str, rows: Iterable[object]) -> float:
    """Return the units in a second: some services count whole milliseconds."""
    times = [row.get(key) for row in rows if isinstance(row, Mapping) for key in ("start", "end")]
    known = [time for time in times if time is not None]
    whole = name in _WHOLE_MILLISECONDS and all(isinstance(time, int) for time in known)
    return 1000.0 if whole and known else 1.0


def _whole_words(document: Mapping[str, Any]) -> tuple[Word, ...]:
    """Return the words of the whole text; none if a word has no text."""
    for name in _WORD_LISTS:
        found = document.get(name)
        if isinstance(found, list) and found:
            # Whole seconds are possible for a word, but not for all words of a service that
            # counts milliseconds: it names the sound's address or length too.
            counted = {"audio_url", "audio_duration", "utterances"} & document.keys()
            return _words(found, _scale(name, found) if counted else 1.0, name)
    return ()


def _row(value: object, scale: float, place: str) -> Row | None:
    if isinstance(value, list):
        return _tuple_row(value, place)
    if not isinstance(value, Mapping):
        return None
    text = next((t for key in _TEXTS if isinstance(t := value.get(key), str)), None)
    if text is None or not text.strip():
        return None
    start, end = _times(value, scale, place)
    words = _words(value.get("words"), scale, f"{place}.words")
    if start is None and words:
        start, end = words[0].start_s, words[-1].end_s
    language = value.get("language")
    code = language_code(language) if isinstance(language, str) else ""
    speaker = value.get("speaker")
    named = str(speaker).strip() if isinstance(speaker, str | int) else ""
    return Row(text, start, end, words, code or None, place, named or None)


def _tuple_row(value: Sequence[Any], place: str) -> Row | None:
    """Return a segment that was a tuple: id, seek, start, end, text, …, words."""
    if len(value) <= _TUPLE_TEXT or not isinstance(value[_TUPLE_TEXT], str):
        return None
    if not value[_TUPLE_TEXT].strip():
        return None
    words = value[-1] if isinstance(value[-1], list) else []
    named = [
        {"start": w[0], "end": w[1], "word": w[2], "probability": w[3]}
        for w in words
        if isinstance(w, list) and len(w) == 4
    ]
    return Row(
        value[_TUPLE_TEXT],
        _number(value[_TUPLE_START], 1.0, place),
        _number(value[_TUPLE_END], 1.0, place),
        _words(named, 1.0, f"{place}.words"),
        place=place,
    )


def _times(value: Mapping[str, Any], scale: float, place: str) -> tuple[float | None, float | None]:
    offsets, pair = value.get("offsets"), value.get("timestamp")
    if isinstance(offsets, Mapping):  # whisper.cpp, in milliseconds
        ends = offsets.get("from"), offsets.get("to")
        return _number(ends[0], 1000.0, place), _number(ends[1], 1000.0, place)
    if isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2:  # Transformers
        return _number(pair[0], 1.0, place), _number(pair[1], 1.0, place)
    start = _number(_first(value, _STARTS), scale, place)
    end = _number(_first(value, _ENDS), scale, place)
    if end is None and start is not None:
        length = _number(value.get("duration"), scale, place)
        end = start + length if length is not None else None
    return start, end


def _first(value: Mapping[str, Any], names: Sequence[str]) -> object:
    return next((value[name] for name in names if value.get(name) is not None), None)


def _number(value: object, scale: float, place: str) -> float | None:
    """Return seconds; None for what is no time.

    Raises ImpossibleTime for a number beyond every limit.
    """
    if isinstance(value, str):
        return _number_of_text(value, scale)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) / scale
    except OverflowError:
        raise ImpossibleTime(place, f"{str(value)[:20]}…") from None


def _number_of_text(value: str, scale: float) -> float | None:
    """Return the seconds of `1.5`, `1.5s` or `0:01.5`; None for other text."""
    try:
        return float(value.strip().removesuffix("s")) / scale
    except ValueError:
        pass
    try:
        return seconds(value)
    except ValueError:
        return None


def _words(value: object, scale: float, place: str) -> tuple[Word, ...]:
    """Return the words; one without a time (a number, in WhisperX) gets its neighbours' times."""
    found: list[tuple[str, float | None, float | None, float]] = []
    for number, each in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(each, Mapping):
            return ()
        text = _first(each, _WORD_TEXTS)
        if not isinstance(text, str):
            return ()
        if not text.strip():
            continue
        inner = f"{place}[{number}]"
        start, end = _times(each, scale, inner)
        # The limits are checked here: below, a word takes the times of its neighbours.
        check_times(Row(text, start, end, place=inner))
        chance = _number(_first(each, _CHANCES), 1.0, inner)
        found.append((text.strip(), start, end, 1.0 if chance is None else chance))
    if not any(start is not None for _, start, _, _ in found):
        return ()
    words: list[Word] = []
    at_s = ended_s = next(start for _, start, _, _ in found if start is not None)
    nexts: list[float | None] = [None]  # the next known start after each word, from the last
    for _, start, _, _ in reversed(found[1:]):
        nexts.append(nexts[-1] if start is None else start)
    for (text, start, end, chance), next_s in zip(found, reversed(nexts), strict=True):
        following = ended_s if next_s is None else next_s
        start_s = max(at_s, start if start is not None else ended_s)
        end_s = max(start_s, end if end is not None else following)
        words.append(Word(start_s, end_s, text, min(1.0, max(0.0, chance))))
        at_s, ended_s = start_s, end_s
    return tuple(words)


def _dealt(rows: Sequence[Row], words: Sequence[Word]) -> list[Row]:
    """Return the rows with the words of the whole text, dealt out in the order of the text.

    Where the words are not those of the text, each goes to the row that contains its middle.
    """
    dealt: list[Row] = []
    used = 0
    for row in rows:
        first, cursor = used, 0
        while used < len(words):
            at = row.text.find(words[used].text, cursor)
            if at < 0 or any(letter.isalnum() for letter in row.text[cursor:at]):
                break
            cursor, used = at + len(words[used].text), used + 1
        if any(letter.isalnum() for letter in row.text[cursor:]):
            break
        dealt.append(replace(row, words=tuple(words[first:used])))
    if len(dealt) == len(rows) and used == len(words):
        return dealt
    rows = sorted(rows, key=lambda row: row.start_s or 0.0)
    starts = [row.start_s or 0.0 for row in rows]
    by_row: list[list[Word]] = [[] for _ in rows]
    for word in words:
        middle_s = (word.start_s + word.end_s) / 2
        by_row[max(0, bisect_right(starts, middle_s) - 1)].append(word)
    return [replace(row, words=tuple(own)) for row, own in zip(rows, by_row, strict=True)]


def _in_text(words: Sequence[Word], text: str) -> list[Row]:
    """Return the words as rows, with the punctuation of the text if it has the same words."""
    spans: list[tuple[int, int]] = []
    cursor = 0
    for word in words:
        at = text.find(word.text, cursor)
        if at < 0 or any(letter.isalnum() for letter in text[cursor:at]):
            return list(rows_of_words(words))
        cursor = at + len(word.text)
        spans.append((at, cursor))
    if any(letter.isalnum() for letter in text[cursor:]):
        return list(rows_of_words(words))
    marked: list[Word] = []
    ends: list[int] = []
    for number, (word, (at, end)) in enumerate(zip(words, spans, strict=True)):
        limit = spans[number + 1][0] if number + 1 < len(spans) else len(text)
        while end < limit and not text[end].isspace():  # the marks behind the word
            end += 1
        marked.append(replace(word, text=text[at:end]))
        ends.append(end)
    found: list[Row] = []
    used = begin = 0
    for row in rows_of_words(marked):
        used += len(row.words)
        found.append(replace(row, text=text[begin : ends[used - 1]].strip()))
        begin = ends[used - 1]
    return found
