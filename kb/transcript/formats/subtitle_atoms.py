"""Atoms of subtitles: the parts of a text that stay on one line, with the times of their words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from kb.transcript.chunks import Piece, pieces
from kb.transcript.formats.leading_words import LEADING_WORDS
from kb.transcript.formats.line_breaks import (
    READING_SPEED,
    Script,
    breaks,
    characters,
    columns,
    lines_of_word,
    parts_syllables,
    script_of,
)
from kb.types import Segment, SubtitleLayout

# The end of a cue inside a phrase costs more than the additional cue (1.0) that avoids it.
MID_PHRASE_COST = 1.6
_CLAUSE_COST = 0.6
LEADING_WORD_COST = 2.1  # the end of a line or a cue after such a word parts it from the next
_LONGEST_WORD_COLUMNS = 500  # a longer run of letters is cut: no screen has room for it
_new = tuple.__new__  # makes a named tuple in a third of the time


class Atom(NamedTuple):
    """A part of a text that is not split over lines.

    `width` is in columns; `space` is 1 if a space precedes it on a line, else 0. `reading_s` are
    the seconds in which it is read, with that space. `cost` is that of ending a cue after it.
    """

    start_s: float
    end_s: float
    pieces: tuple[Piece, ...]
    width: int
    space: int
    reading_s: float
    cost: float
    script: Script


def line_columns(layout: SubtitleLayout, scripts: set[Script]) -> int:
    """Return the columns of a line with text of these scripts."""
    room = layout.line_columns
    if "zh" in scripts or "ko" in scripts:
        room = min(room, layout.chinese_columns)
    return min(room, layout.japanese_columns) if "ja" in scripts else room


def scripts(segments: Sequence[Segment]) -> list[Script]:
    """Return the script of each segment; beside Japanese a Chinese character is Japanese."""
    found = [script_of(segment.text) for segment in segments]
    if found.count("ja") >= found.count("zh"):
        return ["ja" if script == "zh" else script for script in found]
    return found


def atoms(
    segment: Segment, script: Script, layout: SubtitleLayout, language: str = ""
) -> list[Atom]:
    """Return the segment's text as atoms; a cue may end after the last one without a cost.

    `language` holds for a segment without one.
    """
    parts = pieces(segment)
    if not parts:
        return []
    room = line_columns(layout, {script})
    leading = LEADING_WORDS.get((segment.language or language)[:2], frozenset())
    speed = layout.chars_per_s or READING_SPEED[script] * layout.reading_pace
    found: list[Atom] = []
    for word in _words(parts):
        if len(word) == 1:
            # Most words of most texts: the general case below gives the same.
            start_s, end_s, text, glued = word[0]
            width, cost = _plain_word(text, leading)
            if 0 <= width <= room:
                space = 0 if glued else 1
                read_s = (width + space) / speed
                parts_of_atom = (start_s, end_s, word, width, space, read_s, cost, script)
                found.append(_new(Atom, parts_of_atom))
                continue
        runs = _timely(_runs(word, script, room), layout.max_s)
        found.extend(_atom(run, script, layout, leading) for run in runs)
    end = found[-1]
    found[-1] = Atom(*end[:6], cost=0.0, script=end.script)
    return found


@lru_cache(maxsize=16_384)
def _plain_word(text: str, leading: frozenset[str]) -> tuple[int, float]:
    """Return columns and break cost of a word in ASCII; -1 columns for any other."""
    return (len(text), _break_cost(text, leading)) if text.isascii() else (-1, 0.0)


def _atom(
    run: tuple[Piece, ...],
    script: Script,
    layout: SubtitleLayout,
    leading: frozenset[str],
) -> Atom:
    text = "".join(piece.text for piece in run)
    width = columns(text)
    space = 0 if run[0].glued else 1
    # A Chinese word in an English text is read as a Chinese word.
    speed = layout.chars_per_s or READING_SPEED[script or script_of(text)] * layout.reading_pace
    read_s = (characters(text, width) + space) / speed
    end_s = max(piece.end_s for piece in run)
    return Atom(
        run[0].start_s, end_s, run, width, space, read_s, _break_cost(text, leading), script
    )


def _words(parts: Sequence[Piece]) -> Iterator[tuple[Piece, ...]]:
    """Yield the pieces between two spaces."""
    if True not in [part.glued for part in parts]:
        yield from zip(parts)
        return
    first = 0
    for index in range(1, len(parts) + 1):
        if index == len(parts) or not parts[index].glued:
            yield tuple(parts[first:index])
            first = index


def _runs(word: tuple[Piece, ...], script: Script, room: int) -> Iterator[tuple[Piece, ...]]:
    """Yield the parts of a word, or of a text of a script without spaces, that stay whole."""
    text = word[0].text if len(word) == 1 else "".join(piece.text for piece in word)
    if (not script and not parts_syllables(text)) and columns(text) <= room:
        yield word
        return
    ends: list[int] = []
    begin = 0
    for end in (*breaks(text, script), len(text)):
        part = text[begin:end]
        if columns(part) <= room:
            ends.append(end)
        else:
            for line in lines_of_word(part, room, _LONGEST_WORD_COLUMNS):
                begin += len(line)
                ends.append(begin)
        begin = end
    yield from _cut(word, ends)


def _timely(runs: Iterable[tuple[Piece, ...]], max_s: float) -> Iterator[tuple[Piece, ...]]:
    """Yield the parts; one that is spoken for longer than a cue is shown, piece by piece."""
    for run in runs:
        if len(run) > 1 and run[-1].end_s - run[0].start_s > max_s:
            for piece in run:
                yield (piece,)
        else:
            yield run


def _cut(word: tuple[Piece, ...], ends: Sequence[int]) -> Iterator[tuple[Piece, ...]]:
    """Yield the pieces cut at these places of their joined text.

    A place inside a piece gets its time by the number of characters.
    """
    if len(ends) == 1:
        yield word
        return
    run: list[Piece] = []
    remaining = list(reversed(word))
    done = 0
    for end in ends:
        while remaining and done < end:
            piece = remaining.pop()
            if done + len(piece.text) > end:
                size = end - done
                at_s = piece.start_s + (piece.end_s - piece.start_s) * size / len(piece.text)
                remaining.append(Piece(at_s, piece.end_s, piece.text[size:], True))
                piece = Piece(piece.start_s, at_s, piece.text[:size], piece.glued)
            run.append(piece)
            done += len(piece.text)
        yield tuple(run)
        run = []


def _break_cost(text: str, leading: frozenset[str]) -> float:
    if text[-1:].isalnum():
        return LEADING_WORD_COST if text.lower() in leading else MID_PHRASE_COST
    mark = text.rstrip("\"'”’»)]」』）")[-1:]
    if mark in ".!?…。！？؟۔।":
        return 0.0
    return _CLAUSE_COST if mark in ",;:–—、，；：،؛" else MID_PHRASE_COST
