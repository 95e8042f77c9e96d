"""The rows of a transcript of another program, before they become segments."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from kb.transcript.chunks import collapse_whitespace
from kb.types import LONGEST_MEDIUM_S, Segment, Word

SECONDS_PER_WORD = 0.4  # of ordinary speech: for texts without times
LONGEST_PER_WORD_S = 1.5  # a row without an end lasts no longer than its words
ROUNDING_S = 0.05  # a start below 0, or an end before its start, by no more is a rounded time
_PAUSE_S = 1.0  # words that are further apart belong to two segments
_LONGEST_S = 30.0  # of a segment that is made of words
_SENTENCE_END = re.compile(r"[.!?…。！？]['\"”’»)\]」』]*$")
_CONTINUES = re.compile(r"[,.;:!?%)\]}’”…]|[-‐][^\W\d_]|['’][^\W\d_]{1,2}\b")
_LABEL = re.compile(r"\[([^\[\]\n]{1,60})\]:\s+(?=\S)")
_WHISPERX = re.compile(r"SPEAKER_\d+")
_JOINER = "\N{WORD JOINER}"
# Scripts that are written without spaces between words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
    "\U00020000-\U0003ffff]"
)


class ImpossibleTime(ValueError):
    """A time that no recording has; `place` is a line (`line 12`) or an entry (`segments[3]`)."""

    def __init__(self, place: str, time: str) -> None:
        super().__init__(f"{place}: {time}")
        self.place = place
        self.time = time


@dataclass(frozen=True, slots=True)
class Row:
    """A text with its times in seconds from the start of the medium; None if unknown.

    `place` is the row's place in its file, for errors; `speaker` is the person's name or label.
    """

    text: str
    start_s: float | None = None
    end_s: float | None = None
    words: tuple[Word, ...] = ()
    language: str | None = None
    place: str = ""
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a file, and the language that it names (empty if it names none).

    `by_row`: the rows are the paragraphs of a text for people, which are kept as they are.
    """

    rows: tuple[Row, ...]
    language: str = ""
    by_row: bool = False

    @property
    def has_times(self) -> bool:
        return any(row.start_s is not None for row in self.rows)

    @property
    def has_words(self) -> bool:
        return any(letter.isalnum() for row in self.rows for letter in row.text)


def segments_of(rows: Sequence[Row], duration_s: float) -> Iterator[Segment]:
    """Yield the rows as segments in order of time; rows without words are left out.

    A row without an end lasts until the next one starts, but no longer than its words take.
    Rows without any time divide the medium by the length of their text. Raises ImpossibleTime.
    """
    kept = [row for row in rows if row.text.strip()]
    for row in kept:
        check_times(row)
    if not any(row.start_s is not None for row in kept):
        yield from _spread(kept, duration_s)
        return
    timed: list[Row] = []
    for row in kept:
        if row.start_s is None:  # text before the first time
            row = replace(row, start_s=timed[-1].end_s if timed else 0.0, end_s=None, words=())
        timed.append(row)
    timed.sort(key=lambda row: row.start_s or 0.0)
    for place, row in enumerate(timed):
        start_s = max(0.0, row.start_s or 0.0)
        end_s = row.end_s
        if end_s is None:
            longest_s = start_s + LONGEST_PER_WORD_S * max(2, len(row.text.split()))
            following = timed[place + 1].start_s if place + 1 < len(timed) else duration_s
            end_s = min(longest_s, following or longest_s)
        text = collapse_whitespace(row.text)
        words = _without_rounding(row.words)
        yield Segment(start_s, max(start_s, end_s), text, words, row.language, row.speaker)


def with_speakers(rows: Sequence[Row]) -> list[Row]:
    """Return the rows without the labels of speakers at their start: `[SPEAKER_00]: text`.

    So whisperX writes its texts and subtitles. Another label than its own counts where at least
    half of the rows have one.
    """
    labels = [None if row.speaker else _LABEL.match(row.text) for row in rows]
    named = [label for label in labels if label]
    usual = 2 * len(named) >= len(rows) and len(named) > 1
    return [
        row if label is None or not (usual or _WHISPERX.fullmatch(label[1])) else _named(row, label)
        for row, label in zip(rows, labels, strict=True)
    ]


def _named(row: Row, label: re.Match[str]) -> Row:
    parts = label[0].split()
    spoken = [word.text for word in row.words[: len(parts)]]
    words = row.words[len(parts) :] if spoken == parts else row.words
    return replace(row, text=row.text[label.end() :], words=words, speaker=label[1].strip())


