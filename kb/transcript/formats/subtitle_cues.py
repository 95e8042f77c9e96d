"""Subtitle cues that a viewer can read, by the layout of the transcript.

A cue begins with its first word and is shown until its last word is spoken and its text is read,
if the following cue leaves the time. The cuts of a whole stretch of speech are chosen together, by
the least total cost, and not from left to right, so that the last cue is not a single word.

Where people speak at the same time, each voice has its own cues, which overlap as the voices do.
Where the transcript names speakers, a cue is of one of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from kb.transcript.chunks import Piece, join
from kb.transcript.formats.subtitle_atoms import Atom, atoms, line_columns, scripts
from kb.transcript.formats.subtitle_cuts import PAUSE_S, Stretch
from kb.types import ONE_WORD, STANDARD, SubtitleLayout, Transcript

# Speech that begins so much before the end of the speech before it is that of another voice. With
# the gap between two cues it stays below 0.2 s, the longest time from a word to its cue.
OVERLAP_S = 0.1
LATE_MS = 90  # a cue may end so long before its last word begins: more than two frames
SPREAD_MS = 150  # with `STEP_BACK_S` of a word's own time it stays below the same limit


@dataclass(frozen=True, slots=True)
class Cue:
    """Text shown from `start_ms` until just before `end_ms`; `lines` contain timed pieces."""

    start_ms: int
    end_ms: int
    lines: tuple[tuple[Piece, ...], ...]
    speaker: str | None = None

    @property
    def text(self) -> str:
        """The lines, joined by newlines."""
        return "\n".join(join(line) for line in self.lines)


def clock_time(milliseconds: int, point: str = ".") -> str:
    """Return `HH:MM:SS.mmm`; from 100 hours on the hours have more digits."""
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}{point}{rest:03d}"


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
        for stretch in _stretches(parts, layout):
            first_atom = 0
            for after in stretch.best_cuts():
                drafts.append(_Draft(voice, stretch, first_atom, after))
                first_atom = after
        _spread_starts(drafts[first:])
    drafts.sort(key=lambda draft: (draft.start_ms, draft.voice))
    ends = _ends(drafts, layout)
    return tuple(
        Cue(
            draft.start_ms,
            end_ms,
            draft.stretch.lines(draft.first, draft.after),
            draft.stretch.speaker,
        )
        for draft, end_ms in zip(drafts, ends, strict=True)
    )


def _own_cues(transcript: Transcript) -> tuple[Cue, ...]:
    """Return the segments as cues; one that is too long for the layout is cut."""
    layout, segments = transcript.layout, transcript.segments
    found: list[Cue] = []
    for segment, script in zip(segments, scripts(segments), strict=True):
        parts = atoms(segment, script, layout)
        stretch = _stretch(parts, layout)
        start_ms, end_ms = round(segment.start_s * 1000), round(segment.end_s * 1000)
        if start_ms < end_ms and parts and stretch.fits(0, len(parts), layout.lines):
            found.append(Cue(start_ms, end_ms, stretch.lines(0, len(parts)), segment.speaker))
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
    """The atoms of a stretch from `first` to before `after` as a cue, before its end is known."""

    __slots__ = ("after", "first", "reading_s", "spoken_ms", "start_ms", "stretch", "voice")

    def __init__(self, voice: int, stretch: Stretch, first: int, after: int) -> None:
        self.voice = voice
        self.stretch = stretch
        self.first = first
        self.after = after
        atoms = stretch.atoms[first:after]
        self.start_ms = max(0, round(atoms[0].start_s * 1000))
        self.spoken_ms = round(max([atom.end_s for atom in atoms]) * 1000)
        self.reading_s = sum([atom.reading_s for atom in atoms])

    @property
    def earliest_ms(self) -> int:
        """The time at which the first word begins; the text may have it behind another one."""
        return round(min([a.start_s for a in self.stretch.atoms[self.first : self.after]]) * 1000)

    @property
    def last_word_ms(self) -> int:
        """The time at which the last word begins."""
        return round(self.stretch.atoms[self.after - 1].pieces[-1].start_s * 1000)


@dataclass(slots=True)
class _Part:
    """The speech of one speaker until another voice is heard."""

    speaker: str | None
    atoms: list[Atom]


def _voices(transcript: Transcript, layout: SubtitleLayout) -> list[list[_Part]]:
    """Return the atoms of each voice in order of time, in parts.

    A part ends where another voice or speaker is heard next, and in a pause in which another voice
    speaks. A segment continues the voice that was heard last among those that are silent when it
    begins.
    """
    segments = transcript.segments
    runs = [
        _Part(segment.speaker, found)
        for segment, script in zip(segments, scripts(segments), strict=True)
        if (found := atoms(segment, script, layout, transcript.language))
    ]
    runs.sort(key=lambda run: run.atoms[0].start_s)
    voices: list[list[_Part]] = []
    silence: list[tuple[float, int]] = []  # the end of each voice's speech so far, in order
    last = -1
    for run in runs:
        start_s, end_s = run.atoms[0].start_s, max([atom.end_s for atom in run.atoms])
        place = bisect_right(silence, (start_s + OVERLAP_S, len(voices))) - 1
        if place < 0:
            silent_s, voice = end_s, len(voices)
            voices.append([run])
        else:
            silent_s, voice = silence.pop(place)
            alone = not silence or silence[-1][0] <= start_s
            before = voices[voice][-1]
            continues = voice == last and (alone or start_s - silent_s <= OVERLAP_S)
            if continues and run.speaker == before.speaker:
                before.atoms.extend(run.atoms)
            else:
                voices[voice].append(run)
        insort(silence, (max(silent_s, end_s), voice))
        last = voice
    return voices


def _stretches(parts: Iterable[_Part], layout: SubtitleLayout) -> Iterator[Stretch]:
    """Yield the speech between two pauses."""
    for part in parts:
        first, spoken = 0, part.atoms
        for index, (atom, following) in enumerate(pairwise(spoken), 1):
            if following.start_s - atom.end_s >= PAUSE_S:
                yield _stretch(spoken[first:index], layout, part.speaker)
                first = index
        yield _stretch(spoken[first:], layout, part.speaker)


def _stretch(atoms: Sequence[Atom], layout: SubtitleLayout, speaker: str | None = None) -> Stretch:
    return Stretch(atoms, line_columns(layout, {atom.script for atom in atoms}), layout, speaker)


def _spread_starts(drafts: Sequence[_Draft]) -> None:
    """Give the cues of one voice increasing starts.

    Cues whose words have one time divide the time until the next one, up to `SPREAD_MS`.
    """
    first = 0
    while first < len(drafts):
        start_ms = drafts[first].start_ms
        after = first + 1
        # Each cue has a millisecond at least.
        while after < len(drafts) and drafts[after].start_ms < start_ms + after - first:
            after += 1
        number = after - first
        if number > 1:
            until_ms = (
                drafts[after].start_ms if after < len(drafts) else drafts[after - 1].spoken_ms
            )
            # Speech that begins a little before the end of the speech before it is not late either.
            steps_ms = [
                (draft.earliest_ms + SPREAD_MS - start_ms) / place
                for place, draft in enumerate(drafts[first + 1 : after], 1)
            ]
            step_ms = min((until_ms - start_ms) / number, *steps_ms)
            for place, draft in enumerate(drafts[first:after]):
                draft.start_ms = start_ms + max(int(step_ms * place), place)
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
                shown_ms = min(draft.last_word_ms - LATE_MS, limit_ms)
                end_ms = min(max(limit_ms - gap, shown_ms), draft.start_ms + max_ms)
        ends.append(max(draft.start_ms + 1, end_ms))
        next_of_voice[draft.voice] = draft.start_ms
    return ends[::-1]
