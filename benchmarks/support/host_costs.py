"""The costs of a window on the host: preparation, the batcher's thread, reading of words, joining.

All figures are CPU time for a window (of the preparation: for 30 s of sound), with one thread, so
that they mean the same beside a GPU and without one.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.support.common import figure
from benchmarks.support.weights import write_random
from gpu.manager import GPUManager
from kb.asr.audio.vad import SpeechDetector
from kb.asr.batching.batcher import Batcher
from kb.asr.batching.language_vote import LanguageVote
from kb.asr.batching.window_queue import BatchedWindow, wait
from kb.asr.engines import load_engine
from kb.asr.quality.window_context import Thresholds
from kb.asr.stitching import WindowText, stitch
from kb.asr.windows.window_source import WindowSource
from kb.asr.windows.windowing import Window
from kb.inference.malloc import return_memory
from kb.media.decode import decode
from kb.settings import get_settings

SOUND_S = 30.0  # a window
PREPARATION_MS = 45.0  # ffmpeg and detection of 30 s
BATCHER_MS = 3.0  # the batcher's thread outside of the model's parts, for a window
BATCH = 8


def host_costs(paths: Sequence[Path], seconds: float, folder: Path, tokens: int) -> bool:
    """Print the figures for files of `seconds` each; return False if one misses its target."""
    return_memory()  # as in the model's process
    windows, met = _preparation(paths, seconds)
    return _batches(windows, folder / "one-layer", tokens) and met


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


def _batches(windows: Sequence[Window], folder: Path, tokens: int) -> bool:
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
    finally:
        batcher.close()
        engine.close()
        greedy.MAX_NEW_TOKENS = before
    outside_ms = 1000 * (total_s - sum(times.seconds.values())) / len(windows)
    met = figure(
        "batcher's thread outside of the model", outside_ms, "ms a window", at_most=BATCHER_MS
    )
    for part, seconds in times.seconds.items():
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
