"""Quotes found again in a transcript: the place where something was said, or none.

A language model is asked for quotes and may invent or alter them. A quote counts only where its
words are found: exactly, or nearly, and then without a difference that changes what was said
(`kb.transcript.quote_words`). What is shown afterwards are the transcript's own words.

Near matches: the best partial alignment of rapidfuzz (`partial_ratio_alignment`), moved to whole
words by the smallest edit distance of words.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from kb.transcript.quote_words import NUMBERS, are_opposites, is_negation, is_number
from kb.types import Segment, Word
from kb.types.words import UNSPACED

NEAR = 90.0  # percent of equal letters from which a text counts as nearly the same
FEWEST_WORDS = 5  # of a quote that may be anywhere, and that need not be exact
NEARBY = 2  # segments before and after the cited one in which a shorter quote may be
LONGEST = 2_000  # characters of a quote that is looked for
_SHIFT = 3  # words by which a near match may be moved on both sides
_BACK = 4  # words before a quote in which a negation still belongs to it

Refusal = Literal["", "absent", "altered", "short"]
"""Why a quote does not count: not found, found with another meaning, too short to be found."""

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d]+(?:['’][^\W\d]+)*|\w+")
_THOUSANDS = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
_SENTENCE_END = re.compile(r"[.!?…:]['\"”“»)\]]*$")


@dataclass(frozen=True, slots=True)
class Quote:
    """A place in a transcript: its own words there, with times; `segment` is the first's index."""

    text: str
    start_s: float
    end_s: float
    segment: int


@dataclass(frozen=True, slots=True)
class Finding:
    """The place of a quote, or the reason why there is none."""

    quote: Quote | None
    refusal: Refusal = ""


@dataclass(frozen=True, slots=True)
class _Token:
    """A word as it is compared; `shown` is the index of the transcript's word it is part of."""

    text: str
    shown: int
    is_name: bool


@dataclass(frozen=True, slots=True)
class _Shown:
    """A word as it is shown; `begins` a sentence or not."""

    text: str
    start_s: float
    end_s: float
    segment: int
    begins: bool


class QuoteFinder:
    """Finds quotes in the segments of one transcript; make it once for many quotes.

    `names` are words that are names whatever their case, such as those of a vocabulary.
    """

    def __init__(self, segments: Sequence[Segment], names: Iterable[str] = ()) -> None:
        self._shown = list(_shown(segments))
        self._names = {each for name in names for each, _ in _tokens(name)}
        lower: set[str] = set()
        parts: list[tuple[str, int, bool]] = []
        for index, word in enumerate(self._shown):
            for text, is_capital in _tokens(word.text):
                parts.append((text, index, is_capital))
                if not is_capital:
                    lower.add(text)
                elif not word.begins:
                    self._names.add(text)
        self._lower = lower
        self._names -= {"i", "i'm", "i'll", "i've", "i'd"}
        self._words = [_Token(text, at, text in self._names) for text, at, _ in parts]
        self._texts = [word.text for word in self._words]
        self._text = f" {' '.join(self._texts)} "
        self._starts: list[int] = []
        place = 1
        for text in self._texts:
            self._starts.append(place)
            place += len(text) + 1
        # The first word of each segment, so that a place near a segment can be searched first.
        self._first: dict[int, int] = {}
        for number, token in enumerate(self._words):
            self._first.setdefault(self._shown[token.shown].segment, number)

    def find(self, quote: str, near: int | None = None) -> Finding:
        """Return the place of a quote; `near` is the index of the segment that is cited for it.

        A quote of fewer than five words must be exact, and within two segments of the cited one.
        """
        wanted = list(_tokens(quote[:LONGEST]))
        if not wanted:
            return Finding(None, "absent")
        texts = [text for text, _ in wanted]
        if (exact := self._exact(texts, near)) is not None:
            if len(texts) >= FEWEST_WORDS or self._is_near(exact, near):
                return Finding(self._quote(exact, exact + len(texts)))
            return Finding(None, "short")
        if len(texts) < FEWEST_WORDS:
            return Finding(None, "short" if near is None else "absent")
        span = self._nearly(texts, near)
        if span is None:
            return Finding(None, "absent")
        names = _names_in(quote[:LONGEST], self._names, self._lower)
        if self._changes_meaning(texts, names, *span):
            return Finding(None, "altered")
        return Finding(self._quote(*span))

    def _exact(self, texts: Sequence[str], near: int | None) -> int | None:
        """Return the number of the first word of the exact place that is nearest to `near`."""
        needle = f" {' '.join(texts)} "
        for low, high in self._regions(near):
            found, place = [], low - 1
            while (place := self._text.find(needle, place + 1, high)) >= 0:
                found.append(bisect_right(self._starts, place + 1) - 1)
                if near is None:
                    break
            if found:
                return min(found, key=lambda number: abs(self._segment(number) - (near or 0)))
        return None

    def _is_near(self, number: int, near: int | None) -> bool:
        return near is not None and abs(self._segment(number) - near) <= NEARBY

    def _segment(self, number: int) -> int:
        return self._shown[self._words[number].shown].segment

    def _nearly(self, texts: Sequence[str], near: int | None) -> tuple[int, int] | None:
        """Return first and last (exclusive) word of the text that is most like these words."""
        needle = " ".join(texts)
        for low, high in self._regions(near):
            region = self._text[low:high]
            if len(region) < len(needle):
                continue
            found = fuzz.partial_ratio_alignment(needle, region, score_cutoff=NEAR)
            if found is None:
                continue
            first = max(0, bisect_right(self._starts, low + found.dest_start + 1) - 1)
            last = max(first + 1, bisect_right(self._starts, low + found.dest_end - 1))
            span = self._fitted(texts, first, last)
            said = " ".join(self._texts[span[0] : span[1]])
            if fuzz.ratio(needle, said) >= NEAR:
                return span
        return None

    def _regions(self, near: int | None) -> Iterator[tuple[int, int]]:
        """Yield the parts of the text to look at: around the cited segment, then all of it."""
        if near is not None and near in self._first:
            first = self._first.get(near - NEARBY, self._first[near])
            after = self._first.get(near + NEARBY + 1)
            end = len(self._text) if after is None else self._starts[after]
            yield max(0, self._starts[first] - 1), end
        yield 0, len(self._text)

    def _fitted(self, texts: Sequence[str], first: int, last: int) -> tuple[int, int]:
        best = (len(texts) + 1, 0, 0, 0, first, last)
        for low in range(max(0, first - _SHIFT), min(first + _SHIFT + 1, len(self._texts))):
            for high in range(max(low + 1, last - _SHIFT), last + _SHIFT + 1):
                if high > len(self._texts):
                    break
                distance = Levenshtein.distance(texts, self._texts[low:high])
                moved = abs(low - first) + abs(high - last)
                best = min(best, (distance, abs(high - low - len(texts)), moved, low, low, high))
        return best[4], best[5]

    def _changes_meaning(
        self, texts: Sequence[str], names: frozenset[str], first: int, last: int
    ) -> bool:
        """Return True if a difference holds a number, a negation, a name or an opposite."""
        there = self._words[first:last]
        for ours, theirs in _differences(texts, [word.text for word in there]):
            quoted, said = texts[slice(*ours)], there[slice(*theirs)]
            spoken = [word.text for word in said]
            if sorted(filter(is_number, quoted)) != sorted(filter(is_number, spoken)):
                return True
            if sum(map(is_negation, quoted)) != sum(map(is_negation, spoken)):
                return True
            if {word for word in quoted if word in names} != {
                word.text for word in said if word.is_name or word.text in names
            }:
                return True
            if any(are_opposites(one, other) for one in quoted for other in spoken):
                return True
        return False

    def _quote(self, first: int, last: int) -> Quote:
        start, end = self._words[first].shown, self._words[last - 1].shown
        # "(do not) believe that it will fall" must not be shown without its negation.
        for back in range(1, _BACK + 1):
            if start - back < 0 or self._shown[start - back + 1].begins:
                break
            if any(is_negation(text) for text, _ in _tokens(self._shown[start - back].text)):
                start -= back
                break
        words = self._shown[start : end + 1]
        text = " ".join(word.text for word in words)
        return Quote(text, words[0].start_s, words[-1].end_s, words[0].segment)


