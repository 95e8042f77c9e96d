"""Our recognition with one engine, for `trust.py`; results that runs share are computed once."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gpu.manager import GPUManager
from kb.asr.batching.batcher import Batcher
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch, Engine
from kb.asr.quality.repair_budget import RepairBudget
from kb.asr.quality.repair_plan import RepairPlan
from kb.asr.recognizer import Recognizer
from kb.asr.windows.windowing import Window
from kb.settings import Settings
from kb.types import MediaRef, Transcript
from tests.support.compose import SAMPLE_RATE, Composition
from tests.support.speech import RecordedDetector, blocks, preset

PRESET = "optimiert"
BATCH = 4
NO_REPAIR = RepairPlan(share=0.0, temperatures=(), beams=1)


class CachingEngine:
    """An engine that caches the results of each window, so that several runs share them.

    With `fresh` it ignores the cache, for runs whose time is measured.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._encoded: dict[tuple[int, int], tuple[Any, float]] = {}
        self._texts: dict[tuple[Any, ...], DecodingResult] = {}
        self.fresh = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def stop(self) -> None:
        """Do nothing: the next run uses the same engine."""

    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        keys = [self._key(window) for window in windows]
        if self.fresh or any(key not in self._encoded for key in keys):
            found = self._engine.encode(windows)
            for key, languages, chance in zip(keys, found.languages, found.no_speech, strict=True):
                self._encoded[key] = languages, chance
            return found
        languages, chances = zip(*(self._encoded[key] for key in keys), strict=True)
        return EncodedBatch(tuple(windows), languages, chances)

    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[DecodingResult]:
        keys = [
            (*self._key(window), code, options)
            for window, code in zip(encoded.windows, languages, strict=True)
        ]
        if self.fresh or any(key not in self._texts for key in keys):
            if encoded.states is None:
                encoded = self._engine.encode(encoded.windows)
            found = [text.read() for text in self._engine.decode(encoded, languages, options)]
            self._texts.update(zip(keys, found, strict=True))
            return found
        return [self._texts[key] for key in keys]

    def _key(self, window: Window) -> tuple[int, int]:
        return zlib.crc32(window.audio.tobytes()), round(window.start_s * SAMPLE_RATE)


@dataclass
class TrustReader:
    """Our recognition with one engine; it caches the speech detection of the last composition."""

    engine: Any
    manager: GPUManager
    settings: Settings = field(default_factory=Settings)
    repair_budget: RepairBudget = field(
        default_factory=RepairBudget
    )  # the budget of repair for one row of the table
    _heard: tuple[Composition, RecordedDetector] | None = None

    def read(self, said: Composition, engine: Any, plan: RepairPlan | None = None) -> Transcript:
        if self._heard is None or self._heard[0] is not said:
            self._heard = said, RecordedDetector(said.audio)
        batcher = Batcher(engine, self.manager, BATCH)
        try:
            recognizer = Recognizer(
                batcher, preset(PRESET), detector=self._heard[1], settings=self.settings, plan=plan,
                repair_budget=RepairBudget() if plan is NO_REPAIR else self.repair_budget,
            )  # type: ignore[arg-type]  # fmt: skip
            return recognizer.transcribe(blocks(said.audio), MediaRef("sound", "", 0.0))
        finally:
            batcher.close()
