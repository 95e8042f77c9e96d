"""Clips whose callers wait, beside the talks of the queue: one worker's model, demo recognizer.

Three talks of 15 minutes are transcribed alone, then once more while twenty clips of 8 s come one
after the other. A clip waits for the batch under way, so it may take the time of two batches (of
the talks alone) and its own. The talks may take a tenth longer than alone, beside the time that the
model spent on the clips.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.support.common import figure, median, p95
from benchmarks.support.talks import talk
from gpu.status import BatchState
from kb.inference.line import Line, LineServer, ModelTranscriber, Request
from kb.inference.process import InferenceProcess
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import get_settings
from kb.types import Transcript
from tests.support.compose import write_wav
from tests.support.speech import score

TALKS, TALK_S = 3, 900.0
CLIPS, CLIP_S = 20, 8.0
PAUSE_S = 0.5  # between two clips
WORKERS = 2


@dataclass
class Worker:
    """A worker's model, and the line to it."""

    process: InferenceProcess
    session: InferenceSession
    line: Line

    def state(self) -> BatchState:
        """Return the newest counts of the model's batches."""
        snapshot = self.process.snapshot
        while snapshot is None or snapshot.batch is None:
            time.sleep(0.1)
            snapshot = self.process.snapshot
        return snapshot.batch

    def transcribe_talks(self, paths: list[Path]) -> float:
        """Transcribe talks as items of the queue; return the time in seconds."""
        options = self.session.transcription_options(RunOptions(model="demo"))
        began = time.perf_counter()
        with ThreadPoolExecutor(len(paths)) as pool:
            for found in pool.map(lambda path: self.process.transcribe(path, options), paths):
                assert found.words
        return time.perf_counter() - began

    def transcribe_clip(self, path: Path) -> tuple[float, Transcript]:
        """Transcribe a clip through the line; return the time in seconds and the transcript."""
        began = time.perf_counter()
        found = self.line.transcribe(Request(path, RunOptions(model="demo")))
        return time.perf_counter() - began, found


def measure(folder: Path) -> bool:
    """Print the figures; return False if one misses its target."""
    settings = get_settings().replace(cpu_threads=1)
    rng = np.random.default_rng(16)
    talks = [write_wav(folder / f"t{n}.wav", talk(TALK_S, 0.2, rng)) for n in range(TALKS)]
    said = [talk(CLIP_S, 0.1, rng) for _ in range(CLIPS)]
    clips = [write_wav(folder / f"c{n}.wav", each) for n, each in enumerate(said)]
    process, session = InferenceProcess(settings, WORKERS), InferenceSession(settings)
    server = LineServer(folder, ModelTranscriber(process, session))
    worker = Worker(process, session, Line(folder))
    try:
        worker.transcribe_clip(clips[0])  # loads the model
        own_s = [worker.transcribe_clip(path)[0] for path in clips]
        figure("clip_alone", median(own_s), "s")
        time.sleep(61)  # no clip is expected any more: batches of talks have their usual size
        first = _settled(worker)
        alone_s = worker.transcribe_talks(talks)
        figure("talks_alone", alone_s, "s")
        before = _settled(worker)
        batch_s = (before.busy_s - first.busy_s) / (before.batches - first.batches)
        ended = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(worker.transcribe_talks, talks)
            running.add_done_callback(lambda _: ended.set())
            time.sleep(2.0)
            times, errors, words, beside = [], 0, 0, 0
            for path, spoken in zip(clips, said, strict=True):
                took_s, found = worker.transcribe_clip(path)
                if not ended.is_set():
                    times.append(took_s)
                    beside += 1
                result = score(spoken.words, found.words)
                errors += result.errors
                words += len(spoken.words)
                time.sleep(PAUSE_S)
            together_s = running.result()
        after = _settled(worker)
        batches = after.batches - before.batches
        windows = (after.windows - before.windows) / batches
        return _report(times, own_s, batch_s, alone_s, together_s, errors / words, windows)
    finally:
        server.close()
        process.close()


def _settled(worker: Worker) -> BatchState:
    """Return the counts after the monitor's next look."""
    time.sleep(5.0)
    return worker.state()


def _report(
    times: list[float],
    own_s: list[float],
    batch_s: float,
    alone_s: float,
    together_s: float,
    word_errors: float,
    windows: float,
) -> bool:
    clips_s = len(times) * median(own_s)
    met = [
        figure("clips_beside_talks", len(times), "clips", at_least=CLIPS / 2),
        figure("clip_median", median(times), "s"),
        figure("clip_p95", p95(times), "s"),
        figure("batch", batch_s, "s"),
        figure("windows_a_batch", windows, "windows", at_least=1.05),
        figure(
            "clip_p95_over_two_batches_and_its_own_time",
            p95(times) / (2 * batch_s + p95(own_s)),
            "ratio",
            at_most=1.0,
        ),
        figure("talks_beside_clips", together_s, "s"),
        figure(
            "talks_beside_clips_over_talks_and_clips",
            together_s / (alone_s + clips_s),
            "ratio",
            at_most=1.1,
        ),
        figure("clip_word_errors", word_errors, "share", at_most=0.04),
    ]
    return all(met)
