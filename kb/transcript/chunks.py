"""Clock times, words with the punctuation of the text, and the cutting of text into chunks.

Every format that uses this module has two guarantees: no word is lost, and none appears twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import NamedTuple

from kb.errors import UsageError
from kb.types import Segment, Transcript, Word

HOUR_S = 3600
BY_SEGMENT = 0.0  # a limit of chunks: each segment is one, as the lines of a text taken in
_new = tuple.__new__  # makes a named tuple in a third of the time
_CLOCK_TIME = re.compile(r"(?:(\d+):)?([0-5]?\d):([0-5]?\d(?:\.\d+)?)")
_SECONDS = re.compile(r"\d+(?:\.\d+)?s?")


class Piece(NamedTuple):
    """The smallest part of a text with a time: a word with the punctuation attached to it.

    `glued` is True if no space precedes it (Japanese, or the halves of a hyphenated word).
    """

    start_s: float
    end_s: float
    text: str
    glued: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a transcript; `language` is that of most of its seconds, None if unknown.

    `starts_s` has the time in seconds at which each space-separated word of `text` begins.
    """

    start_s: float
    end_s: float
    text: str
    language: str | None = None
    starts_s: tuple[float, ...] = ()


def format_timestamp(seconds: float, *, hours: bool | None = None) -> str:
    """Return `MM:SS`, or `H:MM:SS` from one hour on; `hours` forces one of the two forms.

    The time is rounded down: a link to the shown time must not start after the word.
    """
    whole = max(0, int(seconds))
    if hours is None:
        hours = whole >= HOUR_S
    if not hours:
        return f"{whole // 60:02d}:{whole % 60:02d}"
    return f"{whole // HOUR_S}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def format_length(seconds: float) -> str:
    """Return a length, not a place in a medium, as `format_timestamp` does, but rounded."""
    return format_timestamp(round(seconds))


def format_exact_time(seconds: float) -> str:
    """Return `MM:SS.mmm`, or `H:MM:SS.mmm` from one hour on."""
    whole, milliseconds = divmod(max(0, round(seconds * 1000)), 1000)
    return f"{format_timestamp(whole)}.{milliseconds:03d}"


def parse_time(text: str) -> float:
    """Return a position in a medium in seconds.

    Accepts `75`, `75.5`, `1:15` and `1:02:03.5`. Raises UsageError for other text.
    """
    word = text.strip()
    if _SECONDS.fullmatch(word):
        return float(word.rstrip("s"))
    match = _CLOCK_TIME.fullmatch(word)
    if match is None:
        raise UsageError(
            "clip.time",
            "{text!r} is no time.",
            hint="Write seconds (75.5), MM:SS (1:15) or H:MM:SS (1:02:03).",
            text=text,
        )
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3])


def format_time_range(start_s: float, end_s: float) -> str:
    """Return `MM:SS - MM:SS`; both times have hours when the end is at one hour or later."""
    hours = end_s >= HOUR_S
    return f"{format_timestamp(start_s, hours=hours)} - {format_timestamp(end_s, hours=hours)}"


def collapse_whitespace(text: str) -> str:
    """Return the text on one line, with every run of white space replaced by one space."""
    return " ".join(text.split())


def join(pieces: Iterable[Piece]) -> str:
    """Return the text of consecutive pieces."""
    parts: list[str] = []
    for piece in pieces:
        if parts and not piece.glued:
            parts.append(" ")
        parts.append(piece.text)
    return "".join(parts)


