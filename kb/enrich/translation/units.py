"""Sentences of a transcript as units to translate, and a translation given back to the segments.

Recognizers end segments where a speaker breathes; half a sentence is translated badly. So the
segments of a sentence are translated together, and the result is divided among them by their share
of the words, preferably behind a punctuation mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kb.types import Segment
from kb.types.words import UNSPACED

MOST_WORDS = 60  # of a unit; a speaker without full stops is divided
MOST_SEGMENTS = 6
LONGEST_PAUSE_S = 2.0  # inside a sentence
_MANY_PLACES = 12  # for a border, from which on it may be two words off
_ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟")
_CLOSING = "\"'”’»)]」』"
_BREAKS = (*_ENDS, ",", ";", ":", "–", "—", "、", "，", "；", "：")


@dataclass(frozen=True, slots=True)
class Unit:
    """Segments `first` to `last` (exclusive); `texts` are their texts on one line each."""

    first: int
    last: int
    texts: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def singles(self) -> list[Unit]:
        """Return a unit for each segment."""
        return [Unit(self.first + n, self.first + n + 1, (t,)) for n, t in enumerate(self.texts)]


def units(segments: Sequence[Segment], is_wanted: Callable[[int], bool]) -> Iterator[Unit]:
    """Yield the units of the wanted segments that have text; each is in exactly one.

    A unit ends with a sentence, a speaker, a language, a long pause, or where it is full.
    """
    run: list[str] = []
    words = 0
    for number, segment in enumerate(segments):
        text = " ".join(segment.text.split())
        if not text or not is_wanted(number):
            if run:
                yield Unit(number - len(run), number, tuple(run))
            run, words = [], 0
            continue
        before = segments[number - 1] if run else segment
        count = size(text)
        if run and (
            len(run) >= MOST_SEGMENTS
            or words + count > MOST_WORDS
            or ends_sentence(run[-1])
            or segment.speaker != before.speaker
            or segment.language != before.language
            or segment.start_s - before.end_s > LONGEST_PAUSE_S
        ):
            yield Unit(number - len(run), number, tuple(run))
            run, words = [], 0
        run.append(text)
        words += count
    if run:
        yield Unit(len(segments) - len(run), len(segments), tuple(run))


def ends_sentence(text: str) -> bool:
    return text.rstrip(_CLOSING + " ").endswith(_ENDS)


def size(text: str) -> int:
    """Return the number of words; a character of a script without spaces counts as half a word."""
    unspaced = len(UNSPACED.findall(text))
    return len(text.split()) + unspaced // 2


def given_back(unit: Unit, translated: str) -> list[str] | None:
    """Return the translation's part for each segment of a unit, None if it has too few words.

    All words are in exactly one part, in their order, and no part is empty.
    """
    count = len(unit.texts)
    if count == 1:
        return [translated]
    parts, glue = translated.split(), " "
    if len(UNSPACED.findall(translated)) * 2 > len(translated):
        parts, glue = [each for each in translated if not each.isspace()], ""
    if len(parts) < count:
        return None
    shares = [max(1, size(text)) for text in unit.texts]
    whole, said, found, start = sum(shares), 0, [], 0
    for number, share in enumerate(shares[:-1], start=1):
        said += share
        least, most = start + 1, len(parts) - (count - number)
        ideal = min(max(round(len(parts) * said / whole), least), most)
        end = _near_break(parts, ideal, least, most)
        found.append(glue.join(parts[start:end]))
        start = end
    return [*found, glue.join(parts[start:])]


def _near_break(parts: Sequence[str], ideal: int, least: int, most: int) -> int:
    """Return the place of a punctuation mark near the ideal one, or the ideal one."""
    for distance in (0, 1, -1, 2, -2)[: 5 if most - least >= _MANY_PLACES else 3]:
        place = ideal + distance
        if least <= place <= most and parts[place - 1].rstrip(_CLOSING).endswith(_BREAKS):
            return place
    return ideal
