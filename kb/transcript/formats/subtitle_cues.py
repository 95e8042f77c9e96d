"""Subtitle cues that a viewer can read, used by SRT and WebVTT.

A cue has at most two lines of 42 columns (a full-width character takes two) and is shown for 0.8
to 7 seconds if the speech allows it; the numbers are those of the BBC's and Netflix's subtitle
guides. The cuts of a whole stretch of speech are chosen together, by the least total cost, and not
from left to right, so that the last cue is not a single word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kb.transcript.chunks import Piece, join, pieces
from kb.transcript.formats.line_breaks import columns, fitting, is_break
from kb.types import Transcript

LINE_COLUMNS = 42
CUE_LINES = 2
MIN_CUE_S = 0.8
MAX_CUE_S = 7.0
READING_SPEED = 20.0  # columns per second
PAUSE_S = 1.0  # a pause of this length or more always ends a cue

# The end of a cue inside a phrase costs more than the additional cue (1.0) that avoids it.
MID_PHRASE_COST = 1.6

# A word cue is shown until the next word if that starts within this time, to avoid flicker.
WORD_HOLD_S = 0.5
_GLUED_COLUMNS = 4 * LINE_COLUMNS  # a longer run of parts is cut where the parts are


@dataclass(frozen=True, slots=True)
class Cue:
    """Text shown from `start_ms` until just before `end_ms`; `lines` contain timed pieces."""

    start_ms: int
    end_ms: int
    lines: tuple[tuple[Piece, ...], ...]

    @property
    def text(self) -> str:
        """The lines, joined by newlines."""
        return "\n".join(join(line) for line in self.lines)


def phrase_cues(transcript: Transcript) -> tuple[Cue, ...]:
    """Return the transcript as readable cues in order of time, without overlaps."""
    drafts: list[Sequence[_Atom]] = []
    for stretch in _split_at_pauses(_atoms(transcript)):
        drafts.extend(_best_cut(stretch))
    spans: list[tuple[float, float]] = []
    for index, draft in enumerate(drafts):
        start, spoken_until = draft[0].piece.start_s, max(atom.piece.end_s for atom in draft)
        min_duration_s = max(MIN_CUE_S, _length(draft) / READING_SPEED)
        end = min(max(spoken_until, start + min_duration_s), start + MAX_CUE_S)
        if index + 1 < len(drafts):
            end = min(end, drafts[index + 1][0].piece.start_s)
        spans.append((start, end))
    return tuple(
        Cue(start, end, _two_lines([atom.piece for atom in draft]))
        for (start, end), draft in zip(_milliseconds(spans), drafts, strict=True)
    )


def word_cues(transcript: Transcript) -> tuple[Cue, ...]:
    """Return one cue per word, at the word's time; no cue overlaps another or has zero duration.

    Alignment sometimes gives several words the same time: these words divide the time until the
    next word.
    """
    words = _monotonic([piece for segment in transcript.segments for piece in pieces(segment)])
    starts = [round(word.start_s * 1000) for word in words]
    first = 0
    while first < len(starts):
        after = first + 1
        while after < len(starts) and starts[after] <= starts[first]:
            after += 1
        until = starts[after] if after < len(starts) else round(words[after - 1].end_s * 1000)
        until = max(until, starts[first] + (after - first))
        start_ms = starts[first]
        for index in range(first, after):
            starts[index] = start_ms + (until - start_ms) * (index - first) // (after - first)
        first = after
    spans: list[tuple[float, float]] = []
    for index, word in enumerate(words):
        start, end = starts[index] / 1000, max(word.end_s, starts[index] / 1000 + 0.2)
        if index + 1 < len(words):
            following = starts[index + 1] / 1000
            end = following if following - end <= WORD_HOLD_S else end
        spans.append((start, end))
    return tuple(
        Cue(start, end, ((word,),))
        for (start, end), word in zip(_milliseconds(spans), words, strict=True)
    )


def _milliseconds(spans: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    """Return spans in milliseconds, each at least one long: players omit a cue without duration."""
    starts: list[int] = []
    for start, _ in spans:
        earliest = starts[-1] + 1 if starts else 0
        starts.append(max(round(start * 1000), earliest))
    limits: list[float] = [*starts[1:], float("inf")][: len(starts)]
    return [
        (start, int(max(start + 1, min(round(end * 1000), limit))))
        for start, (_, end), limit in zip(starts, spans, limits, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Atom:
    """A piece that is not split over lines; `cost` is the cost of ending a cue after it."""

    piece: Piece
    cost: float

    @property
    def width(self) -> int:
        """The columns that the piece adds to a line that is not empty."""
        return columns(self.piece.text) + (0 if self.piece.glued else 1)


def _length(atoms: Sequence[_Atom]) -> int:
    return sum(atom.width for atom in atoms)


def _monotonic(words: Sequence[Piece]) -> list[Piece]:
    """Return the words of overlapping segments with starts that never decrease."""
    result: list[Piece] = []
    latest = 0.0
    for word in words:
        latest = max(latest, word.start_s)
        result.append(Piece(latest, max(latest, word.end_s), word.text, word.glued))
    return result


def _atoms(transcript: Transcript) -> list[_Atom]:
    words: list[Piece] = []
    last_of_segment: set[int] = set()
    for segment in transcript.segments:
        for piece in _merge_glued(pieces(segment)):
            words.extend(_split_long(piece))
        last_of_segment.add(len(words) - 1)
    return [
        _Atom(piece, 0.0 if index in last_of_segment else _break_cost(piece.text))
        for index, piece in enumerate(_monotonic(words))
    ]


def _break_cost(text: str) -> float:
    mark = text.rstrip("\"'”’»)]")[-1:]
    if mark in ".!?…。！？":
        return 0.0
    return 0.6 if mark in ",;:–—、，；：" else MID_PHRASE_COST


def _merge_glued(parts: Sequence[Piece]) -> Iterator[Piece]:
    """Yield parts of one word as one piece; scripts without spaces may break at any piece."""
    pending: Piece | None = None
    for part in parts:
        if pending is None:
            pending = part
        elif (
            part.glued
            and columns(pending.text) + columns(part.text) <= _GLUED_COLUMNS
            and not is_break(pending.text, part.text)
        ):
            pending = Piece(pending.start_s, part.end_s, pending.text + part.text, pending.glued)
        else:
            yield pending
            pending = part
    if pending is not None:
        yield pending


def _split_long(piece: Piece) -> Iterator[Piece]:
    """Cut a piece longer than a line (an address, a script without spaces) into lines."""
    size = len(piece.text)
    span = piece.end_s - piece.start_s
    done = 0
    while done < size:
        part = fitting(piece.text[done:], LINE_COLUMNS)
        yield Piece(
            piece.start_s + span * done / size,
            piece.start_s + span * (done + len(part)) / size,
            part,
            piece.glued if done == 0 else True,
        )
        done += len(part)


def _split_at_pauses(atoms: Sequence[_Atom]) -> Iterator[Sequence[_Atom]]:
    first = 0
    for index in range(1, len(atoms) + 1):
        if (
            index == len(atoms)
            or atoms[index].piece.start_s - atoms[index - 1].piece.end_s >= PAUSE_S
        ):
            yield atoms[first:index]
            first = index


def _best_cut(atoms: Sequence[_Atom]) -> list[Sequence[_Atom]]:
    """Cut the stretch into cues at the least total cost (dynamic programming)."""
    room = LINE_COLUMNS * CUE_LINES
    best: list[float] = [0.0] + [float("inf")] * len(atoms)
    came_from = [0] * (len(atoms) + 1)
    for first in range(len(atoms)):
        start = atoms[first].piece.start_s
        lines, column, length, spoken_until = 1, 0, 0, start
        for last in range(first, len(atoms)):
            atom = atoms[last]
            spoken_until = max(spoken_until, atom.piece.end_s)
            width = atom.width if column else columns(atom.piece.text)
            if column + width > LINE_COLUMNS:
                lines, column, width = lines + 1, 0, columns(atom.piece.text)
            column += width
            length += atom.width
            too_much = lines > CUE_LINES or spoken_until - start > MAX_CUE_S
            if too_much and last > first:
                break
            if last + 1 < len(atoms):
                available, break_cost = atoms[last + 1].piece.start_s - start, atom.cost
            else:
                available, break_cost = max(spoken_until - start, MIN_CUE_S), 0.0
            cost = (
                1.0
                + break_cost
                + 0.5 * (max(0, room - length) / room) ** 2
                + 2.5 * max(0.0, 1 - available / MIN_CUE_S)
                + max(0.0, length / max(available, 0.1) / READING_SPEED - 1)
            )
            if best[first] + cost < best[last + 1]:
                best[last + 1], came_from[last + 1] = best[first] + cost, first
    cuts: list[Sequence[_Atom]] = []
    end = len(atoms)
    while end:
        cuts.append(atoms[came_from[end] : end])
        end = came_from[end]
    return cuts[::-1]


def _two_lines(words: Sequence[Piece]) -> tuple[tuple[Piece, ...], ...]:
    """Return one line if the words fit, else two of similar length, broken after a mark."""
    if columns(join(words)) <= LINE_COLUMNS:
        return (tuple(words),)
    choices: list[tuple[float, int]] = []
    for cut in range(1, len(words)):
        upper, lower = columns(join(words[:cut])), columns(join(words[cut:]))
        if max(upper, lower) <= LINE_COLUMNS:
            after_mark = _break_cost(words[cut - 1].text) < MID_PHRASE_COST
            choices.append((abs(upper - lower) - (10 if after_mark else 0), cut))
    cut = min(choices)[1]
    return tuple(words[:cut]), tuple(words[cut:])
