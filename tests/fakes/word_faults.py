"""An engine that loses, doubles or squeezes single words in the first reading of a window.

One fault in each window; later readings are the engine's own. Confidence stays as it was. The
faults are those seen in recognizers:

    lost      one to three words are missing, 0.35 s of sound or more. Of the words beside them:
              "hole": they keep their times; "next": the word behind begins where the lost ones
              began; "previous": the word before lasts to where they ended.
    doubled   a word stands there twice. "stutter": the copy has one step of the engine's times;
              "halves": both share the time of the word; "behind": the copy takes the time behind
              the word, up to the next one.
    squeezed  a word has one step of the engine's times, the word behind begins at once ("next"),
              or the rest of its time has no word ("hole").

Places of lost words: "end" and "beginning" of the window, "before a pause", "after a pause",
"inside" a stretch, and "seam": in the sound that two windows share, missing in both. Windows may be
read in any order: the first of the two chooses the words, the other loses those at their times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch
from kb.asr.stitching import join_words, normalize_word
from kb.asr.windows.windowing import Window
from kb.types import Segment, Word

PLACES = ("end", "beginning", "before a pause", "after a pause", "inside", "seam")
LEAST_LOST_S = 0.35
LEAST_WORD_S = 0.15  # a character of a script without spaces is as short
MOST_LOST = 3
PAUSE_S = 0.3  # between two stretches
EDGE_S = 0.2  # words so near to the border of a window may be cut
JOINED_S = 0.2  # a word is stretched over its neighbour only when it is this near
WHISPER_STEP_S = 0.02


@dataclass(frozen=True)
class WordFault:
    """A kind of fault: `kind`, `way` and, for lost words, `place`; see the module."""

    kind: str
    way: str
    place: str = "inside"

    def __str__(self) -> str:
        return f"{self.kind} {self.place}, {self.way}" if self.kind == "lost" else (
            f"{self.kind}, {self.way}"
        )  # fmt: skip


WORD_FAULTS = (
    *(WordFault("lost", "hole", place) for place in PLACES),
    *(WordFault("lost", "next", place) for place in ("beginning", "after a pause", "inside")),
    *(WordFault("lost", "previous", place) for place in ("end", "before a pause", "inside")),
    *(WordFault("doubled", way) for way in ("stutter", "halves", "behind")),
    *(WordFault("squeezed", way) for way in ("next", "hole")),
)


@dataclass(frozen=True)
class Injected:
    """A fault that was made; `words` are those that were changed, in times of the medium."""

    fault: WordFault
    window: int
    words: tuple[Word, ...]

    @property
    def start_s(self) -> float:
        return self.words[0].start_s

    @property
    def end_s(self) -> float:
        return self.words[-1].end_s


class WordFaultEngine:
    """`engine` with a fault of one kind in each first reading that has a place for it.

    `step_s`: the step of the engine's times. `injected` are the faults that were made.
    """

    def __init__(
        self, engine: Any, fault: WordFault, *, seed: int = 0, step_s: float = WHISPER_STEP_S
    ) -> None:
        self._engine = engine
        self._fault = fault
        self._seed = seed
        self._step_s = step_s
        self._read: set[int] = set()
        self._seams: dict[int, tuple[float, float] | None] = {}  # lost span, by the first window
        self.injected: list[Injected] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[DecodingResult]:
        found = self._engine.decode(encoded, languages, options)
        return [
            self._inject(window, decoded.read())
            for window, decoded in zip(encoded.windows, found, strict=True)
        ]

    def _inject(self, window: Window, decoded: DecodingResult) -> DecodingResult:
        if window.index in self._read:
            return decoded
        self._read.add(window.index)
        words = [word for segment in decoded.segments for word in segment.words]
        if self._fault.place == "seam":
            made = self._without_seams(window, words)
        else:
            rng = np.random.default_rng([self._seed, window.index])
            changed = self._changed(window, words, rng)
            made = words if changed is None else changed
        return _with_words(decoded, made)

    def _without_seams(self, window: Window, words: list[Word]) -> list[Word]:
        """Return the words without those that are lost in the sound shared with the neighbours."""
        shared: list[tuple[int, float, float]] = []
        if window.overlap_s > 0:
            from_s = window.start_s
            shared.append((window.index - 1, from_s, from_s + window.overlap_s))
        if window.shared_s > 0:
            shared.append((window.index, window.end_s - window.shared_s, window.end_s))
        for index, from_s, to_s in shared:
            if index not in self._seams:
                self._seams[index] = self._lose_at_seam(window, words, index, from_s, to_s)
            lost = self._seams[index]
            if lost:
                words = [w for w in words if not lost[0] <= (w.start_s + w.end_s) / 2 <= lost[1]]
        return words

    def _lose_at_seam(
        self, window: Window, words: list[Word], index: int, from_s: float, to_s: float
    ) -> tuple[float, float] | None:
        """Choose words between two times; return their span, None if there are none."""
        rows = _rows_of_words(words, from_s + EDGE_S, to_s - EDGE_S)
        if not rows:
            return None
        # A place in time: the two windows may have different words at their borders.
        at_s = np.random.default_rng([self._seed, index]).uniform(from_s, to_s)
        lost = min(rows, key=lambda row: abs(row[0].start_s + row[-1].end_s - 2 * at_s))
        clock = window.time_map
        self.injected.append(Injected(self._fault, index, tuple(clock.word(word) for word in lost)))
        return lost[0].start_s, lost[-1].end_s

    def _changed(
        self, window: Window, words: list[Word], rng: np.random.Generator
    ) -> list[Word] | None:
        """Return the words with one fault, None if there is no place for it."""
        kind, way = self._fault.kind, self._fault.way
        rows = (
            _lost_rows(words, self._fault, window)
            if kind == "lost"
            else [(n, n + 1) for n in range(len(words)) if _fits(words, n, self._fault)]
        )
        if not rows:
            return None
        first, end = rows[int(rng.integers(len(rows)))]
        struck = words[first:end]
        clock = window.time_map
        if kind == "lost":
            made = _without(words, first, end, way)
        elif kind == "doubled":
            made = _doubled(words, first, way, self._step_s)
        else:
            made = _squeezed(words, first, way, self._step_s)
        self.injected.append(
            Injected(self._fault, window.index, tuple(clock.word(word) for word in struck))
        )
        return made


def _lost_rows(words: Sequence[Word], fault: WordFault, window: Window) -> list[tuple[int, int]]:
    """Return the rows of words that may be lost, as (first, end)."""
    own_s = window.start_s + window.overlap_s, window.end_s - window.shared_s
    rows: list[tuple[int, int]] = []
    for first in range(len(words)):
        for end in range(first + 1, min(first + MOST_LOST, len(words)) + 1):
            row = words[first:end]
            spoken_s = sum(word.end_s - word.start_s for word in row)
            if spoken_s < LEAST_LOST_S:
                continue
            if any(_gap(words, place) > PAUSE_S for place in range(first + 1, end)):
                break
            before_s, behind_s = _gap(words, first), _gap(words, end)
            inside = own_s[0] <= row[0].start_s and row[-1].end_s <= own_s[1]
            fits = {
                "end": end == len(words) and window.shared_s == 0,
                "beginning": first == 0 and window.overlap_s == 0,
                "before a pause": end < len(words) and behind_s > PAUSE_S and inside,
                "after a pause": first > 0 and before_s > PAUSE_S and inside,
                "inside": first > 0 and end < len(words) and inside
                and max(before_s, behind_s) < JOINED_S,
            }  # fmt: skip
            joined = {
                "hole": True,
                "next": end < len(words) and behind_s < JOINED_S,
                "previous": first > 0 and before_s < JOINED_S,
            }
            if fits[fault.place] and joined[fault.way]:
                rows.append((first, end))
    return rows


def _rows_of_words(words: Sequence[Word], from_s: float, to_s: float) -> list[Sequence[Word]]:
    """Return the rows of one to three words between two times that have sound enough."""
    rows = (
        words[first : first + count]
        for count in range(1, MOST_LOST + 1)
        for first in range(len(words) - count + 1)
    )
    return [
        row for row in rows
        if row[0].start_s > from_s and row[-1].end_s < to_s
        and sum(word.end_s - word.start_s for word in row) >= LEAST_LOST_S
    ]  # fmt: skip


def _gap(words: Sequence[Word], place: int) -> float:
    """Return the seconds between the word before `place` and the word there."""
    if not 0 < place < len(words):
        return float("inf")
    return words[place].start_s - words[place - 1].end_s


def _fits(words: Sequence[Word], place: int, fault: WordFault) -> bool:
    word = words[place]
    if word.end_s - word.start_s < LEAST_WORD_S:
        return False
    # A word that is said twice in a row looks like a doubled one.
    near = (normalize_word(w.text) for w in words[max(0, place - 1) : place + 2])
    if sum(text == normalize_word(word.text) for text in near) > 1:
        return False
    if fault.way == "behind":
        return _gap(words, place + 1) > PAUSE_S
    if fault.way == "next":
        return _gap(words, place + 1) < JOINED_S
    return True


def _without(words: Sequence[Word], first: int, end: int, way: str) -> list[Word]:
    made = [*words[:first], *words[end:]]
    if way == "next":
        made[first] = replace(made[first], start_s=words[first].start_s)
    elif way == "previous":
        made[first - 1] = replace(made[first - 1], end_s=words[end - 1].end_s)
    return made


def _doubled(words: Sequence[Word], place: int, way: str, step_s: float) -> list[Word]:
    word = words[place]
    if way == "stutter":
        cut_s = word.end_s - step_s
    elif way == "halves":
        cut_s = (word.start_s + word.end_s) / 2
    else:
        cut_s = word.end_s
    last_s = word.end_s
    if way == "behind":
        length_s = word.end_s - word.start_s
        next_s = words[place + 1].start_s if place + 1 < len(words) else word.end_s + length_s
        last_s = min(word.end_s + length_s, next_s)
    pair = replace(word, end_s=cut_s), replace(word, start_s=cut_s, end_s=last_s)
    return [*words[:place], *pair, *words[place + 1 :]]


def _squeezed(words: Sequence[Word], place: int, way: str, step_s: float) -> list[Word]:
    made = list(words)
    made[place] = replace(words[place], end_s=words[place].start_s + step_s)
    if way == "next":
        made[place + 1] = replace(words[place + 1], start_s=made[place].end_s)
    return made


def _with_words(decoded: DecodingResult, words: Sequence[Word]) -> DecodingResult:
    if not words:
        return replace(decoded, segments=())
    text = join_words(words, decoded.language)
    whole = Segment(words[0].start_s, words[-1].end_s, text, tuple(words), decoded.language)
    return replace(decoded, segments=(whole,), last_s=words[-1].end_s)
