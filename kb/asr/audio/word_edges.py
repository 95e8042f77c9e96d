"""Adjusts word times to the sound.

Cross-attention often lets a word begin at the end of the previous word, so that the gap between
them belongs to the wrong word. The sound is a better reference: each word is reduced to the
span in which it is loud. The rules are our own. They use the sound level only, so that they
hold for any model and any language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from kb.asr import SAMPLE_RATE
from kb.asr.audio.vad import Audio
from kb.types import SpeechSpan, Word

HOP_S = 0.01
DROP_DB = 26.0  # sound this far below the word's loudest 10 ms is not part of the word
FLOOR_DB = 6.0  # sound less than this above the window's noise floor is not part of the word
FURTHEST_S = 2.0  # the most by which an edge moves inward
REACH_S = 0.08  # the most by which an end moves outward, and never into the next word
SHORTEST_S = 0.04
# Sound of at most ISLAND_S at a word's beginning, followed by at least GAP_S of quiet, is the end
# of the previous word. (The burst of a plosive is followed by its vowel much sooner.)
ISLAND_S = 0.08
GAP_S = 0.1

PAUSE_S = 0.3  # least length of a pause between two spans of detected speech
BEFORE_S = 0.1  # detection may start this late
SHORTEST_SPEECH_S = 0.1


@dataclass(slots=True)
class _Stretch:
    """A word's frames of 10 ms; `loud_db` is the level from which a frame counts as sound."""

    first: int
    end: int
    loud_db: float


def loudness_db(audio: Audio) -> npt.NDArray[np.float64]:
    """Return the level of each 10 ms of `audio` ([samples], 16 kHz) in dB, smoothed over 30 ms."""
    hop = int(HOP_S * SAMPLE_RATE)
    whole = audio[: audio.size // hop * hop].reshape(-1, hop)
    power = np.square(whole, dtype=np.float64).mean(axis=1)
    if power.size >= 3:
        power = np.convolve(np.pad(power, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    return np.asarray(10.0 * np.log10(power + 1e-12))


def snap_to_speech(words: Sequence[Word], speech: Sequence[SpeechSpan]) -> list[Word]:
    """Return the words; one that starts before a pause is moved to the next start of speech.

    In noise the level alone does not show the pause. Only pauses of at least `PAUSE_S` count:
    a shorter one may be the closure of a plosive inside the word.
    """
    starts_s = [span.start_s for span in speech[:1]] + [
        span.start_s for last, span in pairwise(speech) if span.start_s - last.end_s >= PAUSE_S
    ]
    moved: list[Word] = []
    for word in words:
        inside = [
            at_s - BEFORE_S
            for at_s in starts_s
            if word.start_s < at_s - BEFORE_S and at_s < word.end_s - SHORTEST_SPEECH_S
        ]
        moved.append(replace(word, start_s=round(inside[-1], 3)) if inside else word)
    return moved


def snap_to_sound(words: Sequence[Word], audio: Audio, start_s: float) -> tuple[Word, ...]:
    """Return the words with edges moved to where their sound begins and ends.

    `words`: the words of one window, in order; `audio`: the window's sound; `start_s`: its start
    in the medium. The order stays, words do not overlap afterwards unless they did before, and no
    word becomes shorter than 40 ms unless it was shorter before.
    """
    level = loudness_db(audio)
    if not level.size or not words:
        return tuple(words)
    floor_db = float(np.percentile(level, 5))
    stretches = [_locate_sound(word, level, floor_db, start_s) for word in words]
    result: list[Word] = []
    for place, (word, stretch) in enumerate(zip(words, stretches, strict=True)):
        if stretch is None:
            result.append(word)
            continue
        first = round((word.start_s - start_s) / HOP_S)
        last = round((word.end_s - start_s) / HOP_S)
        if stretch.end >= last:
            # The word still sounds at its end: extend it, at most up to the next word's beginning.
            limit = min(level.size, stretch.end + round(REACH_S / HOP_S))
            if place + 1 < len(words):
                after = stretches[place + 1]
                next_s = words[place + 1].start_s - start_s
                limit = min(limit, after.first if after else int(next_s / HOP_S))
            while stretch.end < limit and level[stretch.end] >= stretch.loud_db:
                stretch.end += 1
        moved_start = stretch.first > first
        moved_end = stretch.end != last
        result.append(
            replace(
                word,
                start_s=round(start_s + stretch.first * HOP_S, 3) if moved_start else word.start_s,
                end_s=round(start_s + stretch.end * HOP_S, 3) if moved_end else word.end_s,
            )
        )
    return tuple(result)


def _locate_sound(
    word: Word, level: npt.NDArray[np.float64], floor_db: float, start_s: float
) -> _Stretch | None:
    """Return the sounding frames of a word between its edges; None if they are not clear."""
    first = max(0, round((word.start_s - start_s) / HOP_S))
    last = min(level.size, round((word.end_s - start_s) / HOP_S))
    if last - first < SHORTEST_S / HOP_S:
        return None
    peak = float(level[first:last].max())
    loud_db = max(peak - DROP_DB, min(floor_db + FLOOR_DB, peak - 10.0))
    loud = np.flatnonzero(level[first:last] >= loud_db)
    begin = _skip_island(loud)
    furthest = round(FURTHEST_S / HOP_S)
    stretch = _Stretch(
        first + min(begin, furthest),
        last - min(last - first - 1 - int(loud[-1]), furthest),
        loud_db,
    )
    return stretch if (stretch.end - stretch.first) * HOP_S >= SHORTEST_S else None


def _skip_island(loud: npt.NDArray[np.int64]) -> int:
    """Return the first loud frame that belongs to the word."""
    jumps = np.flatnonzero(np.diff(loud) > round(GAP_S / HOP_S))
    if jumps.size and loud[jumps[0]] < round(ISLAND_S / HOP_S):
        return int(loud[jumps[0] + 1])
    return int(loud[0])
