"""Word errors and word times on composed files, in every preset, with the demo recognizer.

    python benchmarks/accuracy.py          20 files of 5 s to 5 min
    python benchmarks/accuracy.py --full   60 files
    python benchmarks/accuracy.py --filters   only those of KB_SOUND_FILTERS, on noisy files

The files are composed from the recognizer's known voices: with and without pauses, clean and
noisy, in English, in German and in both languages. The figures of unknown voices are printed
separately, for information. Every file passes decoding, speech detection, windows, batches and
merging as in `kb transcribe`; the composition is the reference.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure, median, p95
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import get_settings
from tests.support.compose import Composition, compose, continuous_speech, random_plan, write_wav
from tests.support.speech import Score, bank, score

PRESETS = ("stabil", "optimiert", "schnell", "max")
SHORTEST_S, LONGEST_S = 5.0, 300.0
WORDS_A_SECOND = 1.35  # in composed speech with pauses
NEAR_BORDER_S = 1.5
BORDER_S = 30
HELD_OUT_FILES = 6


def files(count: int, *, known: bool, seed: int) -> Iterator[Composition]:
    """Yield compositions from short to long; the kinds alternate."""
    rng = np.random.default_rng(seed)
    kinds = ("en", "en", "mixed", "de", "unbroken")
    for number, seconds in enumerate(np.geomspace(SHORTEST_S, LONGEST_S, count)):
        kind = kinds[number % len(kinds)]
        voice = {code: str(rng.choice(bank().voices(code, known=known))) for code in ("en", "de")}
        noise_db = (None, 30.0, 20.0)[number % 3]
        if kind == "unbroken":
            yield continuous_speech(bank(), float(seconds), rng, voice=voice, noise_db=noise_db)
            continue
        plan = random_plan(bank(), max(4, round(seconds * WORDS_A_SECOND)), rng, kind)
        yield compose(bank(), plan, voice, rng, noise_db=noise_db)


def near_borders(said: Composition) -> set[int]:
    """Return the indices of the words that are spoken across or beside a border of 30 s."""
    borders = range(BORDER_S, int(said.seconds) + 1, BORDER_S)
    return {
        place
        for place, (_, start_s, end_s) in enumerate(said.words)
        if any(start_s < b + NEAR_BORDER_S and end_s > b - NEAR_BORDER_S for b in borders)
    }


class Tally:
    """Counts summed over several files."""

    def __init__(self) -> None:
        self.spoken = self.errors = self.beside = self.beside_kept = 0
        self.edges_s: list[float] = []

    def add(self, said: Composition, result: Score) -> None:
        self.spoken += result.reference_words
        self.errors += result.errors
        self.edges_s += [abs(error) for error in (*result.starts_s, *result.ends_s)]
        beside = near_borders(said)
        self.beside += len(beside)
        self.beside_kept += len(beside & result.found)

    @property
    def wer(self) -> float:
        """Return the word error rate in per cent."""
        return 100 * self.errors / self.spoken


def noisy_files() -> Iterator[Composition]:
    """Yield a minute of speech in each of six noises, two of them rumble."""
    noises = [("brown", 5.0), ("hum", 0.0), ("pink", 10.0), ("white", 10.0), ("pink", 5.0),
              ("white", 5.0)]  # fmt: skip
    for number, (kind, noise_db) in enumerate(noises):
        rng = np.random.default_rng((3, number))
        plan = random_plan(bank(), 90, rng)
        yield compose(bank(), plan, rng=rng, noise_db=noise_db, noise_kind=kind)


def compare_filters(recognition: InferenceSession, folder: Path) -> None:
    """Print the errors with each choice of KB_SOUND_FILTERS; for information."""
    said = list(noisy_files())
    for filters in ((), ("highpass",), ("afftdn",), ("highpass", "afftdn")):
        tally = read_all(recognition, folder, said, "optimiert", filters)
        name = " and ".join(filters) or "no filter"
        figure(f"word error rate in noise, {name}", tally.wer, "%")


def read_all(
    recognition: InferenceSession,
    folder: Path,
    said: list[Composition],
    preset: str,
    filters: tuple[str, ...] = (),
) -> Tally:
    tally = Tally()
    options = recognition.transcription_options(RunOptions(model="demo", preset=preset))
    options = replace(options, filters=filters)
    for number, composition in enumerate(said):
        path = folder / f"{number}.flac"
        if not path.exists():
            write_wav(path, composition)
        found = recognition.transcribe(path, options)
        tally.add(composition, score(composition.words, found.words))
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="60 files instead of 20")
    parser.add_argument("--filters", action="store_true", help="the filters alone")
    asked = parser.parse_args()
    count = 60 if asked.full else 20
    recognition = InferenceSession(get_settings())
    met = True
    with tempfile.TemporaryDirectory() as name, recognition:
        folder = Path(name)
        noisy = folder / "noisy"
        noisy.mkdir()
        compare_filters(recognition, noisy)
        if asked.filters:
            return 0
        said = list(files(count, known=True, seed=1))
        figure("composed speech", sum(c.seconds for c in said) / 60, "min")
        tallies: dict[str, Tally] = {}
        for preset in PRESETS:
            tally = tallies[preset] = read_all(recognition, folder, said, preset)
            met &= figure(f"word error rate, {preset}", tally.wer, "%", at_most=2.0)
            met &= figure(
                f"word boundary error, 95 %, {preset}", p95(tally.edges_s), "s", at_most=0.2
            )
            figure(f"word boundary error, median, {preset}", median(tally.edges_s), "s")
            kept = 100 * tally.beside_kept / tally.beside
            met &= figure(f"words at 30-s borders right, {preset}", kept, "%", at_least=98.0)
        rates = [tally.wer for tally in tallies.values()]
        met &= figure("presets differ by", max(rates) - min(rates), "points", at_most=0.5)
        unheard = folder / "unheard"
        unheard.mkdir()
        others = list(files(HELD_OUT_FILES, known=False, seed=2))
        tally = read_all(recognition, unheard, others, "optimiert")
        figure("word error rate, unheard voices", tally.wer, "%")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
