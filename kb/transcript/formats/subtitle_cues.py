"""Subtitle cues that a viewer can read, by the layout of the transcript.

A cue begins with its first word and is shown until its last word is spoken and its text is read,
if the following cue leaves the time. The cuts of a whole stretch of speech are chosen together, by
the least total cost, and not from left to right, so that the last cue is not a single word.

Where people speak at the same time, each voice has its own cues, which overlap as the voices do.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from kb.transcript.chunks import Piece, join
from kb.transcript.formats.subtitle_atoms import MID_PHRASE_COST, Atom, atoms, line_columns, scripts
from kb.types import ONE_WORD, STANDARD, SubtitleLayout, Transcript

PAUSE_S = 1.0  # a pause of this length or more always ends a cue
# Speech that begins so much before the end of the speech before it is that of another voice. With
# the gap between two cues it stays below 0.2 s, the longest time from a word to its cue.
OVERLAP_S = 0.1
# A line may be so much longer or shorter than the other to end after a mark, or before a word that
# belongs to the next one.
_MARK_COLUMNS = 5
LATE_MS = 90  # a cue may end so long before its last word begins: more than two frames
SPREAD_MS = 150  # with `STEP_BACK_S` of a word's own time it stays below the same limit


# A cue that is too fast or too short costs more than any break that avoids it.
FAST_COST = 8.0
SHORT_COST = 2.0


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
    """Return the transcript as readable cues in order of time.

    Cues overlap only where words of two segments are spoken at the same time. Subtitles that were
    taken in keep their own cues in the standard layout, as far as these fit it.
    """
    layout = transcript.layout
    if transcript.has_own_cues and replace(layout, highlight_words=False) == STANDARD:
        return _own_cues(transcript)
    drafts: list[_Draft] = []
    for voice, parts in enumerate(_voices(transcript, layout)):
        first = len(drafts)
        for stretch in _stretches(parts):
            room = line_columns(layout, {atom.script for atom in stretch})
            drafts.extend(_Draft(voice, cut, room) for cut in _best_cuts(stretch, room, layout))
        _spread_starts(drafts[first:])
    drafts.sort(key=lambda draft: (draft.start_ms, draft.voice))
    ends = _ends(drafts, layout)
    return tuple(
        Cue(draft.start_ms, end_ms, _lines(draft.atoms, draft.room, layout))
        for draft, end_ms in zip(drafts, ends, strict=True)
    )


def _own_cues(transcript: Transcript) -> tuple[Cue, ...]:
    """Return the segments as cues; one that is too long for the layout is cut."""
    layout, segments = transcript.layout, transcript.segments
    found: list[Cue] = []
    for segment, script in zip(segments, scripts(segments), strict=True):
        parts = atoms(segment, script, layout)
        room = line_columns(layout, {atom.script for atom in parts})
        line_ends = _line_ends(parts, room, layout)
        start_ms, end_ms = round(segment.start_s * 1000), round(segment.end_s * 1000)
        if start_ms < end_ms and parts and _fits(0, layout.lines, line_ends, len(parts)):
            found.append(Cue(start_ms, end_ms, _lines(parts, room, layout)))
        else:
            found += phrase_cues(replace(transcript, segments=(segment,), engine=""))
    return tuple(sorted(found, key=lambda cue: cue.start_ms))


def word_cues(transcript: Transcript) -> tuple[Cue, ...]:
    """Return one cue per word, at the word's time, shown until the next word after no pause.

    Alignment sometimes gives several words the same time: these words divide the time until the
    next word, up to 0.15 seconds.
    """
    one = replace(
        transcript.layout,
        lines=ONE_WORD.lines,
        words_per_line=ONE_WORD.words_per_line,
        gap_s=ONE_WORD.gap_s,
    )
    return phrase_cues(replace(transcript, layout=one))


class _Draft:
    """The text of a cue, before its end is known."""

    __slots__ = ("atoms", "reading_s", "room", "spoken_ms", "start_ms", "voice")

    def __init__(self, voice: int, atoms: Sequence[Atom], room: int) -> None:
        self.voice = voice
        self.atoms = atoms
        self.room = room
        self.start_ms = max(0, round(atoms[0].start_s * 1000))
        self.spoken_ms = round(max(atom.end_s for atom in atoms) * 1000)
        self.reading_s = sum(atom.reading_s for atom in atoms)


def _voices(transcript: Transcript, layout: SubtitleLayout) -> list[list[list[Atom]]]:
    """Return the atoms of each voice in order of time, in parts.

    A part ends where another voice is heard next, and in a pause in which another voice speaks. A
    segment continues the voice that was heard last among those that are silent when it begins.
    """
    segments = transcript.segments
    runs = [
        run
        for segment, script in zip(segments, scripts(segments), strict=True)
        if (run := atoms(segment, script, layout, transcript.language))
    ]
    runs.sort(key=lambda run: run[0].start_s)
    voices: list[list[list[Atom]]] = []
    silence: list[tuple[float, int]] = []  # the end of each voice's speech so far, in order
    last = -1
    for run in runs:
        start_s, end_s = run[0].start_s, max(atom.end_s for atom in run)
        place = bisect_right(silence, (start_s + OVERLAP_S, len(voices))) - 1
        if place < 0:
            silent_s, voice = end_s, len(voices)
            voices.append([run])
        else:
            silent_s, voice = silence.pop(place)
            alone = not silence or silence[-1][0] <= start_s
            if voice == last and (alone or start_s - silent_s <= OVERLAP_S):
                voices[voice][-1].extend(run)
            else:
                voices[voice].append(run)
        insort(silence, (max(silent_s, end_s), voice))
        last = voice
    return voices


def _stretches(parts: Iterable[Sequence[Atom]]) -> Iterator[Sequence[Atom]]:
    """Yield the speech between two pauses."""
    for spoken in parts:
        first = 0
        for index in range(1, len(spoken) + 1):
            if index == len(spoken) or spoken[index].start_s - spoken[index - 1].end_s >= PAUSE_S:
                yield spoken[first:index]
                first = index


def _line_ends(atoms: Sequence[Atom], room: int, layout: SubtitleLayout) -> list[int]:
    """Return for each atom the index after the last that fits on a line beginning with it."""
    widths = [0, *accumulate(atom.space + atom.width for atom in atoms)]
    most = layout.words_per_line or len(atoms)
    ends: list[int] = []
    for first, atom in enumerate(atoms):
        end = bisect_right(widths, widths[first] + atom.space + room) - 1
        if end > first + most:
            end = first + most
        ends.append(end if end > first else first + 1)
    return ends


def _best_cuts(atoms: Sequence[Atom], room: int, layout: SubtitleLayout) -> list[Sequence[Atom]]:
    """Cut the stretch into cues at the least total cost (dynamic programming)."""
    count = len(atoms)
    line_ends = [*_line_ends(atoms, room, layout), count]
    starts = [atom.start_s for atom in atoms]
    ends = [atom.end_s for atom in atoms]
    costs = [1.0 + atom.cost for atom in atoms]
    # The end of a cue before an atom: its gap to the next cue is kept.
    limits = [start_s - layout.gap_s for start_s in starts]
    # The same for the end of the stretch, which has a pause behind it.
    limits.append(max(ends) + PAUSE_S)
    starts.append(limits[count] + layout.close_gap_s)
    lengths = [0, *accumulate(atom.space + atom.width for atom in atoms)]
    reading = [0.0, *accumulate(atom.reading_s for atom in atoms)]
    full = room * layout.lines
    min_s, max_s, close_s = layout.min_s, layout.max_s, layout.close_gap_s
    best = [0.0, *[float("inf")] * count]
    came_from = [0] * (count + 1)
    for first in range(count):
        start_s, spoken_s, before = starts[first], ends[first], best[first]
        read_s, length = reading[first], lengths[first]
        until = first
        for _ in range(layout.lines):
            until = line_ends[until]
        for last in range(first, until):
            if ends[last] > spoken_s:
                spoken_s = ends[last]
            after = last + 1
            available_s = limits[after] - start_s
            if last > first and (
                spoken_s - start_s > max_s
                or (available_s > max_s and starts[after] - spoken_s <= close_s)
            ):
                break
            cost = before + costs[last]
            if cost >= best[after]:
                continue  # what follows only adds to the cost
            share = (lengths[after] - length) / full
            cost += 0.5 * (1 - share) ** 2
            if available_s < min_s:
                cost += SHORT_COST + 2.5 * (1 - available_s / min_s)
                if available_s < 0.1:
                    available_s = 0.1
            needed_s = reading[after] - read_s
            if needed_s > available_s:
                # Weighed by the length: fast speech has the same total in any number of cues.
                cost += share * (FAST_COST + 2.0 * (needed_s / available_s - 1))
            if cost < best[after]:
                best[after], came_from[after] = cost, first
    cuts: list[Sequence[Atom]] = []
    end = count
    while end:
        cuts.append(atoms[came_from[end] : end])
        end = came_from[end]
    return cuts[::-1]


def _spread_starts(drafts: Sequence[_Draft]) -> None:
    """Give the cues of one voice increasing starts.

    Cues whose words have one time divide the time until the next one, up to `SPREAD_MS`.
    """
    first = 0
    while first < len(drafts):
        start_ms = drafts[first].start_ms
        after = first + 1
        while after < len(drafts) and drafts[after].start_ms <= start_ms:
            after += 1
        number = after - first
        if number > 1:
            until_ms = (
                drafts[after].start_ms if after < len(drafts) else drafts[after - 1].spoken_ms
            )
            step_ms = min((until_ms - start_ms) / number, SPREAD_MS / (number - 1))
            for place, draft in enumerate(drafts[first:after]):
                at_ms = min(start_ms + int(step_ms * place), draft.start_ms + SPREAD_MS)
                draft.start_ms = max(at_ms, start_ms + place)
        first = after


def _ends(drafts: Sequence[_Draft], layout: SubtitleLayout) -> list[int]:
    """Return the ends of cues in order of their starts, in milliseconds.

    A cue ends before the next of its voice, and before any other that begins after its words.
    """
    starts = [draft.start_ms for draft in drafts]
    gap_ms, close_ms = round(layout.gap_s * 1000), round(layout.close_gap_s * 1000)
    max_ms = round(layout.max_s * 1000)
    next_of_voice: dict[int, int] = {}
    ends: list[int] = []
    for place in range(len(drafts) - 1, -1, -1):
        draft = drafts[place]
        needed_ms = -int(-max(layout.min_s, draft.reading_s) * 1000 // 1)
        end_ms = min(max(draft.spoken_ms, draft.start_ms + needed_ms), draft.start_ms + max_ms)
        following = bisect_left(starts, max(draft.spoken_ms, draft.start_ms + 1), place + 1)
        limits = [starts[following]] if following < len(starts) else []
        if draft.voice in next_of_voice:
            limits.append(next_of_voice[draft.voice])
        if limits:
            limit_ms = min(limits)
            gap = min(gap_ms, max(0, limit_ms - draft.start_ms) // 2)
            if limit_ms - end_ms <= max(close_ms, gap):
                # With a wide gap the cue stays until its last word begins.
                shown_ms = min(round(draft.atoms[-1].pieces[-1].start_s * 1000) - LATE_MS, limit_ms)
                end_ms = min(max(limit_ms - gap, shown_ms), draft.start_ms + max_ms)
        ends.append(max(draft.start_ms + 1, end_ms))
        next_of_voice[draft.voice] = draft.start_ms
    return ends[::-1]


def _lines(
    atoms: Sequence[Atom], room: int, layout: SubtitleLayout
) -> tuple[tuple[Piece, ...], ...]:
    """Return the fewest lines that hold the atoms, of similar length and broken after a mark."""
    widths = [0, *accumulate(atom.space + atom.width for atom in atoms)]
    if widths[-1] - atoms[0].space <= room and len(atoms) <= (layout.words_per_line or len(atoms)):
        return (_flat(atoms),)
    line_ends = _line_ends(atoms, room, layout)
    lines: list[tuple[Piece, ...]] = []
    first, count = 0, len(atoms)
    while first < count:
        left, end = 0, first
        while end < count:
            left, end = left + 1, line_ends[end]
        # The rest must fit into the lines that are left after this one.
        aim = widths[first] + (widths[count] - widths[first]) / left
        choices: list[tuple[float, int]] = []
        for cut in range(line_ends[first], first, -1):
            if not _fits(cut, left - 1, line_ends, count):
                break
            uneven = abs(widths[cut] - aim)
            if cut < count and atoms[cut - 1].cost < MID_PHRASE_COST:
                uneven -= _MARK_COLUMNS
            elif cut < count and atoms[cut - 1].cost > MID_PHRASE_COST:
                uneven += _MARK_COLUMNS
            choices.append((uneven, cut))
        cut = min(choices)[1]
        lines.append(_flat(atoms[first:cut]))
        first = cut
    return tuple(lines)


def _fits(first: int, lines: int, line_ends: Sequence[int], count: int) -> bool:
    for _ in range(lines):
        if first == count:
            break
        first = line_ends[first]
    return first == count


def _flat(atoms: Sequence[Atom]) -> tuple[Piece, ...]:
    return tuple(piece for atom in atoms for piece in atom.pieces)
