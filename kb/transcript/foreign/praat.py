"""TextGrid (Praat, ELAN) as rows, in its long and its short text form.

Tiers of the name `words` have the words, other tiers of intervals the text. A tier of words belongs
to the tier before it; without such a tier its words are the text. Source: "TextGrid file formats"
of Praat's manual.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kb.transcript.foreign.rows import Found, Row, rows_of_words
from kb.types import Word

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?!\S)')
_WORDS = re.compile(r"\bwords?\b", re.IGNORECASE)
_SEGMENTS = re.compile(r"\bsegments( \d+)?$")  # KB Ingest names the speaker before it
_EXACT_S = 1e-4
_INTERVALS = "IntervalTier"


@dataclass
class _Tier:
    name: str
    intervals: list[tuple[float, float, str]] = field(default_factory=list)


def rows(text: str) -> Found:
    """Return the intervals with text, in order of time. Raises ValueError for a damaged file."""
    tiers = list(_tiers(text))
    found: list[Row] = []
    place = 0
    while place < len(tiers):
        tier = tiers[place]
        following = tiers[place + 1] if place + 1 < len(tiers) else None
        place += 1
        if _WORDS.search(tier.name):
            found += rows_of_words(_words(tier.intervals), f"tier {tier.name!r}")
            continue
        words: Sequence[Word] = ()
        if following is not None and _WORDS.search(following.name):
            words, place = _words(following.intervals), place + 1
        starts = [word.start_s for word in words]
        found += [
            Row(
                said, start_s, end_s,
                tuple(words[bisect_left(starts, start_s - _EXACT_S) :
                            bisect_left(starts, end_s - _EXACT_S)]),
                place=f"tier {tier.name!r}, interval {number}",
                speaker=_SEGMENTS.sub("", tier.name).strip() or None,
            )
            for number, (start_s, end_s, said) in enumerate(tier.intervals, 1)
            if said.strip()
        ]  # fmt: skip
    return Found(tuple(found))


def _words(intervals: Sequence[tuple[float, float, str]]) -> list[Word]:
    return [Word(start, end, text.strip(), 1.0) for start, end, text in intervals if text.strip()]


def _tiers(text: str) -> Iterator[_Tier]:
    values = _values(text)
    try:
        if next(values) != "ooTextFile" or next(values) != "TextGrid":
            raise ValueError("it is no TextGrid")
        next(values), next(values)  # its start and end
        for _ in range(int(next(values))):
            kind, name = next(values), next(values)
            next(values), next(values)
            tier = _Tier(name)
            for _ in range(int(next(values))):
                if kind == _INTERVALS:
                    tier.intervals.append((float(next(values)), float(next(values)), next(values)))
                else:  # points in time have no length
                    next(values), next(values)
            if kind == _INTERVALS:
                yield tier
    except StopIteration:
        raise ValueError("it is a TextGrid that ends early") from None


def _values(text: str) -> Iterator[str]:
    """Yield the strings and numbers in order; Praat ignores everything else, such as names."""
    for token in _TOKEN.finditer(text):
        yield token[1].replace('""', '"') if token[1] is not None else token[2]
