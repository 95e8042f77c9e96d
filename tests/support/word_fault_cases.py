"""Faults of single words in an engine's first readings, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from gpu.manager import GPUManager
from kb.asr.batching.batcher import Batcher
from kb.asr.recognizer import Recognizer
from kb.settings import Settings
from kb.types import MediaRef, Transcript
from tests.fakes.word_faults import WHISPER_STEP_S, Injected, WordFault, WordFaultEngine
from tests.support.compose import Composition, compose
from tests.support.known_words import TIMES, in_characters, known_words
from tests.support.speech import RecordedDetector, Truth, bank, blocks, preset
from tests.support.word_alignment import align, reported, too_short

PRESETS = ("stabil", "optimiert", "schnell", "max")  # windows of 20, 30, 45 and 60 s
LANGUAGES = ("en", "de", "zh")
NEAR_S = 0.3  # errors this close to a fault belong to it
SEAM_S = 100.0  # of talk without pauses: windows of 60 s have a seam in it


@dataclass(frozen=True)
class Talk:
    """Composed talk with its speech detection."""

    said: Composition
    detector: RecordedDetector
    language: str


@cache
def talk(language: str, seconds: float, seed: int = 0, *, pauses: bool = True) -> Talk:
    """Return talk of about `seconds`, with pauses of 0.35 to 2 s or without any.

    "zh" is the sound of English words with characters as its text.
    """
    rng = np.random.default_rng([seed, pauses, LANGUAGES.index(language)])
    spoken = "en" if language == "zh" else language
    voice = str(rng.choice(bank().voices(spoken)))
    words = bank().words(spoken)
    plan: list[str | float] = []
    count = round(seconds / 0.5)
    last = ""
    while len(plan) < count:
        for _ in range(int(rng.integers(3, 12))):
            # A word that is said twice in a row is no fault, but looks like one.
            last = str(rng.choice([word for word in words if word != last]))
            plan.append(last)
        if pauses:
            plan.append(float(rng.uniform(0.35, 2.0)))
    gap = (0.03, 0.12) if pauses else (0.02, 0.06)
    said = compose(bank(), plan, voice, rng, gap=gap)
    heard = RecordedDetector(said.audio)
    return Talk(in_characters(said) if language == "zh" else said, heard, language)


def read(engine: Any, spoken: Talk, preset_name: str, **settings: object) -> Transcript:
    """Read talk in its language, with recorded speech detection."""
    batcher = Batcher(engine, GPUManager("cpu", cpu_threads=1), 4)
    try:
        recognizer = Recognizer(
            batcher,
            preset(preset_name),
            language=spoken.language,
            detector=spoken.detector,  # type: ignore[arg-type]
            settings=Settings().model_copy(update=settings),
        )
        return recognizer.transcribe(blocks(spoken.said.audio), MediaRef("x", "", 0.0))
    finally:
        batcher.close()


def _talk(language: str, fault: WordFault, seconds: float, seed: int) -> Talk:
    if fault.place == "seam":
        return talk(language, max(seconds, SEAM_S), seed, pauses=False)
    return talk(language, seconds, seed)


@dataclass
class Outcome:
    """What became of the faults of some runs; `missed`: neither mended nor reported."""

    injected: int = 0
    mended: int = 0
    reported: int = 0
    missed: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.injected += other.injected
        self.mended += other.mended
        self.reported += other.reported
        self.missed += other.missed


def judge(truth: Truth, found: Transcript, faults: Sequence[Injected], name: str) -> Outcome:
    """Count the faults that were mended and those that stand but are reported.

    A fault is mended if no word is lost or inserted near it, and none of its words is too short. It
    is reported if a doubt or a gap is there, or at each of the words near it that are wrong.
    `truth`: the words of the reading without a fault.
    """
    aligned = align(truth, found.words)
    short = {*too_short(found.words)}
    wrong = [truth[index][1:] for index in aligned.lost]
    wrong += [(found.words[i].start_s, found.words[i].end_s) for i in {*aligned.inserted, *short}]
    outcome = Outcome()
    for fault in faults:
        outcome.injected += 1
        near = [(a, b) for a, b in wrong if a < fault.end_s + NEAR_S and fault.start_s - NEAR_S < b]
        if not near:
            outcome.mended += 1
        elif reported(found, fault.start_s, fault.end_s) or all(
            reported(found, *span) for span in near
        ):
            outcome.reported += 1
        else:
            texts = " ".join(word.text for word in fault.words)
            outcome.missed.append(
                f"{name}, {fault.fault}: {texts!r} at {fault.start_s:.2f} to {fault.end_s:.2f} s"
            )
    return outcome


def run_known(
    times: str, fault: WordFault, language: str, preset_name: str, *, seconds: float, seed: int = 0
) -> Outcome:
    """Inject faults into an engine that knows the words, with the times of a recognizer."""
    spoken = _talk(language, fault, seconds, seed)
    name = f"{times}, {language}, {preset_name}, seed {seed}"
    return _run(
        lambda: known_words(spoken.said, times, language), spoken, fault, preset_name, name,
        seed, TIMES[times].step_s, spoken.said.words,
    )  # fmt: skip


def run_real(
    engine: Any, fault: WordFault, preset_name: str, *, seconds: float, seed: int = 0
) -> Outcome:
    """Inject faults into a real engine with the demo recognizer.

    The reference is its own reading without a fault, so that its errors do not count.
    """
    spoken = _talk("en", fault, seconds, seed)
    clean = read(engine, spoken, preset_name)
    truth = [(word.text, word.start_s, word.end_s) for word in clean.words]
    name = f"{engine.name}, en, {preset_name}, seed {seed}"
    return _run(lambda: engine, spoken, fault, preset_name, name, seed, WHISPER_STEP_S, truth)


def _run(
    engine: Callable[[], Any], spoken: Talk, fault: WordFault, preset_name: str, name: str,
    seed: int, step_s: float, truth: Truth,
) -> Outcome:  # fmt: skip
    struck = WordFaultEngine(engine(), fault, seed=seed, step_s=step_s)
    found = read(struck, spoken, preset_name)
    return judge(truth, found, struck.injected, name)