def _shown(segments: Sequence[Segment]) -> Iterator[_Shown]:
    begins = True
    for index, segment in enumerate(segments):
        words = segment.words or tuple(_spread(segment))
        for word in words:
            text = word.text.strip()
            if text:
                yield _Shown(text, word.start_s, word.end_s, index, begins)
                begins = bool(_SENTENCE_END.search(text))


def _spread(segment: Segment) -> Iterator[Word]:
    """Yield the words of a segment whose words have no times, each with its share of the time."""
    texts = segment.text.split()
    total = sum(map(len, texts)) or 1
    length, before = segment.end_s - segment.start_s, 0
    for text in texts:
        start_s = segment.start_s + length * before / total
        before += len(text)
        yield Word(start_s, segment.start_s + length * before / total, text, 0.0)


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the words of a text as they are compared, and whether each is written as a name is."""
    for found in _TOKEN.finditer(unicodedata.normalize("NFKC", text)):
        word = found[0].replace("’", "'")
        if UNSPACED.search(word):
            yield from ((each, False) for each in word.casefold())
            continue
        if word[0].isdigit():
            word = re.sub(r"[.,]", "", word) if _THOUSANDS.fullmatch(word) else word
            yield word.replace(",", "."), False
            continue
        folded = word.casefold()
        yield NUMBERS.get(folded, folded), word[0].isupper()


def _names_in(quote: str, known: set[str], lower: set[str]) -> frozenset[str]:
    """Return the words of a quote that are names: known ones, and those with a capital letter.

    The first word of a sentence has one too, unless the transcript writes it small elsewhere.
    """
    found, begins = set(), True
    for word in quote.split():
        for text, is_capital in _tokens(word):
            if text in known or (is_capital and not (begins and text in lower)):
                found.add(text)
        begins = bool(_SENTENCE_END.search(word))
    return frozenset(found - {"i", "i'm", "i'll", "i've", "i'd"})


def _differences(
    ours: Sequence[str], theirs: Sequence[str]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the differing stretches of two lists of words; adjacent ones are one."""
    found: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for each in Levenshtein.opcodes(ours, theirs):
        if each.tag == "equal":
            continue
        one, other = (each.src_start, each.src_end), (each.dest_start, each.dest_end)
        if found and found[-1][0][1] == one[0] and found[-1][1][1] == other[0]:
            one, other = (found[-1][0][0], one[1]), (found[-1][1][0], other[1])
            found.pop()
        found.append((one, other))
    return found
