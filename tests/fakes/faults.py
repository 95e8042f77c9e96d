"""An engine that adds the typical faults of batched Whisper to the readings of a model.

It drops, repeats, invents or misplaces text in a share of the windows and changes nothing else.
The log-probabilities stay too: confidence does not show these faults, which is harder than in
practice. The choice of the window and of its fault depends on the seed and the window only; a
window that is read again (other borders, another way of decoding) has faults as often.

    drop     removes a series of words, the end, or all of a window: at least 2 s of speech
    loop     repeats one phrase of 1 to 4 words from some word to the end
    invent   adds 4 to 8 words that were not spoken: in a pause of 1.5 s or more if there is one,
             else after the last word, as an alignment does with words it cannot place
    shift    moves all words 1.5 to 5 s too early or too late
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch, Engine
from kb.asr.windows.windowing import Window
from kb.types import Segment, Word

KINDS = ("drop", "loop", "invent", "shift")
LEAST_DROP_S = 2.0
LEAST_PAUSE_S = 1.5
INVENTED = (
    "thanks for watching and see you next time",
    "subtitles by the amara org community",
    "please subscribe to my channel",
    "thank you very much for watching",
    "untertitel im auftrag des zdf",
    "golden island summer river",
    "morning kingdom always famous bridge captain",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One changed reading of a window; `before` is the model's own reading."""

    kind: str
    window: Window
    options: DecodingOptions
    before: DecodingResult
    after: DecodingResult


class FaultyEngine:
    """`engine` with faults in `share` of the windows; `faults` records them."""

    def __init__(
        self,
        engine: Engine,
        *,
        share: float = 0.1,
        seed: int = 0,
        kinds: Sequence[str] = KINDS,
        first_only: bool = False,
    ) -> None:
        """With `first_only`, windows that are read again have no faults."""
        self._engine = engine
        self._share = share
        self._seed = seed
        self._kinds = tuple(kinds)
        self._first_only = first_only
        self._faulty_windows: set[int] = set()
        self.faults: list[Fault] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        return self._engine.encode(windows)

    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[DecodingResult]:
        found = self._engine.decode(encoded, languages, options)
        return [
            self._inject_fault(window, decoded.read(), options)
            for window, decoded in zip(encoded.windows, found, strict=True)
        ]

    def _inject_fault(
        self, window: Window, decoded: DecodingResult, options: DecodingOptions
    ) -> DecodingResult:
        # The text is the seed of the fault: another one changes every published figure.
        how = f"Decoding(temperature={options.temperature}, beams={options.beams})"
        name = f"{self._seed} {window.start_s:.3f} {window.duration_s:.3f} {how}"
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if rng.random() >= self._share or (
            self._first_only and window.index in self._faulty_windows
        ):
            return decoded
        self._faulty_windows.add(window.index)
        # In turn and not random, so that a few faults have every kind.
        turn = (self._seed + window.index) % len(self._kinds)
        for kind in self._kinds[turn:] + self._kinds[:turn]:
            words = _FAULTS[kind](window, _words(decoded), rng)
            if words is not None:
                struck = _with_words(decoded, words)
                self.faults.append(Fault(kind, window, options, decoded, struck))
                return struck
        return decoded


def drop(window: Window, words: list[Word], rng: np.random.Generator) -> list[Word] | None:
    """Remove a series of words; return None if there is too little speech."""
    rows = [
        (first, last)
        for first in range(len(words))
        for last in range(first, len(words))
        if _spoken_s(window, words[first].start_s, words[last].end_s) >= LEAST_DROP_S
    ]
    if not rows:
        return None
    shape = rng.integers(3)
    if shape == 0:
        return []
    if shape == 1:
        rows = [row for row in rows if row[1] == len(words) - 1]
    first, last = rows[int(rng.integers(len(rows)))]
    return words[:first] + words[last + 1 :]


def loop(window: Window, words: list[Word], rng: np.random.Generator) -> list[Word] | None:
    """Repeat a phrase to the window's end; return None without words."""
    if not words:
        return None
    size = int(rng.integers(1, min(4, len(words)) + 1))
    place = int(rng.integers(size, len(words) + 1))
    phrase = words[place - size : place]
    times = int(rng.integers(4, 16)) + (2 if size == 1 else 0)
    pace_s = max(0.1, (phrase[-1].end_s - phrase[0].start_s) / size)
    made = words[:place]
    at_s = made[-1].end_s
    for number in range(times * size):
        end_s = min(at_s + pace_s, window.end_s)
        made.append(Word(min(at_s, end_s), end_s, phrase[number % size].text, 0.9))
        at_s = end_s
    return made


def invent(window: Window, words: list[Word], rng: np.random.Generator) -> list[Word] | None:
    """Add words that were not spoken, in a pause if there is one."""
    texts = INVENTED[int(rng.integers(len(INVENTED)))].split()
    edges = [window.start_s, *(t for s in window.speech for t in (s.start_s, s.end_s))]
    edges.append(window.end_s)
    pauses = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    begin_s, end_s = max(pauses, key=lambda pause: pause[1] - pause[0])
    if end_s - begin_s < LEAST_PAUSE_S:
        last_s = words[-1].end_s if words else window.start_s
        begin_s, end_s = last_s, max(last_s, min(window.end_s, last_s + 0.3))
    step_s = min(0.35, (end_s - begin_s) / len(texts))
    begin_s += (end_s - begin_s - step_s * len(texts)) / 2
    made = [
        Word(begin_s + i * step_s, begin_s + (i + 1) * step_s, text, 0.9)
        for i, text in enumerate(texts)
    ]
    before = [word for word in words if word.start_s < begin_s]
    return [*before, *made, *words[len(before) :]]


def shift(window: Window, words: list[Word], rng: np.random.Generator) -> list[Word] | None:
    """Move every word; return None if there is too little speech."""
    if not words or _spoken_s(window, window.start_s, window.end_s) < LEAST_DROP_S:
        return None
    by_s = float(rng.uniform(1.5, 5.0) * rng.choice([-1, 1]))
    latest_s = window.start_s + 30.0
    return [
        replace(
            word,
            start_s=min(max(word.start_s + by_s, window.start_s), latest_s),
            end_s=min(max(word.end_s + by_s, window.start_s), latest_s),
        )
        for word in words
    ]


_FAULTS: dict[str, Callable[[Window, list[Word], np.random.Generator], list[Word] | None]] = {
    "drop": drop,
    "loop": loop,
    "invent": invent,
    "shift": shift,
}


def _spoken_s(window: Window, from_s: float, to_s: float) -> float:
    return sum(
        max(0.0, min(span.end_s, to_s) - max(span.start_s, from_s)) for span in window.speech
    )


def _words(decoded: DecodingResult) -> list[Word]:
    return [word for segment in decoded.segments for word in segment.words]


def _with_words(decoded: DecodingResult, words: Sequence[Word]) -> DecodingResult:
    if not words:
        return replace(decoded, segments=())
    text = " ".join(word.text for word in words)
    whole = Segment(words[0].start_s, words[-1].end_s, text, tuple(words), decoded.language)
    return replace(decoded, segments=(whole,), last_s=words[-1].end_s)
