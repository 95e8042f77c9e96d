"""The words of a known talk in place of those of random weights.

The engine computes all that it would; only the text that is handed on is replaced by the words that
are said in the window. The checks of the text then have as much to do as with a real model, where
random words leave every one in doubt.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

from kb.asr.engines.base import DecodingResult, PackedText, UnreadText
from kb.asr.stitching import join_words
from kb.asr.windows.windowing import Window
from kb.types import Segment, Word

FILE = "KB_BENCH_SPOKEN"  # the file with the words of the talk, for the processes that read them
LOGPROB = -0.15
# Of the words of the demo recognizer on voices that it knows.
PROBABILITIES = (0.99, 0.98, 0.99, 0.97, 0.99, 0.99, 0.98, 0.9, 0.99, 0.99)

Said = Sequence[tuple[str, float, float]]
"""Words with their start and end in the medium, in seconds."""


def write_said(words: Said, path: Path) -> None:
    """Write the words of the talk that all media have."""
    path.write_text(json.dumps([list(word) for word in words]), encoding="utf-8")


def words_in(window: Window, said: Said) -> list[Word]:
    """Return the words whose middle is in a window, in its times."""
    found: list[Word] = []
    chances = cycle(PROBABILITIES)
    for text, start_s, end_s in said:
        first_s, last_s = (window.time_map.trimmed(at_s) for at_s in (start_s, end_s))
        chance = next(chances)
        if window.start_s <= (first_s + last_s) / 2 < window.end_s:
            found.append(Word(max(first_s, window.start_s), last_s, text, chance))
    return found


def spoken_result(window: Window, said: Said, language: str) -> DecodingResult:
    """Return the text of a window as a recognizer would that hears every word."""
    words = tuple(words_in(window, said))
    if not words:
        return DecodingResult((), language, LOGPROB, 0.0, window.start_s)
    text = join_words(words, language)
    whole = Segment(words[0].start_s, words[-1].end_s, text, words, language)
    return DecodingResult((whole,), language, LOGPROB, 0.0, words[-1].end_s)


@dataclass(frozen=True)
class SpokenText:
    """The text of a window; the engine's own is read as well, and thrown away."""

    own: UnreadText
    window: Window

    def read(self) -> DecodingResult:
        read = self.own.read()
        return spoken_result(self.window, _said(os.environ[FILE]), read.language)

    def packed(self) -> tuple[PackedText, object]:
        own, converter = self.own.packed()
        return PackedSpokenText(own), converter


@dataclass(frozen=True)
class PackedSpokenText:
    """The same for another process, which finds the words in the same file."""

    own: PackedText

    def unpacked(self, window: Window, converter: Any) -> SpokenText:
        return SpokenText(self.own.unpacked(window, converter), window)


@cache
def _said(path: str) -> Said:
    return [tuple(word) for word in json.loads(Path(path).read_text(encoding="utf-8"))]


def replace_texts(engine: type[Any]) -> None:
    """Have all engines of a class hand on the words of the talk."""
    decode = engine.decode

    def spoken(self: Any, encoded: Any, *given: Any, **named: Any) -> list[SpokenText]:
        texts = decode(self, encoded, *given, **named)
        return [SpokenText(*each) for each in zip(texts, encoded.windows, strict=True)]

    engine.decode = spoken
