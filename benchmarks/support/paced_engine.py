"""The Whisper engine at a fixed pace: a window takes `KB_TEST_PACE_S` seconds.

Machines that share the processors of one computer disturb each other; with a pace that is slower
than these, each of them takes as long as if it were alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace

from gpu.manager import GPUManager
from kb.asr.engines.base import EncodedBatch, Engine
from kb.asr.engines.whisper.spec import SPEC as WHISPER
from kb.asr.windows.windowing import Window


def load(model: str, manager: GPUManager) -> Engine:
    """Load the model. Raises ModelUnavailable."""
    from kb.asr.engines.whisper.engine import WhisperEngine

    class PacedEngine(WhisperEngine):
        """The Whisper engine; `encode` takes the time of the pace."""

        def encode(self, windows: Sequence[Window]) -> EncodedBatch:
            ends_at = time.monotonic() + len(windows) * float(os.environ["KB_TEST_PACE_S"])
            found = super().encode(windows)
            time.sleep(max(0.0, ends_at - time.monotonic()))
            return found

    return PacedEngine.load(model, manager)


SPEC = replace(WHISPER, load=load)
