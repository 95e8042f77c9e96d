"""Shared parts of speech tests: scoring, an oracle engine and a shared demo model.

The oracle knows every spoken word and its time, and returns exactly the words in the given
window. Lost or doubled words are then errors of the code around the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from gpu.manager import GPUManager
from gpu.preset_figures import Preset, override
from gpu.presets import find_preset
from kb.asr import SAMPLE_RATE
from kb.asr.audio.time_map import TimestampMap
from kb.asr.audio.vad import Audio, SpeechDetector
from kb.asr.batching.batcher import Batcher
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch
from kb.asr.first_readings import OnText
from kb.asr.quality.repair_plan import RepairPlan
from kb.asr.recognizer import Recognizer
from kb.asr.stitching import normalize_word
from kb.asr.windows.windowing import Window
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import get_settings
from kb.types import MediaRef, Segment, Transcript, Word
from tests.support.compose import Composition, WordBank

Truth = Sequence[tuple[str, float, float]]  # word, start in s, end in s
BLOCK = 10 * SAMPLE_RATE
SURE_LOGPROB = -0.1


@cache
def bank() -> WordBank:
    return WordBank.load()


@cache
def detector() -> SpeechDetector:
    return SpeechDetector()


def blocks(audio: Audio, size: int = BLOCK) -> Iterator[Audio]:
    for first in range(0, audio.size, size):
        yield audio[first : first + size]


class RecordedDetector:
    """Speech detection that is computed once for one audio and repeated from memory."""

    def __init__(self, audio: Audio) -> None:
        stream = detector().stream()
        self._blocks = [stream.push(block) for block in blocks(audio)]
        self._rest = stream.finish()

    def stream(self) -> RecordedDetector:
        self._left = iter(self._blocks)
        return self

    def push(self, _block: Audio) -> Audio:
        return next(self._left)

    def finish(self) -> Audio:
        return self._rest

    def probabilities(self, audio: Audio) -> Audio:
        """Return those of another sound, which are computed."""
        return detector().probabilities(audio)

    def probabilities_of(self, sounds: Sequence[Audio]) -> list[Audio]:
        return detector().probabilities_of(sounds)


# Scoring


@dataclass(frozen=True)
class Score:
    """The word errors of one transcript, and the time errors of the correct words in seconds."""

    reference_words: int
    substituted: int
    deleted: int
    inserted: int
    starts_s: tuple[float, ...]
    ends_s: tuple[float, ...]
    found: frozenset[int] = field(default_factory=frozenset)  # indices of the correct words

    @property
    def errors(self) -> int:
        return self.substituted + self.deleted + self.inserted

    @property
    def wer(self) -> float:
        """Return the word error rate as a fraction; it can exceed 1."""
        return self.errors / max(1, self.reference_words)


def score(truth: Truth, words: Sequence[Word]) -> Score:
    """Score the recognized words against the spoken words by Levenshtein alignment."""
    reference, hypothesis = (
        [normalize_word(word) for word, _, _ in truth],
        [normalize_word(word.text) for word in words],
    )
    cost = np.zeros((len(reference) + 1, len(hypothesis) + 1), int)
    cost[:, 0], cost[0] = np.arange(len(reference) + 1), np.arange(len(hypothesis) + 1)
    columns = np.arange(len(hypothesis) + 1)
    for i, word in enumerate(reference):
        differs = np.array([word != other for other in hypothesis], int)
        row = cost[i] + 1
        if hypothesis:
            row[1:] = np.minimum(row[1:], cost[i, :-1] + differs)
        # Insertions run along the row: the running minimum of (cost - column).
        cost[i + 1] = np.minimum.accumulate(row - columns) + columns
    i, j = len(reference), len(hypothesis)
    substituted = deleted = inserted = 0
    pairs: list[tuple[int, int]] = []
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (reference[i - 1] != hypothesis[j - 1]):
            if reference[i - 1] == hypothesis[j - 1]:
                pairs.append((i - 1, j - 1))
            else:
                substituted += 1
            i, j = i - 1, j - 1
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            deleted, i = deleted + 1, i - 1
        else:
            inserted, j = inserted + 1, j - 1
    return Score(
        len(reference),
        substituted,
        deleted,
        inserted,
        tuple(words[b].start_s - truth[a][1] for a, b in pairs),
        tuple(words[b].end_s - truth[a][2] for a, b in pairs),
        frozenset(a for a, _ in pairs),
    )


def words_of(document: Mapping[str, object]) -> list[Word]:
    """Return the words of a transcript in the JSON form of `kb transcribe --json`."""
    return [
        Word(word["start"], word["end"], word["text"], word["probability"])
        for segment in document["segments"]  # type: ignore[attr-defined]
        for word in segment["words"]
    ]


# The oracle


def trimmed_time(clock: TimestampMap, at_s: float) -> float:
    """Return a time of the medium as a time in the sound without pauses."""
    low, high = 0.0, at_s
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if clock.start(middle) <= at_s else (low, middle)
    return high


@dataclass
class Oracle:
    """An engine that knows the spoken words; its fields add typical faults of engines.

    `skips(window, words)` returns the words to answer for a window, for instance fewer;
    `jitter_s` shifts each time at random; `fails(windows)` may raise. `decoded_spans` has
    (start, end) of each decoded window.
    """

    truth: Truth
    skips: Callable[[Window, list[Word]], list[Word]] | None = None
    jitter_s: float = 0.0
    fails: Callable[[Sequence[Window]], None] | None = None
    languages: Callable[[Window], Mapping[str, float]] = lambda window: {"en": 0.0}
    receptive_field_s: float = 30.0
    name: str = "oracle"
    model: str = "oracle"
    load_s: float = 0.0
    align_s: float = 0.0
    decoded_spans: list[tuple[float, float]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    stopped: bool = False
    decoding_methods: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        assert all(window.duration_s <= self.receptive_field_s + 1e-6 for window in windows)
        self.batches.append(len(windows))
        if self.fails:
            self.fails(windows)
        languages = tuple(self.languages(window) for window in windows)
        return EncodedBatch(tuple(windows), languages, (0.0,) * len(windows))

    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[DecodingResult]:
        return [
            self._decode_window(window, language)
            for window, language in zip(encoded.windows, languages, strict=True)
        ]

    def _decode_window(self, window: Window, language: str) -> DecodingResult:
        self.decoded_spans.append((window.start_s, window.end_s))
        words = []
        for text, *span_s in self.truth:
            start_s, end_s = (trimmed_time(window.time_map, at_s) for at_s in span_s)
            # A word that is cut at an edge is recognized as a wrong word.
            visible_s = min(end_s, window.end_s) - max(start_s, window.start_s)
            if visible_s < 0.3 * (end_s - start_s):
                continue
            whole = visible_s > 0.95 * (end_s - start_s)
            shift = float(self._rng.uniform(-self.jitter_s, self.jitter_s))
            words.append(
                Word(
                    max(start_s + shift, window.start_s),
                    min(end_s + shift, window.end_s),
                    text if whole else f"{text[:2]}~",
                    0.9,
                )
            )
        if self.skips:
            words = self.skips(window, words)
        segments = ()
        if words:
            text = " ".join(word.text for word in words)
            segments = (Segment(words[0].start_s, words[-1].end_s, text, tuple(words), language),)
        last_s = words[-1].end_s if words else window.start_s
        return DecodingResult(segments, language, SURE_LOGPROB, 0.0, last_s)

    def supports_language(self, code: str) -> bool:
        return code in ("en", "de")

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        pass


def preset(name: str = "optimiert", **figures: float) -> Preset:
    return override(find_preset(name), **figures)  # type: ignore[arg-type]


def transcribe_with(
    engine: Oracle,
    composition: Composition,
    chosen: Preset,
    *,
    detect_speech: bool = True,
    plan: RepairPlan | None = None,
    on_text: OnText | None = None,
    **settings: object,
) -> Transcript:
    """Transcribe a composition with the real detection, windows, batches, repair and merging."""
    batcher = Batcher(engine, GPUManager("cpu", cpu_threads=1), 4)
    try:
        recognizer = Recognizer(
            batcher,
            chosen,
            detect_speech=detect_speech,
            detector=detector(),
            plan=plan,
            settings=get_settings().model_copy(update=settings),
        )
        medium = MediaRef("x", "", 0.0)
        return recognizer.transcribe(blocks(composition.audio), medium, on_text=on_text)
    finally:
        batcher.close()


UNBOUNDED = RepairPlan(
    share=10.0, temperatures=(), beams=1
)  # for engines with faults in every window


# The demo model


@cache
def inference_session() -> InferenceSession:
    """Return a process-wide InferenceSession, which loads the demo model once for all tests."""
    return InferenceSession(get_settings())


def transcribe_demo(path: Path, **options: object) -> Transcript:
    """Transcribe a file with the demo model, which stays loaded between tests."""
    chosen = RunOptions(model="demo", **options)  # type: ignore[arg-type]
    found = inference_session()
    return found.transcribe(path, found.transcription_options(chosen))
