"""A worker whose recognizer raises device errors; a file has the number of failures.

The model and the processes are real; only the driver's error is simulated. After the fall-back to
the CPU the recognizer works, as it does after the failure of a real card.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from filelock import FileLock

from kb.asr import engines
from kb.asr.engines.base import EncodedBatch
from kb.asr.engines.whisper.engine import WhisperEngine
from kb.asr.engines.whisper.spec import SPEC as WHISPER
from kb.asr.windows.windowing import Window
from kb.inference.process import InferenceProcess
from kb.inference.serving import serve
from kb.jobs.worker.worker import Worker
from kb.settings import Settings, get_settings

FAILURES_ENV = "KB_TEST_TROUBLE"  # the path of a file with the number of remaining failures
CUDA_ERROR = "CUDA error: an illegal memory access was encountered"


class FlakyEngine(WhisperEngine):
    """An engine that raises the remaining failures until it runs permanently on the CPU."""

    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        if "in a row" not in self._manager.fallback_reason and consume_failure():
            raise RuntimeError(CUDA_ERROR)
        return super().encode(windows)


SPEC = replace(WHISPER, load=FlakyEngine.load)


def consume_failure() -> bool:
    """Count down the failures by one; return False if none was left."""
    file = Path(os.environ[FAILURES_ENV])
    with FileLock(f"{file}.lock"):
        remaining = int(file.read_text())
        file.write_text(str(max(0, remaining - 1)))
    return remaining > 0


def main(connection: Connection, settings: Settings, workers: int, **more: Any) -> None:
    """Run the inference process."""
    engines.ENGINES["whisper"] = "tests.support.device_trouble:SPEC"
    serve(connection, settings, workers, **more)


class FlakyInferenceProcess(InferenceProcess):
    """An inference process that runs `main`."""

    def __init__(self, settings: Settings, workers: int, **more: Any) -> None:
        super().__init__(settings, workers, **{**more, "main": main})


class FlakyWorker(Worker):
    """A worker with such an inference process."""

    process_class = FlakyInferenceProcess


if __name__ == "__main__":
    from tests.support.device_trouble import FlakyWorker as Itself  # `main` must have its real name

    Itself(get_settings(), exit_when_idle="--exit-when-idle" in sys.argv).run()
