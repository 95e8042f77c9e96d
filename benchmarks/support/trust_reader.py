"""Our own path over one engine, for `trust.py`; what several runs share is computed once."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gpu.manager import GPUManager
from kb.asr.audio.vad import Audio
from kb.asr.batching.batcher import Batcher
from kb.asr.engines.base import GREEDY, Decoded, Decoding, Engine, Heard
from kb.asr.quality.repair import Plan
from kb.asr.quality.repair_budget import Purse
from kb.asr.recognizer import Recognizer
from kb.asr.windows.windowing import Window
from kb.settings import Settings
from kb.types import MediaRef, Transcript
from tests.support.compose import SAMPLE_RATE, Composition
from tests.support.speech import blocks, detector, preset

PRESET = "optimiert"
BATCH = 4
READ_ONCE = Plan(share=0.0, temperatures=(), beams=1)


class Remembering:
    """An engine that reads the same window once: what several runs share is computed once.

    `fresh` counts nothing remembered: for runs whose time is measured.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._heard: dict[tuple[int, int], tuple[Any, float]] = {}
        self._texts: dict[tuple[Any, ...], Decoded] = {}
        self.fresh = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def stop(self) -> None:
        """The engine goes on to the next run."""

    def hear(self, windows: Sequence[Window]) -> Heard:
        keys = [self._key(window) for window in windows]
        if self.fresh or any(key not in self._heard for key in keys):
            found = self._engine.hear(windows)
            for key, languages, chance in zip(keys, found.languages, found.no_speech, strict=True):
                self._heard[key] = languages, chance
            return found
        languages, chances = zip(*(self._heard[key] for key in keys), strict=True)
        return Heard(tuple(windows), languages, chances)

    def decode(
        self, heard: Heard, languages: Sequence[str], how: Decoding = GREEDY
    ) -> list[Decoded]:
        keys = [
            (*self._key(window), code, how)
            for window, code in zip(heard.windows, languages, strict=True)
        ]
        if self.fresh or any(key not in self._texts for key in keys):
            if heard.states is None:
                heard = self._engine.hear(heard.windows)
            found = self._engine.decode(heard, languages, how)
            self._texts.update(zip(keys, found, strict=True))
            return found
        return [self._texts[key] for key in keys]

    def _key(self, window: Window) -> tuple[int, int]:
        return zlib.crc32(window.audio.tobytes()), round(window.start_s * SAMPLE_RATE)


class Heeded:
    """Speech detection of one sound, done once and played back."""

    def __init__(self, audio: Audio) -> None:
        stream = detector().stream()
        self._blocks = [stream.push(block) for block in blocks(audio)]
        self._rest = stream.finish()

    def stream(self) -> Heeded:
        self._left = iter(self._blocks)
        return self

    def push(self, _block: Audio) -> Audio:
        return next(self._left)

    def finish(self) -> Audio:
        return self._rest


@dataclass
class Reader:
    """Our own path over one engine; detection is remembered by sound."""

    engine: Any
    manager: GPUManager
    settings: Settings = field(default_factory=Settings)
    purse: Purse = field(default_factory=Purse)  # what repair may cost over a row of the table
    _heeded: dict[int, Heeded] = field(default_factory=dict)

    def read(self, said: Composition, engine: Any, plan: Plan | None = None) -> Transcript:
        heeded = self._heeded.setdefault(id(said), Heeded(said.audio))
        batcher = Batcher(engine, self.manager, BATCH)
        try:
            recognizer = Recognizer(
                batcher, preset(PRESET), detector=heeded, settings=self.settings, plan=plan,
                purse=Purse() if plan is READ_ONCE else self.purse,
            )  # type: ignore[arg-type]  # fmt: skip
            return recognizer.transcribe(blocks(said.audio), MediaRef("sound", "", 0.0))
        finally:
            batcher.close()
