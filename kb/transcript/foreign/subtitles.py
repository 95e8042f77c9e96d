"""SubRip, WebVTT, SBV and YouTube's own JSON as rows; words where the file has times inside a cue.

Times inside a cue are WebVTT's cue timestamps (`<00:00:01.500>`). A file that scrolls, as YouTube's
automatic captions do, repeats each line in the next cue: the repetition is removed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import srt
import webvtt

from kb.transcript import caption_parser
from kb.transcript.foreign.rows import Found, ImpossibleTime, Row, grouped, join_words, unjoined
from kb.types import Word

_TAG = re.compile(r"<[^>]*>")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_INNER_TIME = re.compile(r"<((?:\d+:)?\d{1,2}:\d{2}\.\d{3})>")
_ARROW_LINE = re.compile(r"^[^\n]*-->[^\n]*$", re.MULTILINE)
_NEGATIVE = re.compile(r"^\s*-\s*\d{1,3}:\d\d|-->\s*-\s*\d{1,3}:\d\d")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+)(?:[.,](\d+))?")
_SBV_TIMES = re.compile(r"(-?\d+:\d\d:\d\d[.,]\d{3}),(-?\d+:\d\d:\d\d[.,]\d{3})")
# The times of a cue as they come back from translators and editors: spaces between the numbers, a
# short arrow, no hours.
_ODD_CLOCK = r"((?:\d+ *: *)?\d{1,2} *: *\d{1,2} *[.,] *\d{1,3})"
_ODD_TIMES = re.compile(rf"^ *{_ODD_CLOCK} *(?:-+ *>|→) *{_ODD_CLOCK}", re.MULTILINE)
_LINE_BREAK = re.compile(r"\[br\]", re.IGNORECASE)
_SCROLLING = 0.5  # share of cues that begin with the line before


def webvtt_rows(text: str) -> Found | None:
    """Return the cues of a WebVTT file; None if its reader finds none."""
    lines = _arrow_lines(text)
    try:
        captions = list(webvtt.from_string(unjoined(text)))
    except caption_parser.PARSE_ERRORS:
        return None  # read as lines with times
    cues = [
        _Cue(caption.raw_text.split("\n"), seconds(caption.start), seconds(caption.end))
        for caption in captions
    ]
    return _found(with_single_words([_plain(cue) for cue in _unscrolled(cues)]), lines)


def with_single_words(rows: Sequence[Row]) -> list[Row]:
    """Return the rows; in a file with times of words, a word alone has the time of its cue."""
    if not any(row.words for row in rows):
        return list(rows)
    return [
        replace(row, words=(Word(row.start_s or 0.0, row.end_s or 0.0, row.text, 1.0),))
        if not row.words and len(row.text.split()) == 1
        else row
        for row in rows
    ]


def subrip_rows(text: str) -> Found | None:
    """Return the cues of a SubRip file; None if its reader finds none."""
    text = _ODD_TIMES.sub(_usual_times, text)
    lines = _arrow_lines(text)
    try:
        found = list(srt.parse(text))
    except caption_parser.PARSE_ERRORS:
        return None  # read as lines with times
    rows = [
        Row(
            joined_lines(unjoined(caption_parser.SUBRIP_TAG.sub("", each.content)).split("\n")),
            each.start.total_seconds(),
            each.end.total_seconds(),
        )
        for each in found
    ]
    return _found(rows, lines)


def _usual_times(match: re.Match[str]) -> str:
    clocks = (re.sub(" ", "", clock) for clock in match.groups())
    return " --> ".join(c if c.count(":") == 2 else f"00:{c}" for c in clocks)


def sbv_rows(text: str) -> Found | None:
    """Return the cues of an SBV file; None if it has none."""
    rows: list[Row] = []
    lines: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if match := _SBV_TIMES.fullmatch(line.strip()):
            if match[1].startswith("-") or match[2].startswith("-"):
                raise ImpossibleTime(f"line {number}", match[0])
            rows.append(Row("", seconds(match[1]), seconds(match[2]), place=f"line {number}"))
            lines = []
        elif rows and line.strip():
            lines += _LINE_BREAK.split(line)
            rows[-1] = replace(rows[-1], text=joined_lines(lines))
    return grouped(Found(tuple(rows)), parts=False) if any(row.text for row in rows) else None


def youtube_rows(text: str) -> Found | None:
    """Return the cues of YouTube's timed text in JSON. Raises ValueError for a damaged one."""
    try:
        cues = caption_parser.cues(text, ".json3")
    except caption_parser.PARSE_ERRORS as error:
        raise ValueError(str(error)) from error
    rows = tuple(
        Row(joined_lines(cue.lines), cue.start_s, cue.end_s, cue.words, place=f"events[{number}]")
        for number, cue in enumerate(cues)
        if cue.lines
    )
    return Found(rows) if rows else None