def pieces(segment: Segment) -> tuple[Piece, ...]:
    """Return the segment's text cut at its words, with their times made to increase.

    `join(pieces(segment))` is the segment's text on one line. The text has precedence over the
    words: where they differ, the time between the words that both have is distributed over the text
    by its length.
    """
    words: Sequence[Word] = segment.words
    tokens = segment.text.split()
    if tokens == [word.text for word in words]:  # most segments of most engines
        return _as_spoken(words)
    words = [word for word in words if word.text.strip()]
    text = collapse_whitespace(segment.text) or collapse_whitespace(
        " ".join(word.text for word in words)
    )
    if not text:
        return ()
    tokens = text.split(" ")
    found: list[tuple[str, bool]] | None = None
    if words:
        found = _locate(text, [collapse_whitespace(word.text) for word in words])
    if found is None:
        if len(tokens) == len(words):
            found = [(token, False) for token in tokens]
        else:
            return _aligned(tokens, words, segment)
    result: list[Piece] = []
    latest = segment.start_s if not words else words[0].start_s
    for (part, glued), word in zip(found, words, strict=True):
        if word.start_s > latest:
            latest = word.start_s
        end_s = word.end_s
        result.append(Piece(latest, end_s if end_s > latest else latest, part, glued))
    return tuple(result)


def _as_spoken(words: Sequence[Word]) -> tuple[Piece, ...]:
    """Return a piece for each word; the general case of `pieces` gives the same."""
    result: list[Piece] = []
    latest = words[0].start_s if words else 0.0
    for word in words:
        start_s, end_s = word.start_s, word.end_s
        if start_s > latest:
            latest = start_s
        result.append(_new(Piece, (latest, end_s if end_s > latest else latest, word.text, False)))
    return tuple(result)


