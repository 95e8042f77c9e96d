"""Evidence about the sound of words that is given by hand, by the times at which they begin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kb.asr.audio.word_sound import WordSound
from kb.types import Word

PLAIN = WordSound(voicing=0.9, movement=1.7)
NOISE = WordSound(voicing=0.5, movement=1.5)
STEADY_NOISE = WordSound(voicing=0.5, movement=0.7)
HUM = WordSound(voicing=1.0, movement=0.5)
VOWEL = WordSound(voicing=1.0, movement=1.2)
SHORT_WORD = WordSound(voicing=0.85, movement=1.24)


@dataclass
class Scores:
    """Evidence with known scores and sounds of the word at each start in seconds.

    The score is 0.98 where none is known.
    """

    known: dict[float, float]
    sounds: dict[float, WordSound] = field(default_factory=dict)

    def prepare(self, groups: Iterable[Sequence[Word]]) -> None:
        """Do nothing: all scores are known."""

    def scores(self, words: Sequence[Word]) -> tuple[float, ...]:
        return tuple(self.known.get(word.start_s, 0.98) for word in words)

    def sound(self, word: Word) -> WordSound:
        return self.sounds.get(word.start_s, PLAIN)
