"""The transcription speed of the workers, measured from the queue's figures."""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import cache

from kb.service.service import Service


class ThroughputMeter:
    """A meter of the transcription speed, from repeated readings of the transcribed seconds."""

    WINDOW_S = 60.0
    MIN_SPAN_S = 4.0  # readings closer together than this give no usable speed

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: deque[tuple[float, float]] = deque()

    def record(self, transcribed_s: float, now: float | None = None) -> None:
        """Record the total audio transcribed, in seconds; `now` is on the monotonic clock."""
        now = time.monotonic() if now is None else now
        with self._lock:
            if self._samples and transcribed_s < self._samples[-1][1]:
                self._samples.clear()  # the total decreases when an item is started again
            if self._samples and now - self._samples[-1][0] < 0.5:
                return  # several visitors may take a reading at the same time
            self._samples.append((now, transcribed_s))
            while len(self._samples) > 2 and now - self._samples[0][0] > self.WINDOW_S:
                self._samples.popleft()

    def speed(self) -> float | None:
        """Return seconds of audio per second over the last minute; None while unknown."""
        with self._lock:
            if not self._samples:
                return None
            (start, before), (end, after) = self._samples[0], self._samples[-1]
        if end - start < self.MIN_SPAN_S or after <= before:
            return None
        return (after - before) / (end - start)


@cache
def throughput_meter() -> ThroughputMeter:
    """Return the meter of this process, which all visitors share."""
    return ThroughputMeter()


def record_throughput(service: Service) -> None:
    """Record a reading while a worker is alive. Raises LibraryError."""
    if service.queue.workers():
        throughput_meter().record(service.queue.figures(0.0).transcribed_s)
