"""Detection of speech in a file, without a recognizer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kb.errors import Cancelled
from kb.settings import Settings
from kb.types import SpeechSpan

if TYPE_CHECKING:
    from kb.asr.audio.vad import SpeechDetector


@dataclass(frozen=True, slots=True)
class DetectedSpeech:
    """The spans of speech in a medium of `duration_s` seconds, in order."""

    duration_s: float
    spans: tuple[SpeechSpan, ...]


@dataclass
class SpeechDetection:
    """The detector that cuts windows, loaded at the first use. Safe from several threads."""

    settings: Settings
    _detector: SpeechDetector | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def detect(
        self,
        path: Path,
        *,
        threshold: float,
        min_silence_s: float,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> DetectedSpeech:
        """Return the speech in the sound of a file.

        Speech begins where its probability reaches `threshold` (0..1), and ends after
        `min_silence_s` without it. Raises MediaUnavailable, ModelUnavailable and Cancelled.
        """
        from kb.asr.audio.vad import FRAME_S, SpeechRule, spans
        from kb.media.decode import decode

        found: list[np.ndarray] = []
        samples = 0
        with decode(path, longest_s=self.settings.longest_s) as blocks:
            stream = self._loaded().stream()
            for block in blocks:
                if cancelled():
                    raise Cancelled("detection.stopped", "The caller has left.")
                samples += block.size
                found.append(stream.push(block))
            found.append(stream.finish())
        duration_s = samples / 16_000
        rule = SpeechRule(threshold, min_silence_s=max(min_silence_s, FRAME_S))
        spoken = spans(np.concatenate(found), rule)
        return DetectedSpeech(
            duration_s,
            tuple(SpeechSpan(s.start_s, min(s.end_s, duration_s)) for s in spoken),
        )

    def _loaded(self) -> SpeechDetector:
        from kb.asr.audio.vad import SpeechDetector

        with self._lock:
            if self._detector is None:
                self._detector = SpeechDetector()
            return self._detector
