"""An inference process whose recognizer waits until a file exists."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from kb.asr import engines
from kb.asr.engines.base import EncodedBatch
from kb.asr.engines.whisper.engine import WhisperEngine
from kb.asr.engines.whisper.spec import SPEC as WHISPER
from kb.asr.windows.windowing import Window
from kb.inference.serving import serve
from kb.settings import Settings

GO = "KB_TEST_GO"  # the variable with the file's path


class HeldEngine(WhisperEngine):
    """The Whisper engine; `encode` waits for the file."""

    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        while not Path(os.environ[GO]).exists():
            time.sleep(0.02)
        return super().encode(windows)


SPEC = replace(WHISPER, load=HeldEngine.load)


def main(connection: Connection, settings: Settings, workers: int, **more: Any) -> None:
    """Run the inference process."""
    engines.ENGINES["whisper"] = "tests.support.held_host:SPEC"
    serve(connection, settings, workers, **more)