def joined_lines(lines: Sequence[str]) -> str:
    """Return the lines of a cue as one; no space between lines of a script without spaces."""
    return join_words((line for each in lines if (line := " ".join(each.split()))), parts=False)


def seconds(clock: str) -> float:
    """Return the seconds of `1:02:03.5` or `02:03,500`. Raises ValueError for other text."""
    match = _CLOCK.fullmatch(clock.strip())
    if match is None:
        raise ValueError(f"{clock[:40]!r} is no time")
    return (
        int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3]) + float(f"0.{match[4] or 0}")
    )


class _Cue:
    def __init__(self, lines: Sequence[str], start_s: float, end_s: float) -> None:
        self.lines, self.start_s, self.end_s = list(lines), start_s, end_s


def _arrow_lines(text: str) -> list[int]:
    """Return the line number of each time line. Raises ImpossibleTime for a negative time."""
    numbers: list[int] = []
    number, at = 1, 0
    for match in _ARROW_LINE.finditer(text):
        number += text.count("\n", at, match.start())
        at = match.start()
        if _NEGATIVE.search(match[0]):
            raise ImpossibleTime(f"line {number}", match[0].strip()[:60])
        numbers.append(number)
    return numbers


def _found(rows: Sequence[Row], lines: Sequence[int]) -> Found | None:
    """Return the rows with their lines; `-->` in the text of a cue makes the lines unknown."""
    known = len(rows) == len(lines)
    placed = tuple(
        replace(row, place=f"line {lines[number]}" if known else f"cue {number + 1}")
        for number, row in enumerate(rows)
    )
    return grouped(Found(placed), parts=False) if any(row.text.strip() for row in placed) else None


def _unscrolled(cues: list[_Cue]) -> list[_Cue]:
    """Return the cues without lines of the cue before, if the file repeats them throughout."""
    plain = [[_text(line) for line in cue.lines if _text(line)] for cue in cues]
    pairs = [(a, b) for a, b in pairwise(plain) if a and b]
    repeated = sum(a[-1] == b[0] and (len(b) > 1 or len(a) > 1) for a, b in pairs)
    if len(pairs) < 3 or repeated < _SCROLLING * len(pairs):
        return cues
    before: list[str] = []
    for cue, texts in zip(cues, plain, strict=True):
        cue.lines = [line for line in cue.lines if _text(line) and _text(line) not in before]
        before = texts or before
    return [cue for cue in cues if cue.lines]


def _text(line: str) -> str:
    return " ".join(_spoken(line).split())


def _spoken(text: str) -> str:
    """Return the text of a cue without tags, escapes and joiners."""
    return unjoined(html.unescape(_TAG.sub("", text)))


def _plain(cue: _Cue) -> Row:
    """Return a cue without tags; with its words if it has times inside."""
    raw = "\n".join(cue.lines)
    text = joined_lines([_spoken(line) for line in cue.lines])
    voices = {" ".join(html.unescape(name).split()) for name in _VOICE.findall(raw)}
    speaker = voices.pop() if len(voices) == 1 else None
    parts = _INNER_TIME.split(raw)  # text, time, text, time, text
    if len(parts) == 1:
        return Row(text, cue.start_s, cue.end_s, speaker=speaker)
    times = [cue.start_s, *(seconds(time) for time in parts[1::2])]
    words: list[Word] = []
    for number, (start_s, part) in enumerate(zip(times, parts[::2], strict=True)):
        until_s = times[number + 1] if number + 1 < len(times) else cue.end_s
        texts = _spoken(part).split()
        words += [Word(start_s, max(start_s, until_s), word, 1.0) for word in texts]
    return Row(text, cue.start_s, cue.end_s, tuple(words), speaker=speaker)
