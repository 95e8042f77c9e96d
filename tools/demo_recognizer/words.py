"""The closed vocabulary and the synthetic speakers who say it.

Speakers are settings of Debian's ``espeak-ng``: an accent, a voice variant, a pitch and a speed.
Some *variants* are never trained on in any accent, so that "held out" means an unheard voice
rather than an unheard pitch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

GERMAN = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn")
ACCENTS = ("en-us", "en-gb", "en-gb-scotland")

# fmt: off
KNOWN_VARIANTS = (
    "m1", "m2", "m3", "m4", "m6", "m7", "m8", "f1", "f3", "f4", "f5", "Alex", "Andrea", "Andy",
    "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Mike",
    "Nguyen", "Tweaky", "adam", "anika", "aunty", "belinda", "benjamin", "boris", "caleb",
    "david", "ed", "edward", "grandma", "grandpa", "klatt", "klatt3", "klatt4", "linda",
    "marcelo", "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob",
    "robert", "sandro", "shelby", "steph", "steph3", "travis", "victor", "zac",
)
HELD_OUT_VARIANTS = (
    "m5", "f2", "Annie", "Michael", "max", "antonio", "Gene2", "klatt2", "john", "Alicia",
    "steph2", "iven2",
)
# fmt: on

PITCH_RANGE = (30, 70)
SPEED_RANGE = (120, 190)  # words a minute, as espeak counts them


@dataclass(frozen=True)
class Speaker:
    """One way of speaking: every word of the vocabulary is synthesised once with it."""

    variant: str
    accent: str
    pitch: int
    speed: int
    known: bool

    @property
    def name(self) -> str:
        """A short unique name, such as ``en-gb+f3-p41-s150``."""
        return f"{self.accent}+{self.variant}-p{self.pitch}-s{self.speed}"


def load_vocabulary(path: Path) -> list[str]:
    """Read ``vocabulary.txt``: one lower-case word a line."""
    return path.read_text(encoding="utf-8").split()


def language_of(word: str) -> str:
    """``"de"`` for the German digits, ``"en"`` for everything else."""
    return "de" if word in GERMAN else "en"


def make_speakers(known_settings: int = 150, held_out_settings: int = 24) -> list[Speaker]:
    """Draw the speakers; the same call gives the same speakers.

    Every known variant is met in at least two accents, every held-out one in two.
    """
    rng = np.random.default_rng(20)
    plan = ((KNOWN_VARIANTS, known_settings, True), (HELD_OUT_VARIANTS, held_out_settings, False))
    return [
        Speaker(
            variant=variants[i % len(variants)],
            accent=ACCENTS[(i + i // len(variants)) % len(ACCENTS)],
            pitch=int(rng.integers(*PITCH_RANGE, endpoint=True)),
            speed=int(rng.integers(*SPEED_RANGE, endpoint=True)),
            known=known,
        )
        for variants, count, known in plan
        for i in range(count)
    ]
