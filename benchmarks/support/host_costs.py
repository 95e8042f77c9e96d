"""The costs of a window on the host: preparation, the batcher's thread, a reader's thread.

All figures are CPU time for a window (of the preparation: for 30 s of sound), with one thread, so
that they mean the same beside a GPU and without one.
"""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.support.common import figure
from benchmarks.support.gpu_whole import SAID
from benchmarks.support.spoken_text import FILE, replace_texts
from benchmarks.support.weights import write_random
from gpu.manager import GPUManager
from gpu.presets import load_presets
from kb.asr.audio.speech_evidence import SpeechEvidence
from kb.asr.audio.vad import SpeechDetector, SpeechStream
from kb.asr.batching.batcher import Batcher
from kb.asr.batching.language_vote import LanguageVote
from kb.asr.batching.window_queue import BatchedWindow, wait
from kb.asr.engines import load_engine
from kb.asr.quality.repair_plan import RepairPlan
from kb.asr.quality.window_context import Thresholds
from kb.asr.recognizer import Recognizer
from kb.asr.stitching import WindowText, stitch
from kb.asr.windows.window_source import WindowSource
from kb.asr.windows.windowing import Window
from kb.inference.malloc import return_memory
from kb.media.decode import decode
from kb.settings import get_settings
from kb.types import MediaRef

SOUND_S = 30.0  # a window
PREPARATION_MS = 45.0  # ffmpeg and detection of 30 s
BATCHER_MS = 3.0  # the batcher's thread outside of the model's parts, for a window
BATCH = 8


def host_costs(paths: Sequence[Path], seconds: float, folder: Path, tokens: int) -> bool:
    """Print the figures for files of `seconds` each; return False if one misses its target."""
    return_memory()  # as in the model's process
    windows, met = _preparation(paths, seconds)
    os.environ[FILE] = str(paths[0].parent / SAID)
    try:
        return _batches(windows, paths, folder / "one-layer", tokens) and met
    finally:
        del os.environ[FILE]