def _without_rounding(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Return words that begin at 0 or later and end no earlier than they begin."""
    if all(0 <= word.start_s <= word.end_s for word in words):
        return words
    starts = [max(0.0, word.start_s) for word in words]
    return tuple(
        replace(word, start_s=start_s, end_s=max(start_s, word.end_s))
        for word, start_s in zip(words, starts, strict=True)
    )


def check_times(row: Row) -> None:
    """Raise ImpossibleTime if the row or one of its words has a time that no recording has."""
    spans = [("", row.start_s, row.end_s)]
    spans += [(f".words[{n}]", word.start_s, word.end_s) for n, word in enumerate(row.words)]
    for inner, start_s, end_s in spans:
        for time_s in (start_s, end_s):
            # NaN compares false with every number.
            if time_s is not None and not -ROUNDING_S <= time_s <= LONGEST_MEDIUM_S:
                raise ImpossibleTime(f"{row.place}{inner}", shown(time_s))
        if start_s is not None and end_s is not None and end_s < start_s - ROUNDING_S:
            raise ImpossibleTime(f"{row.place}{inner}", f"{shown(start_s)} → {shown(end_s)}")


def shown(time_s: float) -> str:
    """Return a time in seconds for an error."""
    return f"{time_s:.3f}" if math.isfinite(time_s) and abs(time_s) < 1e9 else f"{time_s:g}"


def unjoined(text: str) -> str:
    """Return a text without the word joiners by which our formats keep `<i>` from being markup."""
    return text.replace(_JOINER, "")


def join_words(texts: Iterable[str], *, parts: bool = True) -> str:
    """Return the text of words, with a space between two words of a script that has spaces.

    If they may be `parts` of words, one that begins with a closing mark, or with a hyphen before a
    letter, continues the one before.
    """
    text = ""
    for word in texts:
        continues = (
            not text
            or (_UNSPACED.match(text[-1]) and _UNSPACED.match(word))
            or (parts and _CONTINUES.match(word))
        )
        text += word if continues else f" {word}"
    return text


def rows_of_words(
    words: Sequence[Word], place: str = "words", *, parts: bool = True
) -> Iterator[Row]:
    """Yield the words as rows that end at a sentence, a pause or 30 s."""
    first = 0
    for index in range(1, len(words) + 1):
        if index < len(words) and not (
            _SENTENCE_END.search(words[index - 1].text)
            or words[index].start_s - words[index - 1].end_s >= _PAUSE_S
            or words[index].end_s - words[first].start_s > _LONGEST_S
        ):
            continue
        run = tuple(words[first:index])
        text = join_words((word.text for word in run), parts=parts)
        end_s = max(word.end_s for word in run)
        yield Row(text, run[0].start_s, end_s, run, place=f"{place}[{first}]")
        first = index


def _is_unspaced(letter: str) -> bool:
    return letter.isalpha() and _UNSPACED.match(letter) is not None


def grouped(found: Found, *, parts: bool = True) -> Found:
    """Return the words of a file that has one word a row as rows of many words each.

    Any other file is returned as it is. `parts`: a row may be a part of a word.
    """
    rows = [row for row in found.rows if row.text.strip()]
    alone = all(len(row.text.split()) == 1 and row.start_s is not None for row in rows)
    if len(rows) < 3 or not alone or any(row.words for row in rows):
        return found  # two short answers are no list of words
    unspaced = [len(row.text) for row in rows if any(map(_is_unspaced, row.text))]
    if unspaced and (max(unspaced) > 8 or sum(unspaced) > 4 * len(unspaced)):
        return found  # lines of a script without spaces
    for row in rows:
        check_times(row)
    rows.sort(key=lambda row: row.start_s or 0.0)
    nexts = [*(row.start_s for row in rows[1:]), None]
    words = [(row.speaker, _word(row, next_s)) for row, next_s in zip(rows, nexts, strict=True)]
    return replace(
        found,
        rows=tuple(
            replace(row, speaker=speaker)
            for speaker, run in groupby(words, key=lambda word: word[0])
            for row in rows_of_words([word for _, word in run], parts=parts)
        ),
    )


def _word(row: Row, next_s: float | None) -> Word:
    start_s = row.start_s or 0.0
    until_s = row.end_s if row.end_s is not None else next_s
    return Word(start_s, max(start_s, until_s or start_s), row.text.strip(), 1.0)


def _spread(rows: Sequence[Row], duration_s: float) -> Iterator[Segment]:
    total = sum(len(row.text) + 1 for row in rows)
    if not total:
        return
    length_s = duration_s or SECONDS_PER_WORD * sum(len(row.text.split()) for row in rows)
    done = 0
    for row in rows:
        start_s = length_s * done / total
        done += len(row.text) + 1
        text = collapse_whitespace(row.text)
        end_s = round(length_s * done / total, 3)
        yield Segment(round(start_s, 3), end_s, text, (), row.language, row.speaker)
