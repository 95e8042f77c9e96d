"""Evidence that a short sound is speech: it is detected from three sides.

The detector has a memory, and behind talk it marks breath, laughter and music as speech. The
probabilities of a sound where it stands are therefore compared with those of the same sound by
itself and backwards. Spoken words have high probabilities in all three; a sound without a word
seldom has. A recording that the detector does not hear well, as from a telephone, has lower ones
everywhere, so that the limit comes from words of the same medium (`SpokenLevel`).

The rule and the figures are ours. Measured on unlikely words at the edges of stretches of composed
talk: the limit finds 98 % of those that a recognizer writes for noises; below it are 1 % of the
spoken words in clean and noisy talk, 5 % from a telephone and at 5 dB of noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from kb.asr import SAMPLE_RATE
from kb.asr.audio.vad import FRAME_S, Audio, SpeechDetector
from kb.asr.audio.word_sound import WordSound, word_sound
from kb.types import Word

AROUND_S = 0.1  # sound on each side of a place: times of words are inexact
PEAK = 0.5  # of a sound that is detected by itself
PEAK_FRAMES = 3  # about 0.1 s: the clearest part of a word counts, its borders may be in silence

SPOKEN = 0.94  # mean of the three probabilities from which a sound is speech in every medium
LEVEL_MARGIN = 0.06  # below the median of the compared words
COMPARED = 3  # words of one window
LEAST_COMPARED = 2
LEAST_WORDS = 8  # fewer words of a window may all be invented

VOICING_MARGIN = 0.25  # below the median of the compared words: no voice
STEADY_SHARE = 0.75  # of their median movement: it moves little
ONE_SOUND_SHARE = 0.48  # the steadiest spoken word that was measured has 0.51
BESIDE_SHARE = 0.62  # beside words without a sound of speech
BEST_MARGIN = 0.04  # above the least score of spoken words: so surely speech that it may be one
LEAST_SOUND_S = 0.25  # a shorter word may have little voice, or move little
# A short sound that hardly moves is seldom a word: of 78 spoken words of 0.06 to 0.26 s, the
# steadiest had 0.59 of the median movement, a note of music 0.23. A hummed word may be as steady.
LEAST_MOVED_S = 0.15
SHORT_SOUND_SHARE = 0.4
SHORT_MARGIN = 0.12  # below the least score of spoken words


Places = tuple[tuple[float, float], ...]
"""The times of words that are detected as one sound."""


def _places(words: Sequence[Word]) -> Places:
    return tuple((word.start_s, word.end_s) for word in words)


class SpeechEvidence:
    """The evidence about the sound of one window, computed where it is asked for."""

    def __init__(
        self, detector: SpeechDetector, audio: Audio, start_s: float, stream: tuple[Audio, float]
    ) -> None:
        """Initialise the evidence; `audio`: the window's samples, which begin at `start_s`.

        `stream`: the probabilities of the frames around the window in the sound as a whole, and the
        time of the first.
        """
        self._detector = detector
        self._audio = audio
        self._start_s = start_s
        self._stream, self._stream_s = stream
        self._known: dict[Places, tuple[float, ...]] = {(): ()}
        self._sounds: dict[tuple[float, float], WordSound] = {}

    def scores(self, words: Sequence[Word]) -> tuple[float, ...]:
        """Return the mean of the three probabilities of each word, 0..1.

        The words, in order of time, are detected as one sound.
        """
        self.prepare([words])
        return self._known[_places(words)]

    def prepare(self, groups: Iterable[Sequence[Word]]) -> None:
        """Compute the scores of several groups of words together, which is faster."""
        missing = dict.fromkeys(
            places for places in map(_places, groups) if places and places not in self._known
        )
        sounds: list[Audio] = []
        for places in missing:
            sound = self._around(places)
            sounds += [sound, sound[::-1]]
        found = self._detector.probabilities_of(sounds)
        for places, alone, backwards in zip(missing, found[::2], found[1::2], strict=True):
            self._known[places] = self._mean(places, alone, backwards[::-1])

    def sound(self, word: Word) -> WordSound:
        """Return voicing and movement of a word."""
        place = word.start_s, word.end_s
        if place not in self._sounds:
            first, last = map(self._sample, place)
            self._sounds[place] = word_sound(self._audio[first:last])
        return self._sounds[place]

    def _first(self, places: Places) -> int:
        return self._sample(min(start_s for start_s, _ in places) - AROUND_S)

    def _around(self, places: Places) -> Audio:
        last = self._sample(max(end_s for _, end_s in places) + AROUND_S)
        sound = self._audio[self._first(places) : last]
        # A quiet voice beside a loud one is speech as well.
        return np.asarray(sound * (PEAK / max(1e-4, np.abs(sound).max(initial=0))), np.float32)

    def _mean(self, places: Places, alone: Audio, backwards: Audio) -> tuple[float, ...]:
        sound_s = self._start_s + self._first(places) / SAMPLE_RATE
        chances = ((self._stream, self._stream_s), (alone, sound_s), (backwards, sound_s))
        return tuple(
            sum(_peak(found, start_s - from_s, end_s - from_s) for found, from_s in chances) / 3
            for start_s, end_s in places
        )

    def _sample(self, at_s: float) -> int:
        return min(max(0, round((at_s - self._start_s) * SAMPLE_RATE)), self._audio.size)


def _peak(chances: Audio, start_s: float, end_s: float) -> float:
    """Return the highest mean of `PEAK_FRAMES` probabilities in a row between two times."""
    own = chances[max(0, int(start_s / FRAME_S)) : max(0, int(end_s / FRAME_S) + 1)]
    size = min(PEAK_FRAMES, own.size)
    return float(np.convolve(own, np.ones(size) / size, "valid").max()) if size else 0.0


@dataclass(frozen=True, slots=True)
class SpokenSound:
    """The sound of the spoken words of a window: the least score, and medians of the others."""

    score: float = 0.0
    voicing: float = 0.0
    movement: float = 0.0

    def is_weak(
        self, word: Word, evidence: SpeechEvidence, steady_share: float = STEADY_SHARE
    ) -> bool:
        """Return whether a word hardly sounds as the spoken ones, whatever its score.

        It has no voice, or it is one steady sound; where it moves a little (less than
        `steady_share` of what spoken words do), its score counts too.
        """
        if not self.is_voiceless(word, evidence):
            moved = self._moved(word, evidence)
            best = moved >= steady_share or evidence.scores([word])[0] >= self.score + BEST_MARGIN
            return moved < ONE_SOUND_SHARE or not best
        return True

    def is_noise(self, word: Word, evidence: SpeechEvidence) -> bool:
        """Return whether a word has no voice and is one steady sound."""
        return self.is_voiceless(word, evidence) and self._moved(word, evidence) < ONE_SOUND_SHARE

    def is_one_sound(self, word: Word, evidence: SpeechEvidence) -> bool:
        """Return whether a word hardly moves, and is hardly speech by itself.

        In place of `_moved` this is for short words too, and a share that is lower for all of them.
        """
        if word.end_s - word.start_s < LEAST_MOVED_S or self.movement <= 0:
            return False
        steady = evidence.sound(word).movement < SHORT_SOUND_SHARE * self.movement
        return steady and evidence.scores([word])[0] < self.score - SHORT_MARGIN

    def is_voiceless(self, word: Word, evidence: SpeechEvidence) -> bool:
        """Return whether a word has less voice than the spoken ones; False for a short one."""
        if word.end_s - word.start_s < LEAST_SOUND_S:
            return False
        return evidence.sound(word).voicing < self.voicing - VOICING_MARGIN

    def _moved(self, word: Word, evidence: SpeechEvidence) -> float:
        """Return the movement as a share of that of the spoken words; 1 for a short word."""
        if word.end_s - word.start_s < LEAST_SOUND_S or self.movement <= 0:
            return 1.0
        return evidence.sound(word).movement / self.movement


class SpokenLevel:
    """The sound of spoken words of one medium, by that of some sure words."""

    def __init__(self) -> None:
        self._scores: list[float] = []
        self._sounds: list[WordSound] = []

    def of(
        self, words: Sequence[Word], evidence: SpeechEvidence, known: int = LEAST_WORDS
    ) -> SpokenSound:
        """Return the sound of spoken words in a window; a score of 0 if too few are known.

        `words`: sure words of the window, the best first. Some of them are compared, and the scores
        of those of the windows before: a part of a medium may have more noise than the rest.
        Without a sure word in the window nothing is known about its sound. `known`: the number of
        all its words; all of a few may be invented, so that only other windows say how words sound.
        """
        words = words[:COMPARED]
        few = known < LEAST_WORDS and len(self._scores) >= LEAST_COMPARED
        if not few:
            evidence.prepare([word] for word in words)
        own = [] if few else [score for word in words for score in evidence.scores([word])]
        self._scores += own
        self._sounds += [evidence.sound(word) for word in words[: len(own)]]
        if not (own or few) or len(self._scores) < LEAST_COMPARED:
            return SpokenSound()
        sounds = self._sounds[-len(own) :] if own else self._sounds
        least = min(median(each) for each in (own, self._scores) if each)
        return SpokenSound(
            min(SPOKEN, least - LEVEL_MARGIN),
            median(sound.voicing for sound in sounds),
            median(sound.movement for sound in sounds),
        )