def _cpu_s() -> tuple[float, float]:
    """Return the CPU seconds of this process and of its ended children."""
    own, children = (
        resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def _preparation(paths: Sequence[Path], seconds: float) -> tuple[list[Window], bool]:
    detector, settings = SpeechDetector(), get_settings()

    def read(path: Path) -> list[Window]:
        source = WindowSource(
            detector,
            limit_s=SOUND_S,
            overlap_s=1.0,
            longest_pause_s=settings.longest_pause_s,
            residual_s=Thresholds.of(settings).uncovered_s,
        )
        return list(source.windows(decode(path), lambda: None))

    pieces = len(paths) * seconds / SOUND_S
    windows = read(paths[0])  # loads the libraries
    before = _cpu_s()
    for path in paths:
        windows += read(path)
    own_ms, ffmpeg_ms = (
        1000 * (now - then) / pieces for now, then in zip(_cpu_s(), before, strict=True)
    )
    detector.probabilities(windows[0].audio)
    audio_s = sum(window.duration_s for window in windows)
    began = time.thread_time()
    for window in windows:
        detector.probabilities(window.audio)
    detection_ms = 1000 * (time.thread_time() - began) * SOUND_S / audio_s
    parts = ffmpeg_ms + detection_ms
    met = figure("preparation, ffmpeg and detection", parts, "ms for 30 s", at_most=PREPARATION_MS)
    figure("preparation, ffmpeg", ffmpeg_ms, "ms for 30 s")
    figure("preparation, detection", detection_ms, "ms for 30 s")
    figure("preparation, all CPU time", own_ms + ffmpeg_ms, "ms for 30 s")
    return windows, met


class _PartTimes:
    """CPU seconds of one thread inside of wrapped functions, by part of the model."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._depth = 0

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call` with its time counted; of nested calls the outermost counts."""

        def counted(*given: Any, **named: Any) -> Any:
            began = time.thread_time()
            self._depth += 1
            try:
                return call(*given, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds[name] += time.thread_time() - began

        return counted


def _count_parts(engine: Any) -> _PartTimes:
    """Count the parts that a device computes: log-mel, encoder, decoder and its attention."""
    times, greedy = _PartTimes(), engine._greedy
    for holder, name, part in (
        (engine, "_mel", "log-mel"),
        (engine, "_encoder", "encoder"),
        (greedy, "start", "decoder"),
        (greedy, "decode", "decoder"),
        (greedy, "align", "word times"),
    ):
        setattr(holder, name, times.wrap(part, getattr(holder, name)))
    return times


def _batches(windows: Sequence[Window], paths: Sequence[Path], folder: Path, tokens: int) -> bool:
    import kb.asr.engines.whisper.greedy_search as greedy

    before, greedy.MAX_NEW_TOKENS = greedy.MAX_NEW_TOKENS, tokens
    write_random(folder, width=64, heads=2, layers=1, seed=0)
    manager = GPUManager("cpu", cpu_threads=1)
    engine = load_engine("whisper", str(folder), manager)
    batcher = Batcher(engine, manager, BATCH)
    try:
        _run(batcher, windows[:BATCH])
        times = _count_parts(engine)
        thread = _ThreadProbe(batcher)
        results = _run(batcher, windows)
        total_s = thread.seconds()
        parts = dict(times.seconds)
        _reader(batcher, paths, "random words")
        replace_texts(type(engine))
        _reader(batcher, paths, "words of the talk")
    finally:
        batcher.close()
        engine.close()
        greedy.MAX_NEW_TOKENS = before
    outside_ms = 1000 * (total_s - sum(parts.values())) / len(windows)
    met = figure(
        "batcher's thread outside of the model", outside_ms, "ms a window", at_most=BATCHER_MS
    )
    for part, seconds in parts.items():
        figure(f"batcher's thread, {part}, one layer", 1000 * seconds / len(windows), "ms a window")
    began = time.thread_time()
    decoded = [result.decoded for result in results]
    figure(
        "tokens read into words, in the thread of the item",
        1000 * (time.thread_time() - began) / len(windows),
        "ms a window",
    )
    texts = [
        WindowText(number, window.start_s, window.overlap_s, found)
        for number, (window, found) in enumerate(zip(windows, decoded, strict=True))
    ]
    began = time.thread_time()
    stitch(texts)
    figure(
        "windows joined, in the thread of the item",
        1000 * (time.thread_time() - began) / len(windows),
        "ms a window",
    )
    return met


def _reader(batcher: Batcher, paths: Sequence[Path], words: str) -> None:
    """Print the CPU time of the thread of a recording, as a reader has it, and of its parts.

    Without ffmpeg's own. The rows with words of the talk and with random ones have equal work but
    for the checks of the text: random words are all in doubt.
    """
    detector, settings = SpeechDetector(), get_settings()
    preset = load_presets(settings.presets_path)["max"]
    times = _PartTimes()
    count = 0
    with ExitStack() as patched:
        for holder, name, part in (
            (SpeechStream, "_run", "detection"),
            (SpeechEvidence, "prepare", "detection of words from three sides"),
            (SpeechEvidence, "sound", "voice and movement of words"),
        ):
            counted = times.wrap(part, getattr(holder, name))
            patched.enter_context(patch.object(holder, name, counted))
        began = time.thread_time()
        for path in paths:
            recognizer = Recognizer(
                batcher, preset, detector=detector, settings=settings, language="en",
                plan=replace(RepairPlan.of(settings), share=0.0),
            )  # fmt: skip
            read = recognizer.transcribe(decode(path), MediaRef(path.name, "", 0.0))
            count += len(read.windows)
        total_s = time.thread_time() - began
    figure(f"reader's thread, {words}", 1000 * total_s / count, "ms a window")
    for part, seconds in times.seconds.items():
        figure(f"reader's thread, {words}, {part}", 1000 * seconds / count, "ms a window")


class _ThreadProbe:
    """CPU seconds of a batcher's thread since the object was made."""

    def __init__(self, batcher: Batcher) -> None:
        number = batcher._thread.ident
        assert number is not None
        self._clock = time.pthread_getcpuclockid(number)
        self._begin_s = time.clock_gettime(self._clock)

    def seconds(self) -> float:
        return time.clock_gettime(self._clock) - self._begin_s


def _run(batcher: Batcher, windows: Sequence[Window]) -> list[BatchedWindow]:
    """Decode the windows in batches; return their results."""
    vote = LanguageVote("en")
    futures = [batcher.submit("bench", window, vote) for window in windows]
    return [wait(future, lambda: None) for future in futures]
