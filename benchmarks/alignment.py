"""Errors of word starts and ends against composed speech with known word times.

    python benchmarks/alignment.py          about ten minutes of audio
    python benchmarks/alignment.py --full   one hour

Cross-attention gives the times; the detected speech and the audio level correct them
(`kb/asr/audio/word_edges.py`). Only correctly recognized words count. The last lines show the
effect of the correction: they use the same windows with the times of the attention alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure, median, p95
from gpu.manager import GPUManager
from kb.asr.batching.batcher import Batcher
from kb.asr.engines import load_engine
from kb.asr.engines.whisper import token_words
from kb.asr.recognizer import Recognizer
from kb.types import MediaRef, Word
from tests.support.compose import Composition, compose, continuous_speech, random_plan
from tests.support.speech import bank, blocks, detector, preset, score

BATCH = 4


def sounds(minutes: float, noise_db: float | None, seed: int) -> Iterator[Composition]:
    """Yield speech of known voices, one minute each; every third one has no pauses."""
    rng = np.random.default_rng(seed)
    for number in range(max(2, round(minutes))):
        voice = {code: str(rng.choice(bank().voices(code, known=True))) for code in ("en", "de")}
        if number % 3 == 2:
            yield continuous_speech(bank(), 60.0, rng, voice=voice, noise_db=noise_db)
        else:
            plan = random_plan(bank(), 90, rng, "mixed" if number % 3 else "en")
            yield compose(bank(), plan, voice, rng, noise_db=noise_db)


def errors_s(
    said: Sequence[Composition], read: Callable[[Composition], Sequence[Word]]
) -> tuple[list[float], list[float]]:
    """Return the signed errors of starts and ends of the correct words, in seconds."""
    starts: list[float] = []
    ends: list[float] = []
    for composition in said:
        result = score(composition.words, read(composition))
        starts += result.starts_s
        ends += result.ends_s
    return starts, ends


def report_errors(
    name: str, starts: Sequence[float], ends: Sequence[float], limit_s: float | None
) -> bool:
    met = True
    for what, values in (("start", starts), ("end", ends)):
        off_s = [abs(value) for value in values]
        figure(f"word {what} off, median, {name}", median(off_s), "s")
        met &= figure(f"word {what} off, 95 %, {name}", p95(off_s), "s", at_most=limit_s)
        figure(f"word {what}, median with its sign, {name}", median(values), "s")
    figure(f"words, {name}", len(starts), "words")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="an hour of sound")
    minutes = 20.0 if parser.parse_args().full else 3.0
    manager = GPUManager("cpu", cpu_threads=1)
    manager.apply()
    engine: Any = load_engine("whisper", "demo", manager)
    batcher = Batcher(engine, manager, BATCH)
    recognizer = Recognizer(batcher, preset(), detector=detector())

    def read(said: Composition) -> Sequence[Word]:
        return recognizer.transcribe(blocks(said.audio), MediaRef("sound", "", 0.0)).words

    met = True
    try:
        for name, noise_db, limit_s in (
            ("clean", None, 0.2),
            ("20 dB", 20.0, 0.2),
            ("10 dB", 10.0, None),
        ):
            met &= report_errors(name, *errors_s(list(sounds(minutes, noise_db, 3)), read), limit_s)
        corrected = token_words.snap_to_sound, token_words.snap_to_speech
        token_words.snap_to_sound = lambda words, _audio, _start_s: tuple(words)
        token_words.snap_to_speech = lambda words, _speech: list(words)
        try:
            clean = list(sounds(minutes, None, 3))
            report_errors("clean, attention alone", *errors_s(clean, read), None)
        finally:
            token_words.snap_to_sound, token_words.snap_to_speech = corrected
    finally:
        batcher.close()
        engine.close()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
