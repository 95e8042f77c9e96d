"""Long media: no word of an hour is lost, and four hours need no more memory than a minute.

    python benchmarks/memory.py            an hour of speech, four hours of mostly silence
    python benchmarks/memory.py --full     four hours of speech as well

The hour is composed of talks with pauses between them, and every spoken word is checked.
Memory is the peak of the process and of its ffmpeg child, minus the memory of the process
directly after loading the model.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import get_settings
from kb.types import Word
from tests.support.compose import (
    SAMPLE_RATE,
    Composition,
    compose,
    continuous_speech,
    random_plan,
    silence,
)
from tests.support.speech import bank, score

MB = 10**6
TALK_WORDS = 140
PAUSE_S = 2.0
MOSTLY_SILENCE_S = 4 * 3600
SPEECH_EVERY_S = 600.0

Talks = list[tuple[float, float, Composition]]  # from, to (the middles of the pauses), what


def talks(seed: int) -> Iterator[Composition]:
    """Yield talks of one to two minutes without end: with and without pauses, clean and noisy."""
    rng = np.random.default_rng(seed)
    number = 0
    while True:
        voice = {code: str(rng.choice(bank().voices(code, known=True))) for code in ("en", "de")}
        noise_db = (None, 30.0, 22.0)[number % 3]
        if number % 4 == 3:
            yield continuous_speech(bank(), 70.0, rng, voice=voice, noise_db=noise_db)
        else:
            language = ("en", "en", "mixed")[number % 3]
            plan = random_plan(bank(), TALK_WORDS, rng, language)
            yield compose(bank(), plan, voice, rng, noise_db=noise_db)
        number += 1


def write_talks(path: Path, seconds: float, pause_s: float) -> Talks:
    """Write talks with pauses between them, piece by piece; return their words and times."""
    said: Talks = []
    at = 0.0
    source = talks(5)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, subtype="PCM_16") as target:
        while at < seconds:
            talk = next(source)
            target.write(talk.audio)
            target.write(silence(pause_s))
            length = (talk.audio.size + silence(pause_s).size) / SAMPLE_RATE
            begin = at - pause_s / 2 if said else 0.0
            said.append((begin, at + talk.seconds + pause_s / 2, shifted(talk, at)))
            at += length
    return said


def shifted(talk: Composition, by_s: float) -> Composition:
    words = [(text, start_s + by_s, end_s + by_s) for text, start_s, end_s in talk.words]
    return Composition(np.zeros(0, np.float32), words, talk.language)


def account(said: Talks, words: tuple[Word, ...]) -> tuple[int, int, int, int]:
    """Return the sums (spoken, substituted, deleted, inserted); each talk is scored separately."""
    total = np.zeros(4, int)
    for from_s, to_s, talk in said:
        own = [w for w in words if from_s <= (w.start_s + w.end_s) / 2 < to_s]
        found = score(talk.words, own)
        total += (found.reference_words, found.substituted, found.deleted, found.inserted)
    outside = len(words) - sum(
        sum(from_s <= (w.start_s + w.end_s) / 2 < to_s for w in words) for from_s, to_s, _ in said
    )
    return int(total[0]), int(total[1]), int(total[2]), int(total[3]) + outside


def read_measured(path: Path, answers: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    """Transcribe a file in a separate process and answer with the measurements.

    The answer is (words, wall time in s, bytes above the loaded model, coverage ratio).
    """
    with InferenceSession(get_settings()) as recognition:
        options = recognition.transcription_options(RunOptions(model="demo"))
        recognition.prepare(options)
        loaded = psutil.Process().memory_info().rss
        peak = Peak()
        began = time.perf_counter()
        found = recognition.transcribe(path, options)
        wall_s = time.perf_counter() - began
        above = peak.stop() - loaded
    answers.put((found.words, wall_s, above, found.coverage.ratio))


class Peak:
    """The sampled peak of the memory of this process and its children together, in bytes.

    The system's figure (ru_maxrss) is unusable for ffmpeg: it includes the memory that this
    process held when it started ffmpeg.
    """

    def __init__(self) -> None:
        self._most = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """End the sampling; return the peak in bytes."""
        self._ended.set()
        self._thread.join()
        return self._most

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._ended.wait(0.02):
            total = own.memory_info().rss
            for child in own.children():
                with suppress(psutil.Error):
                    total += child.memory_info().rss
            self._most = max(self._most, total)


def measured(path: Path) -> tuple[tuple[Word, ...], float, float, float]:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=read_measured, args=(path, answers))
    process.start()
    answer: tuple[tuple[Word, ...], float, float, float] = answers.get(timeout=3600)
    process.join()
    return answer


def speech_hours(folder: Path, hours: int) -> bool:
    path = folder / f"{hours} h.flac"
    said = write_talks(path, hours * 3600, PAUSE_S)
    words, wall_s, above, ratio = measured(path)
    spoken, substituted, deleted, inserted = account(said, words)
    title = f"{hours} h of speech"
    figure(f"{title}: words spoken", spoken, "words")
    lost = 100 * (deleted + inserted) / spoken
    met = figure(f"{title}: lost or added", lost, "%", at_most=1.0)
    figure(f"{title}: taken for another word", 100 * substituted / spoken, "%")
    figure(f"{title}: speech covered", 100 * ratio, "%")
    met &= figure(f"{title}: memory above the model", above / MB, "MB", at_most=400)
    figure(f"{title}: times real time", hours * 3600 / wall_s, "x")
    path.unlink()
    return met


def mostly_silence(folder: Path) -> bool:
    path = folder / "silence.flac"
    said = write_talks(path, MOSTLY_SILENCE_S, SPEECH_EVERY_S)
    words, wall_s, above, _ = measured(path)
    spoken, _, deleted, inserted = account(said, words)
    met = figure("4 h of mostly silence: memory above the model", above / MB, "MB", at_most=400)
    lost = 100 * (deleted + inserted) / spoken
    met &= figure("4 h of mostly silence: lost or added", lost, "%", at_most=1.0)
    figure("4 h of mostly silence: times real time", MOSTLY_SILENCE_S / wall_s, "x")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="four hours of speech as well")
    full = parser.parse_args().full
    with tempfile.TemporaryDirectory() as name:
        met = speech_hours(Path(name), 1)
        met &= mostly_silence(Path(name))
        if full:
            met &= speech_hours(Path(name), 4)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
