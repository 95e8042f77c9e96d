"""The recordings of the throughput measurements, composed so that every word is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.support.compose import Composition, compose, write_wav
from tests.support.speech import bank

SPOKEN_S = 0.5  # approximate length of a word and the gap after it


@dataclass(frozen=True)
class Load:
    """A set of recordings: `what` describes them, `said` has the composition of each file."""

    key: str
    what: str
    paths: list[Path]
    said: list[Composition]

    @property
    def seconds(self) -> float:
        return sum(c.seconds for c in self.said)


def talk(seconds: float, quiet: float, rng: np.random.Generator) -> Composition:
    """Return speech by one known voice with the given length and about this share of pauses."""
    plan: list[str | float] = []
    at_s = 0.0
    pause_s = 4.2 * quiet / (1 - quiet)  # after phrases of about 4.2 s
    while at_s < seconds - 5:
        count = int(rng.integers(4, 14))
        wait_s = float(np.clip(rng.lognormal(np.log(pause_s) - 0.3, 0.8), 0.3, 12.0))
        plan += [*map(str, rng.choice(bank().words("en"), count)), wait_s]
        at_s += count * SPOKEN_S + wait_s
    voice = {"en": str(rng.choice(bank().voices("en", known=True)))}
    voice["de"] = bank().voices("de", known=True)[0]
    said = compose(bank(), plan, voice, rng, noise_db=30)
    size = round(seconds * 16_000)
    if said.audio.size < size:
        said.audio.resize(size, refcheck=False)
    kept = [word for word in said.words if word[2] < seconds]
    return Composition(said.audio[:size], kept, "en")


def loads(folder: Path, scale: float) -> list[Load]:
    """Write the loads, each scaled by `scale`.

    They are (a) one file of 30 min, (b) 60 files of 30 s and (c) 20 files of 1 to 5 min with 40 %
    pauses.
    """
    rng = np.random.default_rng(8)

    def written(key: str, what: str, said: list[Composition]) -> Load:
        paths = [
            write_wav(folder / f"{key}{n:02}.flac", composition)
            for n, composition in enumerate(said)
        ]
        return Load(key, what, paths, said)

    count_b, count_c = max(8, round(60 * scale)), max(3, round(20 * scale))
    longest = min(5.0, 1 + 4 * max(scale, 0.25))
    minutes = max(3.0, 30 * scale)
    return [
        written("a", f"one file of {minutes:.0f} min", [talk(60 * minutes, 0.15, rng)]),
        written("b", f"{count_b} files of 30 s", [talk(30.0, 0.15, rng) for _ in range(count_b)]),
        written(
            "c",
            f"{count_c} files of 1 to {longest:.0f} min, 40 % pauses",
            [talk(60 * length, 0.4, rng) for length in np.linspace(1, longest, count_c)],
        ),
    ]


def trial(folder: Path) -> dict[str, list[Path]]:
    """Write separate recordings for the search of the best batch size: about 8 windows a kind."""
    rng = np.random.default_rng(80)
    kinds = {
        "a": [talk(240.0, 0.15, rng)],
        "b": [talk(30.0, 0.15, rng) for _ in range(8)],
        "c": [talk(seconds, 0.4, rng) for seconds in (60.0, 75.0, 100.0)],
    }
    return {
        key: [write_wav(folder / f"trial-{key}{n}.flac", one) for n, one in enumerate(said)]
        for key, said in kinds.items()
    }
