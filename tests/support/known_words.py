"""Engines that know the spoken words, each with the word times of one recognizer.

Only the network is replaced: known words become the recognizer's raw times (its frames, its habit
of letting a word begin where the last one ended), and the recognizer's own code makes word times
of them. So a case costs milliseconds, and no weights are needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from gpu.manager import GPUManager
from kb.asr.audio.word_edges import snap_to_sound, snap_to_speech
from kb.asr.engines.base import DecodingResult
from kb.asr.engines.parakeet.engine import RECEPTIVE_FIELD_S, ParakeetEngine, _Token
from kb.asr.engines.qwen3.aligner import SHORTEST_S, Piece, Text, _segments
from kb.asr.engines.whisper.alignment import FRAME_S
from kb.asr.stitching import join_words
from kb.asr.windows.windowing import Window
from kb.types import Segment, Word
from tests.support.compose import Composition
from tests.support.sound_places import SoundPlaces
from tests.support.speech import SURE_LOGPROB, Oracle

CHARACTER_S = 0.22  # of a script without spaces
FIRST_CHARACTER = 0x4E00
CHARACTERS = 800
BORDER_S = 0.3  # over a shorter gap, Whisper lets a word begin where the last one ended


def whisper_times(window: Window, words: list[Word]) -> list[Word]:
    """Return the words with Whisper's times: steps of 20 ms, borders without gaps, then its code.

    The code is that of `WordAligner.align`, of both engines that run Whisper.
    """
    loose: list[Word] = []
    for word in words:
        start_s, end_s = (
            window.start_s + round((at_s - window.start_s) / FRAME_S) * FRAME_S
            for at_s in (word.start_s, word.end_s)
        )
        if loose and start_s - loose[-1].end_s < BORDER_S:
            start_s = loose[-1].end_s
        loose.append(replace(word, start_s=start_s, end_s=max(end_s, start_s + FRAME_S)))
    loose = snap_to_speech(loose, window.speech)
    return list(snap_to_sound(loose, window.audio, window.start_s))


@cache
def _parakeet() -> ParakeetEngine:
    """Return Parakeet without its network, which `_read` does not need."""
    network = SimpleNamespace(
        config=SimpleNamespace(
            model_type="parakeet_ctc",
            encoder_config=SimpleNamespace(subsampling_factor=8),
            pad_token_id=0,
            vocab_size=1,
        )
    )
    processor = SimpleNamespace(feature_extractor=SimpleNamespace(hop_length=160), tokenizer=None)
    return ParakeetEngine(network, processor, "known words", GPUManager("cpu", cpu_threads=1), 0.0)


def parakeet_times(window: Window, words: list[Word]) -> list[Word]:
    """Return the words with Parakeet's times: a token for each word, in frames of 80 ms."""
    engine = _parakeet()
    tokens = [
        _Token(
            f"▁{word.text}",
            max(0, int((word.start_s - window.start_s) / engine._frame_s)),
            max(1, math.ceil((word.end_s - window.start_s) / engine._frame_s)),
            SURE_LOGPROB,
        )
        for word in words
    ]
    return [w for segment in engine._read(window, tokens, "en").segments for w in segment.words]


def qwen3_times(window: Window, words: list[Word]) -> list[Word]:
    """Return the words with the times of Qwen3's aligner: steps of 80 ms."""
    text = Text(" ".join(word.text for word in words), (SURE_LOGPROB,))
    pieces: list[Piece] = []
    at = 0
    for word in words:
        pieces.append(Piece(at, at + len(word.text), word.text))
        at += len(word.text) + 1
    edges = [
        tuple(
            round((at_s - window.start_s) / SHORTEST_S) * SHORTEST_S
            for at_s in (word.start_s, word.end_s)
        )
        for word in words
    ]
    found = _segments(window, text, pieces, edges, "en")  # type: ignore[arg-type]
    return [word for segment in found for word in segment.words]


@dataclass(frozen=True)
class Times:
    """The word times of one recognizer: how they are made, and their step."""

    make: Callable[[Window, list[Word]], list[Word]]
    step_s: float
    longest_s: float = 30.0  # longest window
    languages: tuple[str, ...] = ("en", "de", "zh")


TIMES = {
    "whisper": Times(whisper_times, FRAME_S),
    "parakeet": Times(parakeet_times, 0.08, RECEPTIVE_FIELD_S, ("en", "de")),
    "qwen3-asr": Times(qwen3_times, SHORTEST_S),
}


LEAST_HEARD = 0.3  # share of a word that is recognized, as a wrong word
WHOLE = 0.95  # share from which it is recognized rightly


@dataclass
class KnownWords(Oracle):
    """An oracle that finds the words by the sound of a window, in any language.

    `change(window, words)` gives the words the times of a recognizer.
    """

    places: SoundPlaces = field(default_factory=lambda: SoundPlaces(np.zeros(0, np.float32)))
    change: Callable[[Window, list[Word]], list[Word]] = lambda _window, words: words

    def supports_language(self, code: str) -> bool:
        return True

    def _decode_window(self, window: Window, language: str) -> DecodingResult:
        words = self.change(window, self.heard(window))
        if not words:
            return DecodingResult((), language, SURE_LOGPROB, 0.0, window.start_s)
        text = join_words(words, language)
        whole = Segment(words[0].start_s, words[-1].end_s, text, tuple(words), language)
        return DecodingResult((whole,), language, SURE_LOGPROB, 0.0, words[-1].end_s)

    def heard(self, window: Window) -> list[Word]:
        """Return the words of which enough is in the window, in its times."""
        words: list[Word] = []
        for piece in self.places.pieces(window):
            from_s, to_s = piece.span_s
            for text, start_s, end_s in self.truth:
                heard_s = min(end_s, to_s) - max(start_s, from_s)
                if heard_s < LEAST_HEARD * (end_s - start_s):
                    continue
                whole = heard_s > WHOLE * (end_s - start_s)
                first_s, last_s = (
                    piece.window_s(at_s, window)
                    for at_s in (max(start_s, from_s), min(end_s, to_s))
                )
                words.append(Word(first_s, last_s, text if whole else f"{text[:2]}~", 0.9))
        return words


def known_words(said: Composition, times: str, language: str) -> KnownWords:
    """Return an engine that knows the words of `said`, with the times of a recognizer."""
    kind = TIMES[times]
    return KnownWords(
        said.words,
        languages=lambda _window: {language: 0.0},
        receptive_field_s=kind.longest_s,
        name=times,
        places=SoundPlaces(said.audio),
        change=kind.make,
    )


def in_characters(said: Composition) -> Composition:
    """Return the same sound as a text without spaces: a few characters for each word.

    Each character is a word of its own, as the recognizers return it.
    """
    words: list[tuple[str, float, float]] = []
    for text, start_s, end_s in said.words:
        count = max(1, round((end_s - start_s) / CHARACTER_S))
        edges = np.linspace(start_s, end_s, count + 1).tolist()
        number = sum(map(ord, text)) * 7
        words += [
            (chr(FIRST_CHARACTER + (number + 13 * n) % CHARACTERS), edges[n], edges[n + 1])
            for n in range(count)
        ]
    return replace(said, words=words, language="zh")


def real_engine(name: str) -> Any:
    """Return a real engine with the demo recognizer: `whisper` or `faster-whisper`."""
    from kb.asr.engines import load_engine

    return load_engine(name, "demo", GPUManager("cpu", cpu_threads=1))
