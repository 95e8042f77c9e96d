"""A recognizer that answers sounds without a word, surely and with an ordinary sentence.

Everything else it reads without an error. The words of an invented sentence get their times from
the window and not from the sound, as an alignment gives them to words that it cannot place. The
ways:

    even    over all the time between the words around, up to the window's edges
    early   one after the other at an ordinary pace, from the word before on
    late    the same, up to the word behind or the window's end
    edge    all of them in the last 0.2 s
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from kb.asr.windows.windowing import Window
from kb.types import Word
from tests.support.compose import Composition
from tests.support.known_words import KnownWords
from tests.support.sound_places import SoundPlaces
from tests.support.tails import Tail

WAYS = ("even", "early", "late", "edge")
SENTENCES = (
    "let us go",
    "that is all for today",
    "i do not know what you mean",
    "so what do you think",
    "we will be right back",
    "yes of course",
    "and then he came home",
    "it was a very nice day",
)
PACE_S = 0.3  # an ordinary word
LEAST_HEARD_S = 0.15  # less of a tail in a window is not answered
LEAST_ROOM_S = 0.05


@dataclass
class InventingOracle(KnownWords):
    """An engine that knows the words and answers `tails` as well.

    `first`: in the first reading of a window as well, else only in later ones; `steady`: with the
    same sentence in every reading of a tail. `answered` are the tails that got a sentence.
    """

    tails: Sequence[Tail] = ()
    way: str = "even"
    first: bool = True
    steady: bool = True
    answered: set[int] = field(default_factory=set)
    _read: set[int] = field(default_factory=set)

    @classmethod
    def of(
        cls, said: Composition, tails: Sequence[Tail], way: str, *, first: bool, steady: bool = True
    ) -> InventingOracle:
        made = cls(
            said.words, places=SoundPlaces(said.audio), tails=tails, way=way, first=first,
            steady=steady,
        )  # fmt: skip
        made.change = made._invent
        return made

    def _invent(self, window: Window, words: list[Word]) -> list[Word]:
        again = window.index in self._read
        self._read.add(window.index)
        if not (again or self.first):
            return words
        made = list(words)
        for piece in self.places.pieces(window):
            from_s, to_s = piece.span_s
            for number, tail in enumerate(self.tails):
                if min(tail.end_s, to_s) - max(tail.start_s, from_s) < LEAST_HEARD_S:
                    continue
                middle_s = (max(tail.start_s, from_s) + min(tail.end_s, to_s)) / 2
                at_s = piece.window_s(middle_s, window)
                begin_s = max((w.end_s for w in words if w.end_s <= at_s), default=window.start_s)
                stop_s = min((w.start_s for w in words if w.start_s > at_s), default=window.end_s)
                if stop_s - begin_s >= LEAST_ROOM_S:
                    made += self._sentence(number, window, begin_s, stop_s)
                    self.answered.add(number)
        return sorted(made, key=lambda word: word.start_s)

    def _sentence(self, number: int, window: Window, from_s: float, to_s: float) -> list[Word]:
        key = f"{number}" if self.steady else f"{number} {window.duration_s:.3f}"
        texts = SENTENCES[zlib.crc32(key.encode()) % len(SENTENCES)].split()
        if self.way == "edge":
            from_s = max(from_s, to_s - 0.2)
        pace_s = (to_s - from_s) / len(texts)
        if self.way in ("early", "late"):
            pace_s = min(pace_s, PACE_S)
        begin_s = to_s - pace_s * len(texts) if self.way == "late" else from_s
        return [
            Word(begin_s + place * pace_s, begin_s + (place + 1) * pace_s, text, 0.95)
            for place, text in enumerate(texts)
        ]
