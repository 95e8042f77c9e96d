"""Parts of the batcher's tests: windows, and engines that wait or run out of memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from gpu.manager import GPUManager
from kb.asr import SAMPLE_RATE
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch
from kb.asr.windows.windowing import Window
from kb.types import SpeechSpan
from tests.support.speech import Oracle

MANAGER = GPUManager("cpu", cpu_threads=1)


class Held(Oracle):
    """An oracle that decodes nothing before `go`, so that windows accumulate."""

    def __init__(self, **more: object) -> None:
        super().__init__((), **more)  # type: ignore[arg-type]
        self.started, self.go = threading.Event(), threading.Event()
        self.order: list[float] = []
        self.may_end: Callable[[], bool] = lambda: True  # a batch waits for it, for 1 s at most

    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[DecodingResult]:
        self.started.set()
        assert self.go.wait(90)
        ends_at = time.monotonic() + 1
        while not self.may_end() and time.monotonic() < ends_at:
            time.sleep(0.002)
        self.order += [window.start_s for window in encoded.windows]
        return super().decode(encoded, languages)


def window(start_s: float = 0.0, seconds: float = 1.0) -> Window:
    audio = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    return Window(0, start_s, audio, (SpeechSpan(start_s, start_s + seconds),))


def nobody_stops() -> None:
    pass


class Small:
    """A device with memory for `room` windows; the test may increase it."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.refused = 0

    def __call__(self, windows: Sequence[Window]) -> None:
        if len(windows) > self.room:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