def _locate(text: str, words: Sequence[str]) -> list[tuple[str, bool]] | None:
    """Return each word's part of the text, and True if no space separates it from the previous.

    Returns None when the text has letters that belong to no word.
    """
    starts: list[int] = []  # starts of the words' parts, with opening quotes and brackets
    spaced: list[bool] = []
    cursor = 0
    for word in words:
        at = text.find(word, cursor)
        if at < 0:
            return None
        between = text[cursor:at]
        if between != " " and any(letter.isalnum() for letter in between):
            return None
        space = text.rfind(" ", cursor, at)
        starts.append(0 if not starts else at if space < 0 else space + 1)
        spaced.append(space >= 0)
        cursor = at + len(word)
    if any(letter.isalnum() for letter in text[cursor:]):
        return None
    ends = [*starts[1:], len(text)]
    return [
        (text[start:end].rstrip(), bool(index) and not spaced[index])
        for index, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _aligned(tokens: Sequence[str], words: Sequence[Word], segment: Segment) -> tuple[Piece, ...]:
    """Give tokens the times of the same words; the others share the time between these.

    Case and punctuation are ignored. Without a common word the segment's time is distributed.
    """
    heard, written = [_letters(word.text) for word in words], [_letters(each) for each in tokens]
    matcher = SequenceMatcher(None, heard, written, autojunk=False)
    codes = matcher.get_opcodes() if words else []
    if not any(kind == "equal" for kind, *_ in codes):
        return _spread(tokens, segment.start_s, segment.end_s)
    result: list[Piece] = []
    latest = min(segment.start_s, words[0].start_s)
    for kind, first, last, token, after in codes:
        if kind == "equal":
            for word, text in zip(words[first:last], tokens[token:after], strict=True):
                latest = max(latest, word.start_s)
                result.append(Piece(latest, max(latest, word.end_s), text))
        elif after > token:
            start_s = words[first - 1].end_s if first else min(segment.start_s, words[0].start_s)
            end_s = words[last].start_s if last < len(words) else segment.end_s
            if kind == "replace":
                start_s = words[first].start_s
                end_s = max(word.end_s for word in words[first:last])
            pieces = _spread(tokens[token:after], max(latest, start_s), end_s)
            result.extend(pieces)
            latest = pieces[-1].start_s
    return tuple(result)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _spread(tokens: Sequence[str], start_s: float, end_s: float) -> tuple[Piece, ...]:
    """Distribute tokens over a span of time, each by its number of characters."""
    total = sum(len(token) + 1 for token in tokens)
    scale = max(0.0, end_s - start_s) / total
    result: list[Piece] = []
    done = 0
    for token in tokens:
        start = start_s + done * scale
        done += len(token) + 1
        result.append(Piece(start, start_s + done * scale, token))
    return tuple(result)


def chunks(
    transcript: Transcript, limit_s: float, *, max_pause_s: float = float("inf")
) -> Iterator[Chunk]:
    """Join consecutive segments into chunks that span at most `limit_s` seconds.

    A longer segment is cut at words (a single longer word is not cut). A pause longer than
    `max_pause_s` seconds also ends a chunk. With `BY_SEGMENT` each segment is a chunk. The parts
    are in order of time: where several people speak at once, a short segment stands between the
    parts of a long one.
    """
    pending: list[_Unit] = []
    whole = limit_s <= BY_SEGMENT
    longest_s = float("inf") if whole else limit_s
    for unit in _ordered(
        [u for segment in transcript.segments for u in _units(segment, longest_s)]
    ):
        if pending and (
            whole
            or max(unit.end_s, pending[-1].end_s) - pending[0].start_s > limit_s
            or unit.start_s - pending[-1].end_s > max_pause_s
        ):
            yield _chunk(pending)
            pending = []
        if pending:
            unit = replace(unit, end_s=max(unit.end_s, pending[-1].end_s))
        pending.append(unit)
    if pending:
        yield _chunk(pending)


@dataclass(frozen=True, slots=True)
class _Unit:
    start_s: float
    end_s: float
    text: str
    language: str | None
    glued: bool
    starts_s: tuple[float, ...]


def _ordered(units: list[_Unit]) -> list[_Unit]:
    """Return units in order of time; those that another one now precedes are not glued."""
    ordered = sorted(units, key=lambda unit: unit.start_s)
    if ordered == units:
        return units
    return [replace(unit, glued=False) for unit in ordered]


def _units(segment: Segment, limit_s: float) -> Iterator[_Unit]:
    parts = pieces(segment)
    if not parts:
        return
    if segment.end_s - segment.start_s <= limit_s:
        end_s = max(segment.start_s, segment.end_s)
        yield _Unit(segment.start_s, end_s, join(parts), segment.language, False, _starts(parts))
        return
    first = 0
    for index in range(1, len(parts) + 1):
        if index < len(parts) and parts[index].end_s - parts[first].start_s <= limit_s:
            continue
        run = parts[first:index]
        yield _Unit(
            run[0].start_s,
            max(piece.end_s for piece in run),
            join(run),
            segment.language,
            run[0].glued,
            _starts(run),
        )
        first = index


def _chunk(units: Sequence[_Unit]) -> Chunk:
    text = join(Piece(unit.start_s, unit.end_s, unit.text, unit.glued) for unit in units)
    seconds: dict[str, float] = {}
    for unit in units:
        if unit.language:
            spent = unit.end_s - unit.start_s
            seconds[unit.language] = seconds.get(unit.language, 0.0) + spent
    language = max(seconds, key=lambda code: seconds[code]) if seconds else None
    starts = [
        start
        for place, unit in enumerate(units)
        # A unit without a space before it continues the last word of the previous unit.
        for start in (unit.starts_s[1:] if place and unit.glued else unit.starts_s)
    ]
    known = tuple(starts) if len(starts) == len(text.split()) else ()
    return Chunk(units[0].start_s, units[-1].end_s, text, language, known)


def _starts(parts: Sequence[Piece]) -> tuple[float, ...]:
    return tuple(part.start_s for place, part in enumerate(parts) if not place or not part.glued)


def timed_texts(transcript: Transcript) -> Iterator[tuple[float, float, str]]:
    """Yield start and end in seconds and text of each segment, or of each word where these count.

    Parts without text are left out.
    """
    for segment in transcript.segments:
        if transcript.timestamps == "word":
            parts = [(piece.start_s, piece.end_s, piece.text) for piece in pieces(segment)]
        else:
            parts = [(segment.start_s, segment.end_s, collapse_whitespace(segment.text))]
        yield from (part for part in parts if part[2])
