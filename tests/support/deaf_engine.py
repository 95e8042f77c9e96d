"""A recognizer that hears a word at most with the demo model, and everything with a copy of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gpu.manager import GPUManager
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch, UnreadText
from kb.asr.engines.whisper.engine import WhisperEngine
from kb.asr.engines.whisper.spec import SPEC as WHISPER


class DeafEngine(WhisperEngine):
    """An engine whose texts are empty, or the last word alone, so that two of them disagree."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._read = 0

    def decode(  # type: ignore[override]
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> Sequence[UnreadText]:
        return [self._without_words(text.read()) for text in super().decode(encoded, languages)]

    def _without_words(self, text: DecodingResult) -> DecodingResult:
        self._read += 1
        if self._read % 2 or not text.segments:
            return replace(text, segments=())
        last = text.segments[-1]
        word = last.words[-1]
        segment = replace(last, start_s=word.start_s, text=word.text, words=(word,))
        return replace(text, segments=(segment,))


def load(model: str, manager: GPUManager) -> WhisperEngine:
    """Load the model, in an engine that hears hardly anything if it is the demo model."""
    return (DeafEngine if model == "demo" else WhisperEngine).load(model, manager)


SPEC = replace(WHISPER, load=load)
